"""Subscriptions over one node's WebSocket, kept alive: every one is made again after a cut.

In: what to subscribe to. Out: each notification's `result`, raw; and a call whenever notifications may have been
missed, so that the subscriber reads the state again. Must not: be the only source of anything that matters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import msgspec

from fillwright.ports import Clock

FIRST_RETRY_S = 0.25
MAX_RETRY_S = 10.0
MAX_SUBSCRIPTIONS = 20_000
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
PING_S = 10.0

OnMessage = Callable[[msgspec.Raw], None]
OnGap = Callable[[], None]


class _Notice(msgspec.Struct):
    subscription: int
    result: msgspec.Raw


class _Frame(msgspec.Struct):
    id: int | None = None
    result: Any = None
    error: Any = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"")


_encode = msgspec.json.Encoder().encode
_frame = msgspec.json.Decoder(_Frame).decode
_notice = msgspec.json.Decoder(_Notice).decode


class Subscription:
    """`close` ends it; afterwards nothing of it is called any more."""

    def __init__(
        self, stream: Stream, method: str, params: Sequence[object], on_message: OnMessage, on_gap: OnGap
    ) -> None:
        self.method = method
        self.params = params
        self.on_message = on_message
        self.on_gap = on_gap
        self.remote_id: int | None = None
        self._stream = stream

    def close(self) -> None:
        self._stream.forget(self)


class Stream:
    """One WebSocket. `open` starts it; until it is connected, and after every cut, it tries again for ever, with
    waits of at most MAX_RETRY_S."""

    def __init__(self, url: str, clock: Clock, *, name: str = "stream") -> None:
        self.name = name
        self.connections = 0
        self._url = url
        self._clock = clock
        self._subscriptions: dict[Subscription, None] = {}
        self._by_remote: dict[int, Subscription] = {}
        self._asked: dict[int, Subscription] = {}
        self._next_id = 0
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue(MAX_SUBSCRIPTIONS * 2)
        self._connected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        return self._connected.is_set()

    async def open(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"{self.name}-websocket")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def subscribe(
        self, method: str, params: Sequence[object], on_message: OnMessage, on_gap: OnGap = lambda: None
    ) -> Subscription:
        """Follow `method` (such as `accountSubscribe`). `on_gap` is called once it is in force, at first and after
        every cut: what changed before then was not told. Raises ValueError beyond MAX_SUBSCRIPTIONS."""
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise ValueError(f"more than {MAX_SUBSCRIPTIONS} subscriptions on one socket")
        subscription = Subscription(self, method, params, on_message, on_gap)
        self._subscriptions[subscription] = None
        if self.is_connected:
            self._ask(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription, None)
        remote_id, subscription.remote_id = subscription.remote_id, None
        if remote_id is not None:
            self._by_remote.pop(remote_id, None)
            self._unsubscribe(subscription, remote_id)

    async def _run(self) -> None:
        failures = 0
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=MAX_RETRY_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                before = self.connections
                try:
                    await self._connection(session)
                except (TimeoutError, aiohttp.ClientError, OSError, msgspec.MsgspecError, RecursionError):
                    # Whatever broke the socket, the cure is the same: a new one, and a gap for everyone.
                    failures = 0 if self.connections > before else failures + 1
                else:
                    failures = 0
                await self._clock.sleep(min(MAX_RETRY_S, FIRST_RETRY_S * 2 ** min(failures, 16)))

    async def _connection(self, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(
            self._url, heartbeat=PING_S, max_msg_size=MAX_MESSAGE_BYTES, compress=0, autoping=True
        ) as socket:
            self._outbox = asyncio.Queue(MAX_SUBSCRIPTIONS * 2)
            self.connections += 1
            self._connected.set()
            for subscription in self._subscriptions:
                self._ask(subscription)
            writer = asyncio.create_task(self._write(socket))
            try:
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    self._receive(message.data)
            finally:
                self._connected.clear()
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)
                self._forget_remote_ids()

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await socket.send_str((await self._outbox.get()).decode())

    def _receive(self, text: str) -> None:
        frame = _frame(text)
        if frame.method is not None:
            notice = _notice(frame.params)
            subscription = self._by_remote.get(notice.subscription)
            if subscription is not None:
                subscription.on_message(notice.result)
            return
        asked = self._asked.pop(frame.id, None) if frame.id is not None else None
        if asked is None or not isinstance(frame.result, int) or isinstance(frame.result, bool):
            return
        if asked not in self._subscriptions:
            self._unsubscribe(asked, frame.result)
            return
        asked.remote_id = frame.result
        self._by_remote[frame.result] = asked
        asked.on_gap()

    def _ask(self, subscription: Subscription) -> None:
        self._next_id += 1
        self._asked[self._next_id] = subscription
        self._put(self._next_id, subscription.method, subscription.params)

    def _unsubscribe(self, subscription: Subscription, remote_id: int) -> None:
        self._next_id += 1
        self._put(self._next_id, subscription.method.replace("Subscribe", "Unsubscribe"), [remote_id])

    def _put(self, number: int, method: str, params: Sequence[object]) -> None:
        if self.is_connected and not self._outbox.full():
            self._outbox.put_nowait(_encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))

    def _forget_remote_ids(self) -> None:
        self._by_remote.clear()
        self._asked.clear()
        for subscription in self._subscriptions:
            subscription.remote_id = None
