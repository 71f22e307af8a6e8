"""Durable stores behind `ports.Store`: the truth and the queue."""
