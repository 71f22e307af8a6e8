"""What one flush writes: operations in, the arrays of one call of the function `flush`, its answer out.

Locks are taken in one order by every process: new orders by their account's own id, then steps by order, then
the log's counter. So flushes wait for each other, but never in a circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import Order, OrderEvent, Routed
from fillwright.ports import Change
from fillwright.store import records

_WIDTHS = (14, 11, 7, 14, 10)
"""Arrays of new orders, steps, events, attempts and fills."""

_FLUSH = f"SELECT before, inserted, moved FROM flush({', '.join(f'${n}' for n in range(1, sum(_WIDTHS) + 1))})"  # noqa: S608 - numbers only

_BIDS = 9
"""Arrays of bids, in a flush that has any."""


def _statement(*, lines: bool, bids: bool) -> str:
    """A flush whose new orders join their wallets' lines, and one that brings bids."""
    after = sum(_WIDTHS) + 1
    parts = []
    if lines:
        parts.append(
            f"lined_up AS (INSERT INTO lines SELECT * FROM unnest(${after}::text[], ${after + 1}::uuid[])"  # noqa: S608 - numbers only
            " ON CONFLICT DO NOTHING)"
        )
        after += 2
    last = _FLUSH
    if bids:
        arrays = ", ".join(f"${number}" for number in range(after, after + _BIDS))
        parts.append(f"flushed AS MATERIALIZED ({_FLUSH})")
        last = f"SELECT before, inserted, add_bids(moved, {arrays}) AS moved FROM flushed"  # noqa: S608 - numbers only
    return f"WITH {', '.join(parts)} {last}" if parts else last


_STATEMENTS = {(lines, bids): _statement(lines=lines, bids=bids) for lines in (False, True) for bids in (False, True)}


class NewOrder:
    """An order on its way in. `keys`: what no other operation of the same flush may share."""

    __slots__ = ("body", "event", "keys", "order", "row", "sort_key")

    def __init__(self, order: Order, event: OrderEvent) -> None:
        spec = order.spec
        named = spec.client_order_id is not None
        self.order = order
        self.event = event
        self.sort_key = (spec.account, spec.client_order_id or "", order.id)
        self.keys: tuple[object, ...] = (order.id, (spec.account, spec.client_order_id)) if named else (order.id,)
        self.row = (
            *records.order_row(order), records.PLAIN_STATUS[order.status], order.version, order.ready_at_ms,
            order.status in TERMINAL, records.encode_state(order),
        )  # fmt: skip
        self.body = records.encode(event.body)


class Step:
    """A compare-and-set on its way in."""

    __slots__ = ("bodies", "change", "keys", "row", "sort_key")

    def __init__(self, change: Change) -> None:
        order = change.order
        ended = order.status in TERMINAL
        routed = [event.number for event in change.events if type(event.body) is Routed]
        self.change = change
        self.sort_key = order.id
        self.keys: tuple[object, ...] = (order.id,)
        self.row = (
            order.id, change.expected_version, None if change.lease is None else change.lease.epoch,
            records.PLAIN_STATUS[order.status], order.version, None if ended else order.ready_at_ms, change.release,
            ended, order.spec.account, routed[-1] if routed else None, records.encode_state(order),
        )  # fmt: skip
        self.bodies = [records.encode(event.body) for event in change.events]


Operation = NewOrder | Step


class Flush:
    """One batch of operations, no two of which share a key. Their events are numbered in the order given."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = operations
        self._new = sorted((one for one in operations if type(one) is NewOrder), key=lambda one: one.sort_key)
        self._steps = sorted((one for one in operations if type(one) is Step), key=lambda one: one.sort_key)
        self._positions = {
            id(one): position for of_kind in (self._new, self._steps) for position, one in enumerate(of_kind, 1)
        }

    def arguments(self) -> list[Any]:
        """The arrays, in the order of the function's parameters."""
        events, attempts, fills = [], [], []
        for one in self._operations:
            position = self._positions[id(one)]
            if type(one) is NewOrder:
                events.append(_event_row(-position, one.event, one.body))
            elif type(one) is Step:
                for event, body in zip(one.change.events, one.bodies, strict=True):
                    events.append(_event_row(position, event, body))
        for position, step in enumerate(self._steps, 1):
            order_id, attempt, fill = step.change.order.id, step.change.attempt, step.change.fill
            if attempt is not None:
                _, number, is_open, status, *rest = records.attempt_row(order_id, attempt)
                attempts.append((position, order_id, number, status, bool(is_open), *rest))
            if fill is not None:
                fills.append((position, *records.fill_row(order_id, fill)))
        rows = ([new.row for new in self._new], [step.row for step in self._steps], events, attempts, fills)
        return [column for of_kind, width in zip(rows, _WIDTHS, strict=True) for column in _columns(of_kind, width)]

    def call(self, *, in_line: bool) -> tuple[str, list[Any]]:
        """The statement of this flush and its values. `in_line`: orders of a wallet go one after another."""
        values = self.arguments()
        lines = in_line and bool(self._new)
        if lines:
            values += [[new.order.spec.wallet for new in self._new], [new.order.id for new in self._new]]
        bids = self._bids()
        if bids:
            values += _columns(bids, _BIDS)
        return _STATEMENTS[lines, bool(bids)], values

    def _bids(self) -> list[tuple[Any, ...]]:
        return [
            (position, step.change.order.id, step.change.order.attempt, *records.bid_row(step.change.bid))
            for position, step in enumerate(self._steps, 1)
            if step.change.bid is not None
        ]

    def written(self, answer: asyncpg.Record) -> tuple[list[OrderEvent], list[Operation]]:
        """The events with their sequence numbers, ascending, and the operations that were not written."""
        before, inserted, moved = answer
        sequence: int = before or 0
        events: list[OrderEvent] = []
        refused: list[Operation] = []
        for one in self._operations:
            at = self._positions[id(one)] - 1
            if not (inserted[at] if type(one) is NewOrder else moved[at]):
                refused.append(one)
                continue
            for event in (one.event,) if isinstance(one, NewOrder) else one.change.events:
                sequence += 1
                events.append(_numbered(event, sequence))
        return events, refused


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _event_row(position: int, event: OrderEvent, body: str) -> tuple[Any, ...]:
    kind, status = records.KINDS[type(event.body)], records.PLAIN_STATUS[event.status]
    return position, event.order_id, event.number, event.at_ms, kind, status, body


def _numbered(event: OrderEvent, sequence: int) -> OrderEvent:
    return OrderEvent(event.order_id, event.number, event.at_ms, event.status, event.body, sequence)
