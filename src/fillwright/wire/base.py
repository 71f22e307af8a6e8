"""What several shapes are made of, and the encoder."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

MODE_HEADER = "Fillwright-Mode"
PROBLEM_TYPE = "application/problem+json"
_DECIMAL = r"^(0|[1-9][0-9]*)(\.[0-9]+)?$"
TokenText = Annotated[str, Meta(min_length=1, max_length=64, description="A mint's address, or a symbol.")]
DecimalText = Annotated[str, Meta(pattern=_DECIMAL, max_length=64, description="Whole tokens, as a decimal string.")]
UnitsText = Annotated[
    str, Meta(pattern=r"^(0|[1-9][0-9]*)$", max_length=64, description="Base units, as an integer string.")
]
AddressText = Annotated[str, Meta(pattern=r"^[1-9A-HJ-NP-Za-km-z]{32,44}$")]
TimeText = Annotated[str, Meta(min_length=20, max_length=35, extra_json_schema={"format": "date-time"})]


class TokenRef(Struct, frozen=True):
    """A token inside another answer. `symbol` is "" for a mint that the pinned list does not name."""

    mint: str
    symbol: str
    decimals: int


class ErrorView(Struct, frozen=True):
    """Why an order, an attempt or a quote came to nothing. `code` is stable."""

    code: str
    message: str


class FeeView(Struct, frozen=True):
    """What the wallet pays and does not get back, already contained in the quoted amounts."""

    kind: str
    mint: str
    symbol: str
    amount: str
    amount_units: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457. `code` is stable; `pointer` is a JSON pointer into the request's body, `parameter` the name of
    a query or path parameter."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    mode: str
    pointer: str | None = None
    parameter: str | None = None
    retry_after_s: int | None = None


T = TypeVar("T")
encode = msgspec.json.Encoder().encode
"""A shape as JSON bytes."""


def decode(data: bytes | str, shape: type[T]) -> T:
    """The shape that the JSON `data` holds. Raises msgspec.DecodeError, msgspec.ValidationError."""
    return msgspec.json.decode(data, type=shape)
