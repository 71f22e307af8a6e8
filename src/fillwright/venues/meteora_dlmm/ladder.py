"""Many exact-in quotes of one direction: prefix sums over drained bins, one bisection, one partial bin.

A bin that runs dry absorbs and gives amounts that do not depend on what is left after it, so the sums are
bit-exact against the loop of `quote`. Where a number would leave 64 bits the loop itself answers.
"""

from __future__ import annotations

from bisect import bisect_right

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.meteora_dlmm.bins import Terms, drain_threshold
from fillwright.venues.meteora_dlmm.fees import FEE_PRECISION, fee_within
from fillwright.venues.meteora_dlmm.layout import DlmmPool
from fillwright.venues.meteora_dlmm.price_math import amount_in_for
from fillwright.venues.meteora_dlmm.quote import check_amount, direction, swap_quote, tradable_bins
from fillwright.venues.venue import Quoter, Swap

FIRST_BINS = 8
"""Bins prepared before the first quote; deeper amounts double them, once each."""


def exact_in_quoter(pool: DlmmPool, input_mint: Mint, clock: ChainClock) -> Quoter:
    """Exact-in amount -> exact output, equal to `swap_quote` in every answer and refusal."""
    side = direction(pool, input_mint, clock)
    input_fee, output_fee = side.input_fee, side.output_fee
    has_transfer_fee = bool(input_fee.bps or output_fee.bps)
    x_to_y, fee_on_input = side.x_to_y, side.fee_on_input
    most_out, most_in = side.output_balance, side.input_room
    walk = tradable_bins(side, SwapMode.EXACT_IN)
    thresholds: list[int] = []
    crossed_in, crossed_out = [0], [0]
    # For each bin: price, 10⁹ - rate on the input, rate on the output, and its layers as (input to drain, output).
    rungs: list[tuple[int, int, int, int, int, tuple[tuple[int, int], ...]]] = []
    end: list[QuoteRefused | None] = []

    def extend() -> None:
        for _ in range(max(FIRST_BINS, len(rungs))):
            try:
                _, available, terms = next(walk)
            except QuoteRefused as refusal:
                end.append(refusal)
                return
            drained = _drained(available, terms)
            full_in, full_out = sum(i for i, _ in drained), sum(o for _, o in drained)
            taken = full_in if not fee_on_input else -(-full_in * FEE_PRECISION // (FEE_PRECISION - terms.rate))
            total_in = crossed_in[-1] + taken
            total_out = crossed_out[-1] + full_out - (0 if fee_on_input else fee_within(full_out, terms.rate))
            if total_in > U64_MAX or total_out > U64_MAX:
                end.append(None)
                return
            keep = FEE_PRECISION - terms.rate if fee_on_input else FEE_PRECISION
            rungs.append((terms.price, keep, 0 if fee_on_input else terms.rate, full_in, full_out, drained))
            thresholds.append(crossed_in[-1] + drain_threshold(full_in, terms.rate, fee_on_input))
            crossed_in.append(total_in)
            crossed_out.append(total_out)

    def beyond(amount: int) -> int:
        """The answer for an amount past the last rung."""
        refusal = end[0]
        if refusal is None:
            return swap_quote(pool, Swap(input_mint, SwapMode.EXACT_IN, amount), clock).amount_out
        raise QuoteRefused(refusal.reason, refusal.message)

    def answer(amount: int) -> int:
        check_amount(amount)
        net = amount - input_fee.on(amount) if has_transfer_fee else amount
        at = bisect_right(thresholds, net)
        while at == len(rungs):
            if end:
                return beyond(amount)
            extend()
            at = bisect_right(thresholds, net)
        price, keep, out_rate, full_in, full_out, drained = rungs[at]
        left = (net - crossed_in[at]) * keep // FEE_PRECISION
        if left >= full_in:
            out = full_out
        elif len(drained) == 1:
            out = left * price >> 64 if x_to_y else (left << 64) // price
        else:
            out = _partial(drained, price, x_to_y, left)
        if out_rate:
            out -= fee_within(out, out_rate)
        out += crossed_out[at]
        arriving = out - output_fee.on(out) if has_transfer_fee else out
        if arriving == 0 or out > most_out or net > most_in:
            raise _refused(arriving, out, most_out)
        return arriving

    extend()
    return answer


def _drained(available: tuple[int, ...], terms: Terms) -> tuple[tuple[int, int], ...]:
    return tuple((amount_in_for(layer, terms.price, terms.x_to_y), layer) for layer in available if layer)


def _partial(drained: tuple[tuple[int, int], ...], price: int, x_to_y: bool, left: int) -> int:
    """The output of a bin with several layers that does not run dry, each layer rounded down."""
    out = 0
    for full_in, full_out in drained:
        if left < full_in:
            return out + (left * price >> 64 if x_to_y else (left << 64) // price)
        out += full_out
        left -= full_in
    return out


def _refused(arriving: int, out: int, most_out: int) -> QuoteRefused:
    if arriving == 0:
        return QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "the amount is too small to buy anything")
    if out > most_out:
        return QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the pool's reserve does not hold the output")
    return QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "the pool's reserve would exceed 2^64 - 1")
