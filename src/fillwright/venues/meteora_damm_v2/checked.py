"""The program's integer widths: a value that would not fit makes its checked arithmetic fail.

In: integers of any size; out: the same integers, or a refusal. Must not wrap silently.
"""

from __future__ import annotations

from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import QuoteRefused, Refusal

U128_MAX = 2**128 - 1
U256_MAX = 2**256 - 1


def within(value: int, maximum: int, what: str) -> int:
    """`value` where 0 <= value <= maximum, as cp-amm's `SafeMath` and `SafeCast`. Raises QuoteRefused `arithmetic`."""
    if 0 <= value <= maximum:
        return value
    raise QuoteRefused(Refusal.ARITHMETIC, f"the program's arithmetic fails: {what}")


def as_u64(value: int, what: str) -> int:
    """`value` as the program's u64. Raises QuoteRefused `arithmetic`."""
    return within(value, U64_MAX, what)


def as_u128(value: int, what: str) -> int:
    """`value` as the program's u128. Raises QuoteRefused `arithmetic`."""
    return within(value, U128_MAX, what)


def divisor(value: int, what: str) -> int:
    """`value` unless it is 0, by which the program can't divide. Raises QuoteRefused `arithmetic`."""
    if value:
        return value
    raise QuoteRefused(Refusal.ARITHMETIC, f"the program divides by zero: {what}")
