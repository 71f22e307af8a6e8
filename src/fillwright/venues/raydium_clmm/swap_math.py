"""One swap step: from one price towards the next initialised tick's, inside constant liquidity.

Pure integers; every division names its rounding. Rules: raydium-clmm `libraries/swap_math.rs`
(`compute_swap_step`), `libraries/sqrt_price_math.rs`, `libraries/liquidity_math.rs`.
"""

from __future__ import annotations

from typing import NamedTuple

from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.integers import ceil_div, mul_div_down, mul_div_up
from fillwright.venues.raydium_clmm.layout import FEE_DENOMINATOR


class Step(NamedTuple):
    """Where a step ends. `amount_in` is without `fee`; both are paid in the input token."""

    sqrt_price: int
    amount_in: int
    amount_out: int
    fee: int


def compute_step(
    sqrt_price: int, target: int, liquidity: int, remaining: int, fee_rate: int, *, exact_in: bool, zero_for_one: bool
) -> Step:
    """The step from `sqrt_price` towards `target` with `remaining` input (fee included) or output left.

    Raises QuoteRefused `arithmetic` where an amount leaves its 64 bits.
    """
    if exact_in:
        usable = mul_div_down(remaining, FEE_DENOMINATOR - fee_rate, FEE_DENOMINATOR)
        needed = input_between(sqrt_price, target, liquidity, zero_for_one=zero_for_one)
        if needed <= U64_MAX and usable >= needed:
            reached = target
        else:
            reached = price_after_input(sqrt_price, liquidity, usable, zero_for_one=zero_for_one)
    else:
        available = output_between(sqrt_price, target, liquidity, zero_for_one=zero_for_one)
        if available <= U64_MAX and remaining >= available:
            reached = target
        else:
            reached = price_after_output(sqrt_price, liquidity, remaining, zero_for_one=zero_for_one)
    if (reached < target) if zero_for_one else (reached > target):
        raise QuoteRefused(Refusal.ARITHMETIC, "a step overshoots its target price")
    amount_in = input_between(sqrt_price, reached, liquidity, zero_for_one=zero_for_one)
    amount_out = output_between(sqrt_price, reached, liquidity, zero_for_one=zero_for_one)
    if amount_in > U64_MAX or amount_out > U64_MAX:
        raise QuoteRefused(Refusal.ARITHMETIC, "the amounts of one step exceed 2^64 - 1")
    if not exact_in and amount_out > remaining:
        amount_out = remaining
    if exact_in and reached != target:
        # What rounding leaves of the input is a fee.
        fee = remaining - amount_in
    else:
        fee = mul_div_up(amount_in, fee_rate, FEE_DENOMINATOR - fee_rate)
    if fee > U64_MAX:
        raise QuoteRefused(Refusal.ARITHMETIC, "the fee of one step exceeds 2^64 - 1")
    return Step(reached, amount_in, amount_out, fee)


def input_between(start: int, end: int, liquidity: int, *, zero_for_one: bool) -> int:
    """The input that moves the price from `start` to `end`, rounded up; not bounded to 64 bits."""
    if zero_for_one:
        return amount_0(end, start, liquidity, round_up=True)
    return amount_1(start, end, liquidity, round_up=True)


def output_between(start: int, end: int, liquidity: int, *, zero_for_one: bool) -> int:
    """The output that moving the price from `start` to `end` frees, rounded down; not bounded to 64 bits."""
    if zero_for_one:
        return amount_1(end, start, liquidity, round_up=False)
    return amount_0(start, end, liquidity, round_up=False)


def amount_0(lower: int, upper: int, liquidity: int, *, round_up: bool) -> int:
    """Δx = L · 2^64 · (√P_upper - √P_lower) / (√P_upper · √P_lower).

    Rule: `get_delta_amount_0_unsigned`; dividing by both prices in turn rounds as dividing by their product.
    """
    numerator, denominator = (liquidity << 64) * (upper - lower), upper * lower
    return ceil_div(numerator, denominator) if round_up else numerator // denominator


def amount_1(lower: int, upper: int, liquidity: int, *, round_up: bool) -> int:
    """Δy = L · (√P_upper - √P_lower) / 2^64. Rule: `get_delta_amount_1_unsigned`."""
    product = liquidity * (upper - lower)
    return -(-product >> 64) if round_up else product >> 64


def price_after_input(sqrt_price: int, liquidity: int, amount: int, *, zero_for_one: bool) -> int:
    """√P after `amount` (fee taken off) went in: never beyond what it pays for.

    zero for one: ⌈L · √P / (L + Δx · √P)⌉; one for zero: √P + ⌊Δy / L⌋.
    Rule: `get_next_sqrt_price_from_input`.
    """
    if zero_for_one:
        scaled = liquidity << 64
        return ceil_div(scaled * sqrt_price, scaled + amount * sqrt_price)
    return sqrt_price + (amount << 64) // liquidity


def price_after_output(sqrt_price: int, liquidity: int, amount: int, *, zero_for_one: bool) -> int:
    """√P after `amount` came out: always at least as far as it takes.

    zero for one: √P - ⌈Δy / L⌉; one for zero: ⌈L · √P / (L - Δx · √P)⌉.
    Raises QuoteRefused `arithmetic` where the liquidity does not hold that much.
    Rule: `get_next_sqrt_price_from_output`.
    """
    if zero_for_one:
        return sqrt_price - ceil_div(amount << 64, liquidity)
    scaled = liquidity << 64
    denominator = scaled - amount * sqrt_price
    if denominator <= 0:
        raise QuoteRefused(Refusal.ARITHMETIC, "more output than the liquidity can ever give")
    return ceil_div(scaled * sqrt_price, denominator)
