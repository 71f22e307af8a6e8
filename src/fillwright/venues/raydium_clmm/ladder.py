"""Fully crossed steps of one direction, summed up: what makes a quote independent of how many it crosses.

A pool in; growing lists of prefix sums out, and a fast exact-in quoter over them. Where a step or a total
needs a check that the sums do not make, the plain step loop in `quote` decides.
"""

from __future__ import annotations

from bisect import bisect_right

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.raydium_clmm.layout import FEE_DENOMINATOR, ClmmPool
from fillwright.venues.raydium_clmm.quote import (
    HIGHEST_PRICE,
    LOWEST_PRICE,
    check_bound,
    check_open,
    liquidity_beyond,
    next_tick_position,
    quote,
    side_of,
    split_fee,
    tick_ahead,
)
from fillwright.venues.raydium_clmm.swap_math import compute_step
from fillwright.venues.raydium_clmm.tick_math import Q64, U128_MAX
from fillwright.venues.venue import Quoter, Swap


class Ladder:
    """Step k starts at `prices[k]` in `liquidities[k]`, after `inputs[k]` in (fee included) and `outputs[k]` out.

    The lists grow on demand. `horizon` is the largest input that they answer: below the last of `inputs` while
    there is more to come; once `ended`, the most that they ever will. `refusal` is what lies beyond, if known.
    """

    __slots__ = (
        "_at",
        "_bound",
        "_growth",
        "_pool",
        "_zero_for_one",
        "ended",
        "horizon",
        "inputs",
        "liquidities",
        "outputs",
        "prices",
        "refusal",
    )

    def __init__(self, pool: ClmmPool, zero_for_one: bool) -> None:
        self._pool = pool
        self._zero_for_one = zero_for_one
        self._bound = LOWEST_PRICE if zero_for_one else HIGHEST_PRICE
        self._at = next_tick_position(pool, zero_for_one)
        self._growth = pool.books.fee_growth_x64[0 if zero_for_one else 1]
        self.prices = [pool.sqrt_price]
        self.liquidities = [pool.liquidity]
        self.inputs = [0]
        self.outputs = [0]
        self.horizon = -1
        self.ended = False
        self.refusal: QuoteRefused | None = None

    def extend(self, amount: int) -> None:
        """Add steps until `horizon` is at least `amount`, or the ladder has ended."""
        while self.horizon < amount and not self.ended:
            self._add_step()

    def _add_step(self) -> None:
        """One more step, if a swap can cross it whole; else the end."""
        pool, zero_for_one = self._pool, self._zero_for_one
        sqrt_price, liquidity, before = self.prices[-1], self.liquidities[-1], self.inputs[-1]
        try:
            check_bound(sqrt_price, zero_for_one)
            _, target_price = tick_ahead(pool, self._at, sqrt_price, zero_for_one)
        except QuoteRefused as refusal:
            return self._end(before, refusal)
        if liquidity and U64_MAX * Q64 // liquidity + self._growth > U128_MAX:
            return self._end(before)
        target = max(target_price, self._bound) if zero_for_one else min(target_price, self._bound)
        try:
            # The largest input there is reaches the target, if any does.
            step = compute_step(
                sqrt_price, target, liquidity, U64_MAX, pool.trade_fee_rate, exact_in=True, zero_for_one=zero_for_one
            )
        except QuoteRefused:
            return self._end(before)
        if step.sqrt_price != target:
            return self._end(U64_MAX)
        cost = step.amount_in + step.fee
        beyond = liquidity
        try:
            if target == target_price:
                beyond = liquidity_beyond(pool, self._at, liquidity, zero_for_one)
        except QuoteRefused as refusal:
            # A swap that stops short of the tick is fine, and so is one that has nothing left to pay for a gap.
            return self._end(before + cost - 1 if cost else before, refusal)
        if liquidity:
            self._growth += (step.fee - sum(split_fee(pool, step.fee))) * Q64 // liquidity
        self._at += -1 if zero_for_one else 1
        self.prices.append(target)
        self.liquidities.append(beyond)
        self.inputs.append(before + cost)
        self.outputs.append(self.outputs[-1] + step.amount_out)
        self.horizon = before + cost - 1
        return None

    def _end(self, most: int, refusal: QuoteRefused | None = None) -> None:
        self.ended = True
        self.horizon = most
        self.refusal = refusal


def quoter(pool: ClmmPool, input_mint: Mint, clock: ChainClock) -> Quoter:
    """Exact-in amount -> exact output, equal to `quote` in every answer and every refusal's reason."""
    side = side_of(pool, input_mint, clock)
    at = 0 if side.zero_for_one else 1

    def stepwise(amount: int) -> int:
        return quote(pool, Swap(input_mint, SwapMode.EXACT_IN, amount), clock).amount_out

    books = pool.books
    totals = max(books.lp_fees[at], books.protocol_fees[at], books.fund_fees[at])
    try:
        check_open(pool, side.zero_for_one, clock)
    except QuoteRefused:
        return stepwise
    if max(books.swapped_in[at], books.swapped_out[1 - at]) > U128_MAX - U64_MAX:
        return stepwise
    # Up to here no running total can overflow, whatever share of the input becomes a fee, and no vault.
    balance_in, most_out = (0, U64_MAX) if pool.balances is None else (pool.balances[at], pool.balances[1 - at])
    most = U64_MAX - max(totals, balance_in)
    ladder = Ladder(pool, side.zero_for_one)
    climb = _down if side.zero_for_one else _up
    keep = FEE_DENOMINATOR - pool.trade_fee_rate
    fee_in, fee_out = side.fee_in, side.fee_out

    def beyond(amount: int) -> int:
        net = amount - fee_in.on(amount)
        if ladder.refusal is not None and ladder.horizon < net <= most and amount <= U64_MAX:
            raise QuoteRefused(ladder.refusal.reason, ladder.refusal.message)
        return stepwise(amount)

    if fee_in.bps == 0 and fee_out.bps == 0:
        return climb(ladder, keep, most, most_out, beyond)
    net_quote = climb(ladder, keep, most, most_out, _zero)

    def with_transfer_fees(amount: int) -> int:
        gross_out = net_quote(amount - fee_in.on(amount)) if 0 < amount <= U64_MAX else 0
        return gross_out - fee_out.on(gross_out) if gross_out else beyond(amount)

    return with_transfer_fees


def _zero(_amount: int) -> int:
    """Where the ladder has no answer; an answer is never 0."""
    return 0


def _down(ladder: Ladder, keep: int, most: int, most_out: int, beyond: Quoter) -> Quoter:
    """Token 0 in, token 1 out, as the pool sees it; `beyond` answers what the ladder can't."""
    inputs, outputs, prices, liquidities = ladder.inputs, ladder.outputs, ladder.prices, ladder.liquidities

    def quote_down(amount: int) -> int:
        if not 0 < amount <= most:
            return beyond(amount)
        if amount > ladder.horizon:
            ladder.extend(amount)
            if amount > ladder.horizon:
                return beyond(amount)
        k = bisect_right(inputs, amount) - 1
        out = outputs[k]
        left = amount - inputs[k]
        if left:
            # √P' = ⌈L · √P / (L + Δx · √P)⌉ and Δy = ⌊L · (√P - √P')⌋: `price_after_input`, `amount_1`.
            price, liquidity = prices[k], liquidities[k]
            scaled = liquidity << 64
            reached = -(-scaled * price // (scaled + left * keep // FEE_DENOMINATOR * price))
            out += liquidity * (price - reached) >> 64
        if not 0 < out <= most_out:
            return beyond(amount)
        return out

    return quote_down


def _up(ladder: Ladder, keep: int, most: int, most_out: int, beyond: Quoter) -> Quoter:
    """Token 1 in, token 0 out, as the pool sees it; `beyond` answers what the ladder can't."""
    inputs, outputs, prices, liquidities = ladder.inputs, ladder.outputs, ladder.prices, ladder.liquidities

    def quote_up(amount: int) -> int:
        if not 0 < amount <= most:
            return beyond(amount)
        if amount > ladder.horizon:
            ladder.extend(amount)
            if amount > ladder.horizon:
                return beyond(amount)
        k = bisect_right(inputs, amount) - 1
        out = outputs[k]
        left = amount - inputs[k]
        if left:
            # √P' = √P + ⌊Δy / L⌋ and Δx = ⌊L · (√P' - √P) / (√P' · √P)⌋: `price_after_input`, `amount_0`.
            price, liquidity = prices[k], liquidities[k]
            moved = (left * keep // FEE_DENOMINATOR << 64) // liquidity
            out += (liquidity << 64) * moved // (price * (price + moved))
        if not 0 < out <= most_out:
            return beyond(amount)
        return out

    return quote_up
