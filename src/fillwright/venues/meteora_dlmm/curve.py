"""The exchange function as float segments of constant price, for search only, and the spot price.

In: a pool, a direction, a clock. Out: one segment a bin, its slope and width taken from the exact integers of
draining it. Token-2022 transfer fees bend the segments where they reach their maximum.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.meteora_dlmm.fees import fee_on_top, fee_within
from fillwright.venues.meteora_dlmm.layout import DlmmPool
from fillwright.venues.meteora_dlmm.price_math import BPS, ONE, amount_in_for
from fillwright.venues.meteora_dlmm.quote import direction, tradable_bins
from fillwright.venues.token_program import TransferFee
from fillwright.venues.venue import CurveSegment


def spot_price(pool: DlmmPool, input_mint: Mint, clock: ChainClock) -> Fraction:
    """Output base units per input base unit in the first bin that holds any output, before every fee.

    Raises QuoteRefused where the pool is closed or holds nothing on that side.
    """
    side = direction(pool, input_mint, clock)
    _, _, terms = next(tradable_bins(side, SwapMode.EXACT_IN))
    price = Fraction(terms.price, ONE)
    return price if side.x_to_y else 1 / price


def pool_curve(pool: DlmmPool, input_mint: Mint, clock: ChainClock) -> Iterator[CurveSegment]:
    """One segment of constant price a bin, best first as far as bins go; ends where the walk would refuse."""
    try:
        side = direction(pool, input_mint, clock)
    except QuoteRefused:
        return
    received, given = _Bend(side.input_fee), _Bend(side.output_fee)
    for taken, out in _drains(pool, input_mint, clock):
        for width, height in given.outwards(taken, out):
            for gross, arrived in received.inwards(width, height):
                yield CurveSegment(p=arrived / gross, q=0.0, cap=gross)


def _drains(pool: DlmmPool, input_mint: Mint, clock: ChainClock) -> Iterator[tuple[float, float]]:
    """Input and output of each drained bin inside the pool; the last one cut where 64 bits end."""
    side = direction(pool, input_mint, clock)
    room_in, room_out = side.input_room, side.output_balance
    try:
        for _, available, terms in tradable_bins(side, SwapMode.EXACT_IN):
            taken = sum(amount_in_for(layer, terms.price, terms.x_to_y) for layer in available)
            out = sum(available)
            if side.fee_on_input:
                taken += fee_on_top(taken, terms.rate)
            else:
                out -= fee_within(out, terms.rate)
            part = min(1.0, room_in / taken, room_out / out if out else 1.0)
            if out > 0 and part > 0:
                yield taken * part, out * part
            if part < 1.0:
                return
            room_in, room_out = room_in - taken, room_out - out
    except QuoteRefused:
        return


class _Bend:
    """A transfer fee on a running total: proportional up to its maximum, then none."""

    def __init__(self, fee: TransferFee) -> None:
        self.rate = fee.bps / BPS
        self.room = fee.maximum / self.rate if self.rate else 0.0

    def outwards(self, width: float, height: float) -> Iterator[tuple[float, float]]:
        """Split (input, output) so that the fee on the output is one rate in each part."""
        taxed = self._use(height)
        if taxed:
            yield width * taxed / height, taxed * (1 - self.rate)
        if taxed < height:
            yield width * (1 - taxed / height), height - taxed

    def inwards(self, width: float, height: float) -> Iterator[tuple[float, float]]:
        """Split (input, output) so that the fee on top of the input is one rate in each part."""
        if self.rate == 1 and self.room:
            yield self._use(self.room), 0.0
        gross = self._use(width / (1 - self.rate)) if self.rate < 1 else 0.0
        net = gross * (1 - self.rate)
        if net:
            yield gross, height * net / width
        if net < width:
            yield width - net, height * (1 - net / width)

    def _use(self, gross: float) -> float:
        taxed = min(gross, self.room)
        # What rounding leaves of the room is no room.
        self.room = self.room - taxed if self.room - taxed > 1e-9 * gross else 0.0
        return taxed
