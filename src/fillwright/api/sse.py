"""Server-sent events of one order: `GET /v1/orders/{id}/events/stream`.

The first event is `snapshot` (a wire.OrderView, without an id); then every event after `from_seq` or
Last-Event-ID, named by its type, its sequence as id, a wire.EventView as data; the stream ends after the
order's terminal event. A stream that ends before is to be resumed. Comments keep an idle connection alive.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from fillwright import wire
from fillwright.api import views
from fillwright.api.auth import Gate
from fillwright.api.events import Encoded, Target
from fillwright.api.feed import Feed
from fillwright.api.ids import parse_order_id
from fillwright.api.outbox import Message, Outbox, ReaderTooSlow
from fillwright.api.problems import InvalidParameter
from fillwright.api.services import Services
from fillwright.api.streams import Hub
from fillwright.config import Scope as KeyScope
from fillwright.domain.errors import NotFound
from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import Order

MAX_SEQUENCE_CHARS = 18
_HEARTBEAT: Message = {"type": "http.response.body", "body": b": heartbeat\n\n", "more_body": True}
_END: Message = {"type": "http.response.body", "body": b"", "more_body": False}
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class EventStreamEndpoint:
    """The ASGI application of the stream's path. Raises FillwrightError before the response has started."""

    def __init__(self, services: Services, hub: Hub, gate: Gate) -> None:
        self._services = services
        self._hub = hub
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        principal = self._gate.admit(scope["headers"], scope.get("client"), KeyScope.READ)
        order_id = parse_order_id(request.path_params["order_id"])
        resumed = request.headers.get("last-event-id")
        start = _start(request.query_params, resumed)
        order = await self._services.store.get(order_id)
        if order is None or order.spec.account != principal.account:
            raise NotFound("no such order")
        if start > self._hub.last and start > await self._services.store.last_sequence():
            name = "from_seq" if resumed is None else "Last-Event-ID"
            raise InvalidParameter("sequence_unknown", "there is no event with this sequence yet", name)
        if resumed is not None and order.status in TERMINAL and await self._seen_all(order, start):
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send(_END)
            return
        await self._stream(order, start, receive, send)

    async def _seen_all(self, order: Order, start: int) -> bool:
        """Whether the order's last event has been seen: 204 tells a browser not to come again."""
        last = await self._services.store.events(order.id, order.version - 1, 1)
        return bool(last) and last[0].sequence <= start

    async def _stream(self, order: Order, start: int, receive: Receive, send: Send) -> None:
        stream = _Stream(self._services, self._hub, send)
        self._hub.enter(stream.feed, "sse")
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await stream.run(order, start, receive)
        finally:
            self._hub.leave(stream.feed, "sse", stream.feed.targets)


class _Stream:
    def __init__(self, services: Services, hub: Hub, send: Send) -> None:
        self._services = services
        self._hub = hub
        self._over = asyncio.Event()
        self._outbox = Outbox(send, services.settings.stream_buffer_events, self._over.set)
        self.feed = Feed(hub, self._outbox, render=self._event, beat=lambda _: _HEARTBEAT, end=self._over.set)

    async def run(self, order: Order, start: int, receive: Receive) -> None:
        """Send the snapshot, the replay and the live events until the order or the connection ends."""
        leaving = asyncio.create_task(_disconnected(receive))
        over = asyncio.create_task(self._over.wait())
        try:
            view = views.order_view(order, self._services.mode, self._services.market.tokens)
            self._outbox.push(_chunk(b"event: snapshot\ndata: %s\n\n" % wire.encode(view)))
            try:
                await self.feed.subscribe(Target(order.spec.account, "order", order.id), start)
            except ReaderTooSlow:
                self._over.set()
            if order.status in TERMINAL:
                self._over.set()
            await asyncio.wait({leaving, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone = leaving.done()
            leaving.cancel()
            over.cancel()
            await asyncio.gather(leaving, over, return_exceptions=True)
            if self._outbox.dropped:
                self._hub.note_dropped("sse")
            if gone:
                await self._outbox.abandon()
            else:
                await self._outbox.finish(_END)

    def _event(self, encoded: Encoded) -> Message:
        if encoded.terminal:
            self._over.set()
        return _chunk(encoded.sse)


def _chunk(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(query: QueryParams, resumed: str | None) -> int:
    """The sequence to start after: a resumed stream goes on where it was. Raises InvalidParameter `field_type`."""
    found: list[int] = []
    for name, text in (("Last-Event-ID", resumed), ("from_seq", query.get("from_seq"))):
        if text is None:
            continue
        if not (text.isascii() and text.isdigit() and len(text) <= MAX_SEQUENCE_CHARS):
            raise InvalidParameter("field_type", "this must be the sequence number of an event", name)
        found.append(int(text))
    return found[0] if found else 0
