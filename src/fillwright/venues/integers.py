"""Integer division with its rounding in the name. Arguments are non-negative."""

from __future__ import annotations


def ceil_div(numerator: int, denominator: int) -> int:
    """numerator / denominator, rounded up."""
    return -(-numerator // denominator)


def mul_div_down(a: int, b: int, denominator: int) -> int:
    """a · b / denominator, rounded down."""
    return a * b // denominator


def mul_div_up(a: int, b: int, denominator: int) -> int:
    """a · b / denominator, rounded up."""
    return -(-a * b // denominator)
