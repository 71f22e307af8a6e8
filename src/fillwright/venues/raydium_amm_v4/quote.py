"""Exact quotes of AMM v4 pools, the pool after a swap, and its float curve for the search.

A decoded pool, a swap and a clock in; what the program would do, to the unit, out. Rules: raydium-amm
`processor.rs` process_swap_base_in and process_swap_base_out, `math.rs` Calculator, with the true ceiling
of the deployed source for dust. Raises QuoteRefused wherever those, or the token transfers, would fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import msgspec

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.integers import ceil_div
from fillwright.venues.raydium_amm_v4.layout import STATUS_SWAP_ONLY, STATUS_WAITING_TRADE, AmmV4Pool
from fillwright.venues.venue import CurveSegment, Fee, FeeKind, Quote, Quoter, Swap


class Direction(msgspec.Struct, frozen=True):
    """One way through a pool at one clock. `room` is what the input vault can still take."""

    side_in: int
    mint_in: Mint
    reserve_in: int
    reserve_out: int
    room: int
    fee_numerator: int
    fee_denominator: int

    @property
    def kept(self) -> int:
        """What the fee leaves of `fee_denominator` parts of the input; 0 where it leaves nothing."""
        return max(self.fee_denominator - self.fee_numerator, 0)


def direction(pool: AmmV4Pool, input_mint: Mint, clock: ChainClock) -> Direction:
    """The way from `input_mint` to the other mint. Raises QuoteRefused where the pool can't swap now."""
    if input_mint not in pool.mints:
        raise QuoteRefused(Refusal.NOT_IN_POOL, f"{input_mint} is not in this pool")
    if pool.status not in (STATUS_SWAP_ONLY, STATUS_WAITING_TRADE):
        raise QuoteRefused(Refusal.PAUSED, f"swaps are disabled in this pool (status {pool.status})")
    # The program reads the signed timestamp as an unsigned one.
    if pool.status == STATUS_WAITING_TRADE and clock.unix_timestamp & U64_MAX < pool.open_time:
        raise QuoteRefused(Refusal.NOT_OPEN, f"the pool opens at {pool.open_time}")
    reserves = (_reserve(pool, 0), _reserve(pool, 1))
    side = pool.mints.index(input_mint)
    return Direction(
        side_in=side,
        mint_in=input_mint,
        reserve_in=reserves[side],
        reserve_out=reserves[1 - side],
        room=U64_MAX - pool.balances[side],
        fee_numerator=pool.fee_numerator,
        fee_denominator=pool.fee_denominator,
    )


def quote_in(way: Direction, swap: Swap) -> Quote:
    """The outcome of an exact-in or exact-out `swap`."""
    if swap.amount <= 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "an amount must be greater than zero")
    if swap.amount > U64_MAX:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "an amount is at most 2^64 - 1 base units")
    if way.reserve_in == 0 or way.reserve_out == 0:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the pool is empty")
    if way.kept == 0:
        raise QuoteRefused(Refusal.ARITHMETIC, "a fee of 100 % leaves nothing")
    quote = _exact_in(way, swap.amount) if swap.mode is SwapMode.EXACT_IN else _exact_out(way, swap.amount)
    if quote.amount_in > way.room:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "the vault would hold more than 2^64 - 1")
    return quote


def _exact_in(way: Direction, amount_in: int) -> Quote:
    """net = in - ⌈in·n/d⌉; out = ⌊net·y / (x + net)⌋."""
    fee = ceil_div(amount_in * way.fee_numerator, way.fee_denominator)
    net = amount_in - fee
    amount_out = net * way.reserve_out // (way.reserve_in + net)
    if amount_out == 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "the amount buys nothing")
    return _quote(way, amount_in, amount_out, fee)


def _exact_out(way: Direction, amount_out: int) -> Quote:
    """net = ⌈x·out / (y - out)⌉; in = ⌈net·d / (d - n)⌉."""
    if amount_out >= way.reserve_out:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the pool holds less than the output asked for")
    net = ceil_div(way.reserve_in * amount_out, way.reserve_out - amount_out)
    amount_in = ceil_div(net * way.fee_denominator, way.kept)
    return _quote(way, amount_in, amount_out, amount_in - net)


def _quote(way: Direction, amount_in: int, amount_out: int, fee: int) -> Quote:
    return Quote(amount_in, amount_out, (Fee(FeeKind.LP, way.mint_in, fee),) if fee else ())


def after(pool: AmmV4Pool, way: Direction, quote: Quote) -> AmmV4Pool:
    """The pool after `quote`: balances moved; a pool waiting for its opening is open from its first swap on."""
    moved = (quote.amount_in, -quote.amount_out)
    coin, pc = moved if way.side_in == 0 else moved[::-1]
    balances = (pool.balances[0] + coin, pool.balances[1] + pc)
    return msgspec.structs.replace(pool, balances=balances, status=STATUS_SWAP_ONLY)


def quoter(way: Direction) -> Quoter:
    """Exact-in quotes as `quote_in` gives them, without its objects.

    A fee rounded up leaves a rest rounded down, so the fee is one product with its complement.
    """
    reserve_in, reserve_out, room = way.reserve_in, way.reserve_out, way.room
    kept, denominator = way.kept, way.fee_denominator
    if kept == 0 or reserve_in == 0 or reserve_out == 0:
        room = 0

    def out(amount: int) -> int:
        if 0 < amount <= room:
            net = amount * kept // denominator
            received = net * reserve_out // (reserve_in + net)
            if received:
                return received
        raise _refusal(way, amount)

    return out


def _refusal(way: Direction, amount: int) -> QuoteRefused:
    """Why `quote_in` refuses this amount."""
    try:
        quote_in(way, Swap(way.mint_in, SwapMode.EXACT_IN, amount))
    except QuoteRefused as error:
        return error
    raise AssertionError("the fast quoter refuses what the exact quote answers")


def spot(way: Direction) -> Fraction:
    """Output per input base unit at the margin, before the fee."""
    if way.reserve_in == 0 or way.reserve_out == 0:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the pool is empty")
    return Fraction(way.reserve_out, way.reserve_in)


def segments(way: Direction) -> Iterator[CurveSegment]:
    """y = p·u / (1 + q·u) with p = γ·y/x, q = γ/x, γ the share that the fee leaves. Nothing here is exact."""
    if way.reserve_in and way.reserve_out and way.kept and way.room:
        gamma = way.kept / way.fee_denominator
        price = way.reserve_out / way.reserve_in
        yield CurveSegment(p=gamma * price, q=gamma / way.reserve_in, cap=float(way.room))


def _reserve(pool: AmmV4Pool, side: int) -> int:
    """The vault without the profit set aside. Source: Calculator::calc_total_without_take_pnl_no_orderbook."""
    reserve = pool.balances[side] - pool.need_take_pnl[side]
    if reserve < 0:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the vault holds less than the profit set aside")
    return reserve
