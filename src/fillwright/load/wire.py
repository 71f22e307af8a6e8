"""HTTP as plainly as a load generator needs it: one answer at a time on a connection."""

from __future__ import annotations

import asyncio

from fillwright.domain.errors import FillwrightError


class LoadError(FillwrightError):
    """The engine could not be loaded as asked."""

    code = "load_failed"


async def response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and body of one HTTP/1.1 answer with a content length."""
    head = await reader.readuntil(b"\r\n\r\n")
    lowered = head.lower()
    at = lowered.find(b"content-length:")
    if at < 0:
        raise LoadError("an answer without content length")
    length = int(lowered[at + 15 : lowered.index(b"\r\n", at)])
    return int(head[9:12]), await reader.readexactly(length)
