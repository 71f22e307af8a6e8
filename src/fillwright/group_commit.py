"""One SQLite writer thread that commits whatever is pending in one transaction.

In: operations, functions of a connection. Out: futures that resolve once their flush is durable. A slow
disk makes the next batch bigger; there is no timer. An operation must be repeatable and must write nothing
before it raises one of its own errors (FillwrightError): those fail alone. Any other exception rolls the
whole batch back, and each operation is tried again in a transaction of its own, so that one bad write
never takes its neighbours along.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from fillwright.domain.errors import FillwrightError, Unavailable

MAX_PENDING = 50_000
MAX_BATCH = 2_000

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], Any]
_Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]


class GroupCommit:
    """`after_batch` runs on the event loop after each durable flush, before its futures resolve, with the
    results of the operations that succeeded."""

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        *,
        name: str,
        after_batch: Callable[[list[Any]], None] | None = None,
    ) -> None:
        self._connect = connect
        self._after_batch = after_batch
        self._name = name
        self._pending: deque[tuple[Operation, asyncio.Future[Any]]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Connect and start the thread. Raises what `connect` raises."""
        self._loop = asyncio.get_running_loop()
        opened = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name=self._name, daemon=True)
        self._thread.start()
        await opened

    async def close(self) -> None:
        """Flush what is pending, then stop."""
        thread = self._thread
        if thread is None:
            return
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.get_running_loop().run_in_executor(None, thread.join)
        self._thread = None
        await asyncio.sleep(0)

    def submit(self, operation: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """The future result of `operation`, once durable. Raises Unavailable when closed or overloaded."""
        if self._loop is None or self._closing:
            raise Unavailable("the store is closed", code="store_unavailable")
        if len(self._pending) >= MAX_PENDING:
            raise Unavailable("the store is overloaded", code="store_overloaded")
        future: asyncio.Future[T] = self._loop.create_future()
        self._pending.append((operation, future))
        with self._wake:
            self._wake.notify()
        return future

    def _run(self, opened: asyncio.Future[None]) -> None:
        loop = self._loop
        if loop is None:
            return
        try:
            connection = self._connect()
        except BaseException as error:  # noqa: BLE001 - handed to the opener, whatever it is
            loop.call_soon_threadsafe(opened.set_exception, error)
            return
        loop.call_soon_threadsafe(opened.set_result, None)
        try:
            while batch := self._take():
                outcomes = self._flush(connection, batch)
                loop.call_soon_threadsafe(self._deliver, outcomes)
        finally:
            connection.close()

    def _take(self) -> list[tuple[Operation, asyncio.Future[Any]]]:
        with self._wake:
            while not self._pending and not self._closing:
                self._wake.wait()
            return [self._pending.popleft() for _ in range(min(len(self._pending), MAX_BATCH))]

    def _flush(
        self, connection: sqlite3.Connection, batch: list[tuple[Operation, asyncio.Future[Any]]]
    ) -> list[_Outcome]:
        try:
            return self._transaction(connection, batch)
        except Exception as error:  # noqa: BLE001 - each operation is told its own failure
            if len(batch) == 1:
                return [(batch[0][1], None, error)]
        outcomes: list[_Outcome] = []
        for item in batch:
            outcomes.extend(self._flush(connection, [item]))
        return outcomes

    @staticmethod
    def _transaction(
        connection: sqlite3.Connection, batch: list[tuple[Operation, asyncio.Future[Any]]]
    ) -> list[_Outcome]:
        outcomes: list[_Outcome] = []
        connection.execute("BEGIN IMMEDIATE")
        try:
            for operation, future in batch:
                try:
                    outcomes.append((future, operation(connection), None))
                except FillwrightError as error:
                    outcomes.append((future, None, error))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return outcomes

    def _deliver(self, outcomes: list[_Outcome]) -> None:
        if self._after_batch is not None:
            self._after_batch([result for _, result, error in outcomes if error is None])
        for future, result, error in outcomes:
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)
