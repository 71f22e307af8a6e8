"""Raydium AMM v4: constant product pools over SPL Token, trading without their former order book.

Program `675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8` (raydium-amm). Account bytes and a clock in; exact
quotes, next states and swap instructions out. Must not read anything else.
"""

from fillwright.venues.raydium_amm_v4.instructions import SwapForm
from fillwright.venues.raydium_amm_v4.program import RaydiumAmmV4

VENUE = RaydiumAmmV4()

__all__ = ["VENUE", "RaydiumAmmV4", "SwapForm"]
