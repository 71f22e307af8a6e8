"""One reader's way out: messages sent at once while the socket takes them, queued within a bound when not.

Sending is stepped by hand: as long as the socket's buffer has room, the server's `send` finishes without
waiting, and no task is needed. The first message that has to wait gets a task, which then drains what was
queued behind it. A reader whose queue is full is dropped; nobody else notices it.
"""

from __future__ import annotations

import asyncio
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator, MutableMapping
from typing import Any

from starlette.types import Send

Message = MutableMapping[str, Any]

ROOM_TIMEOUT_S = 30.0
"""How long a replay waits for a reader that takes nothing."""
REPLAY_MESSAGES = 50
"""How many messages a replay may be ahead of its reader: unlike live ones they are encoded for it alone."""
CLOSE_TIMEOUT_S = 30.0
"""How long the last message waits for a dropped reader to read on."""

_CONNECTION_ENDED = (OSError, RuntimeError)
"""What a server's `send` raises once its connection has ended, or is about to."""


class ReaderTooSlow(Exception):
    """The reader has been dropped."""


class Outbox:
    """`on_lost` is called once, when the reader is dropped or gone."""

    def __init__(self, send: Send, capacity: int, on_lost: Callable[[], None]) -> None:
        self.dropped = False
        """The reader was too slow."""
        self.gone = False
        """The connection has ended."""
        self._send = send
        self._capacity = capacity
        self._roomy = min(capacity // 2, REPLAY_MESSAGES)
        self._on_lost = on_lost
        self._queue: deque[tuple[Message, int]] = deque()
        self._queued = 0
        self._writer: asyncio.Task[None] | None = None
        self._room = asyncio.Event()

    @property
    def busy(self) -> bool:
        """Whether messages are waiting for the reader."""
        return self._writer is not None

    @property
    def lost(self) -> bool:
        return self.dropped or self.gone

    def push(self, message: Message, size: int = 1) -> None:
        """Send `message` after all before it. Never waits; drops a reader whose queue is full.

        `size`: how many of the capacity's places it takes; one that holds several events takes as many.
        """
        if self.lost:
            return
        if self._writer is None:
            self._step(message)
        elif self._queued + size <= self._capacity:
            self._queue.append((message, size))
            self._queued += size
        else:
            self.drop()

    async def put(self, message: Message, size: int = 1) -> None:
        """As `push`, but waits for room first. Raises ReaderTooSlow."""
        while not self.lost and self._writer is not None and self._queued > self._roomy:
            self._room.clear()
            try:
                async with asyncio.timeout(ROOM_TIMEOUT_S):
                    await self._room.wait()
            except TimeoutError:
                self.drop()
        if self.lost:
            raise ReaderTooSlow
        self.push(message, size)

    def drop(self) -> None:
        """Give the reader up as too slow: what is queued is not sent; it can resume elsewhere."""
        if not self.lost:
            self.dropped = True
            self._lose()

    async def finish(self, last: Message) -> None:
        """Send what is queued and then `last`, waiting a bounded time for a reader that is stuck."""
        if not self.gone:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    if self._writer is not None:
                        await asyncio.shield(self._writer)
                    if not self.gone:
                        await self._send(last)
            except (TimeoutError, *_CONNECTION_ENDED):
                self.gone = True
        await self.abandon()

    async def abandon(self) -> None:
        """Stop sending at once."""
        self.gone = True
        self._clear()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    def _step(self, message: Message) -> None:
        sending = self._send(message)
        if not isinstance(sending, Coroutine):
            raise TypeError("an ASGI server's send must be a coroutine function")
        try:
            waits_for = sending.send(None)
        except StopIteration:
            return
        except _CONNECTION_ENDED:
            self._vanish()
            return
        self._writer = asyncio.get_running_loop().create_task(self._drain(sending, waits_for))

    async def _drain(self, sending: Coroutine[Any, Any, None], waits_for: object) -> None:
        try:
            await _resumed(sending, waits_for)
            while self._queue:
                message, size = self._queue.popleft()
                self._queued -= size
                if self._queued <= self._roomy:
                    self._room.set()
                await self._send(message)
        except _CONNECTION_ENDED:
            self._vanish()
        finally:
            self._writer = None
            self._room.set()

    def _vanish(self) -> None:
        if not self.lost:
            self._lose()
        self.gone = True

    def _clear(self) -> None:
        self._queue.clear()
        self._queued = 0

    def _lose(self) -> None:
        self._clear()
        self._room.set()
        self._on_lost()


@types.coroutine
def _resumed(sending: Coroutine[Any, Any, None], waits_for: object) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was stepped once and then waited for `waits_for`."""
    try:
        while True:
            try:
                answer = yield waits_for
            except BaseException as error:  # noqa: BLE001 - whatever is thrown in belongs to the inner coroutine
                waits_for = sending.throw(error)
            else:
                waits_for = sending.send(answer)
    except StopIteration:
        return
