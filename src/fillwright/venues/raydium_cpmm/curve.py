"""The CPMM curve: bare reserves, rates and an amount in; amounts and fees out, in exact integers.

Rule: raydium-cp-swap `curve/calculator.rs` CurveCalculator with `curve/fees.rs` and
`curve/constant_product.rs`. Knows no accounts, transfer fees or clock.
"""

from __future__ import annotations

import msgspec

from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.integers import ceil_div

FEE_DENOMINATOR = 1_000_000


class Rates(msgspec.Struct, frozen=True):
    """Fee rates in millionths: trade and creator of an amount, protocol and fund of the trade fee."""

    trade: int
    protocol: int
    fund: int
    creator: int
    creator_on_input: bool

    @property
    def on_input(self) -> int:
        """What is taken of the input: one rate, and one rounding, for both fees where both are on it."""
        return self.trade + self.creator if self.creator_on_input else self.trade


class CurveSwap(msgspec.Struct, frozen=True):
    """One swap on the curve. `trade_fee` includes the protocol's and the fund's parts of it.

    `creator_fee` is in the input token where the rates say so, else in the output token, on top of
    `amount_out`.
    """

    amount_in: int
    amount_out: int
    trade_fee: int
    protocol_fee: int
    fund_fee: int
    creator_fee: int


def swap_exact_in(amount_in: int, reserve_in: int, reserve_out: int, rates: Rates) -> CurveSwap:
    """Swap `amount_in` base units, fees included. Fees round up, the output down.

    Source: CurveCalculator::swap_base_input. Raises QuoteRefused where the program fails or gives nothing.
    """
    _check(amount_in, reserve_in, reserve_out, rates)
    taken = ceil_div(amount_in * rates.on_input, FEE_DENOMINATOR)
    net = amount_in - taken
    if net <= 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "the fee takes the whole amount")
    swapped = net * reserve_out // (reserve_in + net)  # down
    creator_fee = 0 if rates.creator_on_input else ceil_div(swapped * rates.creator, FEE_DENOMINATOR)
    amount_out = swapped - creator_fee
    if amount_out <= 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "the amount buys nothing")
    return _with_fees(amount_in, amount_out, taken, creator_fee, rates)


def swap_exact_out(amount_out: int, reserve_in: int, reserve_out: int, rates: Rates) -> CurveSwap:
    """Swap for `amount_out` base units, fees taken. The input, and each step towards it, rounds up.

    Source: CurveCalculator::swap_base_output. Raises QuoteRefused where the program fails.
    """
    _check(amount_out, reserve_in, reserve_out, rates)
    swapped = amount_out if rates.creator_on_input else _before_fee(amount_out, rates.creator)
    if swapped >= reserve_out:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the pool holds less than the output asked for")
    net = ceil_div(reserve_in * swapped, reserve_out - swapped)
    amount_in = _before_fee(net, rates.on_input)
    if amount_in > U64_MAX:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "the input exceeds 2^64 - 1")
    return _with_fees(amount_in, amount_out, amount_in - net, swapped - amount_out, rates)


def _check(amount: int, reserve_in: int, reserve_out: int, rates: Rates) -> None:
    if amount <= 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "an amount must be greater than zero")
    if amount > U64_MAX:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "an amount is at most 2^64 - 1 base units")
    if reserve_in <= 0 or reserve_out <= 0:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the pool is empty")
    if rates.on_input == 0 and rates.creator_on_input:
        # Fees::split_creator_fee divides by the sum of both rates and gives up where it is zero.
        raise QuoteRefused(Refusal.ARITHMETIC, "the program can't split a fee of rate zero")


def _before_fee(net: int, rate: int) -> int:
    """The smallest amount that leaves `net` after a fee of `rate`, rounded up. Source: calculate_pre_fee_amount."""
    if rate >= FEE_DENOMINATOR:
        raise QuoteRefused(Refusal.ARITHMETIC, "a fee of 100 % leaves nothing")
    return ceil_div(net * FEE_DENOMINATOR, FEE_DENOMINATOR - rate)


def _with_fees(amount_in: int, amount_out: int, taken: int, creator_on_output: int, rates: Rates) -> CurveSwap:
    """Split `taken`, the fees on the input. The creator's, protocol's and fund's parts round down."""
    creator_fee = taken * rates.creator // rates.on_input if rates.creator_on_input else creator_on_output
    trade_fee = taken - creator_fee if rates.creator_on_input else taken
    return CurveSwap(
        amount_in=amount_in,
        amount_out=amount_out,
        trade_fee=trade_fee,
        protocol_fee=trade_fee * rates.protocol // FEE_DENOMINATOR,
        fund_fee=trade_fee * rates.fund // FEE_DENOMINATOR,
        creator_fee=creator_fee,
    )
