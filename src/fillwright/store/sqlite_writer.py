"""All writes of the SQLite store: operations for the one writer thread.

Each operation looks first and raises its own errors before it writes. What the next operations look at
(versions, owners, totals, the next sequence number) is kept in memory: no other process writes to the file.
After a rollback all of it is read again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec

from fillwright.domain.errors import IdempotencyMismatch, StaleLease, StoreError, VersionConflict
from fillwright.domain.lifecycle import OPEN_ATTEMPTS, TERMINAL
from fillwright.domain.orders import Attempt, AttemptStatus, Bid, Order, OrderEvent, OrderId, Routed
from fillwright.domain.queue import DEFAULT_RULES, QueueRules, QueueState
from fillwright.ports import Change
from fillwright.store import records
from fillwright.store.queries import load
from fillwright.store.sqlite_queue import next_rows, prepare_lines
from fillwright.store.totals import Totals

MAX_HOT = 20_000
"""Orders whose version and owner are kept in memory; the others are looked up."""

EVENTS_AT_ONCE = 32
"""Events that one statement inserts: a third less work than one each."""

_SQL = load("sqlite")
_INSERT_ORDER = _SQL["insert_order"]
_INSERT_EVENT = _SQL["insert_event"]
_HOT_ROW = _SQL["hot_row"]
_INSERT_EVENTS = _INSERT_EVENT + ", (?, ?, ?, ?, ?, ?, ?)" * (EVENTS_AT_ONCE - 1)
_ADVANCE_ORDER = _SQL["advance_order"]
_ROUTE_ORDER = _SQL["route_order"]
_TAKE_ORDER = _SQL["take_order"]
_RELEASE_ORDER = _SQL["release_order"]
_END_ORDER = _SQL["end_order"]
_ADVANCE_ATTEMPT = _SQL["advance_attempt"]
_PUT_ATTEMPT = _SQL["put_attempt"]
_SAVE_TOTALS = _SQL["save_totals"]

_UNDER_WAY = OPEN_ATTEMPTS - {AttemptStatus.BUILT}
"""Statuses of an attempt that has been written before, and is still open."""

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
    """A write that put events into the log. `routed`: the sequence number of the last that brought a route;
    `value`: the operation's own answer."""

    __slots__ = ("events", "routed", "value")

    def __init__(self) -> None:
        self.events: list[OrderEvent] = []
        self.routed: int | None = None
        self.value: Any = None


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
    """State and operations of the writer thread; `GroupCommit` calls the hooks, and runs the operations."""

    def __init__(self, rules: QueueRules = DEFAULT_RULES) -> None:
        self._rules = rules
        self._queue = QueueState.RUNNING
        self._hot: dict[str, _Hot] = {}
        self._log: list[tuple[int, int, int, int, str, str, str]] = []
        self._sequence = 0
        self._totals = Totals({}, 0, 0, 0, 0)
        self._dirty = False
        self._stale = True

    def attach(self, connection: sqlite3.Connection) -> None:
        """Write through this connection, on the thread that calls this."""
        self._cursor = connection.cursor()
        self._execute = self._cursor.execute
        prepare_lines(self._execute, wanted=self._rules.wallet_order)

    def begin(self, connection: sqlite3.Connection) -> None:
        if not self._stale:
            return
        self._hot.clear()
        self._log.clear()
        (self._sequence,) = self._execute(_SQL["last_sequence"]).fetchone()
        by_status, *counts = self._execute(_SQL["load_totals"]).fetchone()
        self._totals = Totals(msgspec.json.decode(by_status, type=dict[str, int]), *counts)
        self._queue = QueueState(self._execute(_SQL["queue_state"]).fetchone()[0])
        self._dirty = self._stale = False

    def end(self, connection: sqlite3.Connection) -> None:
        self._flush_log()
        if not self._dirty:
            return
        t = self._totals
        by_status = msgspec.json.encode(t.by_status).decode()
        self._execute(_SAVE_TOTALS, (by_status, t.leased, t.ready, t.due, t.watermark_ms))
        self._dirty = False

    def rolled_back(self) -> None:
        self._stale = True

    def insert(self, new: NewOrder) -> Written | Order:
        """The new order, written; or the stored one with its key and its spec. Raises IdempotencyMismatch,
        StoreError where another order has its id."""
        order = new.order
        status = records.PLAIN_STATUS[order.status]
        ended_ms = order.updated_ms if order.status in TERMINAL else None
        inserted = self._execute(
            _INSERT_ORDER,
            (*new.row, status, order.version, order.ready_at_ms, ended_ms, self._sequence + 1, new.state),
        )
        if inserted.rowcount != 1:
            return self._stored(order)
        seq = inserted.lastrowid or 0
        written = self._append(seq, (new.event,), (new.body,))
        written.value = order
        self._remember(order.id, _Hot(seq, order.version, status, order.ready_at_ms, None))
        self._totals.add(status)
        self._totals.place(order.ready_at_ms, None, 1)
        return written

    def insert_many(self, items: Sequence[NewOrder]) -> Written:
        """As `insert`, for each; `value` has the outcomes in order."""
        together = Written()
        outcomes: list[Order | Exception] = []
        for new in items:
            try:
                written = self.insert(new)
            except (IdempotencyMismatch, StoreError) as error:
                outcomes.append(error)
                continue
            if isinstance(written, Written):
                together.events += written.events
                outcomes.append(new.order)
            else:
                outcomes.append(written)
        together.value = outcomes
        return together

    def change(self, change: Change, state: str, bodies: Sequence[str]) -> Written:
        """One compare-and-set. Raises StaleLease, VersionConflict, StoreError."""
        order = change.order
        hot = self._hot.get(order.id) or self._look_up(order.id)
        lease = change.lease
        if lease is not None and hot.owner_epoch != lease.epoch:
            raise StaleLease(f"order {order.id} is no longer in the hands of {lease.worker}")
        if hot.version != change.expected_version:
            raise VersionConflict(f"order {order.id} is at {hot.version}, not at {change.expected_version}")
        if change.bid is not None:
            self._add_bid(hot.seq, change)
        elif change.attempt is not None:
            self._put_attempt(hot.seq, change.attempt)
        if change.fill is not None:
            self._execute(_SQL["insert_fill"], records.fill_row(hot.seq, change.fill))
        written = self._append(hot.seq, change.events, bodies)
        self._step(hot, change, state, written.routed)
        return written

    def _step(self, hot: _Hot, change: Change, state: str, routed: int | None) -> None:
        """Bring the order's row, and what is remembered of it, to where the change leaves it."""
        order = change.order
        status = records.PLAIN_STATUS[order.status]
        version = order.version
        ended = order.status in TERMINAL
        ready_at_ms = None if ended else order.ready_at_ms
        owner_epoch = None if change.release else hot.owner_epoch
        if ready_at_ms != hot.ready_at_ms or owner_epoch != hot.owner_epoch:
            self._totals.place(hot.ready_at_ms, hot.owner_epoch, -1)
            self._totals.place(ready_at_ms, owner_epoch, 1)
            if not ended:
                self._execute(_SQL["move_order"], (status, version, state, ready_at_ms, owner_epoch, hot.seq))
            if routed is not None:
                self._execute(_SQL["set_route"], (routed, hot.seq))
        elif not ended and routed is None:
            self._execute(_ADVANCE_ORDER, (status, version, state, hot.seq))
        elif not ended:
            self._execute(_ROUTE_ORDER, (status, version, state, routed, hot.seq))
        if ended:
            self._execute(_END_ORDER, (status, version, state, order.updated_ms, owner_epoch or 0, hot.seq))
            self._hot.pop(order.id, None)
        if status != hot.status:
            self._totals.move(hot.status, status)
        self._dirty = True
        hot.version = version
        hot.status = status
        hot.ready_at_ms = ready_at_ms
        hot.owner_epoch = owner_epoch

    def claim(self, epoch: int, now_ms: int, limit: int) -> list[tuple[Any, ...]]:
        """The rows of the orders taken, by the queue's rules. Raises StaleLease."""
        if not self._may_claim(epoch):
            return []
        self._flush_log()
        self.advance_watermark(now_ms)
        taken: list[tuple[Any, ...]] = []
        for *row, seq in next_rows(self._execute, self._rules, now_ms, limit):
            order_id, status, version, _, ready_at_ms = row[:5]
            hot = _Hot(seq, version, status, ready_at_ms, None)
            self._remember(order_id, hot)
            self._take(hot, epoch)
            taken.append(tuple(row))
        return taken

    def claim_these(self, epoch: int, now_ms: int, order_ids: Sequence[OrderId]) -> list[tuple[Any, ...]]:
        """Id, status and version of those of these that are due and free: taken. Raises StaleLease."""
        if not self._may_claim(epoch):
            return []
        taken: list[tuple[Any, ...]] = []
        for order_id in order_ids:
            hot = self._hot.get(order_id) or self._find(order_id)
            if (
                hot is not None
                and hot.owner_epoch is None
                and hot.ready_at_ms is not None
                and hot.ready_at_ms <= now_ms
            ):
                self._take(hot, epoch)
                taken.append((order_id, hot.status, hot.version))
        return taken

    def _may_claim(self, epoch: int) -> bool:
        """Whether anything may be begun now. Raises StaleLease."""
        if self._execute(_SQL["live_epoch"], (epoch,)).fetchone() is None:
            raise StaleLease(f"epoch {epoch} has ended")
        return self._queue is not QueueState.PAUSED

    def _take(self, hot: _Hot, epoch: int) -> None:
        self._execute(_TAKE_ORDER, (epoch, hot.seq))
        self._totals.place(hot.ready_at_ms, None, -1)
        self._totals.place(hot.ready_at_ms, epoch, 1)
        hot.owner_epoch = epoch
        self._dirty = True

    def set_queue_state(self, state: QueueState) -> None:
        """Kept until it is set again."""
        self._execute(_SQL["set_queue_state"], (state.value,))
        self._queue = state

    def register(self, worker: str, now_ms: int) -> int:
        """A new epoch, never used before."""
        return self._execute(_SQL["register_epoch"], (worker, now_ms)).lastrowid or 0

    def heartbeat(self, epoch: int, now_ms: int) -> None:
        """Raises StaleLease."""
        if self._execute(_SQL["beat_epoch"], (now_ms, epoch)).rowcount != 1:
            raise StaleLease(f"epoch {epoch} has ended")

    def reap(self, silent_since_ms: int) -> int:
        """End the epochs without a heartbeat since then; how many orders that released."""
        silent = self._execute(_SQL["silent_epochs"], (silent_since_ms,)).fetchall()
        return sum(self.retire(epoch) for (epoch,) in silent)

    def bury(self) -> int:
        """End every epoch: whoever held one is not in this process."""
        alive = self._execute(_SQL["live_epochs"]).fetchall()
        return sum(self.retire(epoch) for (epoch,) in alive)

    def retire(self, epoch: int) -> int:
        """End one epoch; how many orders that released."""
        self._execute(_SQL["end_epoch"], (epoch,))
        owned = self._execute(_SQL["owned_orders"], (epoch,)).fetchall()
        for seq, order_id, ready_at_ms in owned:
            self._execute(_RELEASE_ORDER, (seq,))
            self._hot.pop(order_id, None)
            self._totals.place(ready_at_ms, epoch, -1)
            self._totals.place(ready_at_ms, None, 1)
            self._dirty = True
        return len(owned)

    def advance_watermark(self, now_ms: int) -> None:
        """Count what has become due, so that the next count starts from here."""
        totals = self._totals
        if now_ms <= totals.watermark_ms:
            return
        if totals.due < totals.ready:
            (fresh,) = self._execute(_SQL["ready_between"], (totals.watermark_ms, now_ms)).fetchone()
            totals.due += fresh
        totals.watermark_ms = now_ms
        self._dirty = True

    def _append(self, order_seq: int, events: Sequence[OrderEvent], bodies: Sequence[str]) -> Written:
        """Give events their sequence numbers and put them into the log."""
        written = Written()
        for event, encoded in zip(events, bodies, strict=True):
            self._sequence = sequence = self._sequence + 1
            body, status = event.body, event.status
            kind = records.KINDS[type(body)]
            self._log.append(
                (sequence, order_seq, event.number, event.at_ms, kind, records.PLAIN_STATUS[status], encoded)
            )
            written.events.append(OrderEvent(event.order_id, event.number, event.at_ms, status, body, sequence))
            if type(body) is Routed:
                written.routed = sequence
        self._dirty = True
        return written

    def _flush_log(self) -> None:
        """Write the events of this transaction; due before anything reads them, and at its end."""
        log = self._log
        whole = len(log) - len(log) % EVENTS_AT_ONCE
        for start in range(0, whole, EVENTS_AT_ONCE):
            self._execute(_INSERT_EVENTS, tuple(chain.from_iterable(log[start : start + EVENTS_AT_ONCE])))
        if whole < len(log):
            self._cursor.executemany(_INSERT_EVENT, log[whole:])
        log.clear()

    def _put_attempt(self, order_seq: int, attempt: Attempt) -> None:
        if attempt.status in _UNDER_WAY:
            moved = self._execute(_ADVANCE_ATTEMPT, records.attempt_step(order_seq, attempt))
            if moved.rowcount == 1:
                return
        if self._execute(_PUT_ATTEMPT, records.attempt_row(order_seq, attempt)).rowcount != 1:
            raise StoreError(f"attempt {attempt.number} of order {attempt.order_id} has other signed bytes")

    def _add_bid(self, order_seq: int, change: Change) -> None:
        bid, attempt = change.bid, change.order.attempt
        if not isinstance(bid, Bid) or change.attempt is not None:
            raise StoreError("a bid is added by a change of its own")
        row = (*records.bid_row(bid), order_seq, attempt, bid.signature)
        if self._execute(_SQL["add_bid"], row).rowcount != 1:
            text = f"bid {bid.number} of order {change.order.id} needs an open attempt under a marker"
            raise StoreError(f"{text}, and a signature of its own")

    def _stored(self, order: Order) -> Order:
        """The order that stands in the way of a new one, if it is the same request."""
        self._flush_log()
        spec = order.spec
        row = None
        if spec.client_order_id is not None:
            row = self._execute(_SQL["find_order"], (spec.account, spec.client_order_id)).fetchone()
        if row is None:
            row = self._execute(_SQL["get_order"], (order.id,)).fetchone()
            if row is None or records.decode_order(*row).spec != spec:
                raise StoreError(f"another order has the id {order.id}")
        stored = records.decode_order(*row)
        if stored.spec != spec:
            raise IdempotencyMismatch(f"client order id {spec.client_order_id} was used for another order")
        return stored

    def _look_up(self, order_id: OrderId) -> _Hot:
        hot = self._find(order_id)
        if hot is None:
            raise StoreError(f"no order has the id {order_id}")
        return hot

    def _find(self, order_id: OrderId) -> _Hot | None:
        row = self._execute(_HOT_ROW, (order_id,)).fetchone()
        if row is None:
            return None
        hot = _Hot(*row)
        self._remember(order_id, hot)
        return hot

    def _remember(self, order_id: str, hot: _Hot) -> None:
        self._hot[order_id] = hot
        if len(self._hot) > MAX_HOT:
            del self._hot[next(iter(self._hot))]
