"""Opaque page cursors: the last order of a page, bound to the filter that the page was made with."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b

import msgspec

from fillwright.api.problems import InvalidParameter
from fillwright.domain.orders import OrderId
from fillwright.ports import OrderFilter

MAX_CURSOR_CHARS = 64
_ID_BYTES = 16
_CHECK_BYTES = 8


def encode_cursor(last: OrderId, where: OrderFilter) -> str:
    """A cursor for the page after `last`."""
    raw = bytes.fromhex(last.replace("-", ""))
    return urlsafe_b64encode(raw + _check(raw, where)).decode().rstrip("=")


def decode_cursor(text: str, where: OrderFilter) -> OrderId:
    """The id that `encode_cursor` was given. Raises InvalidParameter `cursor_invalid` for anything else."""
    problem = InvalidParameter("cursor_invalid", "not a cursor of this list: start again without one", "cursor")
    if len(text) > MAX_CURSOR_CHARS or not text.isascii():
        raise problem
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise problem from error
    if len(raw) != _ID_BYTES + _CHECK_BYTES or raw[_ID_BYTES:] != _check(raw[:_ID_BYTES], where):
        raise problem
    digits = raw[:_ID_BYTES].hex()
    return OrderId(f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")


def _check(raw: bytes, where: OrderFilter) -> bytes:
    return blake2b(raw + msgspec.json.encode(where), digest_size=_CHECK_BYTES, person=b"fillwright-page").digest()
