"""The dialects' WebSockets: each order's steps pushed as they happen, in its dialect's shape, each once.

A reader follows the hub before it reads an order's log, and drops by number what both brought: no gap, no
duplicate, no polling. What clients send is read by 000's socket only.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from fillwright import observe
from fillwright.api import parsing
from fillwright.api.auth import check_origin
from fillwright.api.compat import shapes
from fillwright.api.compat.access import Door
from fillwright.api.compat.dialects import DIALECT_HEADER, DIALECTS, STEPS
from fillwright.api.compat.ids import order_id_of
from fillwright.api.compat.numbers import encode
from fillwright.api.compat.progress import Progress, Step, is_shown
from fillwright.api.events import Encoded, Target
from fillwright.api.outbox import Message, Outbox, ReaderTooSlow
from fillwright.api.problems import deny
from fillwright.api.services import Services
from fillwright.api.streams import Hub
from fillwright.api.ws import MAX_ERRORS, MAX_FRAME_BYTES
from fillwright.config import Scope as KeyScope
from fillwright.domain.errors import FillwrightError, InvalidInput
from fillwright.domain.orders import Order, OrderEvent, OrderId
from fillwright.domain.tokens import TokenList

NORMAL, POLICY, TOO_BIG, TRY_AGAIN = 1000, 1008, 1009, 1013
CLOSE_AFTER_S = 0.1
"""A socket that ends with its order closes so long after the last message."""
MAX_ORDERS = 1_000
"""Orders that one of 000's sockets follows."""
EVENT_BATCH = 500

NOT_FOUND = "Order not found"
Render = Callable[[Step, TokenList], shapes.Shape]


class Style(msgspec.Struct, frozen=True):
    """How a path's socket behaves. `replays`: the whole history first, instead of the state now; `greets`: a
    message between history and news; `asking`, `retries`: see `progress.is_shown`; `closes`: when the order
    has ended."""

    name: str
    render: Render
    replays: bool = False
    greets: bool = False
    asking: bool = False
    retries: bool = False
    closes: bool = False


STYLE_000 = Style("000", shapes.update_000)
STYLE_001 = Style("001", shapes.update_001, retries=True)
STYLE_002 = Style("002", shapes.update_002_003, replays=True, greets=True, asking=True, closes=True)
STYLE_003 = Style("003", shapes.update_002_003, replays=True, closes=True)
STYLE_004 = Style("004", shapes.update_004, closes=True)


class SocketEndpoint:
    """The ASGI application of one path, which has its own kind of conversation."""

    def __init__(self, services: Services, hub: Hub, door: Door, conversation: type[Conversation]) -> None:
        self._services = services
        self._hub = hub
        self._door = door
        self._conversation = conversation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers = dict(scope["headers"])
        try:
            check_origin(headers, self._services.settings)
            principal = self._door.admit(scope["headers"], scope.get("client"), KeyScope.READ)
            socket = self._conversation(self._services, self._hub, principal.account, scope, send)
            self._hub.enter(socket, "ws")
        except FillwrightError as error:
            await deny(error, self._services.mode, send)
            return
        try:
            await send({"type": "websocket.accept"})
            await socket.run(receive)
        finally:
            self._hub.leave(socket, "ws", socket.targets)


class _Track:
    """One order on one socket: `early` holds what the hub brings while the log is being read."""

    def __init__(self, style: Style) -> None:
        self.style = style
        self.progress = Progress()
        self.early: list[OrderEvent] | None = []


class Conversation:
    """One socket: a reader of the hub."""

    def __init__(self, services: Services, hub: Hub, account: str, scope: Scope, send: Send) -> None:
        self.services = services
        self.scope = scope
        self._hub = hub
        self._account = account
        self._tracks: dict[OrderId, _Track] = {}
        self._over = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self._last_call: asyncio.Task[None] | None = None
        self._outbox = Outbox(send, services.settings.stream_buffer_events, self._over.set)

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(self._target(order_id) for order_id in self._tracks)

    def deliver(self, batch: Sequence[Encoded]) -> None:
        for encoded in batch:
            track = self._tracks.get(encoded.event.order_id)
            if track is None:
                continue
            if track.early is not None:
                track.early.append(encoded.event)
                continue
            try:
                self._take(track, encoded.event)
            except Exception as error:  # noqa: BLE001 - an event that can't be shown must end this stream, not all
                observe.unexpected_error("stream", error)
                self._outbox.drop()

    def heartbeat(self) -> None:
        """Nothing: these clients know no heartbeat. The server pings."""

    def end(self) -> None:
        self.close(NORMAL, "Server shutdown")

    async def run(self, receive: Receive) -> None:
        """Serve until the client leaves, the order has ended, or the client is given up."""
        tasks = [asyncio.create_task(work) for work in (self._start(), self._read(receive), self._wait_over())]
        begun, *others = tasks
        try:
            await asyncio.wait({begun, *others}, return_when=asyncio.FIRST_COMPLETED)
            if begun.done() and begun.exception() is None and not any(task.done() for task in others):
                await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self._last_call is not None:
                tasks.append(self._last_call)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for task in tasks:
                _report(task)
            await self._leave()

    async def _wait_over(self) -> None:
        await self._over.wait()

    async def _start(self) -> None:
        try:
            await self._begin()
        except FillwrightError as error:
            observe.stream_fault(error.code)
            self.close(TRY_AGAIN, "try again")

    async def _begin(self) -> None:
        """What is sent before anything is asked for."""

    async def hear(self, text: str) -> None:
        """A client's message. Most dialects' clients have nothing to say."""

    async def find(self, order_id: str) -> Order | None:
        """The caller's order."""
        known = order_id_of(order_id)
        order = await self.services.store.get(known) if known is not None else None
        return order if order is not None and order.spec.account == self._account else None

    async def follow(self, order: Order, style: Style) -> None:
        """Send what the style sends of the order so far, then every step as it happens."""
        track = self._tracks[order.id] = _Track(style)
        self._hub.follow(self, self._target(order.id))
        events = await self._log(order.id)
        steps = [step for event in events for step in track.progress.take(event)]
        await self._tell_past(track, steps)
        early, track.early = track.early or [], None
        if style.closes and steps and steps[-1].is_last:
            self._close_soon()
        for event in early:
            self._take(track, event)

    async def _tell_past(self, track: _Track, steps: list[Step]) -> None:
        style, tokens = track.style, self.services.market.tokens
        if style.replays:
            for step in steps:
                if is_shown(step, asking=style.asking, retries=style.retries):
                    await self._outbox.put(_text(style.render(step, tokens)))
            if style.greets and track.progress.order is not None:
                order = track.progress.order
                now_ms = self.services.clock.now_ms()
                await self._outbox.put(_text(shapes.connected_002(order, STEPS[order.status], now_ms)))
            return
        current = msgspec.structs.replace(steps[-1], order=track.progress.order or steps[-1].order)
        if style is STYLE_000:
            visible = [step for step in steps if is_shown(step)]
            await self._outbox.put(_text(shapes.first_000([*visible[:-1], current], tokens)))
        else:
            await self._outbox.put(_text(style.render(current, tokens)))

    def say(self, shape: shapes.Shape) -> None:
        """Send one message."""
        self._outbox.push(_text(shape))

    def close(self, code: int, reason: str = "") -> None:
        """Close once what is queued has been sent."""
        if self._closing is None:
            self._closing = (code, reason)
        self._over.set()

    def _take(self, track: _Track, event: OrderEvent) -> None:
        style = track.style
        for step in track.progress.take(event):
            if is_shown(step, asking=style.asking, retries=style.retries):
                self.say(style.render(step, self.services.market.tokens))
            if step.is_last and style.closes:
                self._close_soon()

    def _close_soon(self) -> None:
        async def last_call() -> None:
            await self.services.clock.sleep(CLOSE_AFTER_S)
            self.close(NORMAL)

        if self._last_call is None:
            self._last_call = asyncio.get_running_loop().create_task(last_call())

    async def _log(self, order_id: OrderId) -> list[OrderEvent]:
        found: list[OrderEvent] = []
        while batch := await self.services.store.events(order_id, found[-1].number if found else 0, EVENT_BATCH):
            found += batch
            if len(batch) < EVENT_BATCH:
                break
        return found

    async def _read(self, receive: Receive) -> None:
        while self._closing is None:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if len(text or message.get("bytes") or "") > MAX_FRAME_BYTES:
                self.close(TOO_BIG)
            else:
                await self.hear(text or "")

    async def _leave(self) -> None:
        if self._outbox.dropped:
            self._hub.note_dropped("ws")
            await self._outbox.finish({"type": "websocket.close", "code": TRY_AGAIN, "reason": "too slow"})
        elif self._closing is not None:
            code, reason = self._closing
            await self._outbox.finish({"type": "websocket.close", "code": code, "reason": reason})
        else:
            await self._outbox.abandon()

    def follows(self, order_id: OrderId) -> bool:
        return order_id in self._tracks

    @property
    def followed(self) -> int:
        """How many orders the socket follows."""
        return len(self._tracks)

    def _target(self, order_id: OrderId) -> Target:
        return Target(self._account, "order", order_id)


class AskedFor(Conversation):
    """`/api/orders/ws` (000): the client says which orders it wants; the socket stays open."""

    _bad = 0

    async def hear(self, text: str) -> None:
        try:
            asked = parsing.parse_json(text)
            order_id = asked.get("orderId") if isinstance(asked, dict) else None
            if not isinstance(order_id, str):
                raise InvalidInput("field_required", "orderId is missing")
            order = await self.find(order_id)
            if order is None:
                self.say({"orderId": order_id[:64], "error": NOT_FOUND})
            elif not self.follows(order.id) and self.followed >= MAX_ORDERS:
                raise InvalidInput("too_many_subscriptions", "too many orders on one socket")
            elif not self.follows(order.id):
                await self.follow(order, STYLE_000)
        except FillwrightError:
            self.say({"error": "Failed to subscribe to order updates"})
            self._bad += 1
            if self._bad >= MAX_ERRORS:
                self.close(POLICY)


class _OfPath(Conversation, ABC):
    """A socket whose path names its order."""

    @property
    def order_id(self) -> str:
        return str(self.scope["path_params"]["order_id"])

    async def _begin(self) -> None:
        order = await self.find(self.order_id)
        if order is None:
            self.unknown()
        else:
            await self.follow(order, self.style(order))

    @abstractmethod
    def style(self, order: Order) -> Style:
        """How the order's dialect is spoken here."""

    @abstractmethod
    def unknown(self) -> None:
        """Say that there is no such order."""


class Upgrade(_OfPath):
    """`/api/orders/upgrade/{id}` (001): the state on every change; the server does not close."""

    def style(self, order: Order) -> Style:
        return STYLE_001

    def unknown(self) -> None:
        self.say({"status": "pending", "orderId": self.order_id[:64]})


class Shared(_OfPath):
    """`/api/orders/{id}/ws` (002 and 003): replay, then news; closes with the order."""

    def style(self, order: Order) -> Style:
        headers = dict(self.scope["headers"])
        asked = headers.get(DIALECT_HEADER.encode(), b"").decode("latin-1").strip()
        name = asked if asked in DIALECTS else order.spec.dialect or self.services.settings.compat_default_dialect
        return STYLE_003 if name == STYLE_003.name else STYLE_002

    def unknown(self) -> None:
        self.say({"error": NOT_FOUND})
        self.close(POLICY, NOT_FOUND)


class Watch(_OfPath):
    """`/ws/orders/{id}` (004): the state now, then news; closes with the order."""

    def style(self, order: Order) -> Style:
        return STYLE_004

    def unknown(self) -> None:
        self.say({"type": "error", "message": NOT_FOUND})
        self.close(POLICY, NOT_FOUND)


def _text(shape: shapes.Shape) -> Message:
    return {"type": "websocket.send", "text": encode(shape).decode()}


def _report(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, ReaderTooSlow):
        observe.unexpected_error("stream", error)
