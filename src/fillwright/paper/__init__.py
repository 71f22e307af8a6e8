"""The simulated chain and market: venue maths applied to pool states, seeded prices, latency and faults."""
