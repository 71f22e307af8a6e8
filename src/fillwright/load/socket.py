"""A WebSocket that knows when each message arrived, which may be a while before its reader gets to it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode


class TimedSocket(ClientConnection):
    """Read by `messages` alone."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._now_ms = 0.0
        self._arrived_ms: deque[float] = deque()

    async def messages(self) -> AsyncIterator[tuple[str | bytes, float]]:
        """Each text message, and when it arrived in milliseconds since the epoch, until the connection ends."""
        async for message in self:
            yield message, self._arrived_ms.popleft()

    def data_received(self, data: bytes) -> None:
        self._now_ms = time.time() * 1000
        super().data_received(data)

    def process_event(self, event: Any) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
            self._arrived_ms.append(self._now_ms)
        super().process_event(event)
