"""The dialects' orders over HTTP: create, create and queue, execute later, read, history, lists, quote.

In: requests of any dialect. Out: answers in the dialect of the request, or of the order that is read. One intake
behind all of them, the canonical API's own.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fillwright import observe
from fillwright.api.auth import Gate
from fillwright.api.compat import listing, shapes
from fillwright.api.compat.access import Door
from fillwright.api.compat.answers import answering, json_response
from fillwright.api.compat.dialects import D002, D003, D004, DIALECTS, STEPS, Dialect, preferred, recognise
from fillwright.api.compat.facts import Facts
from fillwright.api.compat.ids import order_id_of
from fillwright.api.compat.numbers import decode_object, number
from fillwright.api.compat.progress import shown, steps_of
from fillwright.api.compat.requests import quote_spec, spec_of
from fillwright.api.compat.waiting import Ended
from fillwright.api.parsing import read_body
from fillwright.api.services import Services
from fillwright.api.streams import Hub
from fillwright.config import Scope
from fillwright.domain.errors import Conflict, InvalidInput, NotFound, Unavailable
from fillwright.domain.lifecycle import begin
from fillwright.domain.orders import Order, OrderEvent, OrderId, OrderStatus
from fillwright.routing.route import Decision

EVENT_BATCH = 500
_READABLE = {"002": D002, "003": D003, "004": D004}
"""Dialects that have `GET /api/orders/{id}`."""


class Orders:
    """The handlers, each a request to a response."""

    def __init__(self, services: Services, hub: Hub, gate: Gate, door: Door) -> None:
        self._services = services
        self._hub = hub
        self._gate = gate
        self._door = door

    def routes(self) -> list[BaseRoute]:
        """In the order in which they must be tried."""
        table = (
            ("/api/orders/execute", self.execute, "POST"),
            ("/api/orders/quote", self.quote, "POST"),
            ("/api/orders/user/{wallet:path}", self.of_wallet, "GET"),
            ("/api/orders/{order_id}/execute", self.release, "POST"),
            ("/api/orders/{order_id}/history", self.history, "GET"),
            ("/api/orders/{order_id}", self.read, "GET"),
            ("/api/orders", self.create, "POST"),
            ("/api/orders", self.page, "GET"),
        )
        return [Route(path, answering(handler), methods=[method]) for path, handler, method in table]

    async def execute(self, request: Request) -> Response:
        """Accept an order and queue it."""
        order, dialect = await self._accept(request, hold=False)
        return json_response(shapes.accepted(order, dialect), dialect.created_status)

    async def create(self, request: Request) -> Response:
        """004: accept an order that waits to be told to go."""
        order, _ = await self._accept(request, hold=True)
        request.state.dialect = D004
        data = shapes.order_004(Facts(order, self._services.market.tokens))
        return json_response({"success": True, "data": data}, D004.created_status)

    async def release(self, request: Request) -> Response:
        """004: execute a waiting order and answer when it has ended. Exactly one of many callers is let through."""
        request.state.dialect = D004
        account = self._account(request, Scope.TRADE)
        order = await self._find(request, account)
        try:
            ended = Ended(self._hub, account, order.id)
            with ended:
                await self._services.intake.release(order.id, account)
                await ended.wait(self._patience_s())
        except Conflict as error:
            raise InvalidInput("not_pending", await self._not_pending(order.id), status=400) from error
        current = await self._services.store.get(order.id) or order
        data = shapes.order_004(Facts(current, self._services.market.tokens))
        return json_response({"success": True, "data": data})

    async def read(self, request: Request) -> Response:
        """One order, in the dialect it came in."""
        order = await self._find(request, self._account(request, Scope.READ))
        dialect = self._shown_in(request, order)
        return json_response(shapes.order(Facts(order, self._services.market.tokens), dialect))

    async def history(self, request: Request) -> Response:
        """002: every step so far, oldest first."""
        request.state.dialect = request.state.dialect or D002
        order = await self._find(request, self._account(request, Scope.READ))
        steps = shown(steps_of(await self._events(order.id)), asking=True)
        return json_response([shapes.history_entry(step, self._services.market.tokens) for step in steps])

    async def page(self, request: Request) -> Response:
        """002 and 003: a bare array, newest first."""
        dialect: Dialect | None = request.state.dialect or preferred(self._services.settings)
        request.state.dialect = dialect
        query = request.query_params
        defaults = dialect or (D003 if "offset" in query or "status" in query else D002)
        window = listing.window(query, defaults)
        statuses = listing.statuses(query)
        account = self._account(request, Scope.READ)
        found = await listing.fetch(self._services.store, account, window, statuses)
        tokens = self._services.market.tokens
        return json_response([shapes.row(Facts(order, tokens), dialect) for order in found])

    async def of_wallet(self, request: Request) -> Response:
        """004: a wallet's orders, newest first."""
        request.state.dialect = D004
        wallet = str(request.path_params["wallet"]).strip()
        limit = listing.strict_limit(request.query_params, D004)
        account = self._account(request, Scope.READ)
        found = await listing.fetch(self._services.store, account, listing.Window(limit, 0), None, wallet=wallet)
        data = [shapes.order_004(Facts(order, self._services.market.tokens)) for order in found]
        return json_response({"success": True, "data": data, "count": len(data)})

    async def quote(self, request: Request) -> Response:
        """003: what routing would decide now."""
        request.state.dialect = D003
        account = self._account(request, Scope.READ)
        fields = decode_object(await self._body(request))
        spec = quote_spec(fields, self._services, account)
        decision = await self._decide(spec)
        if decision.route is None:
            why = decision.problem.message if decision.problem is not None else "no route"
            raise InvalidInput("no_route", why, status=400)
        now_ms = self._services.clock.now_ms()
        asked = Order(OrderId(""), spec, OrderStatus.PENDING, 0, now_ms, now_ms, route=decision.route)
        sent = (spec.dialect_fields["input"], spec.dialect_fields["output"], number(fields["amount"]))
        facts = Facts(asked, self._services.market.tokens)
        return json_response(shapes.quote_answer(facts, sent, now_ms))  # type: ignore[arg-type]

    async def _accept(self, request: Request, *, hold: bool) -> tuple[Order, Dialect]:
        services = self._services
        principal = self._door.admit(request.scope["headers"], request.scope.get("client"), Scope.TRADE)
        fields = decode_object(await self._body(request))
        dialect = recognise(fields, request.headers, services.settings) or (D004 if hold else None)
        request.state.dialect = dialect
        if dialect is None:
            raise InvalidInput("field_required", D003.missing)
        spec = spec_of(fields, dialect, services, principal.account, hold=hold)
        await self._gate.count_order(principal)
        order = await services.intake.submit(spec)
        observe.order_accepted(order.id)
        return order, dialect

    async def _body(self, request: Request) -> bytes:
        return await read_body(request.receive, dict(request.scope["headers"]), self._services.settings.max_body_bytes)

    def _account(self, request: Request, scope: Scope) -> str:
        return self._door.admit(request.scope["headers"], request.scope.get("client"), scope).account

    async def _find(self, request: Request, account: str) -> Order:
        """The caller's order. Raises NotFound, the same for whatever is no order of the caller's."""
        known = order_id_of(request.path_params["order_id"])
        order = await self._services.store.get(known) if known is not None else None
        if order is None or order.spec.account != account:
            raise NotFound("Order not found")
        return order

    def _shown_in(self, request: Request, order: Order) -> Dialect | None:
        if request.state.dialect is not None:
            return DIALECTS[request.state.dialect.id]
        return _READABLE.get(order.spec.dialect) or preferred(self._services.settings)

    async def _events(self, order_id: OrderId) -> list[OrderEvent]:
        found: list[OrderEvent] = []
        while batch := await self._services.store.events(order_id, found[-1].number if found else 0, EVENT_BATCH):
            found += batch
            if len(batch) < EVENT_BATCH:
                break
        return found

    async def _not_pending(self, order_id: OrderId) -> str:
        """Why an order can't be told to go. One that was queued when it came needs no telling."""
        events = await self._events(order_id)
        order = await self._services.store.get(order_id)
        status = STEPS[order.status] if order is not None else "unknown"
        if status == "pending":
            status = "queued" if begin(events[0]).status is OrderStatus.PENDING else "routing"
        return f"Order {order_id} is not in pending status (current: {status})"

    def _patience_s(self) -> float:
        """How long a synchronous execution is waited for: the time for execution, and to see its end."""
        settings = self._services.settings
        return settings.execution_timeout_s + settings.quote_timeout_s

    async def _decide(self, spec: object) -> Decision:
        try:
            async with asyncio.timeout(self._services.settings.quote_timeout_s):
                return await self._services.intake.quote(spec)  # type: ignore[arg-type]
        except TimeoutError:
            raise Unavailable("the venues did not answer in time", code="quote_timeout") from None
