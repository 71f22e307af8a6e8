"""What goes over the signer's socket: frames of four length bytes (big-endian) and JSON. One reply per request."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from fillwright.domain.transactions import SwapPlan

MAX_FRAME_BYTES = 65_536


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`sign` needs `message` and `plan`, `sweep` a `message`, `hello` neither."""

    op: Literal["hello", "sign", "sweep"]
    message: bytes = b""
    plan: SwapPlan | None = None


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """`error` is a SignerRefused code, "" for success. `marker_key`: in the reply to `hello`, the secret behind the
    orders' marker accounts, which every engine of this key must share, and `lookup_tables`, those that its policy
    allows."""

    wallet: str = ""
    mode: str = ""
    halted: bool = False
    signature: bytes = b""
    marker_key: bytes = b""
    lookup_tables: tuple[str, ...] = ()
    error: str = ""
    reason: str = ""


class FrameTooLong(Exception):
    """The peer does not speak this protocol."""


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Raises asyncio.IncompleteReadError at the end, FrameTooLong."""
    length = int.from_bytes(await reader.readexactly(4), "big")
    if not 0 < length <= MAX_FRAME_BYTES:
        raise FrameTooLong
    return await reader.readexactly(length)


def frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body
