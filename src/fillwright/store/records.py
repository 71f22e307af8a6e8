"""Domain records to and from what a store's columns hold. JSON throughout, so that the tables can be read.

An order is kept in three parts: columns, `state` (all that is neither a column nor large), and the bodies of
the events that brought its spec and its route.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, get_args

import msgspec
from msgspec.structs import replace

from fillwright.domain.lifecycle import OPEN_ATTEMPTS
from fillwright.domain.orders import (
    Attempt,
    AttemptStatus,
    Bid,
    EventBody,
    Fill,
    Order,
    OrderError,
    OrderEvent,
    OrderId,
    OrderSpec,
    OrderStatus,
)
from fillwright.domain.routes import Route

PLAIN_STATUS: dict[OrderStatus, str] = {status: str(status.value) for status in OrderStatus}
"""Statuses as plain strings: drivers take a slow path for subclasses of str."""

PLAIN_ATTEMPT_STATUS: dict[AttemptStatus, str] = {status: str(status.value) for status in AttemptStatus}

KINDS: dict[type, str] = {body: str(body.__struct_config__.tag) for body in get_args(EventBody)}
"""Each kind of event by its body's type; the same as `OrderEvent.kind`."""

_COLUMNS = frozenset({"id", "status", "version", "created_ms", "ready_at_ms"})
_IN_EVENTS = frozenset({"spec", "route"})


_STATE_FIELDS = [field for field in msgspec.structs.fields(Order) if field.name not in _COLUMNS | _IN_EVENTS]


def _like(field: msgspec.structs.FieldInfo) -> tuple[str, Any] | tuple[str, Any, Any]:
    """`field`, as `defstruct` wants it."""
    if field.required:
        return field.name, field.type
    if field.default_factory is not msgspec.NODEFAULT:
        return field.name, field.type, msgspec.field(default_factory=field.default_factory)
    return field.name, field.type, field.default


_State: type[msgspec.Struct] = msgspec.defstruct(
    "OrderState", [_like(field) for field in _STATE_FIELDS], frozen=True, omit_defaults=True
)
_state_values = attrgetter(*(field.name for field in _STATE_FIELDS))


class _RoutedPart(msgspec.Struct, frozen=True, tag="routing"):
    """The route of a `routing` event; its candidates are skipped."""

    route: Route | None


class _AcceptedPart(msgspec.Struct, frozen=True, tag="accepted"):
    spec: OrderSpec


_encode = msgspec.json.Encoder().encode
_decode_state = msgspec.json.Decoder(_State).decode
_decode_body = msgspec.json.Decoder(EventBody).decode
_decode_route = msgspec.json.Decoder(_RoutedPart).decode
_decode_spec = msgspec.json.Decoder(_AcceptedPart).decode
_decode_error = msgspec.json.Decoder(OrderError).decode


def encode(value: msgspec.Struct) -> str:
    """`value` as JSON: as text, which drivers bind faster than bytes, and people can read."""
    return _encode(value).decode()


def encode_state(order: Order) -> str:
    """The part of `order` that is neither in columns nor in events."""
    return _encode(_State(*_state_values(order))).decode()


def decode_spec(accepted: str) -> OrderSpec:
    """The request, from the body of the order's first event."""
    return _decode_spec(accepted).spec


def decode_order(
    order_id: str,
    status: str,
    version: int,
    created_ms: int,
    ready_at_ms: int | None,
    state: str,
    accepted: str,
    routed: str | None,
) -> Order:
    """The order of a row and the bodies of two of its events."""
    return Order(
        id=OrderId(order_id),
        spec=decode_spec(accepted),
        status=OrderStatus(status),
        version=version,
        created_ms=created_ms,
        ready_at_ms=ready_at_ms,
        route=None if routed is None else _decode_route(routed).route,
        **msgspec.structs.asdict(_decode_state(state)),
    )


def decode_event(sequence: int, order_id: str, number: int, at_ms: int, status: str, body: str) -> OrderEvent:
    return OrderEvent(OrderId(order_id), number, at_ms, OrderStatus(status), _decode_body(body), sequence)


def attempt_row(order: object, attempt: Attempt) -> tuple[Any, ...]:
    """`order`: what the store's tables call the order by."""
    return (
        order,
        attempt.number,
        int(attempt.status in OPEN_ATTEMPTS),
        PLAIN_ATTEMPT_STATUS[attempt.status],
        attempt.signature,
        attempt.raw,
        attempt.last_valid_block_height,
        str(attempt.limit),
        attempt.marker_seed,
        attempt.created_ms,
        None if attempt.error is None else encode(attempt.error),
        attempt.slot,
        attempt.fee_lamports,
    )


def attempt_step(order: object, attempt: Attempt) -> tuple[Any, ...]:
    """What changes of an attempt while it is open, then what it is found by."""
    return (
        PLAIN_ATTEMPT_STATUS[attempt.status],
        None if attempt.error is None else encode(attempt.error),
        attempt.slot,
        attempt.fee_lamports,
        order,
        attempt.number,
        attempt.signature,
        attempt.raw,
    )


def decode_attempt(
    order_id: str,
    number: int,
    status: str,
    signature: str,
    raw: bytes,
    last_valid_block_height: int,
    limit: str,
    marker_seed: str,
    created_ms: int,
    error: str | None,
    slot: int | None,
    fee_lamports: int,
) -> Attempt:
    return Attempt(
        OrderId(order_id),
        number,
        AttemptStatus(status),
        signature,
        raw,
        last_valid_block_height,
        int(limit),
        marker_seed,
        created_ms,
        None if error is None else _decode_error(error),
        slot,
        fee_lamports,
    )


def bid_row(bid: Bid) -> tuple[Any, ...]:
    """All that does not say whose it is."""
    return bid.number, bid.signature, bid.raw, bid.unit_price, bid.height, bid.created_ms


def with_bids(attempts: Iterable[tuple[Any, ...]], bids: Iterable[tuple[Any, ...]]) -> list[Attempt]:
    """The attempts of rows, with their bids, whose rows begin with the attempt's number; both ascending."""
    found = [decode_attempt(*row) for row in attempts]
    of: dict[int, tuple[Bid, ...]] = {}
    for attempt, *row in bids:
        of[attempt] = (*of.get(attempt, ()), Bid(*row))
    return [replace(attempt, bids=of[attempt.number]) if attempt.number in of else attempt for attempt in found]


def fill_row(order: object, fill: Fill) -> tuple[Any, ...]:
    """`order`: what the store's tables call the order by."""
    return (
        fill.signature,
        order,
        fill.attempt,
        str(fill.amount_in),
        str(fill.amount_out),
        fill.fee_lamports,
        fill.rent_lamports,
        fill.slot,
        fill.at_ms,
    )


def decode_fill(
    signature: str,
    order_id: str,
    attempt: int,
    amount_in: str,
    amount_out: str,
    fee_lamports: int,
    rent_lamports: int,
    slot: int,
    at_ms: int,
) -> Fill:
    return Fill(
        signature, OrderId(order_id), attempt, int(amount_in), int(amount_out), fee_lamports, rent_lamports, slot, at_ms
    )


def order_row(order: Order) -> tuple[Any, ...]:
    """The columns that never change: id to created_ms."""
    spec = order.spec
    return (
        order.id,
        spec.account,
        spec.client_order_id,
        spec.wallet,
        spec.input_mint,
        spec.output_mint,
        spec.dialect,
        spec.priority,
        order.created_ms,
    )
