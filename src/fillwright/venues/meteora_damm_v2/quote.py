"""Exact quotes, and the pool after a swap.

In: a pool, a swap and a clock; out: what the wallet pays and receives, the fees, and the next pool state.
Must not: approximate. Whatever makes the program or a token transfer fail is refused.

Rules: cp-amm `p_handle_swap` (`instructions/swap/ix_p_swap.rs`), `swap_exact_in.rs`, `swap_exact_out.rs`,
`state/pool.rs` (`get_swap_result_from_exact_input`, `…_output`, `apply_swap_result`), `state/fee.rs`.
"""

from __future__ import annotations

import msgspec

from fillwright.domain.accounts import ChainClock
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.integers import ceil_div
from fillwright.venues.meteora_damm_v2.checked import U256_MAX, as_u64, as_u128, within
from fillwright.venues.meteora_damm_v2.dynamic_fee import after_swap
from fillwright.venues.meteora_damm_v2.layout import COMPOUNDING, Accrued, DammV2Pool
from fillwright.venues.meteora_damm_v2.liquidity import (
    product_input,
    product_output,
    product_sqrt_price,
    range_input,
    range_output,
)
from fillwright.venues.meteora_damm_v2.rate_limiter import FEE_DENOMINATOR
from fillwright.venues.meteora_damm_v2.terms import Terms, terms_of
from fillwright.venues.venue import Fee, FeeKind, Quote, Swap

_PERCENT = 100
_BPS = 10_000


class Trade(msgspec.Struct, frozen=True):
    """One swap's amounts. `paid` and `received` are the wallet's; the others exclude transfer fees.

    `curve_in` is what enters the exchange function, after a fee on the input; `fee` is the pool's fee, on
    either side; `sent_out` leaves the vault. `next_sqrt_price` is 0 where the reserves will tell it.
    """

    paid: int
    arrived_in: int
    curve_in: int
    fee: int
    sent_out: int
    received: int
    next_sqrt_price: int


def checked_amount(amount: int) -> int:
    """`amount` if a swap instruction can carry it. Raises QuoteRefused `amount_too_small`, `amount_too_large`."""
    if amount <= 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "an amount must be greater than zero")
    if amount > U64_MAX:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "an amount is at most 2^64 - 1 base units")
    return amount


def quote_and_apply(pool: DammV2Pool, swap: Swap, clock: ChainClock) -> tuple[Quote, DammV2Pool]:
    """The exact outcome of `swap` and the pool after it. Raises QuoteRefused."""
    terms = terms_of(pool, swap.input_mint, clock)
    amount = checked_amount(swap.amount)
    trade = _exact_in(pool, terms, amount) if swap.mode is SwapMode.EXACT_IN else _exact_out(pool, terms, amount)
    after, lp_fee, protocol_fee = _settle(pool, terms, trade)
    return Quote(trade.paid, trade.received, _fees(pool, terms, trade, lp_fee, protocol_fee)), after


def exact_output(pool: DammV2Pool, terms: Terms, amount: int) -> int:
    """What the wallet receives for `amount`, every check made. Raises QuoteRefused."""
    trade = _exact_in(pool, terms, checked_amount(amount))
    _settle(pool, terms, trade)
    return trade.received


def _exact_in(pool: DammV2Pool, terms: Terms, amount: int) -> Trade:
    """Fees round up, the output down (`get_swap_result_from_exact_input`)."""
    arrived = amount - terms.transfer_in.on(amount)
    if arrived == 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "the transfer fee takes the whole amount")
    numerator = terms.numerator_of_included(arrived)
    fee = ceil_div(arrived * numerator, FEE_DENOMINATOR) if terms.fee_on_input else 0
    curve_in = arrived - fee
    curve_out, next_price = _curve_output(pool, terms, curve_in)
    if not terms.fee_on_input:
        fee = ceil_div(curve_out * numerator, FEE_DENOMINATOR)
    sent = curve_out if terms.fee_on_input else curve_out - fee
    return Trade(amount, arrived, curve_in, fee, sent, sent - terms.transfer_out.on(sent), next_price)


def _exact_out(pool: DammV2Pool, terms: Terms, amount: int) -> Trade:
    """Fees and the input round up (`get_swap_result_from_exact_output`)."""
    sent = terms.transfer_out.gross(amount)
    curve_out, fee = sent, 0
    if not terms.fee_on_input:
        curve_out = _with_fee(sent, terms.numerator_of_excluded(sent))
        fee = curve_out - sent
    curve_in, next_price = _curve_input(pool, terms, curve_out)
    arrived = curve_in
    if terms.fee_on_input:
        arrived = _with_fee(curve_in, terms.numerator_of_excluded(curve_in))
        fee = arrived - curve_in
    return Trade(terms.transfer_in.gross(arrived), arrived, curve_in, fee, sent, amount, next_price)


def _with_fee(excluded: int, numerator: int) -> int:
    """excluded · D / (D − numerator), rounded up (`get_included_fee_amount`)."""
    return as_u64(ceil_div(excluded * FEE_DENOMINATOR, FEE_DENOMINATOR - numerator), "the amount with its fee")


def _curve_output(pool: DammV2Pool, terms: Terms, curve_in: int) -> tuple[int, int]:
    if pool.fee_mode == COMPOUNDING:
        reserve_in, reserve_out = terms.reserves if terms.a_to_b else terms.reserves[::-1]
        return product_output(reserve_in, reserve_out, curve_in), 0
    bounds = (pool.sqrt_min_price, pool.sqrt_max_price)
    return range_output(terms.a_to_b, pool.liquidity, pool.sqrt_price, bounds, curve_in)


def _curve_input(pool: DammV2Pool, terms: Terms, curve_out: int) -> tuple[int, int]:
    if pool.fee_mode == COMPOUNDING:
        reserve_in, reserve_out = terms.reserves if terms.a_to_b else terms.reserves[::-1]
        return product_input(reserve_in, reserve_out, curve_out), 0
    bounds = (pool.sqrt_min_price, pool.sqrt_max_price)
    return range_input(terms.a_to_b, pool.liquidity, pool.sqrt_price, bounds, curve_out)


def _settle(pool: DammV2Pool, terms: Terms, trade: Trade) -> tuple[DammV2Pool, int, int]:
    """(pool after `trade`, fee to liquidity providers, fee to the protocol), by `apply_swap_result`.

    Shares round down. Raises QuoteRefused where a total overflows or a vault can't pay.
    """
    protocol_fee = trade.fee * pool.protocol_fee_percent // _PERCENT
    lp_fee = as_u64(trade.fee - protocol_fee, "a protocol fee above the fee")
    compounding_fee = lp_fee * pool.compounding_fee_bps // _BPS
    claimed_fee = as_u64(lp_fee - compounding_fee, "a compounding fee above the fee")
    fee_on_a = not terms.a_to_b and not terms.fee_on_input
    accrued_a, accrued_b = pool.accrued_a, pool.accrued_b
    if fee_on_a:
        accrued_a = _accrue(accrued_a, pool.liquidity, claimed_fee, lp_fee, protocol_fee)
    else:
        accrued_b = _accrue(accrued_b, pool.liquidity, claimed_fee, lp_fee, protocol_fee)
    curve_out = trade.sent_out if terms.fee_on_input else trade.sent_out + trade.fee
    change_a, change_b = (trade.curve_in, -curve_out) if terms.a_to_b else (-curve_out, trade.curve_in)
    reserve_a = _reserve(terms.reserves[0] + change_a)
    reserve_b = _reserve(_reserve(terms.reserves[1] + change_b) + compounding_fee)
    next_price = trade.next_sqrt_price
    if pool.fee_mode == COMPOUNDING:
        next_price = product_sqrt_price(reserve_a, reserve_b)
    dynamic_fee = pool.dynamic_fee
    if dynamic_fee is not None:
        dynamic_fee = after_swap(dynamic_fee, pool.sqrt_price, next_price, terms.timestamp)
    flow_a, flow_b = (trade.arrived_in, -trade.sent_out) if terms.a_to_b else (-trade.sent_out, trade.arrived_in)
    after: DammV2Pool = msgspec.structs.replace(
        pool,
        dynamic_fee=dynamic_fee,
        sqrt_price=next_price,
        reserve_a=reserve_a,
        reserve_b=reserve_b,
        tracks_reserves=True,
        balance_a=_balance(pool.balance_a + flow_a),
        balance_b=_balance(pool.balance_b + flow_b),
        accrued_a=accrued_a,
        accrued_b=accrued_b,
    )
    return after, lp_fee, protocol_fee


def _accrue(accrued: Accrued, liquidity: int, claimed_fee: int, lp_fee: int, protocol_fee: int) -> Accrued:
    per_liquidity = (claimed_fee << 128) // liquidity
    return Accrued(
        as_u64(accrued.protocol + protocol_fee, "the protocol fees"),
        within(accrued.per_liquidity + per_liquidity, U256_MAX, "the fees per liquidity"),
        as_u128(accrued.total_lp + lp_fee, "the total of fees"),
        as_u64(accrued.total_protocol + protocol_fee, "the total of protocol fees"),
    )


def _reserve(amount: int) -> int:
    if amount < 0:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the pool does not account for that much")
    return as_u64(amount, "the reserve after the swap")


def _balance(amount: int) -> int:
    if amount < 0:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the vault does not hold that much")
    return as_u64(amount, "the vault's balance after the swap")


def _fees(pool: DammV2Pool, terms: Terms, trade: Trade, lp_fee: int, protocol_fee: int) -> tuple[Fee, ...]:
    mint_in, mint_out = pool.mints if terms.a_to_b else pool.mints[::-1]
    fee_mint = mint_in if terms.fee_on_input else mint_out
    parts = (
        (FeeKind.LP, fee_mint, lp_fee),
        (FeeKind.PROTOCOL, fee_mint, protocol_fee),
        (FeeKind.TRANSFER_IN, mint_in, trade.paid - trade.arrived_in),
        (FeeKind.TRANSFER_OUT, mint_out, trade.sent_out - trade.received),
    )
    return tuple(Fee(kind, mint, amount) for kind, mint, amount in parts if amount)
