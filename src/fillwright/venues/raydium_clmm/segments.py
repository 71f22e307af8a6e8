"""A pool direction as curve segments, for search.

A pool, a direction and a clock in; float segments out, one for each stretch between initialised ticks, best
price first. Answers found with them are quoted again exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.raydium_clmm.ladder import Ladder
from fillwright.venues.raydium_clmm.layout import FEE_DENOMINATOR, ClmmPool
from fillwright.venues.raydium_clmm.quote import check_open, side_of
from fillwright.venues.token_program import TransferFee
from fillwright.venues.venue import CurveSegment

_BPS = 10_000
_Q64 = float(2**64)
_HALF_UNIT = 0.5


def segments(pool: ClmmPool, input_mint: Mint, clock: ChainClock) -> Iterator[CurveSegment]:
    """The exchange function from the wallet's point of view; see `CurveSegment`.

    y = p · u / (1 + q · u) with p = γ · Ry / Rx, q = γ / Rx, where L / √P and L · √P are the reserves, swapped
    by direction. A transfer fee at its maximum makes the price *better* from there on: the segments then split.
    Empty where no swap is possible, and under a transfer fee of 100 %, which leaves no price at the margin.
    """
    side = side_of(pool, input_mint, clock)
    try:
        check_open(pool, side.zero_for_one, clock)
    except QuoteRefused:
        return
    keep = 1.0 - pool.trade_fee_rate / FEE_DENOMINATOR
    arriving, leaving = _Withheld(side.fee_in), _Withheld(side.fee_out)
    if arriving.kept == 0.0 or leaving.kept == 0.0:
        return
    for sqrt_price, liquidity, cap in _stretches(Ladder(pool, side.zero_for_one)):
        root = sqrt_price / _Q64
        reserve_in = liquidity / root if side.zero_for_one else liquidity * root
        rate = root * root if side.zero_for_one else 1.0 / (root * root)
        yield from _with_transfer_fees(keep * rate, keep / reserve_in, cap, arriving, leaving)


def _stretches(ladder: Ladder) -> Iterator[tuple[int, int, float]]:
    """√P and liquidity at the start of each stretch that holds any, and the input that crosses it."""
    k = 0
    while True:
        while k + 1 >= len(ladder.inputs) and not ladder.ended:
            ladder.extend(ladder.horizon + 1)
        start = ladder.inputs[k]
        if k + 1 >= len(ladder.inputs):
            break
        if ladder.inputs[k + 1] > start:
            yield ladder.prices[k], ladder.liquidities[k], float(ladder.inputs[k + 1] - start)
        k += 1
    # The last stretch may be open to a part of what would cross it.
    most = min(ladder.horizon, U64_MAX)
    if most > start and ladder.liquidities[k]:
        yield ladder.prices[k], ladder.liquidities[k], float(most - start)


class _Withheld:
    """A transfer fee along a curve: a constant share of what is sent, until it reaches its maximum."""

    def __init__(self, fee: TransferFee) -> None:
        self._share = fee.bps / _BPS
        self._left = fee.maximum / self._share if self._share else 0.0

    def advance(self, sent: float) -> None:
        """Move on by `sent`; less than half a unit before the maximum is at the maximum."""
        self._left -= sent
        if self._left < _HALF_UNIT:
            self._left = 0.0

    @property
    def kept(self) -> float:
        """The share that arrives, here."""
        return 1.0 - self._share if self._left else 1.0

    @property
    def left(self) -> float:
        """How much more can be sent before the fee stops to grow."""
        return self._left or math.inf


def _with_transfer_fees(
    p: float, q: float, cap: float, arriving: _Withheld, leaving: _Withheld
) -> Iterator[CurveSegment]:
    """The stretch y = p·u / (1 + q·u), u <= cap, seen through both transfer fees: one to three segments."""
    while cap > 0.0:
        kept_in, kept_out = arriving.kept, leaving.kept
        net = min(cap, arriving.left * kept_in)
        # y = left  <=>  u = left / (p - q · left), unless the stretch never gives that much.
        room = p - q * leaving.left
        if room > 0.0:
            net = min(net, leaving.left / room)
        scale = 1.0 + q * net
        yield CurveSegment(p * kept_in * kept_out, q * kept_in, net / kept_in)
        arriving.advance(net / kept_in)
        leaving.advance(p * net / scale)
        p, q, cap = p / (scale * scale), q / scale, cap - net
