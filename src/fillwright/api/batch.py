"""`POST /v1/orders/batch`: up to 100 orders in one flush, each with its own outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat

from starlette.types import Receive, Scope, Send

from fillwright import observe, wire
from fillwright.api import parsing, views
from fillwright.api.auth import Gate, Principal
from fillwright.api.http import send_json
from fillwright.api.orders import read_order
from fillwright.api.problems import problem_of
from fillwright.api.services import Services
from fillwright.config import Scope as KeyScope
from fillwright.domain.errors import FillwrightError, InvalidInput, StoreError
from fillwright.domain.orders import Order, OrderSpec
from fillwright.wire.batch import MAX_BATCH, BatchResult, BatchView

BODY_FACTOR = 4
"""How much larger a batch's body may be than another request's."""


class PostBatch:
    """200 once every order that could be accepted is durable. Raises InvalidInput where the request is no batch,
    Unavailable where none was tried, RateLimited where none may be accepted now."""

    def __init__(self, services: Services, gate: Gate) -> None:
        self._services = services
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services = self._services
        principal = self._gate.admit(scope["headers"], scope.get("client"), KeyScope.TRADE)
        limit = services.settings.max_body_bytes * BODY_FACTOR
        body = await parsing.read_body(receive, dict(scope["headers"]), limit)
        read = [self._read(value, index, principal) for index, value in enumerate(_orders(body))]
        specs = [one for one in read if isinstance(one, OrderSpec)]
        count, refusal = await self._gate.count_orders(principal, len(specs))
        accepted = await services.intake.submit_many(specs[:count]) if count else []
        outcomes: Iterator[Order | Exception] = chain(accepted, repeat(refusal) if refusal is not None else ())
        results = [self._result(next(outcomes) if isinstance(one, OrderSpec) else one) for one in read]
        await send_json(send, 200, wire.encode(BatchView(services.mode, results)))

    def _read(self, value: object, index: int, principal: Principal) -> OrderSpec | FillwrightError:
        """The spec of one order, or why there is none; its pointers begin at the batch."""
        try:
            spec = read_order(value, self._services, principal.account)
        except InvalidInput as error:
            return InvalidInput(
                error.code, error.message, pointer=f"/orders/{index}{error.pointer}", status=error.status
            )
        except FillwrightError as error:
            return error
        return spec

    def _result(self, outcome: Order | Exception) -> BatchResult:
        services = self._services
        if isinstance(outcome, Order):
            return BatchResult(
                status=202, order=views.order_view(outcome, services.mode, services.market.tokens)
            )  # fmt: skip
        if not isinstance(outcome, FillwrightError):
            observe.unexpected_error("batch", outcome)
            outcome = StoreError("whether this order was accepted is unknown: ask for it")
        problem = problem_of(outcome, services.mode)
        observe.request_refused(problem.code, problem.status)
        return BatchResult(status=problem.status, problem=problem)


def _orders(body: bytes) -> Sequence[object]:
    """The orders of a batch, each a JSON object. Raises InvalidInput."""
    one = parsing.listed(_object, MAX_BATCH)
    orders: tuple[object, ...] = parsing.read_fields(parsing.parse_json(body), {"orders": one}, ("orders",))["orders"]
    if not orders:
        raise InvalidInput("field_range", f"from 1 to {MAX_BATCH} orders", pointer="/orders")
    return orders


def _object(value: object, pointer: str) -> object:
    if not isinstance(value, dict):
        raise parsing.wrong_type("a JSON object", pointer)
    return value
