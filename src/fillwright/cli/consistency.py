"""Whether an order is what its event log says. Pure: wire shapes in, faults as sentences out."""

from __future__ import annotations

from collections.abc import Sequence

from fillwright import wire
from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import OrderStatus


def faults(order: wire.OrderView, streamed: Sequence[wire.EventView], logged: Sequence[wire.EventView]) -> list[str]:
    """Where an order, its stored log and the events that were pushed disagree; nothing if they agree."""
    found = []
    if list(streamed) != list(logged):
        found.append(f"the stream brought {len(streamed)} events, the log has {len(logged)} or others")
    if not logged:
        return [*found, "its log is empty"]
    if [event.number for event in logged] != list(range(1, order.version + 1)):
        found.append(f"its events are not numbered 1 to {order.version}")
    if any(event.order_id != order.id for event in logged):
        found.append("its log holds another order's events")
    ends = [event for event in logged if event.status in TERMINAL]
    if len(ends) != 1 or ends[0] is not logged[-1]:
        found.append(f"its log has {len(ends)} terminal events, or goes on after one")
    if logged[-1].status is not order.status:
        found.append(f"it is {order.status}, but its log ends {logged[-1].status}")
    return [f"{order.id}: {fault}" for fault in (*found, *_fill_faults(order, logged))]


def _fill_faults(order: wire.OrderView, logged: Sequence[wire.EventView]) -> list[str]:
    fills = [data.fill for event in logged if isinstance(data := wire.event_data(event), wire.ConfirmedData)]
    wanted = [] if order.fill is None else [order.fill]
    found = []
    if fills != wanted:
        found.append("its fill is not the one in its log")
    if (order.status is OrderStatus.CONFIRMED) != bool(fills):
        found.append(f"it is {order.status} with {len(fills)} fills in its log")
    signed = (wire.BuiltData, wire.RebidData)
    built = {data.signature for event in logged if isinstance(data := wire.event_data(event), signed)}
    if any(fill.signature not in built for fill in fills):
        found.append("it was filled by a transaction that its log does not know")
    return found
