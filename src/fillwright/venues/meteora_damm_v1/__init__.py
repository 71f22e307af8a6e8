"""Meteora DAMM v1 (dynamic AMM): constant product and stable pools whose tokens lie in lending vaults.

Programs `Eo7WjKq67rjJQSZxS6z3YkapzY3eMj6Xy8X5EQVn5UaB` (pools) and
`24Uqj9JCLxUeoC3hGfh5W3s9FM9uCHDS2SG3LYwBpyTi` (vaults). Pure: account bytes and a clock in, integers out.
"""

from __future__ import annotations

from fillwright.venues.meteora_damm_v1.program import MeteoraDammV1

VENUE = MeteoraDammV1()
"""The one instance; it holds no state."""

__all__ = ["VENUE", "MeteoraDammV1"]
