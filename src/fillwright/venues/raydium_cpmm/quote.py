"""Exact quotes of CPMM pools: the curve between the two transfer fees, and the pool after a swap.

A decoded pool, a swap and a clock in; what the program would do, to the unit, out. Rules:
raydium-cp-swap `instructions/swap_base_input.rs`, `instructions/swap_base_output.rs` and
`states/pool.rs`. Raises QuoteRefused wherever those, or the token transfers that follow, would fail.
"""

from __future__ import annotations

from fractions import Fraction

import msgspec

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.raydium_cpmm.curve import (
    FEE_DENOMINATOR,
    CurveSwap,
    Rates,
    swap_exact_in,
    swap_exact_out,
)
from fillwright.venues.raydium_cpmm.layout import CREATOR_FEE_ON_INPUT, CREATOR_FEE_ON_TOKEN_0, CpmmPool, Pair
from fillwright.venues.token_program import TransferFee
from fillwright.venues.venue import Fee, FeeKind, Quote, Quoter, Swap

_SWAP_DISABLED = 0b100
_BPS = 10_000
_TOO_MUCH = "the vault would hold more than 2^64 - 1"


class Direction(msgspec.Struct, frozen=True):
    """One way through a pool at one clock: what its swaps read. `room` is what the input vault can still take."""

    side_in: int
    mint_in: Mint
    mint_out: Mint
    reserve_in: int
    reserve_out: int
    room: int
    rates: Rates
    fee_in: TransferFee
    fee_out: TransferFee


def direction(pool: CpmmPool, input_mint: Mint, clock: ChainClock) -> Direction:
    """The way from `input_mint` to the other mint. Raises QuoteRefused where the pool can't swap now."""
    if input_mint not in pool.mints:
        raise QuoteRefused(Refusal.NOT_IN_POOL, f"{input_mint} is not in this pool")
    if pool.status & _SWAP_DISABLED:
        raise QuoteRefused(Refusal.PAUSED, "swaps are disabled in this pool")
    # The program reads the signed timestamp as an unsigned one.
    if clock.unix_timestamp & U64_MAX < pool.open_time:
        raise QuoteRefused(Refusal.NOT_OPEN, f"the pool opens at {pool.open_time}")
    side = pool.mints.index(input_mint)
    other = 1 - side
    return Direction(
        side_in=side,
        mint_in=input_mint,
        mint_out=pool.mints[other],
        reserve_in=_reserve(pool, side),
        reserve_out=_reserve(pool, other),
        room=U64_MAX - pool.balances[side],
        rates=Rates(
            trade=pool.trade_fee_rate,
            protocol=pool.protocol_fee_rate,
            fund=pool.fund_fee_rate,
            creator=pool.creator_fee_rate,
            creator_on_input=_creator_fee_on_input(pool.creator_fee_on, side),
        ),
        fee_in=pool.mint_infos[side].transfer_fee(clock.epoch),
        fee_out=pool.mint_infos[other].transfer_fee(clock.epoch),
    )


def quote_in(way: Direction, swap: Swap) -> tuple[Quote, CurveSwap]:
    """The outcome of an exact-in or exact-out `swap`, with what happens on the curve inside it."""
    if swap.amount <= 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "an amount must be greater than zero")
    if swap.amount > U64_MAX:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "an amount is at most 2^64 - 1 base units")
    if swap.mode is SwapMode.EXACT_IN:
        amount_in = swap.amount
        net_in = amount_in - way.fee_in.on(amount_in)
        if net_in <= 0:
            raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "the transfer fee takes the whole amount")
        inner = swap_exact_in(net_in, way.reserve_in, way.reserve_out, way.rates)
        amount_out = inner.amount_out - way.fee_out.on(inner.amount_out)
        if amount_out <= 0:
            raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "the transfer fee takes the whole output")
    else:
        amount_out = swap.amount
        inner = swap_exact_out(way.fee_out.gross(amount_out), way.reserve_in, way.reserve_out, way.rates)
        amount_in = way.fee_in.gross(inner.amount_in)
    if inner.amount_in > way.room:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, _TOO_MUCH)
    return Quote(amount_in, amount_out, _fees(way, inner, amount_in, amount_out)), inner


def after(pool: CpmmPool, way: Direction, inner: CurveSwap) -> CpmmPool:
    """The pool after a swap on its curve: balances moved, the accrued fees grown.

    The accrued fees stay below the balances that they lie in, so none of these sums exceeds 2^64 - 1.
    """
    side, other = way.side_in, 1 - way.side_in
    creator_out = 0 if way.rates.creator_on_input else inner.creator_fee
    return msgspec.structs.replace(
        pool,
        balances=_plus(_plus(pool.balances, side, inner.amount_in), other, -inner.amount_out),
        protocol_fees=_plus(pool.protocol_fees, side, inner.protocol_fee),
        fund_fees=_plus(pool.fund_fees, side, inner.fund_fee),
        creator_fees=_plus(_plus(pool.creator_fees, side, inner.creator_fee - creator_out), other, creator_out),
    )


def quoter(way: Direction) -> Quoter:
    """Exact-in quotes as `quote_in` gives them, without its objects.

    A fee rounded up leaves a rest rounded down, so both fees are products with their complements.
    """
    reserve_in, reserve_out, room = way.reserve_in, way.reserve_out, way.room
    keep_in = max(FEE_DENOMINATOR - way.rates.on_input, 0)
    keep_out = FEE_DENOMINATOR if way.rates.creator_on_input else max(FEE_DENOMINATOR - way.rates.creator, 0)
    if way.fee_in.bps or way.fee_out.bps or not (0 < keep_in < FEE_DENOMINATOR) or reserve_in * reserve_out == 0:
        return _quoter_with_transfer_fees(way, keep_in, keep_out)
    if keep_out == FEE_DENOMINATOR:

        def out(amount: int) -> int:
            if 0 < amount <= room:
                net = amount * keep_in // 1_000_000
                received = net * reserve_out // (reserve_in + net)
                if received:
                    return received
            raise _refusal(way, amount)

    else:

        def out(amount: int) -> int:
            if 0 < amount <= room:
                net = amount * keep_in // 1_000_000
                received = net * reserve_out // (reserve_in + net) * keep_out // 1_000_000
                if received:
                    return received
            raise _refusal(way, amount)

    return out


def _quoter_with_transfer_fees(way: Direction, keep_in: int, keep_out: int) -> Quoter:
    """The same between two transfer fees; the curve's output is read off as y - ⌈x·y / (x + net)⌉."""
    reserve_in, reserve_out, room = way.reserve_in, way.reserve_out, way.room
    if reserve_in * reserve_out == 0 or (way.rates.on_input == 0 and way.rates.creator_on_input):
        room = -1
    most, product = reserve_out - 1, reserve_in * reserve_out - 1
    left_in, cap_in, capped_in = _left_of(way.fee_in)
    left_out, cap_out, capped_out = _left_of(way.fee_out)
    creator_on_output = keep_out != FEE_DENOMINATOR

    def out(amount: int) -> int:
        if 0 < amount <= U64_MAX:
            arriving = amount - cap_in if amount >= capped_in else amount * left_in // 10_000
            if arriving <= room:
                received = most - product // (reserve_in + arriving * keep_in // 1_000_000)
                if creator_on_output:
                    received = received * keep_out // 1_000_000
                received = received - cap_out if received >= capped_out else received * left_out // 10_000
                if received > 0:
                    return received
        raise _refusal(way, amount)

    return out


def _left_of(fee: TransferFee) -> tuple[int, int, int]:
    """What a fee leaves of 10,000 parts below its cap; the cap; the amount from which on it is the whole fee."""
    if fee.bps == 0 or fee.maximum == 0:
        return _BPS, 0, 0
    return _BPS - fee.bps, fee.maximum, (fee.maximum - 1) * _BPS // fee.bps + 1


def _refusal(way: Direction, amount: int) -> QuoteRefused:
    """Why `quote_in` refuses this amount."""
    try:
        quote_in(way, Swap(way.mint_in, SwapMode.EXACT_IN, amount))
    except QuoteRefused as error:
        return error
    raise AssertionError("the fast quoter refuses what the exact quote answers")


def spot(way: Direction) -> Fraction:
    """Output per input base unit at the margin, before every fee."""
    if way.reserve_in == 0 or way.reserve_out == 0:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the pool is empty")
    return Fraction(way.reserve_out, way.reserve_in)


def _reserve(pool: CpmmPool, side: int) -> int:
    """The vault without the fees that still lie in it. Source: PoolState::vault_amount_without_fee."""
    owed = pool.protocol_fees[side] + pool.fund_fees[side] + pool.creator_fees[side]
    if owed > pool.balances[side]:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the vault holds less than the accrued fees")
    return pool.balances[side] - owed


def _creator_fee_on_input(mode: int, side_in: int) -> bool:
    """Source: PoolState::is_creator_fee_on_input."""
    if mode == CREATOR_FEE_ON_INPUT:
        return True
    return side_in == (0 if mode == CREATOR_FEE_ON_TOKEN_0 else 1)


def _fees(way: Direction, inner: CurveSwap, amount_in: int, amount_out: int) -> tuple[Fee, ...]:
    creator_mint = way.mint_in if way.rates.creator_on_input else way.mint_out
    parts = (
        (FeeKind.LP, way.mint_in, inner.trade_fee - inner.protocol_fee - inner.fund_fee),
        (FeeKind.PROTOCOL, way.mint_in, inner.protocol_fee),
        (FeeKind.FUND, way.mint_in, inner.fund_fee),
        (FeeKind.CREATOR, creator_mint, inner.creator_fee),
        (FeeKind.TRANSFER_IN, way.mint_in, amount_in - inner.amount_in),
        (FeeKind.TRANSFER_OUT, way.mint_out, inner.amount_out - amount_out),
    )
    return tuple(Fee(kind, mint, amount) for kind, mint, amount in parts if amount)


def _plus(pair: Pair, side: int, amount: int) -> Pair:
    return (pair[0] + amount, pair[1]) if side == 0 else (pair[0], pair[1] + amount)
