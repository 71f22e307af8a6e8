"""Priority fees: what others paid lately in, a price per compute unit under a cap out. Pure.

A later attempt of an order bids more than the one before it; the order's marker account makes sure that at
most one of them can succeed.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

MICRO = 1_000_000
_BASE_BPS = 10_000


class FeePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices in micro-lamports per compute unit. `max_lamports` caps the whole priority fee of a transaction.

    `percentile`: of the fees paid lately for the same accounts. `bump_bps`: added for each attempt before.
    """

    percentile: int = 75
    min_price: int = 0
    max_price: int = 5_000_000
    max_lamports: int = 2_000_000
    bump_bps: int = 5_000


def unit_price(recent: Sequence[int], attempt: int, unit_limit: int, policy: FeePolicy) -> int:
    """The price to bid in attempt number `attempt` (from 1), rounded down, never above either cap."""
    paid = sorted(recent)
    base = paid[min(len(paid) - 1, len(paid) * policy.percentile // 100)] if paid else 0
    price = max(base, policy.min_price)
    if attempt > 1:
        price = max(price, 1) * (_BASE_BPS + policy.bump_bps * (attempt - 1)) // _BASE_BPS
    most = policy.max_lamports * MICRO // max(unit_limit, 1)
    return max(0, min(price, policy.max_price, most))


def priority_fee_lamports(price: int, unit_limit: int) -> int:
    """What the network charges for this bid: rounded up."""
    return -(-price * unit_limit // MICRO)
