"""Fillwright: a self-hosted order execution engine for Solana DEXes."""

__version__ = "0.1.0"
