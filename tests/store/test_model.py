"""Random sequences of operations on the SQLite store, compared with a plain model of the port."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from msgspec.structs import replace

from fakes.clock import ManualClock
from fakes.orders import NOW_MS, ROUTED, attempt_of, bid_of, built, fill_of, new_order, step
from fillwright.domain.errors import FillwrightError, IdempotencyMismatch, StaleLease, StoreError, VersionConflict
from fillwright.domain.lifecycle import OPEN_ATTEMPTS, TERMINAL, replay
from fillwright.domain.orders import (
    Attempt,
    AttemptStatus,
    Cancelled,
    Confirmed,
    Fill,
    Order,
    OrderError,
    OrderEvent,
    OrderId,
    OrderStatus,
    Rebid,
    Retrying,
    Submitted,
    Triggered,
)
from fillwright.domain.queue import QueueRules, QueueState
from fillwright.ports import Change, Lease, OrderFilter
from fillwright.store.sqlite import SqliteStore

RULES = QueueRules(priority_step_ms=15)
"""So small that orders of a lower priority overtake, as they age."""
ERROR = OrderError("expired", "not landed")
S = OrderStatus


class Model:
    """The port in a few dictionaries."""

    def __init__(self) -> None:
        self.orders: dict[OrderId, Order] = {}
        self.owners: dict[OrderId, int] = {}
        self.alive: set[int] = set()
        self.attempts: dict[tuple[OrderId, int], Attempt] = {}
        self.fills: dict[str, Fill] = {}
        self.log: list[OrderEvent] = []
        self.queue = QueueState.RUNNING

    def insert(self, order: Order, event: OrderEvent) -> Order:
        key = (order.spec.account, order.spec.client_order_id)
        for stored in self.orders.values():
            if key[1] is not None and (stored.spec.account, stored.spec.client_order_id) == key:
                if stored.spec != order.spec:
                    raise IdempotencyMismatch("another body")
                return stored
        self.orders[order.id] = order
        self._append(event)
        return order

    def change(self, change: Change) -> None:
        order = change.order
        stored = self.orders[order.id]
        if change.lease is not None and self.owners.get(order.id) != change.lease.epoch:
            raise StaleLease("not the holder")
        if stored.version != change.expected_version:
            raise VersionConflict("moved")
        if change.attempt is not None:
            self._check_attempt(change.attempt)
            known = self.attempts.get((order.id, change.attempt.number), change.attempt)
            self.attempts[order.id, change.attempt.number] = replace(change.attempt, bids=known.bids)
        if change.bid is not None:
            attempt = self.attempts[order.id, order.attempt]
            taken = {n for each in attempt.bids for n in (each.number, each.signature)}
            if attempt.status not in OPEN_ATTEMPTS or taken & {change.bid.number, change.bid.signature}:
                raise StoreError("no such bid")
            self.attempts[order.id, order.attempt] = replace(attempt, bids=(*attempt.bids, change.bid))
        if change.fill is not None:
            self.fills[change.fill.signature] = change.fill
        self.orders[order.id] = order
        if change.release:
            self.owners.pop(order.id, None)
        for event in change.events:
            self._append(event)

    def claim(self, lease: Lease, now_ms: int, limit: int, order_ids: list[OrderId] | None = None) -> list[Order]:
        if lease.epoch not in self.alive:
            raise StaleLease("ended")
        if self.queue is QueueState.PAUSED:
            return []
        due = [order for order in self.free() if order.ready_at_ms <= now_ms]  # type: ignore[operator]
        due.sort(key=lambda order: RULES.rank_ms(order.ready_at_ms, order.spec.priority))
        if order_ids is not None:
            due = [order for found in order_ids for order in due if order.id == found]
        for order in due[:limit]:
            self.owners[order.id] = lease.epoch
        return due[:limit]

    def held(self, lease: Lease) -> list[Order]:
        return [self.orders[found] for found in sorted(self.owners) if self.owners[found] == lease.epoch]

    def end(self, epochs: set[int]) -> int:
        self.alive -= epochs
        held = [found for found, epoch in self.owners.items() if epoch in epochs]
        for found in held:
            del self.owners[found]
        return len(held)

    def free(self) -> list[Order]:
        return [o for o in self.orders.values() if o.ready_at_ms is not None and o.id not in self.owners]

    def _check_attempt(self, attempt: Attempt) -> None:
        others = [a for (found, n), a in self.attempts.items() if found == attempt.order_id and n != attempt.number]
        if attempt.status in OPEN_ATTEMPTS and any(other.status in OPEN_ATTEMPTS for other in others):
            raise StoreError("a second open attempt")

    def _append(self, event: OrderEvent) -> None:
        self.log.append(replace(event, sequence=len(self.log) + 1))


class StoreMachine(RuleBasedStateMachine):
    orders = Bundle("orders")
    leases = Bundle("leases")

    @initialize()
    def open(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.model = Model()
        self.heard: list[OrderEvent] = []
        self.number = 0
        self._open()

    def _open(self) -> None:
        self.store = SqliteStore(Path(self.directory.name) / "store.db", self.clock, rules=RULES)
        self.runner.run(self.store.open(self.heard.extend))

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.run(self.store.close())
            self.runner.close()
            self.directory.cleanup()

    def same(self, real: Any, expected: Any) -> Any:
        """The model's answer, which must be the store's too, the class of its error included."""
        try:
            answer = expected()
        except FillwrightError as error:
            with pytest.raises(FillwrightError) as refusal:
                self.runner.run(real)
            assert [type(refusal.value)] == [type(error)]  # noqa: PT017 - the model's error, not the store's
            return None
        assert self.runner.run(real) == answer
        return answer

    @rule(
        target=orders,
        key=st.sampled_from([None, None, "k1", "k2", "k3"]),
        amount=st.sampled_from([1, 1, 1, 2]),
        delay_ms=st.integers(-5, 5),
        priority=st.integers(-1, 1),
        hold=st.sampled_from([False, False, False, True]),
        bulk=st.booleans(),
    )
    def insert(self, key: str | None, amount: int, delay_ms: int, priority: int, hold: bool, bulk: bool) -> Any:
        self.number += 1
        spec = {"client_order_id": key, "amount": amount, "priority": priority, "hold": hold}
        new = new_order(self.number, ready_at_ms=NOW_MS + 10 * self.number + delay_ms, **spec)
        if not bulk:
            self.same(self.store.insert(*new), lambda: self.model.insert(*new))
        else:
            (outcome,) = self.runner.run(self.store.insert_many([new]))
            try:
                assert outcome == self.model.insert(*new)
            except IdempotencyMismatch:
                assert isinstance(outcome, IdempotencyMismatch)
        return new[0].id if new[0].id in self.model.orders else multiple()

    @rule(target=leases)
    def register(self) -> Lease:
        lease = self.runner.run(self.store.register(f"w{self.number}"))
        assert lease.epoch not in self.model.alive
        self.model.alive.add(lease.epoch)
        return lease

    @rule(lease=leases, after_ms=st.integers(0, 300), limit=st.integers(1, 3))
    def claim(self, lease: Lease, after_ms: int, limit: int) -> None:
        now_ms = NOW_MS + after_ms
        self.same(self.store.claim(lease, now_ms, limit), lambda: self.model.claim(lease, now_ms, limit))

    @rule(lease=leases)
    def held(self, lease: Lease) -> None:
        async def held() -> list[Order]:
            return sorted(await self.store.held(lease), key=lambda order: order.id)

        self.same(held(), lambda: self.model.held(lease))

    @rule(lease=leases, after_ms=st.integers(0, 300), wanted=st.lists(orders, max_size=3, unique=True))
    def claim_these(self, lease: Lease, after_ms: int, wanted: list[OrderId]) -> None:
        now_ms = NOW_MS + after_ms
        self.same(self.store.claim(lease, now_ms, 9, wanted), lambda: self.model.claim(lease, now_ms, 9, wanted))

    @rule(state=st.sampled_from(QueueState))
    def turn(self, state: QueueState) -> None:
        self.runner.run(self.store.set_queue_state(state))
        self.model.queue = state
        assert self.runner.run(self.store.queue_state()) is state

    @rule(lease=leases)
    def heartbeat(self, lease: Lease) -> None:
        def beat() -> None:
            if lease.epoch not in self.model.alive:
                raise StaleLease("ended")

        self.same(self.store.heartbeat(lease), beat)

    @rule(lease=leases)
    def retire(self, lease: Lease) -> None:
        self.runner.run(self.store.retire(lease))
        self.model.end({lease.epoch})

    @rule()
    def reap(self) -> None:
        self.same(self.store.reap(-1_000), lambda: self.model.end(set(self.model.alive)))

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.store.close())
        self._open()
        self.model.end(set(self.model.alive))

    @rule(found=orders, by=st.none() | leases, release=st.booleans(), stale=st.sampled_from([False] * 5 + [True]))
    def advance(self, found: OrderId, by: Lease | None, release: bool, stale: bool) -> None:
        """The step that comes next in an order's life, by its holder or by someone else."""
        order = self.model.orders[found]
        if order.status in TERMINAL:
            return
        holder = self.model.owners.get(found)
        lease = Lease("holder", holder) if by is None and holder is not None else by
        change = self._next(order, lease, release)
        if stale:
            change = replace(change, expected_version=order.version + 1, order=replace(change.order, version=99))
            change = replace(change, expected_version=99 - len(change.events))
        self.same(self.store.change(change), lambda: self.model.change(change))

    def _next(self, order: Order, lease: Lease | None, release: bool) -> Change:
        number = order.attempt + 1
        current = self.model.attempts.get((order.id, order.attempt))
        match order.status:
            case S.WAITING:
                return step(order, Triggered(), lease, release=release)
            case S.PENDING:
                return step(order, ROUTED, lease, release=release)
            case S.ROUTING:
                attempt = attempt_of(order, number)
                return step(order, built(attempt), lease, attempt=attempt, release=release)
        assert current is not None
        if order.status is S.BUILDING:
            sent = replace(current, status=AttemptStatus.SENT)
            return step(order, Submitted(current.number, current.signature), lease, attempt=sent, release=release)
        if release:
            lost = replace(current, status=AttemptStatus.EXPIRED, error=ERROR)
            return step(order, Retrying(current.number, ERROR, order.updated_ms + 9), lease, attempt=lost, release=True)
        landed, fill = replace(current, status=AttemptStatus.LANDED, slot=5), fill_of(current)
        return step(order, Confirmed(fill), lease, attempt=landed, fill=fill, release=True)

    @rule(found=orders, release=st.booleans())
    def cancel(self, found: OrderId, release: bool) -> None:
        order = self.model.orders[found]
        if order.status in (S.WAITING, S.PENDING, S.ROUTING):
            change = step(order, Cancelled(), None, release=release)
            self.same(self.store.change(change), lambda: self.model.change(change))

    @rule(found=orders)
    def second_open_attempt(self, found: OrderId) -> None:
        order = self.model.orders[found]
        if order.status in (S.BUILDING, S.SUBMITTED):
            attempt = attempt_of(order, order.attempt + 1)
            if order.status is S.SUBMITTED:
                change = Change(order, (), order.version, None, attempt)
            else:
                change = step(order, Submitted(attempt.number, "s"), None, attempt=attempt)
            self.same(self.store.change(change), lambda: self.model.change(change))

    @rule(found=orders, number=st.integers(2, 4))
    def bid(self, found: OrderId, number: int) -> None:
        order = self.model.orders[found]
        if order.status is S.SUBMITTED:
            bid = bid_of(self.model.attempts[order.id, order.attempt], number)
            body = Rebid(order.attempt, number, bid.signature, bid.unit_price)
            change = step(order, body, None, bid=bid)
            self.same(self.store.change(change), lambda: self.model.change(change))

    @rule(found=orders)
    def read(self, found: OrderId) -> None:
        run, store, model = self.runner.run, self.store, self.model
        order = run(store.get(found))
        assert order == model.orders[found]
        assert replay(run(store.events(found))) == order
        assert run(store.attempts(found)) == [a for (oid, _), a in sorted(model.attempts.items()) if oid == found]
        assert run(store.fills(found)) == [fill for fill in model.fills.values() if fill.order_id == found]

    @rule(status=st.sampled_from([None, *S]), limit=st.integers(1, 5))
    def page(self, status: OrderStatus | None, limit: int) -> None:
        expected = [o for o in self.model.orders.values() if status is None or o.status is status]
        expected.sort(key=lambda order: order.id, reverse=True)
        where = OrderFilter(account="alice", status=status)
        assert self.runner.run(self.store.page(where, None, limit)) == expected[:limit]

    @rule(after_ms=st.integers(-10, 300))
    def stats(self, after_ms: int) -> None:
        now_ms, model = NOW_MS + after_ms, self.model
        stats = self.runner.run(self.store.stats(now_ms))
        ready = sorted(order.ready_at_ms or 0 for order in model.free())
        due = [at_ms for at_ms in ready if at_ms <= now_ms]
        statuses = [order.status.value for order in model.orders.values()]
        assert stats.by_status == {status: statuses.count(status) for status in set(statuses)}
        assert (stats.leased, stats.due, stats.delayed) == (len(model.owners), len(due), len(ready) - len(due))
        assert stats.oldest_due_ms == (due[0] if due else None)
        assert self.runner.run(self.store.next_ready_ms()) == (ready[0] if ready else None)

    @invariant()
    def log_is_gapless_and_announced(self) -> None:
        if hasattr(self, "store"):
            assert self.heard == self.model.log


StoreMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40)
TestStore = StoreMachine.TestCase
