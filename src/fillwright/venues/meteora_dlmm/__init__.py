"""Meteora DLMM (program LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo): liquidity in bins of constant price.

In: account bytes and a clock. Out: exact quotes, next states, curves and swap instructions. Nothing here
does input or output or reads a clock of its own.

    layout        account bytes -> pool
    bitmap        which bin arrays hold liquidity, and their addresses
    price_math    amounts at a bin's price
    fees          fee rates, and how they move with volatility and time
    bins          one bin filled: exact-in and exact-out, and what is left in it
    compute       how many bins one transaction can cross
    quote         the swap loop over bins, and the state after it
    ladder        the same for many exact-in amounts, by prefix sums
    curve         the same as float segments, for search only
    instructions  the swap instruction
"""

from __future__ import annotations

from fillwright.venues.meteora_dlmm.program import MeteoraDlmm

VENUE = MeteoraDlmm()

__all__ = ["VENUE", "MeteoraDlmm"]
