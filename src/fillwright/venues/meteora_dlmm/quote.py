"""The swap loop: bin after bin in one direction, exact to the unit, and the pool after it.

In: a pool, a swap and a clock. Out: the amounts that the wallet pays and gets, the fees in them, the next
state; or QuoteRefused. `ladder` answers the same for many exact-in amounts; this loop is its reference.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.meteora_dlmm.bins import Fill, Terms, fill_exact_in, fill_exact_out, layers
from fillwright.venues.meteora_dlmm.bitmap import (
    BINS_PER_ARRAY,
    BITMAP_OFFSET,
    array_index,
    first_bin,
    is_internal,
    next_array,
)
from fillwright.venues.meteora_dlmm.compute import FIXED_UNITS, MAX_UNITS, unit_costs
from fillwright.venues.meteora_dlmm.fees import accumulator_at, at_time, rate_at
from fillwright.venues.meteora_dlmm.layout import Bin, BinArray, DlmmPool, Volatility
from fillwright.venues.token_program import TOKEN_PROGRAM, MintInfo, TransferFee
from fillwright.venues.venue import Fee, FeeKind, Quote, Swap


class Direction(msgspec.Struct, frozen=True):
    """A pool seen by a swap from one of its mints at one time."""

    pool: DlmmPool
    x_to_y: bool
    input_mint: Mint
    output_mint: Mint
    input_fee: TransferFee
    output_fee: TransferFee
    input_balance: int
    input_room: int
    output_balance: int
    volatility: Volatility
    fee_on_input: bool


def direction(pool: DlmmPool, input_mint: Mint, clock: ChainClock) -> Direction:
    """The side of `pool` that takes `input_mint`. Raises QuoteRefused not_in_pool, paused, not_open."""
    if input_mint not in pool.mints:
        raise QuoteRefused(Refusal.NOT_IN_POOL, f"{input_mint} is not traded in {pool.address}")
    if not pool.enabled:
        raise QuoteRefused(Refusal.PAUSED, f"{pool.address} is disabled")
    if clock.slot < pool.opens_at_slot or clock.unix_timestamp < pool.opens_at_time:
        raise QuoteRefused(Refusal.NOT_OPEN, f"{pool.address} is not active yet")
    x_to_y = input_mint == pool.mint_x
    sides: tuple[tuple[Mint, MintInfo, int], tuple[Mint, MintInfo, int]] = (
        (pool.mint_x, pool.info_x, pool.balance_x),
        (pool.mint_y, pool.info_y, pool.balance_y),
    )
    (mint_in, info_in, balance_in), (mint_out, info_out, balance_out) = sides if x_to_y else sides[::-1]
    return Direction(
        pool=pool,
        x_to_y=x_to_y,
        input_mint=mint_in,
        output_mint=mint_out,
        input_fee=info_in.transfer_fee(clock.epoch),
        output_fee=info_out.transfer_fee(clock.epoch),
        input_balance=balance_in,
        # The older token program adds balances unchecked, as no supply exceeds 2^64 - 1; Token-2022 checks.
        input_room=U64_MAX if info_in.program == TOKEN_PROGRAM else U64_MAX - balance_in,
        output_balance=balance_out,
        volatility=at_time(pool.volatility, pool.fee, pool.active_id, clock.unix_timestamp),
        fee_on_input=not (pool.fee_on_y and x_to_y),
    )


def tradable_bins(side: Direction, mode: SwapMode) -> Iterator[tuple[Bin, tuple[int, ...], Terms]]:
    """The bins that can give something, in walking order, with their layers and terms.

    Raises QuoteRefused where the program would: lazily, so a swap that ends before that never sees it. Rule:
    lb_clmm swap loop, `advance_active_bin`, `shift_active_bin_if_empty_gap`.
    """
    pool, x_to_y = side.pool, side.x_to_y
    variable = pool.fee.variable_fee_control > 0
    costs = unit_costs(x_to_y, mode is SwapMode.EXACT_OUT, pool.has_limit_orders, variable)
    units = FIXED_UNITS
    position = pool.active_id
    for array in _arrays_crossed(side):
        # An array without liquidity is jumped over, to the near edge of the next one that has some.
        if array_index(position) != array.index:
            position = first_bin(array.index) + (BINS_PER_ARRAY - 1 if x_to_y else 0)
        entry = position
        units += costs.array
        for bin_ in reversed(array.bins) if x_to_y else array.bins:
            if bin_.id > position if x_to_y else bin_.id < position:
                continue
            if bin_.id != entry:
                _check_bounds(side, bin_.id)
            available = layers(bin_, x_to_y, pool.has_limit_orders)
            if not any(available):
                continue
            units += costs.skipped_bin * abs(bin_.id - position) + costs.traded_bin
            units += costs.order_layers if any(available[1:]) else 0
            if units > MAX_UNITS:
                raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "the swap crosses more bins than one transaction can")
            position = bin_.id
            yield bin_, available, _terms(side, bin_)
        left = first_bin(array.index) + (-1 if x_to_y else BINS_PER_ARRAY)
        units += costs.skipped_bin * abs(left - position)
        position = left
        _check_bounds(side, position)


def _arrays_crossed(side: Direction) -> Iterator[BinArray]:
    """The arrays with liquidity from the active bin on. Raises QuoteRefused at the first that can't be had."""
    pool = side.pool
    start = array_index(pool.active_id)
    while True:
        # Without its extension account the program looks at nothing beyond the internal bitmap.
        sees = pool.extension is not None or is_internal(start)
        index = next_array(pool.bitmap, start, side.x_to_y) if sees else None
        if index is None:
            raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, f"{pool.address} has no liquidity left on this side")
        array = pool.arrays.get(index)
        if array is None:
            raise QuoteRefused(Refusal.MISSING_ACCOUNT, f"bin array {index} of {pool.address} is not at hand")
        yield array
        start = index - 1 if side.x_to_y else index + 1


def _check_bounds(side: Direction, bin_id: int) -> None:
    if bin_id < side.pool.min_bin_id if side.x_to_y else bin_id > side.pool.max_bin_id:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, f"{side.pool.address} trades in no bin beyond its bounds")


def _terms(side: Direction, bin_: Bin) -> Terms:
    fee = side.pool.fee
    if bin_.price == 0:
        raise QuoteRefused(Refusal.ARITHMETIC, f"bin {bin_.id} holds tokens but was never priced")
    return Terms(side.x_to_y, bin_.price, rate_at(side.volatility, fee, bin_.id), side.fee_on_input, fee.protocol_share)


class Traded(msgspec.Struct, frozen=True):
    """The outcome of the loop: amounts inside the pool, and each bin's fill."""

    amount_in: int
    amount_out: int
    fee: int
    protocol_fee: int
    fills: tuple[tuple[Bin, Fill], ...]


def swap_quote(pool: DlmmPool, swap: Swap, clock: ChainClock) -> Quote:
    """The exact outcome of `swap`. Raises QuoteRefused."""
    side = direction(pool, swap.input_mint, clock)
    return _quote(side, swap, _trade(side, swap))


def swap_apply(pool: DlmmPool, swap: Swap, clock: ChainClock) -> tuple[Quote, DlmmPool]:
    """The exact outcome of `swap` and the pool after it. Raises QuoteRefused."""
    side = direction(pool, swap.input_mint, clock)
    traded = _trade(side, swap)
    return _quote(side, swap, traded), _after(side, traded, clock)


def check_amount(amount: int) -> None:
    """Raises QuoteRefused for amounts that no instruction can carry."""
    if amount <= 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "an amount must be greater than zero")
    if amount > U64_MAX:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "an amount is at most 2^64 - 1")


def _trade(side: Direction, swap: Swap) -> Traded:
    """`trade` of what reaches the pool, or must leave it, once transfer fees are off or on."""
    check_amount(swap.amount)
    if swap.mode is SwapMode.EXACT_IN:
        return trade(side, swap.mode, swap.amount - side.input_fee.on(swap.amount))
    return trade(side, swap.mode, side.output_fee.gross(swap.amount))


def trade(side: Direction, mode: SwapMode, left: int) -> Traded:
    """The loop: spend `left` inside the pool (exact-in) or take it out (exact-out). Raises QuoteRefused."""
    exact_in = mode is SwapMode.EXACT_IN
    fill_bin = fill_exact_in if exact_in else fill_exact_out
    amount_in = amount_out = fee = protocol_fee = 0
    fills = []
    walk = tradable_bins(side, mode)
    while left > 0:
        bin_, available, terms = next(walk)
        fill = fill_bin(available, terms, left)
        left -= fill.amount_in if exact_in else fill.amount_out
        amount_in += fill.amount_in
        amount_out += fill.amount_out
        fee += fill.fee
        protocol_fee += fill.protocol_fee
        fills.append((bin_, fill))
    if amount_out - side.output_fee.on(amount_out) == 0:
        raise too_small()
    if amount_out > side.output_balance:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the pool's reserve does not hold the output")
    if amount_in > side.input_room:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "the pool's reserve would exceed 2^64 - 1")
    return Traded(amount_in, amount_out, fee, protocol_fee, tuple(fills))


def too_small() -> QuoteRefused:
    """The program's InsufficientOutAmount: nothing would arrive."""
    return QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "the amount is too small to buy anything")


def _quote(side: Direction, swap: Swap, traded: Traded) -> Quote:
    paid = swap.amount if swap.mode is SwapMode.EXACT_IN else side.input_fee.gross(traded.amount_in)
    transfer_out = side.output_fee.on(traded.amount_out)
    fee_mint = side.input_mint if side.fee_on_input else side.output_mint
    fees = (
        Fee(FeeKind.LP, fee_mint, traded.fee - traded.protocol_fee),
        Fee(FeeKind.PROTOCOL, fee_mint, traded.protocol_fee),
        Fee(FeeKind.TRANSFER_IN, side.input_mint, paid - traded.amount_in),
        Fee(FeeKind.TRANSFER_OUT, side.output_mint, transfer_out),
    )
    return Quote(paid, traded.amount_out - transfer_out, tuple(fee for fee in fees if fee.amount))


def _after(side: Direction, traded: Traded, clock: ChainClock) -> DlmmPool:
    pool = side.pool
    arrays, bitmap = _arrays_after(side, traded)
    last = traded.fills[-1][0].id
    balance_in = (side.input_balance + traded.amount_in) & U64_MAX
    balance_out = side.output_balance - traded.amount_out
    return msgspec.structs.replace(
        pool,
        arrays=arrays,
        bitmap=bitmap,
        active_id=last,
        balance_x=balance_in if side.x_to_y else balance_out,
        balance_y=balance_out if side.x_to_y else balance_in,
        volatility=Volatility(
            accumulator_at(side.volatility, pool.fee, last),
            side.volatility.reference,
            side.volatility.index_reference,
            # A swap that stays in its bin does not restart the decay.
            pool.volatility.updated_at if last == pool.active_id else clock.unix_timestamp,
        ),
    )


def _arrays_after(side: Direction, traded: Traded) -> tuple[dict[int, BinArray], int]:
    """The bin arrays and the bitmap after the swap.

    An array whose last limit order is filled leaves the bitmap unless liquidity shares are left in it.
    """
    arrays, bitmap = dict(side.pool.arrays), side.pool.bitmap
    filled = {bin_.id: _bin_after(side, bin_, fill) for bin_, fill in traded.fills}
    ordered = {array_index(bin_.id) for bin_, fill in traded.fills if any(fill.layers_out[1:])}
    for index in {array_index(bin_id) for bin_id in filled}:
        array = arrays[index]
        after = [filled.get(bin_.id, bin_) for bin_ in array.bins]
        bins = tuple(b for b in after if b.amount_x or b.amount_y or b.open_orders or b.processed_orders)
        if index in ordered and not array.has_shares and not any(b.open_orders or b.processed_orders for b in bins):
            del arrays[index]
            bitmap &= ~(1 << (index + BITMAP_OFFSET))
        else:
            arrays[index] = BinArray(index, bins, array.has_shares)
    return arrays, bitmap


def _bin_after(side: Direction, bin_: Bin, fill: Fill) -> Bin:
    """What the fill leaves: makers keep the input, order placers' proceeds leave the tradable amounts."""
    given, processed, opened = (*fill.layers_out, 0, 0)[:3]
    x, y = bin_.amount_x, bin_.amount_y
    x, y = (x + fill.makers_in, y - given) if side.x_to_y else (x - given, y + fill.makers_in)
    left_open, left_processed = bin_.open_orders, bin_.processed_orders - processed
    if opened:
        left_open, left_processed = 0, left_processed + bin_.open_orders - opened
    return msgspec.structs.replace(bin_, amount_x=x, amount_y=y, open_orders=left_open, processed_orders=left_processed)


def arrays_crossed(pool: DlmmPool, swap: Swap, clock: ChainClock) -> int:
    """How many bin arrays with liquidity the swap walks through. Raises QuoteRefused as `swap_quote` does."""
    side = direction(pool, swap.input_mint, clock)
    last = array_index(_trade(side, swap).fills[-1][0].id)
    count, index = 0, next_array(pool.bitmap, array_index(pool.active_id), side.x_to_y)
    while index is not None and (index >= last if side.x_to_y else index <= last):
        count += 1
        index = next_array(pool.bitmap, index + (-1 if side.x_to_y else 1), side.x_to_y)
    return count
