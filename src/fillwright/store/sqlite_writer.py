"""All writes of the SQLite store: operations for the one writer thread.

Each operation looks first and raises its own errors before it writes. What the next operations look at
(versions, owners, totals, the next sequence number) is kept in memory: no other process writes to the file.
After a rollback all of it is read again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from fillwright.domain.errors import IdempotencyMismatch, StaleLease, StoreError, VersionConflict
from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import Order, OrderEvent, OrderId, Routed
from fillwright.ports import Change
from fillwright.store import records
from fillwright.store.queries import load
from fillwright.store.totals import Totals

MAX_HOT = 20_000
"""Orders whose version and owner are kept in memory; the others are looked up."""

_PRIORITY_CEILING = 2**63 - 1
_SQL = load("sqlite")
_INSERT_ORDER = _SQL["insert_order"]
_INSERT_EVENT = _SQL["insert_event"]
_HOT_ROW = _SQL["hot_row"]
_ADVANCE_ORDER = _SQL["advance_order"]
_MOVE_ORDER = _SQL["move_order"]
_TAKE_ORDER = _SQL["take_order"]
_RELEASE_ORDER = _SQL["release_order"]
_SAVE_TOTALS = _SQL["save_totals"]

OrderRow = tuple[str, str, int, int, int | None, str, str, str | None]
"""What `records.decode_order` takes."""


class _Hot:
    """What a compare-and-set looks at."""

    __slots__ = ("owner_epoch", "ready_at_ms", "seq", "status", "version")

    def __init__(self, seq: int, version: int, status: str, ready_at_ms: int | None, owner_epoch: int | None) -> None:
        self.seq = seq
        self.version = version
        self.status = status
        self.ready_at_ms = ready_at_ms
        self.owner_epoch = owner_epoch


class Written:
    """A write that put events into the log. `value` is the operation's own answer."""

    __slots__ = ("events", "value")

    def __init__(self, events: list[OrderEvent], value: Any = None) -> None:
        self.events = events
        self.value = value


class NewOrder:
    """An order on its way in, encoded."""

    __slots__ = ("body", "event", "order", "row", "state")

    def __init__(self, order: Order, event: OrderEvent) -> None:
        self.order = order
        self.event = event
        self.row = records.order_row(order)
        self.state = records.encode_state(order)
        self.body = records.encode(event.body)


class Writer:
    """State and operations of the writer thread; `GroupCommit` calls the hooks."""

    def __init__(self) -> None:
        self._hot: dict[str, _Hot] = {}
        self._sequence = 0
        self._totals = Totals({}, 0, 0, 0, 0)
        self._dirty = False
        self._stale = True

    def begin(self, connection: sqlite3.Connection) -> None:
        if not self._stale:
            return
        self._hot.clear()
        (self._sequence,) = connection.execute(_SQL["last_sequence"]).fetchone()
        by_status, *counts = connection.execute(_SQL["load_totals"]).fetchone()
        self._totals = Totals(msgspec.json.decode(by_status, type=dict[str, int]), *counts)
        self._dirty = self._stale = False

    def end(self, connection: sqlite3.Connection) -> None:
        if not self._dirty:
            return
        t = self._totals
        by_status = msgspec.json.encode(t.by_status).decode()
        connection.execute(_SAVE_TOTALS, (by_status, t.leased, t.ready, t.due, t.watermark_ms))
        self._dirty = False

    def rolled_back(self) -> None:
        self._stale = True

    def insert(self, connection: sqlite3.Connection, new: NewOrder) -> Written | Order:
        """The new order, written; or the stored one with its key and its spec. Raises IdempotencyMismatch,
        StoreError where another order has its id."""
        order = new.order
        sequence = self._sequence + 1
        status = records.PLAIN_STATUS[order.status]
        ended_ms = order.updated_ms if order.status in TERMINAL else None
        cursor = connection.execute(
            _INSERT_ORDER,
            (*new.row, status, order.version, order.ready_at_ms, ended_ms, sequence, new.state),
        )
        if cursor.rowcount != 1:
            return self._stored(connection, order)
        events, _ = self._append(connection, order.id, (new.event,), (new.body,))
        seq = cursor.lastrowid or 0
        self._remember(order.id, _Hot(seq, order.version, status, order.ready_at_ms, None))
        self._totals.add(status)
        self._totals.place(order.ready_at_ms, None, 1)
        return Written(events, order)

    def insert_many(self, connection: sqlite3.Connection, items: Sequence[NewOrder]) -> Written:
        """As `insert`, for each; `value` has the outcomes in order."""
        events: list[OrderEvent] = []
        outcomes: list[Order | Exception] = []
        for new in items:
            try:
                written = self.insert(connection, new)
            except (IdempotencyMismatch, StoreError) as error:
                outcomes.append(error)
                continue
            if isinstance(written, Written):
                events += written.events
                outcomes.append(new.order)
            else:
                outcomes.append(written)
        return Written(events, outcomes)

    def change(self, connection: sqlite3.Connection, change: Change, state: bytes, bodies: Sequence[bytes]) -> Written:
        """One compare-and-set. Raises StaleLease, VersionConflict, StoreError."""
        order = change.order
        hot = self._hot.get(order.id) or self._look_up(connection, order.id)
        if change.lease is not None and hot.owner_epoch != change.lease.epoch:
            raise StaleLease(f"order {order.id} is no longer in the hands of {change.lease.worker}")
        if hot.version != change.expected_version:
            raise VersionConflict(f"order {order.id} is at {hot.version}, not at {change.expected_version}")
        if change.attempt is not None:
            self._put_attempt(connection, change)
        if change.fill is not None:
            connection.execute(_SQL["insert_fill"], records.fill_row(change.fill))
        events, routed = self._append(connection, order.id, change.events, bodies)
        status = records.PLAIN_STATUS[order.status]
        ready_at_ms = order.ready_at_ms
        owner_epoch = None if change.release else hot.owner_epoch
        ended = order.status in TERMINAL
        if ready_at_ms == hot.ready_at_ms and owner_epoch == hot.owner_epoch and not ended:
            connection.execute(_ADVANCE_ORDER, (status, order.version, state, routed, hot.seq))
        else:
            ended_ms = order.updated_ms if ended else None
            connection.execute(
                _MOVE_ORDER, (status, order.version, state, routed, ready_at_ms, owner_epoch, ended_ms, hot.seq)
            )
            self._totals.place(hot.ready_at_ms, hot.owner_epoch, -1)
            self._totals.place(ready_at_ms, owner_epoch, 1)
        if status != hot.status:
            self._totals.move(hot.status, status)
        self._dirty = True
        if ended:
            self._hot.pop(order.id, None)
        hot.version = order.version
        hot.status = status
        hot.ready_at_ms = ready_at_ms
        hot.owner_epoch = owner_epoch
        return Written(events)

    def claim(self, connection: sqlite3.Connection, epoch: int, now_ms: int, limit: int) -> list[OrderRow]:
        """The rows of the orders taken: higher priority first, then the longest due. Raises StaleLease."""
        if connection.execute(_SQL["live_epoch"], (epoch,)).fetchone() is None:
            raise StaleLease(f"epoch {epoch} has ended")
        self.advance_watermark(connection, now_ms)
        taken: list[OrderRow] = []
        priority = _PRIORITY_CEILING
        while len(taken) < limit:
            top = connection.execute(_SQL["top_priority"], (priority,)).fetchone()
            if top is None:
                break
            (priority,) = top
            due = connection.execute(_SQL["due_orders"], (priority, now_ms, limit - len(taken))).fetchall()
            for *row, seq in due:
                order_id, status, version, _, ready_at_ms = row[:5]
                connection.execute(_TAKE_ORDER, (epoch, seq))
                self._remember(order_id, _Hot(seq, version, status, ready_at_ms, epoch))
                self._totals.place(ready_at_ms, None, -1)
                self._totals.place(ready_at_ms, epoch, 1)
                taken.append(tuple(row))
        return taken

    def register(self, connection: sqlite3.Connection, worker: str, now_ms: int) -> int:
        """A new epoch, never used before."""
        return connection.execute(_SQL["register_epoch"], (worker, now_ms)).lastrowid or 0

    def heartbeat(self, connection: sqlite3.Connection, epoch: int, now_ms: int) -> None:
        """Raises StaleLease."""
        if connection.execute(_SQL["beat_epoch"], (now_ms, epoch)).rowcount != 1:
            raise StaleLease(f"epoch {epoch} has ended")

    def reap(self, connection: sqlite3.Connection, silent_since_ms: int) -> int:
        """End the epochs without a heartbeat since then; how many orders that released."""
        silent = connection.execute(_SQL["silent_epochs"], (silent_since_ms,)).fetchall()
        return sum(self.retire(connection, epoch) for (epoch,) in silent)

    def bury(self, connection: sqlite3.Connection) -> int:
        """End every epoch: whoever held one is not in this process."""
        alive = connection.execute(_SQL["live_epochs"]).fetchall()
        return sum(self.retire(connection, epoch) for (epoch,) in alive)

    def retire(self, connection: sqlite3.Connection, epoch: int) -> int:
        """End one epoch; how many orders that released."""
        connection.execute(_SQL["end_epoch"], (epoch,))
        owned = connection.execute(_SQL["owned_orders"], (epoch,)).fetchall()
        for seq, order_id, ready_at_ms in owned:
            connection.execute(_RELEASE_ORDER, (seq,))
            self._hot.pop(order_id, None)
            self._totals.place(ready_at_ms, epoch, -1)
            self._totals.place(ready_at_ms, None, 1)
            self._dirty = True
        return len(owned)

    def advance_watermark(self, connection: sqlite3.Connection, now_ms: int) -> None:
        """Count what has become due, so that the next count starts from here."""
        totals = self._totals
        if now_ms <= totals.watermark_ms:
            return
        if totals.due < totals.ready:
            (fresh,) = connection.execute(_SQL["ready_between"], (totals.watermark_ms, now_ms)).fetchone()
            totals.due += fresh
        totals.watermark_ms = now_ms
        self._dirty = True

    def _append(
        self, connection: sqlite3.Connection, order_id: OrderId, events: Sequence[OrderEvent], bodies: Sequence[bytes]
    ) -> tuple[list[OrderEvent], int | None]:
        """Put events into the log; they come back with their sequence numbers, and that of the last route."""
        written = []
        routed = None
        for event, encoded in zip(events, bodies, strict=True):
            self._sequence = sequence = self._sequence + 1
            body = event.body
            kind = records.KINDS[type(body)]
            status = records.PLAIN_STATUS[event.status]
            connection.execute(_INSERT_EVENT, (sequence, order_id, event.number, event.at_ms, kind, status, encoded))
            written.append(OrderEvent(event.order_id, event.number, event.at_ms, event.status, body, sequence))
            if type(body) is Routed:
                routed = sequence
        self._dirty = True
        return written, routed

    @staticmethod
    def _put_attempt(connection: sqlite3.Connection, change: Change) -> None:
        if change.attempt is None:
            return
        if connection.execute(_SQL["put_attempt"], records.attempt_row(change.attempt)).rowcount != 1:
            raise StoreError(f"attempt {change.attempt.number} of order {change.order.id} has other signed bytes")

    def _stored(self, connection: sqlite3.Connection, order: Order) -> Order:
        """The order that stands in the way of a new one, if it is the same request."""
        spec = order.spec
        row = None
        if spec.client_order_id is not None:
            row = connection.execute(_SQL["find_order"], (spec.account, spec.client_order_id)).fetchone()
        if row is None:
            row = connection.execute(_SQL["get_order"], (order.id,)).fetchone()
            if row is None or records.decode_order(*row).spec != spec:
                raise StoreError(f"another order has the id {order.id}")
        stored = records.decode_order(*row)
        if stored.spec != spec:
            raise IdempotencyMismatch(f"client order id {spec.client_order_id} was used for another order")
        return stored

    def _look_up(self, connection: sqlite3.Connection, order_id: OrderId) -> _Hot:
        row = connection.execute(_HOT_ROW, (order_id,)).fetchone()
        if row is None:
            raise StoreError(f"no order has the id {order_id}")
        hot = _Hot(*row)
        self._remember(order_id, hot)
        return hot

    def _remember(self, order_id: str, hot: _Hot) -> None:
        self._hot[order_id] = hot
        if len(self._hot) > MAX_HOT:
            del self._hot[next(iter(self._hot))]
