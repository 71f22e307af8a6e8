"""Prices at ticks and ticks at prices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fillwright.venues.raydium_clmm.tick_math import (
    MAX_SQRT_PRICE,
    MAX_TICK,
    MIN_SQRT_PRICE,
    MIN_TICK,
    Q64,
    sqrt_price_at,
    tick_at,
)

ticks = st.integers(MIN_TICK, MAX_TICK)


def by_logarithm(sqrt_price: int) -> int:
    """The program's own way: 16 bits of a binary logarithm, then one comparison."""
    highest = sqrt_price.bit_length() - 1
    fraction, bit = 0, 1 << 63
    mantissa = sqrt_price >> highest - 63 if highest >= 64 else sqrt_price << 63 - highest
    for _ in range(16):
        mantissa *= mantissa
        above_two = mantissa >> 127
        mantissa >>= 63 + above_two
        fraction += bit * above_two
        bit >>= 1
    logarithm = (((highest - 64) << 32) + (fraction >> 32)) * 59_543_866_431_248
    low, high = (logarithm - 184_467_440_737_095_516) >> 64, (logarithm + 15_793_534_762_490_258_745) >> 64
    return low if low == high or sqrt_price_at(high) > sqrt_price else high


@pytest.mark.parametrize(("tick", "sqrt_price"), [(MIN_TICK, MIN_SQRT_PRICE), (0, Q64), (MAX_TICK, MAX_SQRT_PRICE)])
def test_the_price_at_a_landmark_is_the_programs(tick: int, sqrt_price: int) -> None:
    assert sqrt_price_at(tick) == sqrt_price


@given(ticks)
def test_a_price_is_near_its_definition(tick: int) -> None:
    assert sqrt_price_at(tick) / Q64 == pytest.approx(1.0001 ** (tick / 2), rel=1e-7)


@given(st.integers(MIN_TICK, MAX_TICK - 1))
def test_prices_rise_with_ticks(tick: int) -> None:
    assert sqrt_price_at(tick) < sqrt_price_at(tick + 1)


@given(st.integers(MIN_TICK, MAX_TICK - 1), st.integers(-3, 3))
def test_the_tick_at_a_price_is_the_greatest_below_it(tick: int, beside: int) -> None:
    sqrt_price = max(MIN_SQRT_PRICE, min(MAX_SQRT_PRICE - 1, sqrt_price_at(tick) + beside))
    found = tick_at(sqrt_price)
    assert sqrt_price_at(found) <= sqrt_price < sqrt_price_at(found + 1)
    assert found == by_logarithm(sqrt_price)


@given(st.integers(MIN_SQRT_PRICE, MAX_SQRT_PRICE - 1), st.integers(0, 64))
def test_the_tick_at_any_price_is_the_programs(sqrt_price: int, shift: int) -> None:
    sqrt_price = max(MIN_SQRT_PRICE, sqrt_price >> shift)
    assert tick_at(sqrt_price) == by_logarithm(sqrt_price)
