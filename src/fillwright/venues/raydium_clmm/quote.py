"""Exact swaps in a Raydium CLMM pool, step by step as the program takes them.

A pool, a swap and a clock in; the outcome and the pool after it out, or QuoteRefused. Pure integers.
Rules: raydium-clmm `instructions/{swap,swap_v2}.rs`, `states/pool.rs`.
"""

from __future__ import annotations

from bisect import bisect_right

import msgspec

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.raydium_clmm.layout import FEE_DENOMINATOR, FROZEN, SWAP_DISABLED, Books, ClmmPool, Reward
from fillwright.venues.raydium_clmm.swap_math import compute_step
from fillwright.venues.raydium_clmm.tick_arrays import TICKS_PER_ARRAY, array_number
from fillwright.venues.raydium_clmm.tick_math import (
    MAX_SQRT_PRICE,
    MIN_SQRT_PRICE,
    Q64,
    U128_MAX,
    sqrt_price_at,
    tick_at,
)
from fillwright.venues.token_program import TOKEN_2022_PROGRAM, TransferFee
from fillwright.venues.venue import Fee, FeeKind, Quote, Swap

LOWEST_PRICE = MIN_SQRT_PRICE + 1
HIGHEST_PRICE = MAX_SQRT_PRICE - 1
"""Where a swap without a price limit of its own stops."""

_U32_MAX = 2**32 - 1


class Side(msgspec.Struct, frozen=True):
    """A direction with the transfer fees in force: `fee_in` on the input mint, `fee_out` on the output mint."""

    zero_for_one: bool
    mint_in: Mint
    mint_out: Mint
    fee_in: TransferFee
    fee_out: TransferFee


class Run(msgspec.Struct, frozen=True):
    """What the steps of one swap add up to, as the pool sees it: trade fee in, transfer fees out."""

    amount_in: int
    amount_out: int
    lp_fee: int
    protocol_fee: int
    fund_fee: int
    fee_growth_x64: int
    sqrt_price: int
    tick: int
    liquidity: int


def side_of(pool: ClmmPool, input_mint: Mint, clock: ChainClock) -> Side:
    """The direction in which `input_mint` goes in. Raises QuoteRefused `not_in_pool`."""
    fee_0, fee_1 = pool.info_0.transfer_fee(clock.epoch), pool.info_1.transfer_fee(clock.epoch)
    if input_mint == pool.mint_0:
        return Side(True, pool.mint_0, pool.mint_1, fee_0, fee_1)
    if input_mint == pool.mint_1:
        return Side(False, pool.mint_1, pool.mint_0, fee_1, fee_0)
    raise QuoteRefused(Refusal.NOT_IN_POOL, f"{input_mint} is not one of the pool's mints")


def check_open(pool: ClmmPool, zero_for_one: bool, clock: ChainClock) -> None:
    """Raise QuoteRefused where no swap of any size is possible in this direction at `clock`.

    Rules: `exact_internal_v2` (the open time lies strictly in the past), `swap_internal` (status, price limit).
    """
    if pool.status & SWAP_DISABLED:
        raise QuoteRefused(Refusal.PAUSED, "swaps are disabled")
    if clock.unix_timestamp & U64_MAX <= pool.open_time:
        raise QuoteRefused(Refusal.NOT_OPEN, f"the pool opens after {pool.open_time}")
    check_current_array(pool)
    if pool.sqrt_price <= LOWEST_PRICE if zero_for_one else pool.sqrt_price >= HIGHEST_PRICE:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the price is at its bound")
    accrue_rewards(pool, clock)


def check_current_array(pool: ClmmPool) -> None:
    """Raise QuoteRefused `missing_account` where the array at the price is initialised, or may be, but not held.

    A swap in either direction starts there. Rule: `get_first_initialized_tick_array`.
    """
    number = array_number(pool.tick, pool.tick_spacing)
    if not pool.bitmap.covers(number):
        raise QuoteRefused(Refusal.MISSING_ACCOUNT, "the bitmap extension, which covers the price, is missing")
    start = number * TICKS_PER_ARRAY * pool.tick_spacing
    held = bool(pool.arrays) and pool.arrays[0].start <= start <= pool.arrays[-1].start
    if not held and pool.bitmap.holds(number):
        raise QuoteRefused(Refusal.MISSING_ACCOUNT, f"the tick array at {start} is missing")


def quote(pool: ClmmPool, swap: Swap, clock: ChainClock) -> Quote:
    """The exact outcome of `swap`. Raises QuoteRefused."""
    side = side_of(pool, swap.input_mint, clock)
    return _quote_of(pool, side, swap, _run_of(pool, side, swap, clock))


def apply(pool: ClmmPool, swap: Swap, clock: ChainClock) -> tuple[Quote, ClmmPool]:
    """The exact outcome of `swap`, and the pool after it. Raises QuoteRefused."""
    side = side_of(pool, swap.input_mint, clock)
    run = _run_of(pool, side, swap, clock)
    quoted = _quote_of(pool, side, swap, run)
    balances = _balances_after(pool, run, side.zero_for_one)
    emptied = balances is not None and balances[1 if side.zero_for_one else 0] == 0
    moved = msgspec.structs.replace(
        pool,
        liquidity=run.liquidity,
        sqrt_price=run.sqrt_price,
        tick=run.tick,
        balances=balances,
        status=FROZEN if emptied else pool.status,
        books=_booked(pool, run, side.zero_for_one, accrue_rewards(pool, clock)),
    )
    return quoted, moved


def _run_of(pool: ClmmPool, side: Side, swap: Swap, clock: ChainClock) -> Run:
    """The steps of `swap`, after the checks before them. Transfer fees stay outside."""
    if swap.amount <= 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "an amount must be greater than zero")
    if swap.amount > U64_MAX:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "an amount is at most 2^64 - 1")
    check_open(pool, side.zero_for_one, clock)
    if swap.mode is SwapMode.EXACT_IN:
        return run_steps(pool, swap.amount - side.fee_in.on(swap.amount), exact_in=True, zero_for_one=side.zero_for_one)
    gross_out = side.fee_out.gross(swap.amount)
    # `get_transfer_inverse_fee` fails where the fee and its inverse disagree.
    if side.fee_out.on(gross_out) != gross_out - swap.amount:
        raise QuoteRefused(Refusal.ARITHMETIC, "no amount leaves exactly this much after the transfer fee")
    return run_steps(pool, gross_out, exact_in=False, zero_for_one=side.zero_for_one)


def _quote_of(pool: ClmmPool, side: Side, swap: Swap, run: Run) -> Quote:
    """`run` from the wallet's point of view. Raises QuoteRefused where a total or a vault can't take it."""
    _balances_after(pool, run, side.zero_for_one)
    _booked(pool, run, side.zero_for_one, pool.books.rewards)
    if swap.mode is SwapMode.EXACT_IN:
        paid = swap.amount
    else:
        paid = side.fee_in.gross(run.amount_in)
        if side.fee_in.on(paid) != paid - run.amount_in:
            raise QuoteRefused(Refusal.ARITHMETIC, "no amount pays exactly this much after the transfer fee")
    withheld = side.fee_out.on(run.amount_out)
    fees = (
        Fee(FeeKind.LP, side.mint_in, run.lp_fee),
        Fee(FeeKind.PROTOCOL, side.mint_in, run.protocol_fee),
        Fee(FeeKind.FUND, side.mint_in, run.fund_fee),
        Fee(FeeKind.TRANSFER_IN, side.mint_in, paid - run.amount_in),
        Fee(FeeKind.TRANSFER_OUT, side.mint_out, withheld),
    )
    return Quote(paid, run.amount_out - withheld, tuple(fee for fee in fees if fee.amount))


def run_steps(pool: ClmmPool, amount: int, *, exact_in: bool, zero_for_one: bool) -> Run:
    """Swap `amount` of input (trade fee included) or output, step by step. Raises QuoteRefused.

    Rule: `swap_internal`; a swap without a price limit fails unless it fills (`exact_internal_v2`).
    """
    if amount <= 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "the transfer fee takes the whole amount")
    bound = LOWEST_PRICE if zero_for_one else HIGHEST_PRICE
    direction = -1 if zero_for_one else 1
    sqrt_price, tick, liquidity = pool.sqrt_price, pool.tick, pool.liquidity
    remaining, counted = amount, 0
    lp_fee = protocol_fee = fund_fee = 0
    growth = pool.books.fee_growth_x64[0 if zero_for_one else 1]
    at = next_tick_position(pool, zero_for_one)
    while remaining:
        check_bound(sqrt_price, zero_for_one)
        tick_next, target_price = tick_ahead(pool, at, sqrt_price, zero_for_one)
        target = max(target_price, bound) if zero_for_one else min(target_price, bound)
        step = compute_step(
            sqrt_price,
            target,
            liquidity,
            remaining,
            pool.trade_fee_rate,
            exact_in=exact_in,
            zero_for_one=zero_for_one,
        )
        paid = step.amount_in + step.fee
        remaining -= paid if exact_in else step.amount_out
        counted += step.amount_out if exact_in else paid
        to_protocol, to_fund = split_fee(pool, step.fee)
        protocol_fee += to_protocol
        fund_fee += to_fund
        if liquidity:
            lp_fee += step.fee - to_protocol - to_fund
            growth += (step.fee - to_protocol - to_fund) * Q64 // liquidity
        if step.sqrt_price == target_price:
            liquidity = liquidity_beyond(pool, at, liquidity, zero_for_one)
            tick = tick_next - 1 if zero_for_one else tick_next
            at += direction
        elif step.sqrt_price != sqrt_price:
            tick = tick_at(step.sqrt_price)
        sqrt_price = step.sqrt_price
    if counted == 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "one side of the swap would be zero")
    if counted > U64_MAX:
        raise QuoteRefused(Refusal.ARITHMETIC, "the other side of the swap exceeds 2^64 - 1")
    amount_in, amount_out = (amount, counted) if exact_in else (counted, amount)
    return Run(amount_in, amount_out, lp_fee, protocol_fee, fund_fee, growth, sqrt_price, tick, liquidity)


def check_bound(sqrt_price: int, zero_for_one: bool) -> None:
    """Raise QuoteRefused `liquidity_exhausted` where a swap with something left has reached the last price."""
    if sqrt_price == (LOWEST_PRICE if zero_for_one else HIGHEST_PRICE):
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the price reaches its bound before the swap fills")


def next_tick_position(pool: ClmmPool, zero_for_one: bool) -> int:
    """Where in `pool.ticks` the next tick ahead of the price stands: at or below it, or above it."""
    above = bisect_right(pool.ticks, pool.tick)
    return above - 1 if zero_for_one else above


def tick_ahead(pool: ClmmPool, at: int, sqrt_price: int, zero_for_one: bool) -> tuple[int, int]:
    """The tick at position `at` and its √P. Raises QuoteRefused where the held ticks end or contradict the price."""
    if at < 0 or at >= len(pool.ticks):
        end = pool.below if zero_for_one else pool.above
        raise QuoteRefused(end.reason, end.message)
    tick = pool.ticks[at]
    target = sqrt_price_at(tick)
    if target > sqrt_price if zero_for_one else target < sqrt_price:
        raise QuoteRefused(Refusal.MALFORMED, "the pool's price and tick contradict each other")
    return tick, target


def liquidity_beyond(pool: ClmmPool, at: int, liquidity: int, zero_for_one: bool) -> int:
    """The liquidity after crossing the tick at position `at`.

    Raises QuoteRefused `malformed`. Rules: `TickState::cross`, `liquidity_math::add_delta`.
    """
    net = pool.nets[at]
    beyond = liquidity - net if zero_for_one else liquidity + net
    if not 0 <= beyond <= U128_MAX or (pool.stuck and pool.ticks[at] in pool.stuck):
        raise QuoteRefused(Refusal.MALFORMED, f"tick {pool.ticks[at]} can't be crossed")
    return beyond


def split_fee(pool: ClmmPool, fee: int) -> tuple[int, int]:
    """The protocol's and the fund's share of a step's fee, each rounded down; the rest is the liquidity's."""
    return fee * pool.protocol_fee_rate // FEE_DENOMINATOR, fee * pool.fund_fee_rate // FEE_DENOMINATOR


def accrue_rewards(pool: ClmmPool, clock: ChainClock) -> tuple[Reward, ...]:
    """The rewards brought up to `clock`, as every swap does first.

    Raises QuoteRefused: `stale` where the clock lies before the pool's own last update, `arithmetic` on overflow.
    Rule: `PoolState::update_reward_infos`; the timestamp is truncated to 32 bits.
    """
    rewards = pool.books.rewards
    if not rewards:
        return rewards
    now = clock.unix_timestamp & _U32_MAX
    return tuple(_accrued(reward, now, pool.liquidity) for reward in rewards)


def _accrued(reward: Reward, now: int, liquidity: int) -> Reward:
    if now <= reward.open_time:
        return reward
    until = min(now, reward.end_time)
    growth, emitted = reward.growth_x64, reward.total_emitted
    if liquidity:
        seconds = until - reward.last_update_time
        if seconds < 0:
            raise QuoteRefused(Refusal.STALE, f"the clock is behind the pool's last update, {reward.last_update_time}")
        emission_x64 = seconds * reward.emissions_per_second_x64
        growth += emission_x64 // liquidity
        emitted += -(-emission_x64 >> 64)
        if growth > U128_MAX or emitted > U64_MAX:
            raise QuoteRefused(Refusal.ARITHMETIC, "a reward's total overflows")
    return msgspec.structs.replace(reward, last_update_time=until, growth_x64=growth, total_emitted=emitted)


def _balances_after(pool: ClmmPool, run: Run, zero_for_one: bool) -> tuple[int, int] | None:
    """The vaults' balances after `run`. Raises QuoteRefused where the token program would not transfer.

    SPL Token adds unchecked, relying on a mint's supply to fit 64 bits; Token-2022 checks.
    """
    if pool.balances is None:
        return None
    added, taken = (0, 1) if zero_for_one else (1, 0)
    after = [*pool.balances]
    after[added] += run.amount_in
    after[taken] -= run.amount_out
    if after[taken] < 0:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the vault holds less than the output")
    if after[added] > U64_MAX:
        if (pool.info_0 if zero_for_one else pool.info_1).program == TOKEN_2022_PROGRAM:
            raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "the vault would exceed 2^64 - 1")
        after[added] &= U64_MAX
    return after[0], after[1]


def _booked(pool: ClmmPool, run: Run, zero_for_one: bool, rewards: tuple[Reward, ...]) -> Books:
    """The running totals after `run`. Raises QuoteRefused `arithmetic` where one overflows.

    Rule: the end of `swap_internal`: checked additions.
    """
    books = pool.books
    at = 0 if zero_for_one else 1
    after = Books(
        fee_growth_x64=_with(books.fee_growth_x64, at, run.fee_growth_x64),
        lp_fees=_with(books.lp_fees, at, books.lp_fees[at] + run.lp_fee),
        protocol_fees=_with(books.protocol_fees, at, books.protocol_fees[at] + run.protocol_fee),
        fund_fees=_with(books.fund_fees, at, books.fund_fees[at] + run.fund_fee),
        swapped_in=_with(books.swapped_in, at, books.swapped_in[at] + run.amount_in),
        swapped_out=_with(books.swapped_out, 1 - at, books.swapped_out[1 - at] + run.amount_out),
        rewards=rewards,
    )
    if (
        max(after.lp_fees[at], after.protocol_fees[at], after.fund_fees[at]) > U64_MAX
        or max(after.fee_growth_x64[at], after.swapped_in[at], after.swapped_out[1 - at]) > U128_MAX
    ):
        raise QuoteRefused(Refusal.ARITHMETIC, "one of the pool's running totals overflows")
    return after


def _with(pair: tuple[int, int], at: int, value: int) -> tuple[int, int]:
    return (value, pair[1]) if at == 0 else (pair[0], value)
