"""Meteora DAMM v2: one liquidity range or a constant product, with scheduled, limited and dynamic fees.

Program `cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG` ("cp-amm"). In: account bytes and a clock; out:
exact quotes, the pool after a swap, a float curve for search and the swap instruction. Must not: read a
clock, keep state or answer where the program would fail.
"""

from __future__ import annotations

from fillwright.venues.meteora_damm_v2.program import MeteoraDammV2

VENUE = MeteoraDammV2()

__all__ = ["VENUE", "MeteoraDammV2"]
