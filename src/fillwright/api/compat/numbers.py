"""JSON numbers, exactly: text -> Decimal -> base units, and back.

In: a request's body. Out: values whose numbers are int or Decimal, read from the JSON text itself; bytes whose
numbers are JSON numbers. No float is ever made of an amount.
"""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

import msgspec

from fillwright.api import parsing
from fillwright.domain.amounts import U64_MAX, format_units
from fillwright.domain.errors import InvalidInput

MAX_MAGNITUDE = 40
"""No amount of any token has a first digit this many places from the decimal point."""

_encode = msgspec.json.Encoder(decimal_format="number").encode


def encode(value: object) -> bytes:
    """JSON in which a Decimal is a number."""
    return _encode(value)


def decode_object(body: bytes) -> dict[str, object]:
    """The JSON object that `body` holds, read as strictly as the canonical API reads.

    Raises InvalidInput 400 `json_invalid`, or `field_type` where it holds no object.
    """
    parsing.parse_json(body)
    value = json.loads(body, parse_float=Decimal)
    if not isinstance(value, dict):
        raise InvalidInput("field_type", "The body must be a JSON object")
    return value


def number(value: object) -> Decimal | None:
    """`value` as an exact number; None for anything but a JSON number of a sensible magnitude."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    exact = Decimal(value)
    if exact and not -MAX_MAGNITUDE <= exact.adjusted() <= MAX_MAGNITUDE:
        return Decimal("0e0") if exact.adjusted() < 0 else None
    return exact


def units_of(value: Decimal, decimals: int, *, round_up: bool = False) -> int:
    """Base units of a whole-token amount. What the token is too coarse for is rounded towards zero, or up.

    Raises InvalidInput `amount_overflow`.
    """
    scaled = Fraction(value) * 10**decimals
    units: int = -(-scaled.numerator // scaled.denominator) if round_up else scaled.numerator // scaled.denominator
    if units > U64_MAX:
        raise InvalidInput("amount_overflow", "Amount is too large")
    return units


def whole(units: int, decimals: int) -> Decimal:
    """Base units as an exact number of whole tokens."""
    return Decimal(format_units(units, decimals))


def ratio(numerator: int, denominator: int, places: int) -> Decimal:
    """numerator/denominator to `places` decimals, half to even; 0 where the denominator is."""
    if not denominator:
        return Decimal(0)
    return Decimal(format_units(round(Fraction(numerator * 10**places, denominator)), places))
