"""Many exact-in quotes of one direction: prefix sums over drained bins, one bisection, one partial bin.

A bin that runs dry absorbs and gives amounts that do not depend on what is left after it, so the sums are
bit-exact against the loop of `quote`. Where a number would leave 64 bits the loop itself answers.
"""

from __future__ import annotations

from bisect import bisect_right

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.meteora_dlmm.bins import Terms, drain_threshold
from fillwright.venues.meteora_dlmm.fees import FEE_PRECISION, fee_within
from fillwright.venues.meteora_dlmm.layout import DlmmPool
from fillwright.venues.meteora_dlmm.price_math import SCALE_BITS, amount_in_for
from fillwright.venues.meteora_dlmm.quote import Direction, check_amount, direction, too_small, tradable_bins, trade
from fillwright.venues.venue import Quoter

FIRST_BINS = 8
"""Bins prepared before the first quote; deeper amounts double them, once each."""

Layer = tuple[int, int]
"""Input that drains a layer, and its output."""

Rung = tuple[int, int, int, int, tuple[Layer, ...]]
"""A bin's price, 10⁹ less the rate on the input, the rate on the output, the input that drains it, its layers."""


class Ladder:
    """The bins of one direction with running totals, extended from the walk as amounts go deeper.

    `thresholds[i]` is the smallest amount (transfer fee off) that leaves bin i dry with something over;
    `crossed_in[i]` and `crossed_out[i]` are what the bins before i absorb and give. `end` says why there are
    no more rungs: the walk's refusal, or None where totals leave 64 bits.
    """

    def __init__(self, side: Direction) -> None:
        self.thresholds: list[int] = []
        self.crossed_in = [0]
        self.crossed_out = [0]
        self.rungs: list[Rung] = []
        self.end: list[QuoteRefused | None] = []
        self._walk = tradable_bins(side, SwapMode.EXACT_IN)
        self.extend()

    def extend(self) -> None:
        """Double the rungs, or find the end."""
        for _ in range(max(FIRST_BINS, len(self.rungs))):
            try:
                _, available, terms = next(self._walk)
            except QuoteRefused as refusal:
                self.end.append(refusal)
                return
            if not self._add(available, terms):
                self.end.append(None)
                return

    def _add(self, available: tuple[int, ...], terms: Terms) -> bool:
        drained = tuple((amount_in_for(layer, terms.price, terms.x_to_y), layer) for layer in available if layer)
        full_in, full_out = sum(i for i, _ in drained), sum(available)
        if terms.fee_on_input:
            kept, out_rate = FEE_PRECISION - terms.rate, 0
            taken = -(-full_in * FEE_PRECISION // kept)
        else:
            kept, out_rate = FEE_PRECISION, terms.rate
            taken, full_out = full_in, full_out - fee_within(full_out, out_rate)
        total_in, total_out = self.crossed_in[-1] + taken, self.crossed_out[-1] + full_out
        if total_in > U64_MAX or total_out > U64_MAX:
            return False
        self.rungs.append((terms.price, kept, out_rate, full_in, drained))
        self.thresholds.append(self.crossed_in[-1] + drain_threshold(full_in, terms.rate, terms.fee_on_input))
        self.crossed_in.append(total_in)
        self.crossed_out.append(total_out)
        return True


def exact_in_quoter(pool: DlmmPool, input_mint: Mint, clock: ChainClock) -> Quoter:
    """Exact-in amount -> exact output, equal to `swap_quote` in every answer."""
    side = direction(pool, input_mint, clock)
    inside = _inside_quoter(side)
    if side.input_fee.bps or side.output_fee.bps:
        return _with_transfer_fees(side, inside)
    return inside


def _inside_quoter(side: Direction) -> Quoter:
    """What the pool gives for what reaches it, transfer fees aside."""
    ladder = Ladder(side)
    thresholds, rungs = ladder.thresholds, ladder.rungs
    crossed_in, crossed_out = ladder.crossed_in, ladder.crossed_out
    x_to_y, most_in, most_out = side.x_to_y, side.input_room, side.output_balance

    def answer(amount: int) -> int:
        at = bisect_right(thresholds, amount)
        if at == len(rungs) or not 0 < amount <= most_in:
            return deeper(amount)
        price, kept, out_rate, full_in, layers = rungs[at]
        left = (amount - crossed_in[at]) * kept // FEE_PRECISION
        if left < full_in and len(layers) == 1:
            out = left * price >> SCALE_BITS if x_to_y else (left << SCALE_BITS) // price
        else:
            out = _given(layers, price, x_to_y, left)
        if out_rate:
            out -= fee_within(out, out_rate)
        out += crossed_out[at]
        if 0 < out <= most_out:
            return out
        return deeper(amount)

    def deeper(amount: int) -> int:
        """More rungs, or the loop's own answer where there are none, or its refusal."""
        check_amount(amount)
        while not ladder.end and bisect_right(thresholds, amount) == len(rungs):
            ladder.extend()
            if bisect_right(thresholds, amount) < len(rungs):
                return answer(amount)
        if ladder.end and ladder.end[0] and bisect_right(thresholds, amount) == len(rungs):
            raise QuoteRefused(ladder.end[0].reason, ladder.end[0].message)
        return trade(side, SwapMode.EXACT_IN, amount).amount_out

    return answer


def _with_transfer_fees(side: Direction, inside: Quoter) -> Quoter:
    taken, withheld = side.input_fee, side.output_fee

    def answer(amount: int) -> int:
        if not 0 < amount <= U64_MAX:
            check_amount(amount)
        out = inside(amount - taken.on(amount))
        arriving = out - withheld.on(out)
        if arriving == 0:
            raise too_small()
        return arriving

    return answer


def _given(layers: tuple[Layer, ...], price: int, x_to_y: bool, left: int) -> int:
    """The output of a bin's layers in turn for `left` input, each partial one rounded down."""
    out = 0
    for full_in, full_out in layers:
        if left < full_in:
            return out + (left * price >> SCALE_BITS if x_to_y else (left << SCALE_BITS) // price)
        out += full_out
        left -= full_in
    return out
