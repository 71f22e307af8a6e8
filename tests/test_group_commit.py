"""Group commit: what is pending is committed together, and fails apart."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fillwright.domain.errors import NotFound, StoreError, Unavailable
from fillwright.group_commit import MAX_BATCH, MAX_PENDING, GroupCommit

pytestmark = pytest.mark.anyio

SMALL_FILE_PAGES = 40
ALLOW, DENY = sqlite3.SQLITE_OK, sqlite3.SQLITE_DENY


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Counted:
    """Hooks that keep a count of rows beside the table, as a store does."""

    def __init__(self) -> None:
        self.rows = 0
        self.stale = True
        self.transactions = 0

    def begin(self, connection: sqlite3.Connection) -> None:
        if self.stale:
            (self.rows,) = connection.execute("SELECT count(*) FROM notes").fetchone()
            self.stale = False

    def end(self, connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE tally SET n = ?", (self.rows,))
        self.transactions += 1

    def rolled_back(self) -> None:
        self.stale = True


class Notes:
    """A table of unique notes behind a group commit."""

    def __init__(self, path: Path, *, max_pages: int | None = None) -> None:
        self.path = path
        self.announced: list[list[Any]] = []
        self.hooks = Counted()
        self._max_pages = max_pages
        self.commits = GroupCommit(self._connect, name="notes", after_batch=self.announced.append, hooks=self.hooks)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 20;"
            "CREATE TABLE IF NOT EXISTS notes (text TEXT UNIQUE); CREATE TABLE IF NOT EXISTS tally (n INTEGER);"
            "INSERT INTO tally SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM tally)"
        )
        if self._max_pages is not None:
            connection.execute(f"PRAGMA max_page_count = {self._max_pages}")
        return connection

    def add(self, text: str) -> asyncio.Future[str]:
        def operation(connection: sqlite3.Connection) -> str:
            connection.execute("INSERT INTO notes VALUES (?)", (text,))
            self.hooks.rows += 1
            return text

        return self.commits.submit(operation)

    def stored(self) -> set[str]:
        connection = sqlite3.connect(self.path)
        found = {text for (text,) in connection.execute("SELECT text FROM notes")}
        (tally,) = connection.execute("SELECT n FROM tally").fetchone()
        connection.close()
        assert tally == len(found) == self.hooks.rows
        return found


@pytest.fixture
async def notes(tmp_path: Path) -> AsyncIterator[Notes]:
    notes = Notes(tmp_path / "notes.db")
    await notes.commits.open()
    yield notes
    await notes.commits.close()


async def test_what_is_pending_is_one_transaction(notes: Notes) -> None:
    writes = [notes.add(str(number)) for number in range(100)]
    assert await asyncio.gather(*writes) == [str(number) for number in range(100)]
    assert len(notes.stored()) == 100
    assert notes.hooks.transactions == 1


async def test_a_flush_is_bounded(notes: Notes) -> None:
    await asyncio.gather(*(notes.add(str(number)) for number in range(2 * MAX_BATCH + 1)))
    assert [len(batch) for batch in notes.announced] == [MAX_BATCH, MAX_BATCH, 1]


async def test_what_comes_during_a_commit_is_the_next_batch(notes: Notes) -> None:
    first = notes.add("a")
    await asyncio.sleep(0)
    rest = [notes.add(text) for text in "bcd"]
    await asyncio.gather(first, *rest)
    assert notes.announced == [["a"], ["b", "c", "d"]]


async def test_results_are_announced_before_their_futures_resolve(notes: Notes) -> None:
    heard_first = []
    write = notes.add("a")
    write.add_done_callback(lambda _: heard_first.append(notes.announced == [["a"]]))
    await write
    await asyncio.sleep(0)
    assert heard_first == [True]


async def test_an_operations_own_error_fails_it_alone(notes: Notes) -> None:
    def refuse(_: sqlite3.Connection) -> None:
        raise NotFound("no such thing")

    outcomes = asyncio.gather(notes.add("a"), notes.commits.submit(refuse), notes.add("b"), return_exceptions=True)
    assert [type(outcome) for outcome in await outcomes] == [str, NotFound, str]
    assert notes.stored() == {"a", "b"}


@pytest.mark.parametrize("alone", [True, False])
async def test_a_failing_statement_takes_no_neighbour_along(notes: Notes, alone: bool) -> None:
    await notes.add("taken")
    neighbours = [] if alone else ["a", "b"]
    writes = [notes.add(text) for text in [*neighbours[:1], "taken", *neighbours[1:]]]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [outcome for outcome in outcomes if isinstance(outcome, str)] == neighbours
    (refusal,) = (outcome for outcome in outcomes if not isinstance(outcome, str))
    assert isinstance(refusal, StoreError)
    assert isinstance(refusal.__cause__, sqlite3.IntegrityError)
    assert notes.stored() == {"taken", *neighbours}
    await notes.add("c")
    assert notes.stored() == {"taken", "c", *neighbours}


async def test_a_defect_in_an_operation_is_told_to_its_caller(notes: Notes) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('half')")
        raise ZeroDivisionError

    outcomes = asyncio.gather(notes.add("a"), notes.commits.submit(broken), notes.add("b"), return_exceptions=True)
    assert [type(outcome) for outcome in await outcomes] == [str, ZeroDivisionError, str]
    assert notes.stored() == {"a", "b"}


async def test_a_full_disk_fails_the_batch_and_nothing_else(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes.db", max_pages=SMALL_FILE_PAGES)
    await notes.commits.open()
    await notes.add("before")
    outcomes = await asyncio.gather(
        *(notes.add(f"{number}" * 4096) for number in range(SMALL_FILE_PAGES)), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert refused
    assert {(type(refusal), getattr(refusal, "code", "")) for refusal in refused} == {(Unavailable, "store_full")}
    await notes.add("after")
    assert {"before", "after"} <= notes.stored()
    await notes.commits.close()


async def test_a_file_locked_by_someone_else_is_unavailable(notes: Notes) -> None:
    other = sqlite3.connect(notes.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as refusal:
        await notes.add("a")
    assert refusal.value.code == "store_busy"
    other.execute("ROLLBACK")
    other.close()
    await notes.add("a")
    assert notes.stored() == {"a"}


async def test_too_many_pending_operations_are_refused(notes: Notes) -> None:
    pending: list[asyncio.Future[None]] = []
    with pytest.raises(Unavailable) as refusal:
        pending.extend(notes.commits.submit(lambda _: None) for _ in range(MAX_PENDING + 1))
    assert refusal.value.code == "store_overloaded"
    await asyncio.gather(*pending)
    await notes.add("a")


async def test_a_cancelled_caller_does_no_harm(notes: Notes) -> None:
    cancelled, kept = notes.add("a"), notes.add("b")
    cancelled.cancel()
    assert await kept == "b"
    assert notes.stored() == {"a", "b"}


async def test_a_listener_that_fails_leaves_no_caller_waiting(tmp_path: Path) -> None:
    def fail(_: list[Any]) -> None:
        raise RuntimeError("listener")

    reported: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    commits = GroupCommit(
        lambda: sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False), name="x", after_batch=fail
    )
    await commits.open()
    writes = [commits.submit(lambda _: 5) for _ in range(MAX_BATCH + 1)]
    async with asyncio.timeout(30):
        assert set(await asyncio.gather(*writes)) == {5}
    assert [type(error) for error in reported] == [RuntimeError] * 2, "one for each flush"
    await commits.close()
    loop.set_exception_handler(None)


async def test_closing_flushes_and_refuses_what_comes_later(notes: Notes) -> None:
    writes = [notes.add(str(number)) for number in range(50)]
    await notes.commits.close()
    assert all(write.done() for write in writes)
    assert len(notes.stored()) == 50
    with pytest.raises(Unavailable):
        notes.add("late")
    await notes.commits.close()


async def test_closing_twice_at_once_is_closing(notes: Notes) -> None:
    write = notes.add("a")
    await asyncio.gather(notes.commits.close(), notes.commits.close())
    assert write.done()
    assert notes.stored() == {"a"}


async def test_a_commit_that_fails_is_told_to_all_and_undone(notes: Notes) -> None:
    def forbid(connection: sqlite3.Connection) -> None:
        connection.set_authorizer(lambda action, operation, *_: DENY if operation == "COMMIT" else ALLOW)

    def allow(connection: sqlite3.Connection) -> None:
        connection.set_authorizer(None)

    await notes.add("before")
    outcomes = await asyncio.gather(
        notes.add("a"), notes.commits.submit(forbid), notes.add("b"), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [StoreError, StoreError, StoreError]
    await asyncio.gather(notes.commits.submit(allow), notes.add("after"))
    assert notes.stored() == {"before", "after"}


async def test_a_connection_that_can_not_be_made_fails_the_opening() -> None:
    def connect() -> sqlite3.Connection:
        raise NotFound("no file")

    commits = GroupCommit(connect, name="x")
    with pytest.raises(NotFound):
        await commits.open()
    await commits.close()
