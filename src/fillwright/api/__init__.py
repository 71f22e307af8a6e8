"""HTTP and WebSocket in, JSON out."""
