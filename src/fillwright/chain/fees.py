"""Priority fees: what others paid lately in, a price per compute unit under a cap out. Pure.

A later attempt of an order bids more than the one before it, and an attempt that nobody sees bids again; the order's
marker account makes sure that at most one of them all can succeed.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

MICRO = 1_000_000
MAX_BIDS = 16
_BASE_BPS = 10_000


class FeePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices in micro-lamports per compute unit. `max_lamports` caps the whole priority fee of a transaction.

    `percentile`: of the fees paid lately for the same accounts. `bump_bps`: added for each attempt before, and by each
    further bid of an attempt, which adds `min_bump` at least. An attempt bids again when nobody has seen it for
    `bump_after_blocks` blocks since its last bid (0: never), with at most `max_bids` transactions in all.
    """

    percentile: int = 75
    min_price: int = 0
    max_price: int = 5_000_000
    max_lamports: int = 2_000_000
    bump_bps: int = 5_000
    bump_after_blocks: int = 25
    max_bids: int = 4
    min_bump: int = 10_000


def unit_price(recent: Sequence[int], attempt: int, unit_limit: int, policy: FeePolicy, bids: int = 0) -> int:
    """The price to bid in attempt number `attempt` (from 1), rounded down, raised once more for each of the `bids`
    that followed the attempts before it, never above either cap."""
    paid = sorted(recent)
    base = paid[min(len(paid) - 1, len(paid) * policy.percentile // 100)] if paid else 0
    price = max(base, policy.min_price)
    if attempt > 1:
        price = max(price, 1) * (_BASE_BPS + policy.bump_bps * (attempt - 1)) // _BASE_BPS
    most = _most(unit_limit, policy)
    for _ in range(bids):
        if price >= most:
            break
        price = _raised(price, policy)
    return max(0, min(price, most))


def raised_price(recent: Sequence[int], last: int, unit_limit: int, policy: FeePolicy) -> int:
    """The price of a bid that follows one at `last`: more than that, rounded up, and at least what is paid lately;
    never above either cap, so where it is not above `last` there is no such bid."""
    wanted = max(unit_price(recent, 1, unit_limit, policy), _raised(last, policy))
    return max(0, min(wanted, _most(unit_limit, policy)))


def check_fees(policy: FeePolicy) -> str:
    """What is wrong with the policy; "" where nothing is."""
    counts = (policy.min_price, policy.max_price, policy.max_lamports, policy.bump_bps, policy.bump_after_blocks)
    if min(*counts, policy.min_bump) < 0 or not 0 <= policy.percentile <= 100:
        return "fees: a bound is negative, or the percentile is not within 0 and 100"
    if not 1 <= policy.max_bids <= MAX_BIDS:
        return f"fees: max_bids is not within 1 and {MAX_BIDS}"
    return ""


def priority_fee_lamports(price: int, unit_limit: int) -> int:
    """What the network charges for this bid: rounded up."""
    return -(-price * unit_limit // MICRO)


def _raised(price: int, policy: FeePolicy) -> int:
    """One bid more, rounded up."""
    return max(-(-price * (_BASE_BPS + policy.bump_bps) // _BASE_BPS), price + policy.min_bump)


def _most(unit_limit: int, policy: FeePolicy) -> int:
    return min(policy.max_price, policy.max_lamports * MICRO // max(unit_limit, 1))
