"""The WebSocket `/v1/stream`: clients subscribe, events are pushed.

In: wire.ClientFrame as text. Out: wire.ServerFrame. A frame that makes no sense is answered with an error
frame, the fifth one closes with 1008; a frame over 16 KiB closes with 1009, a reader that is too slow with
1013, after which it can resume from the last sequence that it saw. Frames of one socket are handled in turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.types import Receive, Scope, Send

from fillwright import observe, wire
from fillwright.api import parsing, views
from fillwright.api.auth import Gate, Principal, check_origin
from fillwright.api.events import Encoded, Target
from fillwright.api.feed import Feed
from fillwright.api.frames import EXTENSION
from fillwright.api.ids import order_id_field
from fillwright.api.orders import wallet_field
from fillwright.api.outbox import Message, Outbox, ReaderTooSlow
from fillwright.api.problems import deny
from fillwright.api.services import Services
from fillwright.api.streams import Hub
from fillwright.config import Scope as KeyScope
from fillwright.domain.errors import FillwrightError, InvalidInput, NotFound
from fillwright.domain.orders import OrderId

MAX_FRAME_BYTES = 16_384
MAX_ERRORS = 5
MAX_WAITING_FRAMES = 16
"""Frames that are read ahead while one is being handled."""
MAX_SUBSCRIPTIONS = 1_000
MAX_SEQUENCE = 2**63 - 1

GOING_AWAY, POLICY, TOO_BIG, TRY_AGAIN = 1001, 1008, 1009, 1013

_TARGET_FIELDS: dict[str, parsing.Read] = {
    "op": parsing.text,
    "order_id": order_id_field,
    "wallet": wallet_field,
    "all": parsing.flag,
}
_FIELDS: dict[str, dict[str, parsing.Read]] = {
    "subscribe": {**_TARGET_FIELDS, "from_seq": parsing.bounded(0, MAX_SEQUENCE)},
    "unsubscribe": _TARGET_FIELDS,
    "ping": {"op": parsing.text},
}


class StreamEndpoint:
    """The ASGI application of the socket's path."""

    def __init__(self, services: Services, hub: Hub, gate: Gate) -> None:
        self._services = services
        self._hub = hub
        self._gate = gate
        self._join = _Joiner()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        socket: _Socket | None = None
        try:
            check_origin(dict(scope["headers"]), self._services.settings)
            principal = self._gate.admit(scope["headers"], scope.get("client"), KeyScope.READ)
            join = self._join if EXTENSION in scope.get("extensions", ()) else None
            socket = _Socket(self._services, self._hub, principal, send, join)
            self._hub.enter(socket.feed, "ws")
        except FillwrightError as error:
            await deny(error, self._services.mode, send)
            return
        try:
            await send({"type": "websocket.accept"})
            await socket.run(receive)
        finally:
            self._hub.leave(socket.feed, "ws", socket.feed.targets)


class _Socket:
    def __init__(self, services: Services, hub: Hub, principal: Principal, send: Send, join: _Joiner | None) -> None:
        self._services = services
        self._hub = hub
        self._principal = principal
        self._mode = services.mode
        self._errors = 0
        self._frames: asyncio.Queue[str | None] = asyncio.Queue(MAX_WAITING_FRAMES)
        self._over = asyncio.Event()
        self._code: int | None = None
        self._outbox = Outbox(send, services.settings.stream_buffer_events, self._over.set)
        self.feed = Feed(
            hub,
            self._outbox,
            render=_event,
            join=join,
            beat=self._heartbeat,
            end=lambda: self._close(GOING_AWAY),
        )

    async def run(self, receive: Receive) -> None:
        """Serve until the client leaves, or is given up."""
        tasks = (
            asyncio.create_task(self._read(receive)),
            asyncio.create_task(self._handle_all()),
            asyncio.create_task(self._over.wait()),
        )
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(ended, Exception) and not isinstance(ended, ReaderTooSlow):
                    observe.unexpected_error("stream", ended)
            await self._leave()

    async def _leave(self) -> None:
        if self._outbox.dropped:
            self._hub.note_dropped("ws")
            await self._outbox.finish({"type": "websocket.close", "code": TRY_AGAIN, "reason": "too slow: resume"})
        elif self._code is not None:
            await self._outbox.finish({"type": "websocket.close", "code": self._code})
        else:
            await self._outbox.abandon()

    def _close(self, code: int) -> None:
        self._code = code
        self._over.set()

    async def _read(self, receive: Receive) -> None:
        """Read on while frames are being handled, so that a client that leaves in the middle is noticed."""
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            text, data = message.get("text"), message.get("bytes")
            if len(text or data or "") > MAX_FRAME_BYTES:
                self._close(TOO_BIG)
                return
            await self._frames.put(text)

    async def _handle_all(self) -> None:
        while self._code is None:
            text = await self._frames.get()
            try:
                await self._handle(text)
            except FillwrightError as error:
                self._complain(error)

    async def _handle(self, text: str | None) -> None:
        if text is None:
            raise InvalidInput("binary_frame", "frames are text")
        frame = parsing.parse_json(text)
        op = frame.get("op") if isinstance(frame, dict) else None
        fields = _FIELDS.get(op) if isinstance(op, str) else None
        if fields is None:
            raise InvalidInput("unknown_op", "op is subscribe, unsubscribe or ping", pointer="/op")
        await self._do(str(op), parsing.read_fields(frame, fields, ()))

    async def _do(self, op: str, fields: dict[str, Any]) -> None:
        if op == "ping":
            self._outbox.push(self._heartbeat(self._hub.last))
            return
        target = self._target(fields)
        if op == "subscribe":
            await self._subscribe(target, fields.get("from_seq"))
        elif self.feed.unsubscribe(target):
            self._push(wire.Unsubscribed(mode=self._mode, **_named(target)))
        else:
            raise NotFound("no such subscription", code="not_subscribed")

    def _target(self, fields: dict[str, Any]) -> Target:
        account = self._principal.account
        named = [name for name in ("order_id", "wallet", "all") if name in fields]
        if len(named) != 1 or fields.get("all") is False:
            raise InvalidInput("target_invalid", "give one of order_id, wallet and all: true")
        if "order_id" in fields:
            return Target(account, "order", fields["order_id"])
        if "wallet" in fields:
            return Target(account, "wallet", fields["wallet"])
        return Target(account, "all")

    async def _subscribe(self, target: Target, from_seq: object) -> None:
        if self.feed.follows(target):
            raise InvalidInput("already_subscribed", "unsubscribe first to start again")
        if len(self.feed.targets) >= MAX_SUBSCRIPTIONS:
            raise InvalidInput("too_many_subscriptions", f"a socket has at most {MAX_SUBSCRIPTIONS}")
        order = None
        if target.kind == "order":
            order = await self._order_view(OrderId(target.value))
        start = from_seq if isinstance(from_seq, int) else 0 if target.kind == "order" else self._hub.last
        if start > self._hub.last and start > await self._services.store.last_sequence():
            raise InvalidInput("sequence_unknown", "there is no event with this sequence yet", pointer="/from_seq")
        self._push(wire.Subscribed(mode=self._mode, from_seq=start, order=order, **_named(target)))
        await self.feed.subscribe(target, start)

    async def _order_view(self, order_id: OrderId) -> wire.OrderView:
        order = await self._services.store.get(order_id)
        if order is None or order.spec.account != self._principal.account:
            raise NotFound("no such order")
        return views.order_view(order, self._mode, self._services.market.tokens)

    def _complain(self, error: FillwrightError) -> None:
        self._push(wire.StreamError(mode=self._mode, code=error.code, message=error.message))
        if isinstance(error, InvalidInput):
            self._errors += 1
            if self._errors >= MAX_ERRORS:
                self._close(POLICY)

    def _heartbeat(self, sequence: int) -> Message:
        now = views.rfc3339(self._services.clock.now_ms())
        return _text(wire.Heartbeat(mode=self._mode, at=now, sequence=sequence))

    def _push(self, frame: wire.ServerFrame) -> None:
        self._outbox.push(_text(frame))


def _event(encoded: Encoded) -> Message:
    return {"type": "websocket.send", "text": encoded.text}


class _Joiner:
    """One message of several events; made once for all sockets that are given the same list, one after another."""

    def __init__(self) -> None:
        self._batch: Sequence[Encoded] = ()
        self._message: Message = {}

    def __call__(self, batch: Sequence[Encoded]) -> Message:
        if batch is not self._batch:
            frames = b"".join([encoded.frame for encoded in batch])
            self._batch, self._message = batch, {"type": "websocket.send", "frames": frames}
        return self._message


def _text(frame: wire.ServerFrame) -> Message:
    return {"type": "websocket.send", "text": wire.encode(frame).decode()}


def _named(target: Target) -> dict[str, Any]:
    match target.kind:
        case "order":
            return {"order_id": target.value}
        case "wallet":
            return {"wallet": target.value}
        case _:
            return {"all": True}
