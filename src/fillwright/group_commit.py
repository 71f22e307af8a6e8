"""One SQLite writer that commits whatever is pending in one transaction.

In: operations, functions of a connection. Out: futures that resolve once their flush is durable. Statements
run on the event loop, microseconds each; so does the commit while the disk answers within a millisecond, and
in a thread of its own while it does not.
A slow disk makes the next batch bigger; there is no timer. An operation must be repeatable and must write nothing
before it raises one of its own errors (FillwrightError): those fail alone. Any other exception rolls the
whole batch back, and it is run again with a savepoint around each operation, so that one bad write never
takes its neighbours along. Where the disk or the file is at fault, the batch fails as one.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from fillwright.domain.errors import FillwrightError, StoreError, Unavailable

MAX_PENDING = 50_000
MAX_BATCH = 500
"""Operations a flush: what the event loop runs in one go."""
FAST_COMMIT_S = 0.001
FIRST_REST, MAX_REST = 64, 4_096
"""Commits that run in the thread after a slow one on the loop."""

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], Any]
_Item = tuple[Operation, "asyncio.Future[Any]"]
_Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]

_NOT_TRIED = {
    sqlite3.SQLITE_FULL: "store_full",
    sqlite3.SQLITE_BUSY: "store_busy",
    sqlite3.SQLITE_LOCKED: "store_busy",
    sqlite3.SQLITE_NOMEM: "store_unavailable",
}
"""Results of SQLite after which a transaction is certain to be gone."""

_UNKNOWN = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
"""Results of SQLite that blame the disk or the file, not a statement."""


class Hooks(Protocol):
    """What the owner of the file keeps in memory beside it. Called on the event loop."""

    def begin(self, connection: sqlite3.Connection) -> None:
        """A transaction, or one operation that runs alone in it, starts."""

    def end(self, connection: sqlite3.Connection) -> None:
        """It is about to be committed: the last chance to write."""

    def rolled_back(self) -> None:
        """What was written since `begin` is gone."""


class _NoHooks:
    def begin(self, connection: sqlite3.Connection) -> None: ...
    def end(self, connection: sqlite3.Connection) -> None: ...
    def rolled_back(self) -> None: ...


class Pace:
    """Where commits run: on the loop while the disk answers at once; after a slow one in the thread, until the
    next probe. Probes that find the disk slow again become rarer."""

    def __init__(self) -> None:
        self._rest = FIRST_REST
        self._away = 0

    def is_fast(self) -> bool:
        """Whether the next commit may run on the loop. Counts it."""
        if self._away == 0:
            return True
        self._away -= 1
        return False

    def took(self, seconds: float) -> None:
        """A commit on the loop took so long."""
        if seconds <= FAST_COMMIT_S:
            self._rest = max(FIRST_REST, self._rest // 2)
        else:
            self._away = self._rest
            self._rest = min(MAX_REST, self._rest * 2)


class GroupCommit:
    """`after_batch` runs on the event loop after each durable flush, before its futures resolve, with the
    results of the operations that succeeded; `on_flush` is told how many operations a flush held, and how many
    seconds it took. What `connect` returns is used by two threads, one at a time
    (`check_same_thread=False`), in autocommit mode (`isolation_level=None`)."""

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        *,
        name: str,
        after_batch: Callable[[list[Any]], None] | None = None,
        on_flush: Callable[[int, float], None] | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self._connect = connect
        self._after_batch = after_batch
        self._on_flush = on_flush
        self._started_s = 0.0
        self._hooks: Hooks = hooks or _NoHooks()
        self._name = name
        self._pending: deque[_Item] = deque()
        self._pace = Pace()
        self._scheduled = False
        self._flushing = False
        self._closing = False
        self._idle: asyncio.Future[None] | None = None
        self._connection: sqlite3.Connection | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Connect. Raises what `connect` raises."""
        loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=self._name)
        try:
            self._connection = await loop.run_in_executor(self._thread, self._connect)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        self._loop = loop

    async def close(self) -> None:
        """Flush what is pending, then let the file go."""
        connection, thread = self._connection, self._thread
        if connection is None or thread is None:
            return
        self._closing = True
        while self._flushing or self._pending:
            if self._idle is None or self._idle.done():
                self._idle = asyncio.get_running_loop().create_future()
            self._start()
            await asyncio.shield(self._idle)
        if self._connection is None:
            return
        self._connection = None
        await asyncio.get_running_loop().run_in_executor(thread, connection.close)
        thread.shutdown()

    def submit(self, operation: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """The future result of `operation`, once durable. On the event loop only.

        Raises Unavailable when closed or overloaded. The future raises Unavailable where nothing was written,
        StoreError where a write failed, and else what the operation raised. Cancelling it undoes nothing.
        """
        if self._loop is None or self._closing:
            raise Unavailable("the store is closed", code="store_unavailable")
        if len(self._pending) >= MAX_PENDING:
            raise Unavailable("the store is overloaded", code="store_overloaded")
        future: asyncio.Future[T] = self._loop.create_future()
        self._pending.append((operation, future))
        if not self._scheduled and not self._flushing:
            self._scheduled = True
            self._loop.call_soon(self._start)
        return future

    def _start(self) -> None:
        """Run what is pending in one transaction, and let the thread commit it."""
        self._scheduled = False
        loop, connection, thread = self._loop, self._connection, self._thread
        if self._flushing or loop is None or connection is None or thread is None:
            return
        if not self._pending:
            self._rest()
            return
        batch = [self._pending.popleft() for _ in range(min(len(self._pending), MAX_BATCH))]
        self._flushing = True
        self._started_s = time.perf_counter()
        try:
            outcomes = self._together(connection, batch)
        except Exception as error:  # noqa: BLE001 - each operation is told its own failure
            self._finish(self._failed(connection, batch, error))
            return
        if self._pace.is_fast():
            self._committed(self._commit_here(connection), batch, outcomes)
            return
        committed = thread.submit(connection.execute, "COMMIT")
        committed.add_done_callback(lambda done: loop.call_soon_threadsafe(self._committed, done, batch, outcomes))

    def _commit_here(self, connection: sqlite3.Connection) -> Future[Any]:
        """Commit on the event loop: a fast disk answers sooner than another thread gets its turn."""
        done: Future[Any] = Future()
        started_s = time.perf_counter()
        try:
            done.set_result(connection.execute("COMMIT"))
        except Exception as error:  # noqa: BLE001 - as the thread would hand it over
            done.set_exception(error)
        self._pace.took(time.perf_counter() - started_s)
        return done

    def _committed(self, done: Future[Any], batch: list[_Item], outcomes: list[_Outcome]) -> None:
        error = done.exception()
        connection = self._connection
        if error is not None and connection is not None:
            self._roll_back(connection)
            outcomes = self._failed(connection, batch, error)
        self._finish(outcomes)

    def _failed(self, connection: sqlite3.Connection, batch: list[_Item], error: BaseException) -> list[_Outcome]:
        """What becomes of a batch whose transaction was lost."""
        if len(batch) == 1 or _blames_disk(error):
            return [(future, None, error) for _, future in batch]
        try:
            return self._apart(connection, batch)
        except Exception as lost:  # noqa: BLE001
            return [(future, None, lost) for _, future in batch]

    def _finish(self, outcomes: list[_Outcome]) -> None:
        self._flushing = False
        if self._on_flush is not None:
            self._on_flush(len(outcomes), time.perf_counter() - self._started_s)
        try:
            self._deliver(outcomes)
        finally:
            # A listener that fails must not hold up those who wait for the next flush.
            if self._pending and self._loop is not None:
                self._scheduled = True
                self._loop.call_soon(self._start)
            else:
                self._rest()

    def _rest(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _together(self, connection: sqlite3.Connection, batch: list[_Item]) -> list[_Outcome]:
        """One transaction, left open. Raises the first exception that is not an operation's own."""
        outcomes: list[_Outcome] = []
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._hooks.begin(connection)
            for operation, future in batch:
                try:
                    outcomes.append((future, operation(connection), None))
                except FillwrightError as error:
                    outcomes.append((future, None, error))
            self._hooks.end(connection)
        except BaseException:
            self._roll_back(connection)
            raise
        return outcomes

    def _apart(self, connection: sqlite3.Connection, batch: list[_Item]) -> list[_Outcome]:
        """One transaction, a savepoint around each operation. Raises where the transaction itself is lost."""
        outcomes: list[_Outcome] = []
        connection.execute("BEGIN IMMEDIATE")
        try:
            for operation, future in batch:
                connection.execute("SAVEPOINT operation")
                try:
                    self._hooks.begin(connection)
                    result = operation(connection)
                    self._hooks.end(connection)
                    outcomes.append((future, result, None))
                except Exception as error:
                    if _blames_disk(error) or not connection.in_transaction:
                        raise
                    connection.execute("ROLLBACK TO operation")
                    self._hooks.rolled_back()
                    outcomes.append((future, None, error))
                connection.execute("RELEASE operation")
            connection.execute("COMMIT")
        except BaseException:
            self._roll_back(connection)
            raise
        return outcomes

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        finally:
            self._hooks.rolled_back()

    def _deliver(self, outcomes: list[_Outcome]) -> None:
        try:
            if self._after_batch is not None:
                self._after_batch([result for _, result, error in outcomes if error is None])
        finally:
            for future, result, error in outcomes:
                if error is None and not future.done():
                    future.set_result(result)
                else:
                    _settle(future, result, error)


def translate(error: BaseException) -> BaseException:
    """SQLite's `error` as one of ours, with its cause; any other as it is."""
    if not isinstance(error, sqlite3.Error):
        return error
    code = _NOT_TRIED.get(_primary_code(error))
    ours = StoreError(f"the store failed: {error}") if code is None else Unavailable(f"the store: {error}", code=code)
    ours.__cause__ = error
    return ours


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    """Resolve `future`, unless its caller has cancelled it."""
    if future.done():
        return
    if error is not None:
        future.set_exception(translate(error))
    else:
        future.set_result(result)


def _primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where the error comes from Python's own checks."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _blames_disk(error: BaseException) -> bool:
    if not isinstance(error, sqlite3.Error):
        return False
    code = _primary_code(error)
    return code in _NOT_TRIED or code in _UNKNOWN
