"""Bin id to price: 64.64 fixed-point powers with the program's truncations. Integers only."""

from __future__ import annotations

from functools import lru_cache

from fillwright.domain.errors import QuoteRefused, Refusal

SCALE_BITS = 64
ONE = 1 << SCALE_BITS
BPS = 10_000
_U128_MAX = 2**128 - 1
_EXPONENT_BITS = 19


@lru_cache(maxsize=65_536)
def bin_price(bin_id: int, bin_step: int) -> int:
    """Base units of Y for one of X in bin `bin_id`, as a 64.64 number: (1 + bin_step / 10⁴)^bin_id.

    Rounding: each product and quotient is truncated, as lb_clmm `get_price_from_id` and `pow` do.
    Raises QuoteRefused `arithmetic` where the power leaves the program's 128 bits.
    """
    base = ONE + (bin_step << SCALE_BITS) // BPS
    exponent = abs(bin_id)
    if exponent >= 1 << _EXPONENT_BITS:
        raise _overflow()
    if exponent == 0:
        return ONE
    # Powers are taken of the inverse, which stays below one and so within 128 bits when squared.
    inverted = base >= ONE
    factor = _U128_MAX // base if inverted else base
    result = ONE
    for bit in range(_EXPONENT_BITS):
        if exponent >> bit & 1:
            result = result * factor >> SCALE_BITS
        factor = factor * factor >> SCALE_BITS
    if result == 0:
        raise _overflow()
    return _U128_MAX // result if inverted == (bin_id > 0) else result


def amount_out_at(amount_in: int, price: int, x_to_y: bool) -> int:
    """What `amount_in` buys at `price`, rounded down (lb_clmm `Bin::get_amount_out`)."""
    return amount_in * price >> SCALE_BITS if x_to_y else (amount_in << SCALE_BITS) // price


def amount_in_for(amount_out: int, price: int, x_to_y: bool) -> int:
    """What `amount_out` costs at `price`, rounded up (lb_clmm `Bin::get_amount_in`)."""
    return -((-amount_out << SCALE_BITS) // price) if x_to_y else -(-amount_out * price >> SCALE_BITS)


def _overflow() -> QuoteRefused:
    return QuoteRefused(Refusal.ARITHMETIC, "a bin's price leaves 128 bits")
