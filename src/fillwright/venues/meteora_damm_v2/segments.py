"""The exchange function as float segments, for search.

In: a pool and its `Terms`; out: `CurveSegment`s in the order in which a growing amount passes them, every fee
included. Must not: be taken for a quote.

The input passes a piecewise linear map (transfer fee, pool fee or rate limiter), then x ↦ y·x / (r + x) with
virtual reserves r = L/√P and y = L·√P (swapped by direction), then another piecewise linear map.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.meteora_damm_v2.layout import COMPOUNDING, DammV2Pool
from fillwright.venues.meteora_damm_v2.quote import exact_output
from fillwright.venues.meteora_damm_v2.rate_limiter import (
    BPS_TO_NUMERATOR,
    FEE_DENOMINATOR,
    RateLimiter,
    last_block,
)
from fillwright.venues.meteora_damm_v2.terms import Terms
from fillwright.venues.token_program import TransferFee
from fillwright.venues.venue import CurveSegment

_BPS = 10_000
_SECANTS = 64
_Piece = tuple[float, float]
"""(length, slope) of a piecewise linear map from 0 on."""


def segments_of(pool: DammV2Pool, terms: Terms) -> Iterator[CurveSegment]:
    """The segments of one direction. Empty for a token whose transfer fee is 100 %.

    A fee on the output that depends on the input (a rate limiter with fees in the output token) has no
    closed form: it comes as secants between exact quotes.
    """
    if max(terms.transfer_in.bps, terms.transfer_out.bps) >= _BPS:
        return iter(())
    if terms.limiter is not None and not terms.fee_on_input:
        return _secants(pool, terms)
    return _rational(pool, terms)


def _rational(pool: DammV2Pool, terms: Terms) -> Iterator[CurveSegment]:
    kept_out = 1.0 if terms.fee_on_input else 1 - terms.numerator / FEE_DENOMINATOR
    reserve_in, reserve_out, longest = _virtual_reserves(pool, terms, kept_out)
    if not (reserve_in > 0 and reserve_out > 0 and longest > 0):
        return
    into_curve = _chained(_after_transfer_fee(terms.transfer_in), _after_pool_fee(terms))
    out_of_curve = _outputs(terms.transfer_out, kept_out)
    out_left, out_slope = next(out_of_curve)
    entered = 0.0
    for length, slope in into_curve:
        left = min(length, (longest - entered) / slope)
        while left > 0:
            depth = reserve_in + entered
            until_kink = _input_for(out_left, depth, reserve_out * reserve_in / depth) / slope
            cap = min(left, until_kink)
            p = slope * out_slope * (reserve_out / depth) * (reserve_in / depth)
            if cap > 0:
                yield CurveSegment(p, slope / depth, cap)
            before, entered = entered, entered + cap * slope
            left -= cap
            out_left -= reserve_out * (entered / (reserve_in + entered) - before / (reserve_in + before))
            if cap == until_kink:
                out_left, out_slope = next(out_of_curve)
        if entered >= longest * (1 - 1e-15):
            return


def _input_for(output: float, reserve_in: float, reserve_out: float) -> float:
    """The input that yields `output`; infinite where the reserves can't."""
    left = reserve_out - output
    return reserve_in * output / left if left > 0 else math.inf


def _virtual_reserves(pool: DammV2Pool, terms: Terms, kept_out: float) -> tuple[float, float, float]:
    """(input reserve, output reserve, the largest amount that may enter the exchange function).

    `kept_out` of what leaves the exchange function leaves the vault.
    """
    real_in, real_out = terms.reserves if terms.a_to_b else terms.reserves[::-1]
    balance_in, balance_out = pool.balance_a, pool.balance_b
    if not terms.a_to_b:
        balance_in, balance_out = balance_out, balance_in
    reserve_in, reserve_out, until_edge = float(real_in), float(real_out), math.inf
    if pool.fee_mode != COMPOUNDING:
        reserve_in, reserve_out, until_edge = _range_reserves(pool, terms.a_to_b)
    until_dry = _input_for(min(real_out, balance_out / kept_out), reserve_in, reserve_out)
    until_overflow = float(max(U64_MAX - max(real_in, balance_in), 0))
    return reserve_in, reserve_out, min(until_edge, until_dry, until_overflow)


def _range_reserves(pool: DammV2Pool, a_to_b: bool) -> tuple[float, float, float]:
    """L/√P and L·√P in the swap's order, and the input that ends at the range's edge."""
    liquidity, price = pool.liquidity, pool.sqrt_price
    reserve_a, reserve_b = liquidity / price, liquidity * price / 2**128
    if not a_to_b:
        return reserve_b, reserve_a, max(liquidity * (pool.sqrt_max_price - price) / 2**128, 0.0)
    low = pool.sqrt_min_price
    until_edge = max(liquidity * (price - low) / (price * low), 0.0) if low else math.inf
    return reserve_a, reserve_b, until_edge


def _after_transfer_fee(fee: TransferFee) -> Iterator[_Piece]:
    if fee.bps:
        yield fee.maximum * _BPS / fee.bps, 1 - fee.bps / _BPS
    yield math.inf, 1.0


def _outputs(fee: TransferFee, kept: float) -> Iterator[_Piece]:
    """Lengths in units that leave the exchange function; `kept` is what the pool's fee leaves of them."""
    for length, slope in _after_transfer_fee(fee):
        yield length / kept, slope * kept


def _after_pool_fee(terms: Terms) -> Iterator[_Piece]:
    if not terms.fee_on_input:
        yield math.inf, 1.0
    elif terms.limiter is None:
        yield math.inf, 1 - terms.numerator / FEE_DENOMINATOR
    else:
        yield from _limited(terms, terms.limiter)


def _limited(terms: Terms, limiter: RateLimiter) -> Iterator[_Piece]:
    """Blocks of rising marginal fees, until the average reaches the maximum fee or a unit more buys less."""
    paid = 0.0
    at = 0.0
    ceiling = terms.max_fee - terms.variable
    try:
        last = last_block(limiter)
    except QuoteRefused:
        return
    for block in range(last + 2):
        past_blocks = block > last
        marginal = limiter.max_fee_bps * BPS_TO_NUMERATOR if past_blocks else _marginal(limiter, block)
        length = math.inf if past_blocks else float(limiter.reference_amount)
        capped_at = (marginal * at - paid) / (marginal - ceiling) if marginal > ceiling else math.inf
        until_cap = max(capped_at - at, 0.0)
        slope = 1 - (marginal + terms.variable) / FEE_DENOMINATOR
        if until_cap > 0:
            if slope <= 0:
                return
            yield min(length, until_cap), slope
        if until_cap < length:
            yield math.inf, 1 - terms.max_fee / FEE_DENOMINATOR
            return
        at += length
        paid += marginal * length


def _marginal(limiter: RateLimiter, block: int) -> int:
    return limiter.cliff + limiter.increment_bps * BPS_TO_NUMERATOR * block


def _chained(first: Iterable[_Piece], second: Iterable[_Piece]) -> Iterator[_Piece]:
    """second ∘ first, with lengths in units of the first map's input."""
    followers = iter(second)
    room, outer = next(followers, (0.0, 0.0))
    for length, slope in first:
        left = length
        while left > 0:
            step = min(left, room / slope)
            if outer <= 0:
                return
            if step > 0:
                yield step, slope * outer
            left -= step
            room -= step * slope
            if room <= 0:
                room, outer = next(followers, (0.0, 0.0))


def _secants(pool: DammV2Pool, terms: Terms) -> Iterator[CurveSegment]:
    before, received = 0, 0
    for exponent in range(_SECANTS):
        amount = 1 << exponent
        try:
            output = exact_output(pool, terms, amount)
        except QuoteRefused:
            continue
        if output > received:
            cap = float(amount - before)
            yield CurveSegment((output - received) / cap, 0.0, cap)
            before, received = amount, output
