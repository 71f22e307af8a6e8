"""Ticks and square root prices: √P = 1.0001^(tick / 2) in Q64.64.

Integers in, the program's own integers out: rounding errors of its bit-by-bit product included.
Rules: raydium-clmm `libraries/tick_math.rs`.
"""

from __future__ import annotations

import math
from functools import lru_cache

MIN_TICK = -443_636
MAX_TICK = 443_636
MIN_SQRT_PRICE = 4_295_048_016
MAX_SQRT_PRICE = 79_226_673_521_066_979_257_578_248_091
"""The Q64.64 prices at `MIN_TICK` and `MAX_TICK`."""

Q64 = 1 << 64
U128_MAX = 2**128 - 1

_CACHED_TICKS = 65_536

# 2^64 / 1.0001^(2^i / 2) for i = 0..18, with the program's own precision.
_FACTORS = (
    0xFFFCB933BD6FB800,
    0xFFF97272373D4000,
    0xFFF2E50F5F657000,
    0xFFE5CACA7E10F000,
    0xFFCB9843D60F7000,
    0xFF973B41FA98E800,
    0xFF2EA16466C9B000,
    0xFE5DEE046A9A3800,
    0xFCBE86C7900BB000,
    0xF987A7253AC65800,
    0xF3392B0822BB6000,
    0xE7159475A2CAF000,
    0xD097F3BDFD2F2000,
    0xA9F746462D9F8000,
    0x70D869A156F31C00,
    0x31BE135F97ED3200,
    0x9AA508B5B85A500,
    0x5D6AF8DEDC582C,
    0x2216E584F5FA,
)
_LOG_OF_TICK = math.log(1.0001) / 2


@lru_cache(maxsize=_CACHED_TICKS)
def sqrt_price_at(tick: int) -> int:
    """√P at `tick` in Q64.64, each multiplication rounded down. `tick` is within MIN_TICK..MAX_TICK.

    Rule: `get_sqrt_price_at_tick`: the product is for -|tick|; positive ticks take (2^128 - 1) / product.
    """
    left = -tick if tick < 0 else tick
    ratio = Q64
    for factor in _FACTORS:
        if left & 1:
            ratio = ratio * factor >> 64
        left >>= 1
        if not left:
            break
    return U128_MAX // ratio if tick > 0 else ratio


def tick_at(sqrt_price: int) -> int:
    """The greatest tick whose √P is at most `sqrt_price`, for MIN_SQRT_PRICE <= `sqrt_price` < MAX_SQRT_PRICE.

    Rule: `get_tick_at_sqrt_price`. The float only guesses; the integers decide.
    """
    guess = math.floor(math.log(sqrt_price / Q64) / _LOG_OF_TICK)
    tick = min(max(guess, MIN_TICK), MAX_TICK - 1)
    while sqrt_price_at(tick) > sqrt_price:
        tick -= 1
    while sqrt_price_at(tick + 1) <= sqrt_price:
        tick += 1
    return tick
