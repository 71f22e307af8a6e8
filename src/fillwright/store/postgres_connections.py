"""Connections to PostgreSQL: how one is opened, what its errors mean, and a few of them for reads and leases.

In: a URL. Out: connections that commit durably and plan by index, and results of functions of one. A server
that is away is `Unavailable` at once, and is looked for again by whoever asks next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

import asyncpg

from fillwright.domain.errors import ConfigError, FillwrightError, StoreError, Unavailable

CONNECT_TIMEOUT_S = 3.0
COMMAND_TIMEOUT_S = 5.0
WAIT_S = 2.0
"""For a connection that is free; beyond, the store is overloaded."""
LOOK_PAUSE_S = 0.2
"""Between two looks at a server that is away."""
MAX_WAITING = 2_000
"""Reads under way and waiting, beyond which the store is overloaded."""

_SETTINGS = {
    "application_name": "fillwright",
    "synchronous_commit": "on",
    "jit": "off",
    # Every statement of ours has an index, and every list an index in its order; a plan that was made while the
    # tables were empty, or unknown to the planner, must not be another.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    # A hash table for fifty rows costs more than the rows; and so does a new plan for each page.
    "enable_memoize": "off",
    "plan_cache_mode": "force_generic_plan",
}

LOST = (
    asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresConnectionError, OSError, TimeoutError,
)  # fmt: skip
"""After these nothing is known of what was under way, and the connection is of no more use."""

_NOT_TRIED: tuple[tuple[type[asyncpg.PostgresError], str], ...] = (
    (asyncpg.DiskFullError, "store_full"),
    (asyncpg.TooManyConnectionsError, "store_busy"),
    (asyncpg.InsufficientResourcesError, "store_busy"),
    (asyncpg.ReadOnlySQLTransactionError, "store_read_only"),
)
"""Refusals after which a transaction is certain to be gone, through no fault of its own."""

T = TypeVar("T")
Connection: TypeAlias = asyncpg.Connection


async def connect(url: str, *, command_timeout_s: float | None = COMMAND_TIMEOUT_S) -> Connection:
    """A new connection, whose statements take so long at most. Raises Unavailable; ConfigError where `url` is no
    address of a PostgreSQL, without showing it."""
    try:
        return await asyncpg.connect(
            url, timeout=CONNECT_TIMEOUT_S, command_timeout=command_timeout_s, server_settings=_SETTINGS
        )
    except ValueError as error:
        # Only the driver's own words: those of the parsers below it may quote a password.
        reason = f": {_brief(error)}" if isinstance(error, asyncpg.InterfaceError) else ""
        raise ConfigError(
            f"FILLWRIGHT_DATABASE_URL is not the address of a PostgreSQL, postgresql://user:password@host:port/name; "
            f"special characters in a password are written as %XX{reason}"
        ) from None
    except (*LOST, asyncpg.PostgresError) as error:
        raise Unavailable(f"PostgreSQL can't be reached: {_brief(error)}", code="store_unavailable") from error


def is_lost(connection: Connection, error: BaseException) -> bool:
    """Whether `error` has cost the connection: anything but a plain refusal of a statement has."""
    plain = isinstance(error, asyncpg.PostgresError) and getattr(error, "severity_en", None) in (None, "ERROR")
    return not plain or isinstance(error, LOST) or connection.is_closed()


def refused(error: Exception) -> FillwrightError:
    """What the server's `error` means for a statement that it certainly undid."""
    for kind, code in _NOT_TRIED:
        if isinstance(error, kind):
            return Unavailable(f"the store: {_brief(error)}", code=code)
    return StoreError(f"the store failed: {_brief(error)}")


def stalled() -> Unavailable:
    """The server takes too long."""
    return Unavailable("PostgreSQL does not answer", code="store_stalled")


def _brief(error: BaseException) -> str:
    """The server's message without its details: these may hold values."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class Server:
    """One PostgreSQL as a process reaches it: while it is away one task looks for it, and everybody else is refused
    at once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._away: Unavailable | None = None
        self._found: Connection | None = None
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def away(self) -> Unavailable | None:
        """Why nobody can connect now; None where that is not known."""
        return None if self._away is None else Unavailable(self._away.message, code=self._away.code)

    async def connect(self) -> Connection:
        """A new connection. Raises Unavailable, at once where the server is known to be away; ConfigError."""
        away = self.away
        if away is not None:
            raise away
        found, self._found = self._found, None
        if found is not None and not found.is_closed():
            return found
        try:
            return await connect(self._url)
        except Unavailable as error:
            self.lost(error)
            raise

    def lost(self, error: Unavailable) -> None:
        """It does not answer: look for it until it does."""
        self._away = error
        if not self._closed and (self._looking is None or self._looking.done()):
            self._looking = asyncio.get_running_loop().create_task(self._look(), name="store-look")

    async def close(self) -> None:
        """Look no more."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        found, self._found = self._found, None
        if found is not None:
            await hang_up(found)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_PAUSE_S)
            try:
                self._found = await connect(self._url)
            except Unavailable as error:
                self._away = error
            else:
                self._away = None
                return


class Connections:
    """Up to `size` connections to `server`, opened as they are needed."""

    def __init__(self, server: Server, *, size: int) -> None:
        self._server = server
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(size)
        self._waiting = 0
        self._closed = False
        self._size = size

    async def close(self) -> None:
        """Finish what is under way, then close. Later calls raise Unavailable."""
        if self._closed:
            return
        self._closed = True
        for _ in range(self._size):
            await self._free.acquire()
        idle, self._idle = self._idle, []
        for connection in idle:
            await hang_up(connection)

    async def run(self, work: Callable[[Connection], Awaitable[T]], *, again: bool = True) -> T:
        """The result of `work`. `again`: it may be done twice, on a new connection where an idle one was dead.

        Raises Unavailable where the server is away, closed or overloaded, StoreError where it refuses, and what
        `work` raises.
        """
        if self._closed:
            raise Unavailable("the store is closed", code="store_unavailable")
        if self._waiting >= MAX_WAITING:
            raise Unavailable("the store is overloaded", code="store_overloaded")
        self._waiting += 1
        try:
            await self._turn()
            try:
                return await self._on_one(work, again=again)
            finally:
                self._free.release()
        finally:
            self._waiting -= 1

    async def _turn(self) -> None:
        """Raises Unavailable where none of the connections becomes free in time."""
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(WAIT_S):
                await self._free.acquire()
        except TimeoutError:
            raise Unavailable("the store is overloaded", code="store_overloaded") from None

    async def _on_one(self, work: Callable[[Connection], Awaitable[T]], *, again: bool) -> T:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_closed():
                continue
            try:
                return await self._use(connection, work)
            except Unavailable as error:
                if error.code != "store_read_only" and not (again and error.code == "store_unavailable"):
                    raise
        return await self._use(await self._server.connect(), work)

    async def _use(self, connection: Connection, work: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            result = await work(connection)
        except FillwrightError:
            self._put_back(connection)
            raise
        except asyncpg.ReadOnlySQLTransactionError as error:
            # That its session may not write may have been decided when it began: the next one is a new one.
            connection.terminate()
            raise refused(error) from error
        except (*LOST, asyncpg.PostgresError) as error:
            if not is_lost(connection, error):
                self._put_back(connection)
                raise refused(error) from error
            connection.terminate()
            gone = Unavailable(f"PostgreSQL went away: {_brief(error)}", code="store_unavailable")
            if isinstance(error, TimeoutError):
                self._server.lost(stalled())
            raise gone from error
        except BaseException:
            # Cancelled, or a defect: whatever it was doing, its protocol state is not known to be clean.
            connection.terminate()
            raise
        self._put_back(connection)
        return result

    def _put_back(self, connection: Connection) -> None:
        if not connection.is_closed():
            self._idle.append(connection)


async def hang_up(connection: Connection) -> None:
    """Close politely, or at once where that takes too long or the server is gone."""
    try:
        await connection.close(timeout=CONNECT_TIMEOUT_S)
    except (*LOST, asyncpg.PostgresError):
        connection.terminate()
