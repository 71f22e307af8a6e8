"""Amounts of tokens: exact integers of base units that carry their mint.

Parsing is strict: a decimal string in ASCII digits, no sign, no exponent, no spaces, no leading
zeros, no more decimals than the token has. Nothing here ever touches a float.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal
from enum import StrEnum
from fractions import Fraction
from functools import cache

import msgspec

from fillwright.domain.accounts import Mint
from fillwright.domain.errors import InvalidInput

U64_MAX = 2**64 - 1
MAX_AMOUNT_CHARS = 64
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)


class SwapMode(StrEnum):
    """Which side of a swap is fixed."""

    EXACT_IN = "exact_in"
    EXACT_OUT = "exact_out"


class Amount(msgspec.Struct, frozen=True, order=False):
    """`units` base units of `mint`. Adding or comparing amounts of different mints raises ValueError."""

    mint: Mint
    units: int

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.mint, self.units + self._same(other))

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.mint, self.units - self._same(other))

    def __lt__(self, other: Amount) -> bool:
        return self.units < self._same(other)

    def __le__(self, other: Amount) -> bool:
        return self.units <= self._same(other)

    def __gt__(self, other: Amount) -> bool:
        return self.units > self._same(other)

    def __ge__(self, other: Amount) -> bool:
        return self.units >= self._same(other)

    def _same(self, other: Amount) -> int:
        if other.mint != self.mint:
            raise ValueError(f"amounts of different mints: {self.mint} and {other.mint}")
        return other.units


def parse_decimal(text: str, decimals: int, *, pointer: str = "/amount") -> int:
    """Base units of the decimal string `text` for a token of `decimals` decimals.

    Raises InvalidInput `amount_format`, `amount_not_positive` or `amount_overflow`.
    """
    if len(text) > MAX_AMOUNT_CHARS or _DECIMAL.fullmatch(text) is None:
        raise InvalidInput("amount_format", 'an amount is a plain decimal string such as "1.5"', pointer=pointer)
    whole, _, fraction = text.partition(".")
    if len(fraction) > decimals:
        raise InvalidInput("amount_format", f"this token has {decimals} decimals", pointer=pointer)
    return _bounded(int(whole + fraction.ljust(decimals, "0")), pointer)


def parse_base_units(text: str, *, pointer: str = "/amount") -> int:
    """Base units of an integer string. Raises InvalidInput as `parse_decimal` does."""
    return parse_decimal(text, 0, pointer=pointer)


def parse_price(text: str, *, pointer: str) -> Fraction:
    """A price, a plain decimal string. Raises InvalidInput `amount_format`, `amount_not_positive`."""
    if len(text) > MAX_AMOUNT_CHARS or _DECIMAL.fullmatch(text) is None:
        raise InvalidInput("amount_format", 'a price is a plain decimal string such as "149.5"', pointer=pointer)
    price = Fraction(text)
    if price <= 0:
        raise InvalidInput("amount_not_positive", "a price must be greater than zero", pointer=pointer)
    return price


def _bounded(units: int, pointer: str) -> int:
    if units <= 0:
        raise InvalidInput("amount_not_positive", "an amount must be greater than zero", pointer=pointer)
    if units > U64_MAX:
        raise InvalidInput("amount_overflow", "an amount is at most 2^64 - 1 base units", pointer=pointer)
    return units


def format_units(units: int, decimals: int) -> str:
    """`units` as a decimal string without trailing zeros: exact, never rounded."""
    if units < 0:
        return "-" + format_units(-units, decimals)
    if decimals == 0:
        return str(units)
    digits = str(units).zfill(decimals + 1)
    fraction = digits[-decimals:].rstrip("0")
    return f"{digits[:-decimals]}.{fraction}" if fraction else digits[:-decimals]


def format_ratio(ratio: Fraction, significant: int = 12) -> str:
    """`ratio` (not negative) as a plain decimal string of `significant` digits, rounded half to even."""
    return format_quotient(ratio.numerator, ratio.denominator, significant)


def format_quotient(numerator: int, denominator: int, significant: int = 12) -> str:
    """numerator / denominator (not negative), as `format_ratio` does."""
    value = _context(significant).divide(Decimal(numerator), Decimal(denominator))
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@cache
def _context(significant: int) -> Context:
    """Making a context costs as much as the division."""
    return Context(prec=significant)
