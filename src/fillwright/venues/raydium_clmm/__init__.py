"""Raydium CLMM: concentrated liquidity over SPL Token and Token-2022.

Program `CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK` (raydium-clmm). Account bytes and a clock in; exact
quotes, next states and swap instructions out. Pools with limit orders, a dynamic fee or a fee side of
their own are refused. Must not read anything else.
"""

from fillwright.venues.raydium_clmm.program import RaydiumClmm

VENUE = RaydiumClmm()

__all__ = ["VENUE", "RaydiumClmm"]
