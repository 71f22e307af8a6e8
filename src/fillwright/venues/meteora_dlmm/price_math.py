"""Amounts at a bin's price: 64.64 fixed point, every division with its rounding. Integers only."""

from __future__ import annotations

SCALE_BITS = 64
ONE = 1 << SCALE_BITS
BPS = 10_000


def amount_out_at(amount_in: int, price: int, x_to_y: bool) -> int:
    """What `amount_in` buys at `price`, rounded down (lb_clmm `Bin::get_amount_out`)."""
    return amount_in * price >> SCALE_BITS if x_to_y else (amount_in << SCALE_BITS) // price


def amount_in_for(amount_out: int, price: int, x_to_y: bool) -> int:
    """What `amount_out` costs at `price`, rounded up (lb_clmm `Bin::get_amount_in`)."""
    return -((-amount_out << SCALE_BITS) // price) if x_to_y else -(-amount_out * price >> SCALE_BITS)
