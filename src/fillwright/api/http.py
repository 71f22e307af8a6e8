"""Orders over HTTP. The two busiest routes are plain ASGI applications with strict parsing; the others are
FastAPI routes. All of them answer with wire shapes, and raise FillwrightError for everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fillwright import observe, wire
from fillwright.api import query, views
from fillwright.api.answers import OrderAnswers
from fillwright.api.auth import Gate, Principal
from fillwright.api.cursor import MAX_CURSOR_CHARS, decode_cursor, encode_cursor
from fillwright.api.decisions import decided, explain_view
from fillwright.api.events import context_of, event_view
from fillwright.api.ids import parse_order_id
from fillwright.api.openapi import answers
from fillwright.api.orders import is_address, parse_order, parse_quote
from fillwright.api.parsing import read_body
from fillwright.api.problems import InvalidParameter
from fillwright.api.query import Whole
from fillwright.api.services import Services
from fillwright.config import Scope as KeyScope
from fillwright.domain.accounts import Mint
from fillwright.domain.errors import InvalidInput, NotFound, Unavailable
from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import Order, OrderEvent, OrderId, OrderSpec, OrderStatus, Routed
from fillwright.domain.tokens import TokenList
from fillwright.execution.explain import explain
from fillwright.ports import OrderFilter
from fillwright.routing.mid import mid_price
from fillwright.routing.route import Decision

JSON = b"application/json"
MAX_EVENTS = 1_000
MAX_EXPLAINED_PAGES = 10

OrderIdText = Annotated[str, Path(description="The order's id, a UUID.", json_schema_extra={"format": "uuid"})]


class PostOrder:
    """`POST /v1/orders`: 202 once the order is durable. A repeated request gives the same order, as it is now."""

    def __init__(self, services: Services, gate: Gate) -> None:
        self._services = services
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services = self._services
        headers = dict(scope["headers"])
        principal = self._gate.admit(scope["headers"], scope.get("client"), KeyScope.TRADE)
        body = await read_body(receive, headers, services.settings.max_body_bytes)
        key = headers.get(b"idempotency-key")
        spec = parse_order(body, services, principal.account, None if key is None else key.decode("latin-1"))
        await self._gate.count_order(principal)
        order = await services.intake.submit(spec)
        answer = wire.encode(views.order_view(order, services.mode, services.market.tokens))
        await send_json(send, 202, answer, (b"location", f"/v1/orders/{order.id}".encode()))


class PostQuote:
    """`POST /v1/quotes`: what routing would decide now. Accepts nothing, promises nothing."""

    def __init__(self, services: Services, gate: Gate) -> None:
        self._services = services
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services = self._services
        principal = self._gate.admit(scope["headers"], scope.get("client"), KeyScope.READ)
        body = await read_body(receive, dict(scope["headers"]), services.settings.max_body_bytes)
        spec = parse_quote(body, services, principal.account)
        started_s = services.clock.monotonic_s()
        decision, routing_s = await self._decide(spec)
        seconds = services.clock.monotonic_s() - started_s
        observe.quote_served(routed=decision.route is not None, seconds=seconds)
        await send_json(send, 200, wire.encode(self._view(spec, decision, (seconds, routing_s))))

    async def _decide(self, spec: OrderSpec) -> tuple[Decision, float]:
        try:
            async with asyncio.timeout(self._services.settings.quote_timeout_s):
                return await self._services.intake.timed_quote(spec)
        except TimeoutError:
            raise Unavailable("the venues did not answer in time", code="quote_timeout") from None

    def _view(self, spec: OrderSpec, decision: Decision, took_s: tuple[float, float]) -> wire.QuoteView:
        services, tokens = self._services, self._services.market.tokens
        sides = views.sides_of(spec, tokens)
        terms = views.terms(spec, sides)
        return wire.QuoteView(
            **decided(decision, sides, tokens, mid_price(spec, services.market.current())),
            mode=services.mode,
            input=sides.input,
            output=sides.output,
            swap_mode=spec.mode,
            amount=terms["amount"],
            amount_units=terms["amount_units"],
            at=views.rfc3339(services.clock.now_ms()),
            slot=decision.slot,
            took_us=int(took_s[0] * 1_000_000),
            routing_us=int(took_s[1] * 1_000_000),
        )


async def send_json(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """A whole JSON response."""
    head = [(b"content-type", JSON), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


Caller = Callable[[Request], Awaitable[Principal]]


def caller(gate: Gate, scope: KeyScope) -> Caller:
    """A dependency: the principal, if it may do what needs `scope`."""

    async def admit(request: Request) -> Principal:
        client = request.client
        ask = gate.admit if request.method == "GET" else gate.admit_command
        return ask(request.scope["headers"], (client.host, client.port) if client else None, scope)

    return admit


def order_routes(services: Services, gate: Gate) -> APIRouter:
    """Everything about orders but their creation and their streams."""
    router = APIRouter(tags=["orders"], default_response_class=Response)
    orders = _Orders(services)
    reads = Depends(caller(gate, KeyScope.READ))
    trades = Depends(caller(gate, KeyScope.TRADE))
    plain = Depends(query.known)

    @router.get(
        "/v1/orders",
        operation_id="listOrders",
        responses=answers("OrderPage", 401, 403, 422, 503),
        dependencies=[plain],
    )
    async def list_orders(
        status: Annotated[OrderStatus | None, Query(description="Only orders in this status.")] = None,
        pair: Annotated[
            str | None, Query(max_length=129, description="Input and output, such as `SOL/USDC`; symbols or mints.")
        ] = None,
        source: Annotated[str | None, Query(alias="input", max_length=64, description="A mint or a symbol.")] = None,
        target: Annotated[str | None, Query(alias="output", max_length=64, description="A mint or a symbol.")] = None,
        wallet: Annotated[str | None, Query(max_length=44)] = None,
        client_order_id: Annotated[str | None, Query(max_length=wire.MAX_CLIENT_ORDER_ID_CHARS)] = None,
        limit: Annotated[int, Whole, Query(ge=1, le=wire.MAX_PAGE)] = 50,
        cursor: Annotated[str | None, Query(max_length=MAX_CURSOR_CHARS)] = None,
        principal: Principal = reads,
    ) -> Response:
        """Orders, newest first. `next_cursor` of a page, given as `cursor`, gives the next one."""
        where = orders.filter(principal.account, status, wallet, _pair(pair, source, target))
        if client_order_id is not None:
            return _json(await orders.named(where, client_order_id))
        return _json(await orders.page(where, limit, cursor))

    @router.get(
        "/v1/orders/{order_id}", operation_id="getOrder", responses=answers("OrderView", 401, 403, 404, 422, 503)
    )
    async def get_order(order_id: OrderIdText, principal: Principal = reads) -> Response:
        """One order as its events have left it."""
        found = await orders.answers.get(parse_order_id(order_id), principal.account)
        return Response(found, media_type="application/json")

    @router.get(
        "/v1/orders/{order_id}/events",
        operation_id="listOrderEvents",
        responses=answers("EventPage", 401, 403, 404, 422, 503),
        dependencies=[plain],
    )
    async def list_events(
        order_id: OrderIdText,
        after: Annotated[int, Whole, Query(ge=0, le=2**31, description="Only events with a higher number.")] = 0,
        limit: Annotated[int, Whole, Query(ge=1, le=MAX_EVENTS)] = 200,
        principal: Principal = reads,
    ) -> Response:
        """An order's events, ascending by number."""
        return _json(await orders.events(await orders.get(order_id, principal), after, limit))

    @router.get(
        "/v1/orders/{order_id}/explain",
        operation_id="explainOrder",
        responses=answers("ExplainView", 401, 403, 404, 422, 503),
        dependencies=[plain],
    )
    async def explain_order(
        order_id: OrderIdText,
        number: Annotated[
            int | None, Whole, Query(ge=1, le=2**31, description="Of a routing event; else the last.")
        ] = None,
        principal: Principal = reads,
    ) -> Response:
        """The order's routing decision, worked out again from what was stored with it. 404 `not_routed`: there is
        none yet, or not under this number."""
        return _json(await orders.explain(await orders.get(order_id, principal), number))

    @router.post(
        "/v1/orders/{order_id}/cancel",
        operation_id="cancelOrder",
        responses=answers("OrderView", 401, 403, 404, 409, 422, 503),
    )
    async def cancel_order(order_id: OrderIdText, principal: Principal = trades) -> Response:
        """Cancel an order that has not been sent. Afterwards, and once it has ended: 409 `not_cancellable`."""
        return _json(orders.view(await services.intake.cancel(parse_order_id(order_id), principal.account)))

    @router.post(
        "/v1/orders/{order_id}/release",
        operation_id="releaseOrder",
        responses=answers("OrderView", 401, 403, 404, 409, 422, 503),
    )
    async def release_order(order_id: OrderIdText, principal: Principal = trades) -> Response:
        """Let a held order go. Exactly one of many callers succeeds; the others get a 409."""
        return _json(orders.view(await services.intake.release(parse_order_id(order_id), principal.account)))

    return router


class _Orders:
    """What the routes above ask of the store, as wire shapes."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.answers = OrderAnswers(services)

    def view(self, order: Order) -> wire.OrderView:
        return views.order_view(order, self._services.mode, self._services.market.tokens)

    async def get(self, order_id: str, principal: Principal) -> Order:
        """The caller's order. Raises NotFound, the same for someone else's."""
        order = await self._services.store.get(parse_order_id(order_id))
        if order is None or order.spec.account != principal.account:
            raise NotFound("no such order")
        return order

    async def events(self, order: Order, after: int, limit: int) -> wire.EventPage:
        services = self._services
        tokens = services.market.tokens
        events = await services.store.events(order.id, after, limit)
        context = context_of(order.id, order.spec, tokens)
        shown = [event_view(event, context, services.mode, tokens) for event in events]
        over = not events or (events[-1].status in TERMINAL) or len(events) < limit
        return wire.EventPage(services.mode, order.id, shown, None if over else events[-1].number)

    async def explain(self, order: Order, number: int | None) -> wire.ExplainView:
        """The routing event with this number, or the last one, laid out. Raises NotFound `not_routed`."""
        found: OrderEvent | None = None
        last = 0
        after = 0
        for _ in range(MAX_EXPLAINED_PAGES):
            events = await self._services.store.events(order.id, after, MAX_EVENTS)
            for event in events:
                if isinstance(event.body, Routed):
                    last = event.number
                    found = event if number in (None, event.number) else found
            if len(events) < MAX_EVENTS:
                break
            after = events[-1].number
        if found is None or not isinstance(found.body, Routed):
            raise NotFound("the order has not been routed, or not by this event", code="not_routed")
        explanation = explain(order, found.body, last=found.number == last)
        return explain_view(order, found, explanation, self._services.mode, self._services.market.tokens)

    def filter(
        self, account: str, status: OrderStatus | None, wallet: str | None, pair: tuple[str | None, str | None]
    ) -> OrderFilter:
        if wallet is not None and not is_address(wallet):
            raise InvalidParameter("wallet_invalid", "a wallet is the base58 address of 32 bytes", "wallet")
        tokens = self._services.market.tokens
        source, target = token_parameter(pair[0], "input", tokens), token_parameter(pair[1], "output", tokens)
        return OrderFilter(account, status, wallet, source, target)

    async def named(self, where: OrderFilter, client_order_id: str) -> wire.OrderPage:
        """The one order with this client order id, if it meets the filter too."""
        order = await self._services.store.find(where.account or "", client_order_id)
        found = [self.view(order)] if order is not None and _meets(order, where) else []
        return wire.OrderPage(self._services.mode, found, None)

    async def page(self, where: OrderFilter, limit: int, cursor: str | None) -> wire.OrderPage:
        before: OrderId | None = None if cursor is None else decode_cursor(cursor, where)
        orders = await self._services.store.page(where, before, limit + 1)
        more = len(orders) > limit
        shown = orders[:limit]
        following = encode_cursor(shown[-1].id, where) if more else None
        return wire.OrderPage(self._services.mode, [self.view(order) for order in shown], following)


def token_parameter(text: str | None, parameter: str, tokens: TokenList) -> Mint | None:
    """The mint that a query parameter names, if it is there. Raises InvalidParameter as TokenList.resolve does."""
    if text is None:
        return None
    try:
        return tokens.resolve(text, pointer="").mint
    except InvalidInput as error:
        raise InvalidParameter(error.code, error.message, parameter) from None


def _pair(pair: str | None, source: str | None, target: str | None) -> tuple[str | None, str | None]:
    if pair is None:
        return source, target
    if source is not None or target is not None:
        raise InvalidParameter("filter_conflict", "give pair, or input and output", "pair")
    first, slash, second = pair.partition("/")
    if not slash:
        raise InvalidParameter("pair_invalid", "a pair is two tokens, such as SOL/USDC", "pair")
    return first, second


def _meets(order: Order, where: OrderFilter) -> bool:
    spec = order.spec
    wanted = (
        (where.status, order.status),
        (where.wallet, spec.wallet),
        (where.input_mint, spec.input_mint),
        (where.output_mint, spec.output_mint),
    )
    return all(asked is None or asked == held for asked, held in wanted)


def _json(shape: object) -> Response:
    return Response(wire.encode(shape), media_type="application/json")
