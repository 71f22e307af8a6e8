"""CPMM pools as float segments for the search: one hyperbola, cut where a transfer fee reaches its cap.

A `Direction` in, segments in the order in which a growing swap walks them out. Behind a cut the price is
better than before it, because the fee stops growing: such a pool is not concave. Nothing here is exact.
"""

from __future__ import annotations

from collections.abc import Iterator

from fillwright.domain.amounts import U64_MAX
from fillwright.venues.raydium_cpmm.curve import FEE_DENOMINATOR
from fillwright.venues.raydium_cpmm.quote import Direction
from fillwright.venues.token_program import TransferFee
from fillwright.venues.venue import CurveSegment

_BPS = 10_000
_NEVER = float("inf")


def segments(way: Direction) -> Iterator[CurveSegment]:
    """y = p·u / (1 + q·u), fees included, from the pool's present reserves on.

    With x, y the reserves, a the share of the input that reaches the curve and b the share of the curve's
    output that reaches the wallet: p = a·b·y/x and q = a/x. Empty where nothing can be traded, and where a
    transfer fee takes everything up to its cap.
    """
    x, y = float(way.reserve_in), float(way.reserve_out)
    keep_in = 1 - way.rates.on_input / FEE_DENOMINATOR
    keep_out = 1.0 if way.rates.creator_on_input else 1 - way.rates.creator / FEE_DENOMINATOR
    rate_in, rate_out = _rate(way.fee_in), _rate(way.fee_out)
    unsplittable = way.rates.on_input == 0 and way.rates.creator_on_input
    if min(x, y) <= 0 or min(keep_in, keep_out, 1 - rate_in, 1 - rate_out) <= 0 or unsplittable:
        return
    cut_in = way.fee_in.maximum / rate_in if rate_in else _NEVER
    cut_out = _NEVER
    if rate_out:
        swapped = way.fee_out.maximum / rate_out / keep_out
        if swapped < y:
            cut_out = _sent(x * swapped / (y - swapped) / keep_in, way.fee_in, rate_in)
    end = min(_sent(float(way.room), way.fee_in, rate_in), float(U64_MAX))
    at = 0.0
    for until in sorted({min(cut_in, end), min(cut_out, end), end}):
        a = keep_in * (1 - rate_in if until <= cut_in else 1)
        b = keep_out * (1 - rate_out if until <= cut_out else 1)
        cap = until - at
        if cap > 0:
            yield CurveSegment(p=a * b * y / x, q=a / x, cap=cap)
        net = a * cap
        x, y, at = x + net, y * x / (x + net), until


def _rate(fee: TransferFee) -> float:
    return fee.bps / _BPS if fee.maximum else 0.0


def _sent(arriving: float, fee: TransferFee, rate: float) -> float:
    """The amount to send so that `arriving` arrives."""
    return min(arriving / (1 - rate), arriving + fee.maximum) if rate else arriving
