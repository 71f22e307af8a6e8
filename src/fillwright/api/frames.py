"""WebSocket frames that are made once and written as they are, many at a time.

An extension of ASGI: where the scope names EXTENSION, a `websocket.send` may carry `frames`, whole text frames
one after another, in place of `text`. A frame is then encoded once for all its readers, and a batch costs one
pass through the server's layers. Must not: be used by a client's side, whose frames are masked.
"""

from __future__ import annotations

import struct
from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

EXTENSION = "fillwright.frames"
_FINAL_TEXT = 0x81
_TWO_BYTES, _EIGHT_BYTES = 126, 127


def text_frame(payload: bytes) -> bytes:
    """`payload`, UTF-8, as one unmasked text frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < _TWO_BYTES:
        return struct.pack("!BB", _FINAL_TEXT, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", _FINAL_TEXT, _TWO_BYTES, size) + payload
    return struct.pack("!BBQ", _FINAL_TEXT, _EIGHT_BYTES, size) + payload


class FrameProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol with the extension. Compression must be off."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"][EXTENSION] = {}
            # With any other limit the loop collects what is written until its turn ends, and an event waits for that.
            self.transport.set_write_buffer_limits(high=0)

    async def send(self, message: Any) -> None:
        frames = message.get("frames")
        if frames is None:
            await super().send(message)
            return
        await self.writable.wait()
        if self.disconnected or self.close_sent or self.conn.state is not State.OPEN:
            raise ClientDisconnected
        self.transport.write(frames)
