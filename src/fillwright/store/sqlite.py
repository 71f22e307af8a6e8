"""The embedded store: one SQLite file, one process, one writer thread with group commit.

In: what `ports.Store` takes. Out: answers that are durable (write-ahead log, synchronous FULL). Reads run on
connections of their own and see every write that has been answered. A second process on the same file is
refused; so whatever epoch is alive in the file when it is opened has died with its process.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from fillwright import observe
from fillwright.domain.errors import StoreError, Unavailable
from fillwright.domain.orders import Attempt, Fill, Order, OrderEvent, OrderId
from fillwright.domain.queue import DEFAULT_RULES, QueueRules, QueueState
from fillwright.group_commit import GroupCommit
from fillwright.ports import Change, Clock, CommitListener, Lease, OrderFilter, StoreStats
from fillwright.store import records, sqlite_reads
from fillwright.store.sqlite_file import FileLock, connect_reader, connect_writer, prepare
from fillwright.store.sqlite_readers import Readers
from fillwright.store.sqlite_writer import NewOrder, Writer, Written

READERS = 2
MAX_FRESH = 10_000
"""Orders that are remembered from their insertion to their first claim."""
MAX_COUNTED = 10_000
"""Orders that one look at the statistics may count before the running totals are brought up to date."""

T = TypeVar("T")


class SqliteStore:
    """`ports.Store` on the file at `path`. Opened once; `clock` times the workers' epochs. `rules.orders_per_minute`
    is its one worker's own affair."""

    def __init__(self, path: Path, clock: Clock, *, readers: int = READERS, rules: QueueRules = DEFAULT_RULES) -> None:
        self._rules = rules
        self._path = path
        self._clock = clock
        self._lock = FileLock(path)
        self._writer = Writer(rules)
        self._commits = GroupCommit(
            self._connect,
            name="store-writer",
            after_batch=self._announce,
            on_flush=lambda operations, seconds: observe.store_flush(operations=operations, seconds=seconds),
            hooks=self._writer,
        )
        self._readers = Readers(lambda: connect_reader(path), size=readers, name="store-reader")
        self._on_commit: CommitListener | None = None
        self._fresh: dict[str, Order] = {}

    async def open(self, on_commit: CommitListener) -> None:
        """Raises ConfigError where another process has the file, or it can't be used."""
        self._on_commit = on_commit
        try:
            await self._commits.open()
            await self._commits.submit(lambda _: self._writer.bury())
            self._readers.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Flush what is pending, finish the reads under way, let the file go."""
        await self._commits.close()
        await self._readers.close()
        self._lock.release()

    async def ready(self) -> None:
        await self.last_sequence()

    async def insert(self, order: Order, event: OrderEvent) -> Order:
        new = NewOrder(order, event)
        self._remember(order)
        written = await self._commits.submit(lambda _: self._writer.insert(new))
        return order if type(written) is Written else written  # type: ignore[return-value]

    async def insert_many(self, items: Sequence[tuple[Order, OrderEvent]]) -> list[Order | Exception]:
        try:
            encoded = [NewOrder(order, event) for order, event in items]
            for order, _ in items:
                self._remember(order)
            written = await self._commits.submit(lambda _: self._writer.insert_many(encoded))
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 - one of them can't be stored: each finds out for itself
            alone = (self.insert(order, event) for order, event in items)
            outcomes = await asyncio.gather(*alone, return_exceptions=True)
            return [_outcome(outcome) for outcome in outcomes]
        outcome: list[Order | Exception] = written.value
        return outcome

    async def change(self, change: Change) -> None:
        events = change.events
        if change.order.version != change.expected_version + len(events):
            raise StoreError(f"order {change.order.id}: its version is not the number of its last event")
        state = records.encode_state(change.order)
        bodies = [records.encode(event.body) for event in events]
        await self._commits.submit(lambda _: self._writer.change(change, state, bodies))

    async def register(self, worker: str) -> Lease:
        now_ms = self._now_ms()
        epoch = await self._commits.submit(lambda _: self._writer.register(worker, now_ms))
        return Lease(worker, epoch)

    async def heartbeat(self, lease: Lease) -> None:
        now_ms = self._now_ms()
        await self._commits.submit(lambda _: self._writer.heartbeat(lease.epoch, now_ms))

    async def reap(self, silent_ms: int) -> int:
        since_ms = self._now_ms() - silent_ms
        return await self._commits.submit(lambda _: self._writer.reap(since_ms))

    async def retire(self, lease: Lease) -> None:
        await self._commits.submit(lambda _: self._writer.retire(lease.epoch))

    async def claim(
        self, lease: Lease, now_ms: int, limit: int, order_ids: Sequence[OrderId] | None = None
    ) -> list[Order]:
        if order_ids is None or self._rules.wallet_order:
            rows = await self._commits.submit(lambda _: self._writer.claim(lease.epoch, now_ms, limit))
        else:
            wanted = order_ids[:limit]
            rows = await self._commits.submit(lambda _: self._writer.claim_these(lease.epoch, now_ms, wanted))
        found = [self._fresh_order(row) or await self._claimed(row) for row in rows]
        return [order for order in found if order is not None]

    def _remember(self, order: Order) -> None:
        """Most orders are claimed as they were inserted, moments later: they need not be read again."""
        if len(self._fresh) >= MAX_FRESH:
            del self._fresh[next(iter(self._fresh))]
        self._fresh[order.id] = order

    def _fresh_order(self, row: tuple[Any, ...]) -> Order | None:
        order_id, status, version = row[:3]
        fresh = self._fresh.pop(order_id, None)
        return fresh if fresh is not None and fresh.version == version and fresh.status == status else None

    async def _claimed(self, row: tuple[Any, ...]) -> Order | None:
        return records.decode_order(*row) if len(row) > 3 else await self.get(row[0])

    async def queue_state(self) -> QueueState:
        return await self._readers.run(sqlite_reads.queue_state)

    async def set_queue_state(self, state: QueueState) -> None:
        await self._commits.submit(lambda _: self._writer.set_queue_state(state))

    async def held(self, lease: Lease) -> list[Order]:
        return await self._read(sqlite_reads.held, lease.epoch)

    async def next_ready_ms(self) -> int | None:
        return await self._readers.run(sqlite_reads.next_ready_ms)

    async def get(self, order_id: OrderId) -> Order | None:
        return await self._read(sqlite_reads.get, order_id)

    async def version(self, order_id: OrderId) -> int | None:
        return await self._read(sqlite_reads.version, order_id)

    async def find(self, account: str, client_order_id: str) -> Order | None:
        return await self._read(sqlite_reads.find, account, client_order_id)

    async def events(self, order_id: OrderId, after: int = 0, limit: int = 1000) -> list[OrderEvent]:
        return await self._read(sqlite_reads.events, order_id, after, limit)

    async def events_since(self, sequence: int, limit: int = 1000) -> list[OrderEvent]:
        return await self._read(sqlite_reads.events_since, sequence, limit)

    async def attempts(self, order_id: OrderId) -> list[Attempt]:
        return await self._read(sqlite_reads.attempts, order_id)

    async def fills(self, order_id: OrderId) -> list[Fill]:
        return await self._read(sqlite_reads.fills, order_id)

    async def page(self, where: OrderFilter, before: OrderId | None, limit: int) -> list[Order]:
        return await self._read(sqlite_reads.page, where, before, limit)

    async def stats(self, now_ms: int) -> StoreStats:
        found, counted = await self._read(sqlite_reads.stats, now_ms)
        if counted > MAX_COUNTED:
            await self._commits.submit(lambda _: self._writer.advance_watermark(now_ms))
        return found

    async def last_sequence(self) -> int:
        return await self._readers.run(sqlite_reads.last_sequence)

    async def _read(self, read: Callable[..., T], *values: Any) -> T:
        return await self._readers.run(lambda connection: read(connection, *values))

    def _connect(self) -> sqlite3.Connection:
        """On the writer thread."""
        prepare(self._path)
        self._lock.acquire()
        connection = connect_writer(self._path)
        self._writer.attach(connection)
        return connection

    def _announce(self, results: list[Any]) -> None:
        """Tell the listener what has become durable, in sequence order."""
        events = [event for result in results if type(result) is Written for event in result.events]
        if events and self._on_commit is not None:
            self._on_commit(events)

    def _now_ms(self) -> int:
        """The store's own clock: epochs never outlive the process, so it need not be wall time."""
        return int(self._clock.monotonic_s() * 1000)


def _outcome(outcome: Order | BaseException) -> Order | Exception:
    if isinstance(outcome, Order | Exception):
        return outcome
    raise outcome
