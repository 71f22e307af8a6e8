"""The two state machines, as tables. `apply` is the only way an order changes.

`docs/lifecycle.md` is generated from these tables (`python -m fillwright.domain.lifecycle`).
"""

from __future__ import annotations

from msgspec.structs import replace

from fillwright.domain.errors import IllegalTransition
from fillwright.domain.orders import (
    Accepted,
    AttemptStatus,
    Built,
    Cancelled,
    Confirmed,
    EventBody,
    Expired,
    Failed,
    Landed,
    NeedsReview,
    Order,
    OrderEvent,
    OrderId,
    OrderStatus,
    Rebid,
    Retrying,
    RolledBack,
    Routed,
    Submitted,
    Triggered,
)

S = OrderStatus

ORDER_TABLE: dict[tuple[OrderStatus, type], OrderStatus] = {
    (S.WAITING, Triggered): S.PENDING,
    (S.WAITING, Cancelled): S.CANCELLED,
    (S.WAITING, Expired): S.EXPIRED,
    (S.WAITING, Failed): S.FAILED,
    (S.PENDING, Routed): S.ROUTING,
    (S.PENDING, Retrying): S.PENDING,
    (S.PENDING, Cancelled): S.CANCELLED,
    (S.PENDING, Expired): S.EXPIRED,
    (S.PENDING, Failed): S.FAILED,
    (S.ROUTING, Routed): S.ROUTING,
    (S.ROUTING, Built): S.BUILDING,
    (S.ROUTING, Retrying): S.PENDING,
    (S.ROUTING, Cancelled): S.CANCELLED,
    (S.ROUTING, Expired): S.EXPIRED,
    (S.ROUTING, Failed): S.FAILED,
    (S.BUILDING, Submitted): S.SUBMITTED,
    (S.BUILDING, Landed): S.SUBMITTED,
    (S.BUILDING, Confirmed): S.CONFIRMED,
    (S.BUILDING, Retrying): S.PENDING,
    (S.BUILDING, Failed): S.FAILED,
    (S.BUILDING, NeedsReview): S.NEEDS_REVIEW,
    (S.SUBMITTED, Rebid): S.SUBMITTED,
    (S.SUBMITTED, Landed): S.SUBMITTED,
    (S.SUBMITTED, RolledBack): S.SUBMITTED,
    (S.SUBMITTED, Confirmed): S.CONFIRMED,
    (S.SUBMITTED, Retrying): S.PENDING,
    (S.SUBMITTED, Failed): S.FAILED,
    (S.SUBMITTED, NeedsReview): S.NEEDS_REVIEW,
}
"""(status, event) -> status. A pair that is not listed is illegal."""

TERMINAL = frozenset({S.CONFIRMED, S.FAILED, S.CANCELLED, S.EXPIRED, S.NEEDS_REVIEW})
"""Statuses that end an order: its event log is closed."""

CANCELLABLE = frozenset({S.WAITING, S.PENDING, S.ROUTING})
"""Statuses in which no signed bytes can be under way."""

A = AttemptStatus

ATTEMPT_TABLE: dict[AttemptStatus, frozenset[AttemptStatus]] = {
    A.BUILT: frozenset({A.SENT, A.LANDED, A.REVERTED, A.EXPIRED}),
    A.SENT: frozenset({A.LANDED, A.REVERTED, A.EXPIRED}),
    A.LANDED: frozenset({A.SENT, A.REVERTED, A.EXPIRED}),
    A.REVERTED: frozenset(),
    A.EXPIRED: frozenset(),
}
"""Allowed moves of an attempt. `landed` is left only where a fork abandons its block."""

OPEN_ATTEMPTS = frozenset({A.BUILT, A.SENT, A.LANDED})
"""Attempts whose bytes may land or have landed: at most one per order."""


def accept(order_id: OrderId, accepted: Accepted, at_ms: int) -> tuple[Order, OrderEvent]:
    """A new order and its first event. A held order waits; any other is pending."""
    status = S.WAITING if accepted.spec.hold else S.PENDING
    event = OrderEvent(order_id, 1, at_ms, status, accepted)
    return begin(event), event


def begin(event: OrderEvent) -> Order:
    """The order that its first event describes. Raises IllegalTransition for any other event."""
    if not isinstance(event.body, Accepted) or event.number != 1:
        raise IllegalTransition(f"an order begins with accepted, not with {event.kind}")
    return Order(
        id=event.order_id,
        spec=event.body.spec,
        status=event.status,
        version=1,
        created_ms=event.at_ms,
        updated_ms=event.at_ms,
        ready_at_ms=event.body.ready_at_ms,
        arrival_price=event.body.arrival_price,
    )


def advance(order: Order, body: EventBody, at_ms: int) -> tuple[Order, OrderEvent]:
    """The event that `body` becomes for `order`, and the order after it. Raises IllegalTransition."""
    status = ORDER_TABLE.get((order.status, type(body)))
    if status is None:
        raise IllegalTransition(f"order {order.id} is {order.status}: {type(body).__name__} is not possible")
    event = OrderEvent(order.id, order.version + 1, at_ms, status, body)
    return _fold(order, event), event


def apply(order: Order, event: OrderEvent) -> Order:
    """`order` after `event`. Raises IllegalTransition for an unlisted pair or a number out of turn."""
    status = ORDER_TABLE.get((order.status, type(event.body)))
    if status is None or status is not event.status or event.number != order.version + 1:
        raise IllegalTransition(
            f"order {order.id} is {order.status} at {order.version}: event {event.number} {event.kind} is not possible"
        )
    return _fold(order, event)


def replay(events: list[OrderEvent]) -> Order:
    """The order that a complete event log describes."""
    order = begin(events[0])
    for event in events[1:]:
        order = apply(order, event)
    return order


def advance_attempt(status: AttemptStatus, to: AttemptStatus) -> AttemptStatus:
    """`to`, where the table allows it. Raises IllegalTransition."""
    if to not in ATTEMPT_TABLE[status]:
        raise IllegalTransition(f"an attempt can't go from {status} to {to}")
    return to


def _fold(order: Order, event: OrderEvent) -> Order:
    body = event.body
    base = {"status": event.status, "version": event.number, "updated_ms": event.at_ms}
    if event.status in TERMINAL:
        base["ready_at_ms"] = None
    match body:
        case Routed():
            return replace(
                order,
                **base,
                route=body.route,
                started_ms=order.started_ms or event.at_ms,
            )
        case Built():
            return replace(order, **base, attempt=body.attempt, signature=body.signature)
        case Rebid():
            return replace(order, **base, signature=body.signature, bids=order.bids + 1)
        case Landed():
            return replace(order, **base, signature=body.signature)
        case Retrying():
            return replace(
                order, **base, ready_at_ms=body.retry_at_ms, retries=order.retries + 1, error=body.error,
                started_ms=order.started_ms or event.at_ms,
                failed_fee_lamports=order.failed_fee_lamports + body.fee_lamports,
            )  # fmt: skip
        case Triggered():
            return replace(order, **base, ready_at_ms=event.at_ms)
        case Confirmed():
            fees = order.failed_fee_lamports + body.fee_lamports
            return replace(
                order, **base, fill=body.fill, signature=body.fill.signature, error=None, failed_fee_lamports=fees
            )
        case Failed():
            fees = order.failed_fee_lamports + body.fee_lamports
            return replace(order, **base, error=body.error, failed_fee_lamports=fees)
        case Expired() | NeedsReview():
            return replace(order, **base, error=body.error)
        case _:
            return replace(order, **base)


def diagram() -> str:
    """Both state machines as Mermaid diagrams in Markdown."""
    lines = ["# Life of an order", "", "Generated from `domain/lifecycle.py`; do not edit.", "", "## Order", ""]
    lines += ["```mermaid", "stateDiagram-v2", "    [*] --> pending: accepted", "    [*] --> waiting: accepted (held)"]
    for (status, body), to in ORDER_TABLE.items():
        lines.append(f"    {status} --> {to}: {body.__struct_config__.tag}")  # type: ignore[attr-defined]
    lines += [f"    {status} --> [*]" for status in S if status in TERMINAL]
    lines += ["```", "", "## Attempt", "", "```mermaid", "stateDiagram-v2", "    [*] --> built"]
    for attempt, targets in ATTEMPT_TABLE.items():
        lines += [f"    {attempt} --> {to}" for to in A if to in targets]
    lines += [f"    {attempt} --> [*]" for attempt in (A.LANDED, A.REVERTED, A.EXPIRED)]
    return "\n".join([*lines, "```", ""])


if __name__ == "__main__":
    import sys

    sys.stdout.write(diagram())
