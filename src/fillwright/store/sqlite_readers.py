"""A few reader connections in threads of their own: reads never wait behind the writer.

In: functions of a connection. Out: their results. A read that starts after a write has been answered sees
it: each starts its own look at the write-ahead log.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from fillwright.domain.errors import Unavailable
from fillwright.group_commit import translate

MAX_WAITING = 2_000
"""Reads under way and waiting, beyond which the store is overloaded."""

T = TypeVar("T")


class Readers:
    """`size` connections, opened together."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], *, size: int, name: str) -> None:
        self._connect = connect
        self._size = size
        self._name = name
        self._idle: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None
        self._waiting = 0

    def open(self) -> None:
        """Raises sqlite3.Error."""
        for _ in range(self._size):
            self._idle.put(self._connect())
        self._threads = ThreadPoolExecutor(self._size, thread_name_prefix=self._name)

    async def close(self) -> None:
        """Finish the reads under way, then close."""
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.get_running_loop().run_in_executor(None, threads.shutdown)
        while not self._idle.empty():
            self._idle.get().close()

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `read`. Raises Unavailable when closed or overloaded, StoreError where it fails."""
        if self._threads is None:
            raise Unavailable("the store is closed", code="store_unavailable")
        if self._waiting >= MAX_WAITING:
            raise Unavailable("the store is overloaded", code="store_overloaded")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, read)
        except sqlite3.Error as error:
            raise translate(error) from error
        finally:
            self._waiting -= 1

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """On a thread of the pool: there are as many connections as threads, so one is idle."""
        connection = self._idle.get()
        try:
            return read(connection)
        finally:
            self._idle.put(connection)
