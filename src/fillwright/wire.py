"""The JSON shapes of the `/v1` API, shared by the server and the Python SDK.

What goes in and comes out: msgspec structs. Amounts are strings, always in pairs: `amount` is a decimal
string in whole tokens, `amount_units` the same in base units. Prices are decimal strings, output per input
in whole tokens; `…_bps` strings are decimal basis points, positive where the wallet is worse off. Times are
RFC 3339 in UTC with milliseconds, and `slot` stands beside them where the chain was looked at. `mode` is the
engine's mode in every answer; which side of a swap is fixed is called `swap_mode`. A value that does not
exist (yet) is null. Nothing here knows HTTP, stores or sockets; unknown fields of an answer are ignored when
it is decoded, so that a client outlives a newer server.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from fillwright.domain.amounts import SwapMode
from fillwright.domain.orders import OrderStatus, OrderType

MODE_HEADER = "Fillwright-Mode"
PROBLEM_TYPE = "application/problem+json"
MAX_CLIENT_ORDER_ID_CHARS = 128
MAX_LISTED = 32
"""How many venues or pools an order may name in one list."""
MAX_PAGE = 200
MAX_PRIORITY = 100
MAX_LEGS = 16
MAX_HOPS = 4

_DECIMAL = r"^(0|[1-9][0-9]*)(\.[0-9]+)?$"
TokenText = Annotated[str, Meta(min_length=1, max_length=64, description="A mint's address, or a symbol.")]
DecimalText = Annotated[str, Meta(pattern=_DECIMAL, max_length=64, description="Whole tokens, as a decimal string.")]
UnitsText = Annotated[
    str, Meta(pattern=r"^(0|[1-9][0-9]*)$", max_length=64, description="Base units, as an integer string.")
]
ClientOrderId = Annotated[str, Meta(min_length=1, max_length=MAX_CLIENT_ORDER_ID_CHARS, pattern=r"^[!-~]+$")]
AddressText = Annotated[str, Meta(pattern=r"^[1-9A-HJ-NP-Za-km-z]{32,44}$")]
VenueList = Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=MAX_LISTED)]
PoolList = Annotated[list[AddressText], Meta(max_length=MAX_LISTED)]
TimeText = Annotated[str, Meta(min_length=20, max_length=35, extra_json_schema={"format": "date-time"})]


class QuoteRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What to price. Exactly one of `amount` and `amount_units`: of the input for `exact_in`, of the output for
    `exact_out`. At most one of `slippage_bps` and an explicit bound: `min_out` (exact-in) or `max_in`
    (exact-out). `venues` and `exclude_venues` take venue ids and DEX names; empty lists allow everything."""

    input: TokenText
    output: TokenText
    swap_mode: SwapMode = SwapMode.EXACT_IN
    amount: DecimalText | None = None
    amount_units: UnitsText | None = None
    slippage_bps: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    min_out: DecimalText | None = None
    max_in: DecimalText | None = None
    venues: VenueList = []
    exclude_venues: VenueList = []
    pools: PoolList = []
    exclude_pools: PoolList = []
    max_legs: Annotated[int, Meta(ge=1, le=MAX_LEGS)] | None = None
    max_hops: Annotated[int, Meta(ge=1, le=MAX_HOPS)] | None = None
    direct_only: bool = False


class OrderRequest(QuoteRequest, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What to execute. `client_order_id` makes it safe to send again: the same body gives the same order.
    `not_before`: not executed earlier. `hold`: waits for an explicit release. Higher `priority` goes first."""

    type: OrderType = OrderType.MARKET
    client_order_id: ClientOrderId | None = None
    wallet: AddressText | None = None
    not_before: TimeText | None = None
    priority: Annotated[int, Meta(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    hold: bool = False


class TokenRef(Struct, frozen=True):
    """A token inside another answer. `symbol` is "" for a mint that the pinned list does not name."""

    mint: str
    symbol: str
    decimals: int


class TokenView(TokenRef, frozen=True):
    name: str


class TokenPage(Struct, frozen=True):
    mode: str
    tokens: list[TokenView]


class ErrorView(Struct, frozen=True):
    """Why an order, an attempt or a quote came to nothing. `code` is stable."""

    code: str
    message: str


class FeeView(Struct, frozen=True):
    """What the wallet pays and does not get back, already contained in the quoted amounts."""

    kind: str
    mint: str
    symbol: str
    amount: str
    amount_units: str


class CandidateView(Struct, frozen=True, kw_only=True):
    """One pool's answer. Amounts are null where it refused; `behind_bps`: how much worse than the best one."""

    venue: str
    dex: str
    pool: str
    amount_in: str | None = None
    amount_in_units: str | None = None
    amount_out: str | None = None
    amount_out_units: str | None = None
    price: str | None = None
    price_impact_bps: str | None = None
    behind_bps: str | None = None
    fees: list[FeeView] = []
    refusal: str | None = None
    detail: str = ""


class LegView(Struct, frozen=True, kw_only=True):
    venue: str
    dex: str
    pool: str
    input: TokenRef
    output: TokenRef
    amount_in: str
    amount_in_units: str
    amount_out: str
    amount_out_units: str
    fees: list[FeeView]


class RouteView(Struct, frozen=True, kw_only=True):
    """The plan. `limit` is the bound that the chain enforces: least output (exact-in), most input (exact-out)."""

    amount_in: str
    amount_in_units: str
    amount_out: str
    amount_out_units: str
    limit: str
    limit_units: str
    price: str
    price_impact_bps: str
    legs: list[LegView]
    slot: int


class QuoteView(Struct, frozen=True, kw_only=True):
    """What routing would decide now. Without an executable route `route` is null and `error` says why."""

    mode: str
    input: TokenRef
    output: TokenRef
    swap_mode: SwapMode
    amount: str
    amount_units: str
    route: RouteView | None
    candidates: list[CandidateView]
    error: ErrorView | None
    mid_price: str | None
    at: str
    slot: int


class FillView(Struct, frozen=True, kw_only=True):
    """A balance change read from the chain. Fee and rent are paid in SOL, beside the amounts."""

    signature: str
    attempt: int
    amount_in: str
    amount_in_units: str
    amount_out: str
    amount_out_units: str
    price: str
    fee: str
    fee_lamports: str
    rent: str
    rent_lamports: str
    at: str
    slot: int


class OrderTerms(Struct, frozen=True, kw_only=True):
    """What the client asked for, resolved. `slippage_bps` is null where an explicit bound replaces it."""

    client_order_id: str | None
    type: str
    wallet: str
    input: TokenRef
    output: TokenRef
    swap_mode: SwapMode
    amount: str
    amount_units: str
    slippage_bps: int | None
    min_out: str | None
    max_in: str | None
    venues: tuple[str, ...]
    exclude_venues: tuple[str, ...]
    pools: tuple[str, ...]
    exclude_pools: tuple[str, ...]
    max_legs: int | None
    max_hops: int | None
    direct_only: bool
    not_before: str | None
    priority: int
    hold: bool


class OrderLinks(Struct, frozen=True):
    self: str
    events: str
    stream: str


class OrderView(OrderTerms, frozen=True, kw_only=True):
    """An order as its events have left it; `version` is the number of its last event.

    `arrival_price`: mid at acceptance. `executed_price`: the fill's. `realised_slippage_bps`: fill against
    quote. `attempts`: transactions signed so far; `signature` the newest one's. `error` of an order that is
    still open is its last failed attempt's.
    """

    mode: str
    id: str
    status: OrderStatus
    version: int
    arrival_price: str | None
    executed_price: str | None
    realised_slippage_bps: str | None
    route: RouteView | None
    fill: FillView | None
    error: ErrorView | None
    attempts: int
    retries: int
    signature: str | None
    created_at: str
    updated_at: str
    started_at: str | None
    ready_at: str | None
    slot: int | None
    links: OrderLinks


class OrderPage(Struct, frozen=True):
    """Newest first. `next_cursor` is opaque, and null on the last page."""

    mode: str
    orders: list[OrderView]
    next_cursor: str | None


class EventView(Struct, frozen=True, kw_only=True):
    """One step of an order. `number` counts its events from 1, `sequence` all events; `status` is the order's
    status after it. `data` depends on `type`: see EVENT_DATA and `event_data`."""

    mode: str
    type: str
    order_id: str
    status: OrderStatus
    number: int
    sequence: int
    at: str
    slot: int | None
    data: Any


class EventPage(Struct, frozen=True):
    """An order's events, ascending. `next_after` is the `after` of the next page, null on the last."""

    mode: str
    order_id: str
    events: list[EventView]
    next_after: int | None


class AcceptedData(OrderTerms, frozen=True, kw_only=True):
    arrival_price: str | None
    ready_at: str | None


class ReasonData(Struct, frozen=True):
    """Of `triggered` and `cancelled`."""

    reason: str


class RoutingData(Struct, frozen=True):
    """`route` is null where nothing was executable."""

    candidates: list[CandidateView]
    route: RouteView | None


class BuiltData(Struct, frozen=True):
    attempt: int
    signature: str
    last_valid_block_height: int
    limit: str
    limit_units: str


class AttemptData(Struct, frozen=True):
    """Of `submitted`, `landed` and `rolled_back`."""

    attempt: int
    signature: str


class RetryingData(Struct, frozen=True):
    attempt: int
    error: ErrorView
    retry_at: str


class ConfirmedData(Struct, frozen=True):
    fill: FillView


class FailureData(Struct, frozen=True):
    """Of `failed`, `expired` and `needs_review`. `attempt` 0: before one was built."""

    attempt: int
    error: ErrorView


EventData = (
    AcceptedData | ReasonData | RoutingData | BuiltData | AttemptData | RetryingData | ConfirmedData | FailureData
)

EVENT_DATA: dict[str, type[Struct]] = {
    "accepted": AcceptedData,
    "triggered": ReasonData,
    "routing": RoutingData,
    "building": BuiltData,
    "submitted": AttemptData,
    "landed": AttemptData,
    "rolled_back": AttemptData,
    "retrying": RetryingData,
    "confirmed": ConfirmedData,
    "failed": FailureData,
    "cancelled": ReasonData,
    "expired": FailureData,
    "needs_review": FailureData,
}
"""Event type -> the shape of its `data`."""


def event_data(event: EventView) -> Any:
    """The decoded event's `data` as its struct; as it is, for a type that this version does not know."""
    shape = EVENT_DATA.get(event.type)
    return event.data if shape is None else msgspec.convert(event.data, shape)


class PoolView(Struct, frozen=True, kw_only=True):
    """`price`: spot before fees, second token per first; null (and `refusal` set) where there is none now."""

    address: str
    venue: str
    dex: str
    tokens: tuple[TokenRef, TokenRef]
    price: str | None
    refusal: str | None = None


class UnpricedView(Struct, frozen=True):
    """An account of a known program that can't be priced; `reason` is stable."""

    address: str
    venue: str
    reason: str
    detail: str


class PoolPage(Struct, frozen=True):
    mode: str
    slot: int
    pools: list[PoolView]
    unpriced: list[UnpricedView]


class LatencyView(Struct, frozen=True):
    """Milliseconds over the recent past."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class WorkerView(Struct, frozen=True):
    """This process's worker. `latency` by name, such as `accepted_to_confirmed`."""

    in_flight: int
    concurrency: int
    latency: dict[str, LatencyView] = {}


class QueueView(Struct, frozen=True):
    """`due` could start now, `delayed` later, `leased` are being worked on."""

    due: int
    delayed: int
    leased: int
    oldest_due_ms: int | None


class StreamsView(Struct, frozen=True):
    open: int
    opened_total: int
    dropped_total: int


class StatsView(Struct, frozen=True, kw_only=True):
    """`orders` counts by status; `worker` is null where this process runs none."""

    mode: str
    version: str
    at: str
    slot: int
    uptime_s: float
    orders: dict[str, int]
    queue: QueueView
    worker: WorkerView | None
    streams: StreamsView
    last_sequence: int


class Health(Struct, frozen=True):
    """`checks`: part -> "ok" or what is wrong with it."""

    status: Literal["ok", "unavailable"]
    mode: str
    checks: dict[str, str] = {}


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457. `code` is stable; `pointer` is a JSON pointer into the request's body, `parameter` the name of
    a query or path parameter."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    mode: str
    pointer: str | None = None
    parameter: str | None = None
    retry_after_s: int | None = None


class Subscribe(Struct, frozen=True, tag_field="op", tag="subscribe", forbid_unknown_fields=True, omit_defaults=True):
    """Exactly one of `order_id`, `wallet` and `all` (true). `from_seq`: the sequence of the last event seen.
    Without it an order's stream starts at its first event, the others with the next event."""

    order_id: str | None = None
    wallet: str | None = None
    all: bool = False
    from_seq: Annotated[int, Meta(ge=0)] | None = None


class Unsubscribe(
    Struct, frozen=True, tag_field="op", tag="unsubscribe", forbid_unknown_fields=True, omit_defaults=True
):
    order_id: str | None = None
    wallet: str | None = None
    all: bool = False


class Ping(Struct, frozen=True, tag_field="op", tag="ping", forbid_unknown_fields=True):
    """Answered by a heartbeat."""


ClientFrame = Subscribe | Unsubscribe | Ping


class Subscribed(Struct, frozen=True, kw_only=True, tag_field="op", tag="subscribed", omit_defaults=True):
    """Every event of the target with sequence > `from_seq` follows. `order`: an order's state right now."""

    mode: str
    from_seq: int
    order_id: str | None = None
    wallet: str | None = None
    all: bool = False
    order: OrderView | None = None


class Unsubscribed(Struct, frozen=True, kw_only=True, tag_field="op", tag="unsubscribed", omit_defaults=True):
    mode: str
    order_id: str | None = None
    wallet: str | None = None
    all: bool = False


class EventFrame(Struct, frozen=True, tag_field="op", tag="event"):
    event: EventView


class Heartbeat(Struct, frozen=True, kw_only=True, tag_field="op", tag="heartbeat"):
    """`sequence`: everything up to it that belongs to the socket's subscriptions has been sent."""

    mode: str
    at: str
    sequence: int


class StreamError(Struct, frozen=True, kw_only=True, tag_field="op", tag="error"):
    mode: str
    code: str
    message: str


ServerFrame = Subscribed | Unsubscribed | EventFrame | Heartbeat | StreamError

T = TypeVar("T")
_encoder = msgspec.json.Encoder()
encode = _encoder.encode
"""A shape as JSON bytes."""


def decode(data: bytes | str, shape: type[T]) -> T:
    """The shape that the JSON `data` holds. Raises msgspec.DecodeError, msgspec.ValidationError."""
    return msgspec.json.decode(data, type=shape)
