"""Solana over JSON-RPC and WebSocket: endpoints, subscriptions, transactions, senders, the live market, the signer."""
