"""The one writer connection of a process: whatever is pending goes into the next flush, one statement each.

In: operations. Out: futures that resolve once their flush is durable. There is no timer: a slow disk makes the
next flush bigger. A flush that contradicts a unique index is undone whole and split in halves, until the culprit
is alone. A connection that is lost leaves the flush *unknown*; while the server is away, writes are refused.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import asyncpg

from fillwright.domain.errors import StaleLease, StoreError, Unavailable, VersionConflict
from fillwright.ports import CommitListener
from fillwright.store.postgres_connections import Connection, Server, hang_up, is_lost, refused, stalled
from fillwright.store.postgres_flush import Flush, NewOrder, Operation, Step
from fillwright.store.queries import load

MAX_PENDING = 50_000
MAX_BATCH = 500
MAX_DEADLOCKS = 5
"""How often a flush that the server chose to end is tried again."""
STALL_S = 2.0
"""While a flush has taken longer than this, further writes are refused, and those that wait for it, too."""
FLUSH_TIMEOUT_S = 5.0
"""After this nobody waits for a flush any more: whether it is done is unknown."""

_STANDING = load("postgres")["standing"]
_Item = tuple[Operation, "asyncio.Future[bool]"]


class Writer:
    """`on_commit` is called on the event loop with each flush's events before its futures resolve. `in_line`: new
    orders join their wallets' lines."""

    def __init__(self, server: Server, *, in_line: bool = False) -> None:
        self._server = server
        self._in_line = in_line
        self._pending: deque[_Item] = deque()
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._on_commit: CommitListener | None = None
        self._connecting = asyncio.Lock()
        self._flushing_since_s: float | None = None
        self._closed = True

    async def open(self, on_commit: CommitListener) -> None:
        """Raises Unavailable."""
        self._connection = await self._server.connect()
        self._on_commit = on_commit
        self._closed = False

    async def close(self) -> None:
        """Flush what is pending, then hang up."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait({self._task})
        connection, self._connection = self._connection, None
        if connection is not None:
            await hang_up(connection)

    def submit(self, operation: Operation) -> asyncio.Future[bool]:
        """True once `operation` is durable; False for a new order whose id or own id is taken.

        Raises Unavailable when closed or overloaded. The future raises Unavailable where nothing was written,
        StaleLease and VersionConflict for a step that came too late, StoreError where the write failed or its
        outcome is unknown. Cancelling it undoes nothing.
        """
        if self._closed:
            raise Unavailable("the store is closed", code="store_unavailable")
        if len(self._pending) >= MAX_PENDING:
            raise Unavailable("the store is overloaded", code="store_overloaded")
        loop = asyncio.get_running_loop()
        if self._stalls():
            raise stalled()
        if not self._has_connection():
            away = self._server.away
            if away is not None:
                raise away
        future: asyncio.Future[bool] = loop.create_future()
        self._pending.append((operation, future))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._flush_all(), name="store-writer")
        return future

    async def ready(self) -> None:
        """Raises Unavailable where a write would be refused now."""
        if self._closed:
            raise Unavailable("the store is closed", code="store_unavailable")
        if self._stalls():
            raise stalled()
        await self._connected()

    def _stalls(self) -> bool:
        since_s = self._flushing_since_s
        return since_s is not None and asyncio.get_running_loop().time() - since_s > STALL_S

    def _has_connection(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def _flush_all(self) -> None:
        while self._pending:
            batch = self._take()
            try:
                connection = await self._connected()
            except Unavailable as error:
                for item in (*batch, *self._drained()):
                    _fail(item, error)
                return
            loop = asyncio.get_running_loop()
            self._flushing_since_s = loop.time()
            stall = loop.call_later(STALL_S, self._refuse_pending)
            try:
                await self._write(connection, batch)
            finally:
                stall.cancel()
                self._flushing_since_s = None

    def _refuse_pending(self) -> None:
        """Nobody waits behind a flush that does not end: nothing of this has been tried."""
        for item in self._drained():
            _fail(item, stalled())

    def _take(self) -> list[_Item]:
        """The next batch: no two operations of the same order or the same own id; the rest waits its turn."""
        taken: list[_Item] = []
        later: list[_Item] = []
        keys: set[object] = set()
        while self._pending and len(taken) < MAX_BATCH and len(later) < MAX_BATCH:
            item = self._pending.popleft()
            if keys.isdisjoint(item[0].keys):
                taken.append(item)
            else:
                later.append(item)
            keys.update(item[0].keys)
        self._pending.extendleft(reversed(later))
        return taken

    async def _connected(self) -> Connection:
        """Raises Unavailable."""
        async with self._connecting:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._server.connect()
            return self._connection

    def _drained(self) -> list[_Item]:
        items = list(self._pending)
        self._pending.clear()
        return items

    async def _write(self, connection: Connection, batch: list[_Item]) -> None:
        """Write `batch`, in halves where one of its operations can't be written."""
        for attempt in range(1, MAX_DEADLOCKS + 1):
            flush = Flush([operation for operation, _ in batch])
            statement, values = flush.call(in_line=self._in_line)
            try:
                answer = await connection.fetchrow(statement, *values, timeout=FLUSH_TIMEOUT_S)
                break
            except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as error:
                if attempt == MAX_DEADLOCKS:
                    _fail_all(batch, refused(error))
                    return
            except Exception as error:  # noqa: BLE001 - each operation is told its own failure
                await self._failed(connection, batch, error)
                return
        await self._settle(connection, batch, flush, answer)

    async def _settle(self, connection: Connection, batch: list[_Item], flush: Flush, answer: asyncpg.Record) -> None:
        events, missed = flush.written(answer)
        try:
            if events and self._on_commit is not None:
                self._on_commit(events)
        finally:
            late = {id(operation) for operation in missed}
            for operation, future in batch:
                if id(operation) not in late and not future.done():
                    future.set_result(True)
        if missed:
            await self._explain(connection, [item for item in batch if id(item[0]) in late])

    async def _explain(self, connection: Connection, missed: Sequence[_Item]) -> None:
        """Tell each operation that was not written why."""
        steps = [operation.change.order.id for operation, _ in missed if type(operation) is Step]
        try:
            rows = await connection.fetch(_STANDING, steps) if steps else []
        except Exception as error:  # noqa: BLE001 - they were not written; only the reason is not known
            if is_lost(connection, error):
                connection.terminate()
            rows = None
        standing: dict[str, Any] | None = None if rows is None else {row[0]: row for row in rows}
        for item in missed:
            operation, future = item
            if type(operation) is NewOrder:
                if not future.done():
                    future.set_result(False)
            elif type(operation) is Step:
                _fail(item, _reason(operation, standing))

    async def _failed(self, connection: Connection, batch: list[_Item], error: Exception) -> None:
        if is_lost(connection, error):
            connection.terminate()
            if isinstance(error, TimeoutError):
                self._server.lost(stalled())
            unknown = StoreError("the connection was lost; whether the write was done is unknown")
            unknown.__cause__ = error
            _fail_all(batch, unknown)
            return
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            # That its session may not write may have been decided when it began: the next one is a new one.
            connection.terminate()
        ours = refused(error) if isinstance(error, asyncpg.PostgresError) else error
        blames_data = isinstance(error, asyncpg.IntegrityConstraintViolationError | asyncpg.DataError)
        if len(batch) == 1 or not blames_data:
            _fail_all(batch, ours)
            return
        half = len(batch) // 2
        await self._write(connection, batch[:half])
        if connection.is_closed():
            _fail_all(batch[half:], Unavailable("PostgreSQL went away", code="store_unavailable"))
        else:
            await self._write(connection, batch[half:])


def _reason(step: Step, standing: dict[str, Any] | None) -> Exception:
    change = step.change
    order = change.order
    if standing is None:
        return VersionConflict(f"order {order.id} was not moved")
    row = standing.get(order.id)
    if row is None:
        return StoreError(f"no order has the id {order.id}")
    _, version, owner_epoch = row
    if change.lease is not None and owner_epoch != change.lease.epoch:
        return StaleLease(f"order {order.id} is no longer in the hands of {change.lease.worker}")
    return VersionConflict(f"order {order.id} is at {version}, not at {change.expected_version}")


def _fail_all(batch: Sequence[_Item], error: BaseException) -> None:
    for item in batch:
        _fail(item, error)


def _fail(item: _Item, error: BaseException) -> None:
    """Tell one caller, unless it has given up."""
    if not item[1].done():
        item[1].set_exception(error)
