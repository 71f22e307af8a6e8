"""A WebSocket that follows all events of a running engine, and checks them as they come.

In: where the engine listens. Out: which orders have ended and how, latencies, and each broken promise. A connection
that ends is followed by another, which goes on after the last event: nothing may be missing or come twice then either.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import msgspec

from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import OrderStatus
from fillwright.load.wire import LoadError, target

if TYPE_CHECKING:
    from fillwright.load.generator import Load
    from fillwright.load.socket import TimedSocket

SETTLE_LIMIT_S = 120.0
"""How long accepted orders may take to end after the last was sent."""
RESUME_PAUSE_S = 0.2


class Event(msgspec.Struct):
    """The part of an event that is checked."""

    order_id: str
    status: OrderStatus
    number: int
    sequence: int
    at: str


class Frame(msgspec.Struct):
    op: str
    event: Event | None = None
    from_seq: int | None = None


decode_frame = msgspec.json.Decoder(Frame).decode


@asynccontextmanager
async def watching(load: Load) -> AsyncIterator[Watcher]:
    """Follow all events until the block ends. Raises LoadError, OSError where that can't be begun."""
    watcher = Watcher()
    following = asyncio.create_task(_follow(load, watcher, await _subscribe(load, watcher)))
    try:
        yield watcher
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


_Messages = AsyncIterator[tuple[str | bytes, float]]


async def _follow(load: Load, watcher: Watcher, opened: tuple[TimedSocket, _Messages]) -> None:
    """For ever: on this connection, and on others after it."""
    from websockets.exceptions import ConnectionClosed

    while True:
        socket, messages = opened
        try:
            await watcher.read(messages)
        except ConnectionClosed:
            pass
        finally:
            await socket.close()
        watcher.resumed += 1
        while True:
            await asyncio.sleep(RESUME_PAUSE_S)
            try:
                opened = await _subscribe(load, watcher)
            except (OSError, LoadError):
                continue
            break


async def _subscribe(load: Load, watcher: Watcher) -> tuple[TimedSocket, _Messages]:
    """A connection that gets all events after the last one seen. Raises LoadError, OSError."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus, WebSocketException

    from fillwright.load.socket import TimedSocket

    headers = {} if load.api_key is None else {"Authorization": f"Bearer {load.api_key}"}
    try:
        opened = await connect(
            target(load.url).stream_url, additional_headers=headers, compression=None, max_size=None, max_queue=None,
            proxy=None, create_connection=TimedSocket,
        )  # fmt: skip
        socket = cast("TimedSocket", opened)
        resume = {} if watcher.sequence is None else {"from_seq": watcher.sequence}
        await socket.send(msgspec.json.encode({"op": "subscribe", "all": True, **resume}).decode())
        messages = socket.messages()
        answer = decode_frame((await anext(messages))[0])
    except InvalidStatus as error:
        status = error.response.status_code
        hint = ": give --api-key, with the scopes read and trade" if status in (401, 403) else ""
        raise LoadError(f"the stream of events was refused with {status}{hint}") from None
    except (WebSocketException, StopAsyncIteration, msgspec.MsgspecError):
        raise LoadError("what answers there is no engine") from None
    if answer.op != "subscribed":
        await socket.close()
        raise LoadError("the engine refused to tell of all events")
    if watcher.sequence is None:
        watcher.sequence = answer.from_seq
    return socket, messages


class Watcher:
    """Reads the stream of all orders and checks its order as it goes."""

    def __init__(self) -> None:
        self.events = 0
        self.done: set[str] = set()
        self.statuses: dict[str, str] = {}
        self.end_ms: dict[str, float] = {}
        self.lag_ms: list[float] = []
        self.violations: list[str] = []
        self._first_ms: dict[str, float] = {}
        self._numbers: dict[str, int] = {}
        self._joined: dict[str, int] = {}
        """The first event seen of each order: others' orders may have begun before this did."""
        self.resumed = 0
        """How often its connection ended and another went on."""
        self.sequence: int | None = None
        """Of the last event: where another connection goes on."""
        self._moved = asyncio.Event()
        self._awaited: dict[str, asyncio.Future[None]] = {}

    async def read(self, messages: _Messages) -> None:
        """Take each message, with when it arrived in milliseconds since the epoch."""
        async for text, arrived_ms in messages:
            frame = decode_frame(text)
            if frame.event is not None:
                self._take(frame.event, arrived_ms)

    def _take(self, event: Event, now_ms: float) -> None:
        at_ms = _epoch_ms(event.at)
        self.events += 1
        self.lag_ms.append(max(0.0, now_ms - at_ms))
        if self.sequence is not None and event.sequence <= self.sequence:
            self.violations.append(f"sequence {event.sequence} after {self.sequence}")
        self.sequence = event.sequence
        last = self._numbers.get(event.order_id)
        if last is None:
            self._joined[event.order_id] = event.number
            self._first_ms[event.order_id] = at_ms
        elif event.number != last + 1:
            self.violations.append(f"{event.order_id}: event {event.number} out of turn")
        self._numbers[event.order_id] = event.number
        if event.status in TERMINAL:
            self.done.add(event.order_id)
            self.statuses[event.order_id] = str(event.status)
            self.end_ms[event.order_id] = at_ms - self._first_ms.get(event.order_id, at_ms)
            self._moved.set()
            awaited = self._awaited.pop(event.order_id, None)
            if awaited is not None:
                awaited.set_result(None)

    def beheaded(self, orders: set[str]) -> list[str]:
        """Of these orders, those whose first events have not come, as violations."""
        found = sorted(order_id for order_id in orders if self._joined.get(order_id, 1) != 1)
        return [f"{order_id}: its events began at {self._joined[order_id]}" for order_id in found]

    async def end_of(self, order_id: str) -> None:
        """Wait for one order, for a bounded time. One caller an order."""
        if order_id not in self.done:
            self._awaited[order_id] = asyncio.get_running_loop().create_future()
            await asyncio.wait({self._awaited[order_id]}, timeout=SETTLE_LIMIT_S)

    async def ended(self, orders: set[str]) -> None:
        while not orders <= self.done:
            self._moved.clear()
            await self._moved.wait()


def _epoch_ms(at: str) -> float:
    """Milliseconds since the epoch of `YYYY-MM-DDTHH:MM:SS.mmmZ`."""
    day = _DAYS.get(at[:10])
    if day is None:
        day = _DAYS[at[:10]] = time.mktime(time.strptime(at[:10], "%Y-%m-%d")) - time.timezone
    return (day + int(at[11:13]) * 3600 + int(at[14:16]) * 60 + int(at[17:19])) * 1000 + int(at[20:23])


_DAYS: dict[str, float] = {}
