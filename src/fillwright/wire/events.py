"""Events: one shape for all, and the data of each type."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from fillwright.domain.orders import OrderStatus
from fillwright.wire.base import ErrorView
from fillwright.wire.orders import CandidateView, FillView, OrderTerms, RouteView


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


class RebidData(Struct, frozen=True):
    """`bid` counts the attempt's transactions, the first being its own; `unit_price` in micro-lamports per compute
    unit."""

    attempt: int
    bid: int
    signature: str
    unit_price: str


class RetryingData(Struct, frozen=True):
    """`fee_lamports`: paid by the attempt's transactions for failing on chain."""

    attempt: int
    error: ErrorView
    retry_at: str
    fee_lamports: str = "0"


class ConfirmedData(Struct, frozen=True):
    """`fee_lamports`: paid by other bids of the same attempt for failing on chain, beside the fill's own fee."""

    fill: FillView
    fee_lamports: str = "0"


class FailureData(Struct, frozen=True):
    """Of `failed`, `expired` and `needs_review`. `attempt` 0: before one was built. `fee_lamports`: as of
    `retrying`."""

    attempt: int
    error: ErrorView
    fee_lamports: str = "0"


EventData = (
    AcceptedData
    | ReasonData
    | RoutingData
    | BuiltData
    | AttemptData
    | RebidData
    | RetryingData
    | ConfirmedData
    | FailureData
)

EVENT_DATA: dict[str, type[Struct]] = {
    "accepted": AcceptedData,
    "triggered": ReasonData,
    "routing": RoutingData,
    "building": BuiltData,
    "submitted": AttemptData,
    "rebid": RebidData,
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
