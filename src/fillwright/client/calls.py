"""Every call of the API as a value, and the course of one call as a generator that both clients drive.

In: plain arguments. Out: what to send, what to wait, and in the end the decoded answer. No input or output.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Mapping
from datetime import datetime
from decimal import Decimal
from ipaddress import ip_address
from typing import Any, Generic, Literal, Required, TypedDict, TypeVar, cast
from urllib.parse import urlsplit

import httpx2
import msgspec

from fillwright import wire
from fillwright.client.errors import ApiError, Patience, Unreachable, refusal
from fillwright.domain.errors import ConfigError
from fillwright.domain.orders import OrderStatus

DEFAULT_URL = "http://127.0.0.1:3000"
_BUSY = (429, 503)

T = TypeVar("T")


class QuoteFields(TypedDict, total=False):
    """Keyword arguments of `quote`: the fields of `wire.QuoteRequest`. Amounts are decimal strings or Decimals
    of whole tokens, never floats."""

    input: Required[str]
    output: Required[str]
    swap_mode: Literal["exact_in", "exact_out"]
    amount: str | Decimal
    amount_units: str
    slippage_bps: int | None
    min_out: str | Decimal | None
    max_in: str | Decimal | None
    venues: list[str]
    exclude_venues: list[str]
    pools: list[str]
    exclude_pools: list[str]
    max_legs: int | None
    max_hops: int | None
    direct_only: bool
    fill_to_price: str | Decimal | None


class OrderFields(QuoteFields, total=False):
    """Keyword arguments of `submit`: the fields of `wire.OrderRequest`."""

    type: Literal["market"]
    client_order_id: str | None
    wallet: str | None
    not_before: str | datetime | None
    priority: int
    hold: bool


class OrderWhere(TypedDict, total=False):
    """Filters of `orders`. `pair`: input and output, such as `SOL/USDC`."""

    status: str
    pair: str
    input: str
    output: str
    wallet: str
    client_order_id: str


class Call(msgspec.Struct, Generic[T]):
    """One HTTP request and the shape of its answer.

    `achieved` is set where a repetition of a request that did succeed is refused with 409: whether the order
    `order_id` is as the caller wanted it.
    """

    method: str
    path: str
    shape: type[T]
    body: bytes | None = None
    params: dict[str, str] = {}
    order_id: str = ""
    achieved: Callable[[wire.OrderView], bool] | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.body is None else {"Content-Type": "application/json"}


TOKENS: Call[wire.TokenPage] = Call("GET", "/v1/tokens", wire.TokenPage)
POOLS: Call[wire.PoolPage] = Call("GET", "/v1/pools", wire.PoolPage)
QUEUE: Call[wire.QueueView] = Call("GET", "/v1/admin/queue", wire.QueueView)
STATS: Call[wire.StatsView] = Call("GET", "/v1/stats", wire.StatsView)


def submit(fields: Mapping[str, Any]) -> Call[wire.OrderView]:
    named = {"client_order_id": str(uuid.uuid4()), **_given(fields)}
    return Call("POST", "/v1/orders", wire.OrderView, wire.encode(named))


def quote(fields: Mapping[str, Any]) -> Call[wire.QuoteView]:
    return Call("POST", "/v1/quotes", wire.QuoteView, wire.encode(_given(fields)))


def order(order_id: str) -> Call[wire.OrderView]:
    return Call("GET", _order_path(order_id), wire.OrderView)


def cancel(order_id: str) -> Call[wire.OrderView]:
    path = _order_path(order_id) + "/cancel"
    return Call("POST", path, wire.OrderView, order_id=order_id, achieved=_is_cancelled)


def release(order_id: str) -> Call[wire.OrderView]:
    path = _order_path(order_id) + "/release"
    return Call("POST", path, wire.OrderView, order_id=order_id, achieved=_is_released)


def turn_queue(turn: str) -> Call[wire.QueueView]:
    if not turn.isalpha():
        raise ApiError(422, "field_value", "the queue is turned by pause, resume or drain")
    return Call("POST", f"/v1/admin/queue/{turn}", wire.QueueView)


def release_pool(address: str) -> Call[wire.PoolReleased]:
    if not address.isalnum():
        raise ApiError(422, "field_value", "a pool is named by its address")
    return Call("POST", f"/v1/admin/pools/{address}/release", wire.PoolReleased)


def events(order_id: str, after: int) -> Call[wire.EventPage]:
    return Call("GET", _order_path(order_id) + "/events", wire.EventPage, params={"after": str(after)})


def explain(order_id: str, number: int | None) -> Call[wire.ExplainView]:
    params = {} if number is None else {"number": str(number)}
    return Call("GET", _order_path(order_id) + "/explain", wire.ExplainView, params=params)


def orders(where: Mapping[str, Any], cursor: str | None, limit: int | None) -> Call[wire.OrderPage]:
    unknown = set(where) - set(OrderWhere.__annotations__)
    if unknown:
        raise TypeError(f"orders can't be filtered by {', '.join(sorted(unknown))}")
    params = {name: str(value) for name, value in _given(where).items()}
    if cursor is not None:
        params["cursor"] = cursor
    params["limit"] = str(wire.MAX_PAGE if limit is None else min(limit, wire.MAX_PAGE))
    return Call("GET", "/v1/orders", wire.OrderPage, params=params)


Step = Call[Any] | float
"""What a client is to do next: send a call, or wait for so many seconds."""
Reply = httpx2.Response | httpx2.TransportError | None


def exchange(call: Call[T], patience: Patience, url: str) -> Generator[Step, Reply, T]:
    """The course of `call`: yields calls to be sent, answered by `send(response or error)`, and pauses. Raises
    ApiError, Unreachable."""
    repeated = False
    for attempt in range(patience.tries):
        last = attempt == patience.tries - 1
        reply = yield call
        if isinstance(reply, httpx2.Response):
            if repeated and reply.status_code == 409 and call.achieved is not None:
                return cast(T, (yield from _settled(call, reply, call.achieved)))
            if reply.status_code not in _BUSY or last:
                return _decoded(reply, call.shape)
            yield patience.pause_s(attempt, reply.headers.get("retry-after", ""))
        elif last:
            raise Unreachable(f"{url} does not answer: {reply or type(reply).__name__}") from reply
        else:
            yield patience.pause_s(attempt)
        repeated = True
    raise Unreachable(f"{url} was not asked: no tries are allowed")


def _settled(
    call: Call[Any], refused: httpx2.Response, achieved: Callable[[wire.OrderView], bool]
) -> Generator[Step, Reply, wire.OrderView]:
    """The outcome of a request whose repetition was refused: the first one may have done it."""
    reply = yield order(call.order_id)
    if isinstance(reply, httpx2.Response) and reply.status_code == 200:
        found = _decoded(reply, wire.OrderView)
        if achieved(found):
            return found
    raise refusal(refused.status_code, refused.content)


def checked_url(url: str) -> str:
    """`url` without a trailing slash. Raises ConfigError where it is no HTTP address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{url!r} is no http:// or https:// address")
    return url.rstrip("/")


def uses_proxy(url: str) -> bool:
    """Whether the environment's proxy settings apply: never to this machine's own addresses."""
    host = urlsplit(url).hostname or ""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def auth_headers(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}


def _order_path(order_id: str) -> str:
    if not order_id or not all(char.isalnum() or char == "-" for char in order_id):
        raise ApiError(422, "id_invalid", "an order's id is a UUID")
    return f"/v1/orders/{order_id}"


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that have a value; Decimals in plain notation."""
    return {
        name: format(value, "f") if isinstance(value, Decimal) else value
        for name, value in fields.items()
        if value is not None
    }


def _decoded(response: httpx2.Response, shape: type[T]) -> T:
    if response.status_code >= 400:
        raise refusal(response.status_code, response.content)
    try:
        return msgspec.json.decode(response.content, type=shape)
    except msgspec.MsgspecError as error:
        raise Unreachable(f"the answer (HTTP {response.status_code}) is not understood: {error}") from error


def _is_cancelled(view: wire.OrderView) -> bool:
    return view.status is OrderStatus.CANCELLED


def _is_released(view: wire.OrderView) -> bool:
    return view.status not in (OrderStatus.WAITING, OrderStatus.CANCELLED, OrderStatus.EXPIRED)
