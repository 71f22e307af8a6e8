"""The exchange function of a DAMM v1 pool as float segments, and its marginal price. For search only.

In: a prepared direction. Out: segments y = p·u / (1 + q·u) whose sum follows the exact quote. A constant
product pool is one segment; a stable curve is cut so that each piece errs by less than the tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import isqrt

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.meteora_damm_v1 import stable as stable_curve
from fillwright.venues.meteora_damm_v1.layout import DammV1Pool, Fees
from fillwright.venues.meteora_damm_v1.quote import Side, StableSide, index_of, prepare, state_of
from fillwright.venues.venue import CurveSegment

MAX_SEGMENTS = 4096
MAX_REFITS = 48
TOLERANCE = 8e-10
"""Relative error of a segment at its middle against the output summed so far."""

_FIRST_STEP = 1 / 64
_SHRINK, _GROWTH = 0.1, 4.0
_CAUTION = 0.85


def spot(pool: DammV1Pool, input_mint: Mint, clock: ChainClock) -> Fraction:
    """Output base units per input base unit at the margin, before fees. Raises QuoteRefused for an empty pool."""
    side = state_of(pool, index_of(pool, input_mint), clock)
    if side.stable is not None:
        return _stable_price(side.stable)
    if side.reserve_in == 0:
        return Fraction(0)
    return Fraction(side.reserve_out, side.reserve_in)


def curve(pool: DammV1Pool, input_mint: Mint, clock: ChainClock) -> Iterator[CurveSegment]:
    """Segments from the best price on, fees included, until the lending vault's reserve is spent; lazily."""
    given = index_of(pool, input_mint)
    try:
        side = prepare(pool, given, clock)
    except QuoteRefused:
        return
    kept = _share_after_fee(pool.fees)
    reserve = min(side.reserve_out, side.vault_out.reserve)
    most_in = float(U64_MAX - max(side.vault_in.total_amount, side.vault_in.reserve))
    if kept <= 0 or reserve <= 0 or most_in <= 0 or side.reserve_in == 0:
        return
    if side.stable is None:
        yield from _constant_product(side, kept, float(reserve), most_in)
    else:
        yield from _stable(side.stable, kept, float(reserve), most_in)


def _share_after_fee(fees: Fees) -> float:
    return 1 - fees.trade_numerator / fees.trade_denominator if fees.trade_denominator else 0.0


def _constant_product(side: Side, kept: float, reserve: float, most_in: float) -> Iterator[CurveSegment]:
    segment = CurveSegment(kept * side.reserve_out / side.reserve_in, kept / side.reserve_in, most_in)
    yield CurveSegment(segment.p, segment.q, min(most_in, _input_for(segment, reserve)))


def _stable(side: StableSide, kept: float, reserve: float, most_in: float) -> Iterator[CurveSegment]:
    """Cut the curve at points of the exact invariant.

    Each segment has the curve's price at its start and the curve's output at its end. A price never exceeds
    the one at which the segment before ended, so that the whole stays concave.
    """
    scale = side.scale_in * kept
    start, spent, got, ceiling = side.x, 0.0, 0.0, float("inf")
    step = start * _FIRST_STEP
    for _ in range(MAX_SEGMENTS):
        price = min(_price(side, start) * scale / side.scale_out, ceiling)
        if price <= 0:
            return
        segment, end, step = _fitted(side, start, step, got, price, scale)
        rest = min(segment.cap, most_in - spent, _input_for(segment, reserve - got))
        if rest < segment.cap:
            if rest > 0:
                yield CurveSegment(segment.p, segment.q, rest)
            return
        yield segment
        ceiling = segment.p / (1 + segment.q * segment.cap) ** 2
        spent, got, start = spent + segment.cap, (side.y - _balance(side, end)) / side.scale_out, end


def _fitted(
    side: StableSide, start: int, step: float, got: float, price: float, scale: float
) -> tuple[CurveSegment, int, float]:
    """A segment from scaled balance `start` that errs less than the tolerance, its end, and the next step.

    The error grows with the cube of the step.
    """
    y, out_scale = _balance(side, start), side.scale_out
    segment, end = CurveSegment(price, 0.0, 0.0), start
    for _ in range(MAX_REFITS):
        end = start + max(int(step), 2)
        middle = (start + end) // 2
        cap, output = (end - start) / scale, (y - _balance(side, end)) / out_scale
        q = max((price * cap / output - 1) / cap, 0.0) if output > 0 else 0.0
        segment = CurveSegment(price, q, cap)
        true_middle = (y - _balance(side, middle)) / out_scale
        error = abs(_value(segment, (middle - start) / scale) - true_middle)
        allowed = TOLERANCE * (got + true_middle) + 0.5 * min(1.0, true_middle)
        factor = _CAUTION * (allowed / error) ** (1 / 3) if error > 0 else _GROWTH
        step *= min(max(factor, _SHRINK), _GROWTH)
        if error <= allowed or end - start <= 2:
            break
    return segment, end, step


def _input_for(segment: CurveSegment, output: float) -> float:
    """The input at which the segment's function reaches `output`; infinite where it never does."""
    room = segment.p - output * segment.q
    return output / room if room > 0 else float("inf")


def _value(segment: CurveSegment, u: float) -> float:
    return segment.p * u / (1 + segment.q * u)


def _balance(side: StableSide, x: int) -> int:
    """y of the invariant at x, rounded down: y² + (x + D/A - D)·y = D³ / (4·x·A), solved exactly."""
    d, ann = side.d, 2 * side.amp
    b = x + d // ann - d
    c = d * d * d // (4 * x * ann)
    return (isqrt(b * b + 4 * c) - b) // 2


def _price(side: StableSide, x: int) -> float:
    """-dy/dx at x in scaled units, without fees."""
    y = _balance(side, x)
    return stable_curve.marginal_price(side.amp, x, y, side.d) if y > 0 else 0.0


def _stable_price(side: StableSide) -> Fraction:
    return Fraction(*stable_curve.marginal_ratio(side.amp, side.x, side.y, side.d)) * Fraction(
        side.scale_in, side.scale_out
    )
