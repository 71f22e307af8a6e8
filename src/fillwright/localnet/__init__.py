"""A Solana of one's own on loopback: the real runtime (LiteSVM) behind JSON-RPC and WebSocket, with seeded faults."""
