"""The two exchange functions: one range of concentrated liquidity, and a constant product.

In: reserves or (liquidity, √prices) and an amount without the pool's fee; out: the other amount and, for the
range, the next √price. √prices are Q64.64; liquidity is √(a·b) · 2⁶⁴. Must not: know fees.

Rules: cp-amm `liquidity_handler/concentrated_liquidity.rs` and `compounding_liquidity.rs`. Outputs round down,
inputs up, the next price against the trader.
"""

from __future__ import annotations

from math import isqrt

from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.integers import ceil_div, mul_div_down, mul_div_up
from fillwright.venues.meteora_damm_v2.checked import as_u64, as_u128, divisor


def range_output(
    a_to_b: bool, liquidity: int, sqrt_price: int, bounds: tuple[int, int], amount_in: int
) -> tuple[int, int]:
    """(output, next √price) of `amount_in`. Raises QuoteRefused `liquidity_exhausted` beyond the range."""
    if a_to_b:
        next_price = mul_div_up(liquidity, sqrt_price, liquidity + amount_in * sqrt_price)
        _above(next_price, bounds[0])
        output = liquidity * (sqrt_price - next_price) >> 128
    else:
        next_price = as_u128(sqrt_price + (amount_in << 128) // liquidity, "the next price")
        _below(next_price, bounds[1])
        output = mul_div_down(liquidity, next_price - sqrt_price, sqrt_price * next_price)
    return as_u64(output, "the output"), next_price


def range_input(
    a_to_b: bool, liquidity: int, sqrt_price: int, bounds: tuple[int, int], amount_out: int
) -> tuple[int, int]:
    """(input, next √price) for `amount_out`. Raises QuoteRefused `liquidity_exhausted` beyond the range."""
    if a_to_b:
        next_price = sqrt_price - ceil_div(amount_out << 128, liquidity)
        _above(next_price, bounds[0])
        product = divisor(next_price * sqrt_price, "a price of zero")
        amount_in = mul_div_up(liquidity, sqrt_price - next_price, product)
    else:
        remaining = liquidity - amount_out * sqrt_price
        if remaining <= 0:
            raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the pool does not hold that much of token A")
        next_price = as_u128(mul_div_up(liquidity, sqrt_price, remaining), "the next price")
        _below(next_price, bounds[1])
        amount_in = -(-liquidity * (next_price - sqrt_price) >> 128)
    return as_u64(amount_in, "the input"), next_price


def range_reserves(liquidity: int, sqrt_price: int, bounds: tuple[int, int]) -> tuple[int, int]:
    """The (A, B) amounts that the range holds at `sqrt_price`, rounded up. Raises QuoteRefused `arithmetic`."""
    low, high = bounds
    above = as_u128(high - sqrt_price, "a price above its range")
    below = as_u128(sqrt_price - low, "a price below its range")
    amount_a = mul_div_up(liquidity, above, divisor(sqrt_price * high, "a price of zero"))
    amount_b = -(-liquidity * below >> 128)
    return as_u64(amount_a, "the reserve of token A"), as_u64(amount_b, "the reserve of token B")


def product_output(reserve_in: int, reserve_out: int, amount_in: int) -> int:
    """reserve_out · in / (reserve_in + in), rounded down. Raises QuoteRefused `arithmetic`."""
    total = divisor(as_u64(reserve_in + amount_in, "the reserve after the swap"), "an empty reserve")
    return mul_div_down(reserve_out, amount_in, total)


def product_input(reserve_in: int, reserve_out: int, amount_out: int) -> int:
    """reserve_in · out / (reserve_out − out), rounded up. Raises QuoteRefused `liquidity_exhausted`."""
    if amount_out >= reserve_out:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the pool does not hold that much")
    return as_u64(mul_div_up(reserve_in, amount_out, reserve_out - amount_out), "the input")


def product_sqrt_price(reserve_a: int, reserve_b: int) -> int:
    """√(B / A) in Q64.64, rounded down twice. Raises QuoteRefused `arithmetic`."""
    return isqrt((reserve_b << 128) // divisor(reserve_a, "an empty reserve"))


def _above(next_price: int, bound: int) -> None:
    if next_price < bound:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the swap would leave the pool's price range")


def _below(next_price: int, bound: int) -> None:
    if next_price > bound:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the swap would leave the pool's price range")
