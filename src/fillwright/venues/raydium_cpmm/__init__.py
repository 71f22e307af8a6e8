"""Raydium CPMM: constant product pools over SPL Token and Token-2022, with an optional creator fee.

Program `CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C` (raydium-cp-swap). Account bytes and a clock in;
exact quotes, next states and swap instructions out. Must not read anything else.
"""

from fillwright.venues.raydium_cpmm.program import RaydiumCpmm

VENUE = RaydiumCpmm()

__all__ = ["VENUE", "RaydiumCpmm"]
