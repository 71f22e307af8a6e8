"""The SQLite store: what every store does, and what only this one can."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.clock import ManualClock
from fakes.orders import NOW_MS, ROUTED, attempt_of, built, order_id, step
from fillwright.domain.errors import ConfigError, StaleLease, StoreError, Unavailable
from fillwright.domain.lifecycle import replay
from fillwright.domain.orders import Order, OrderId, OrderStatus, Submitted
from fillwright.domain.queue import QueueRules
from fillwright.ports import OrderFilter
from fillwright.store.queries import load, migrations
from fillwright.store.sqlite import SqliteStore
from fillwright.store.sqlite_file import connect_writer, migrate, prepare
from fillwright.store.sqlite_reads import page_query
from fillwright.store.totals import Totals
from store.conformance import Stage, StoreConformance

pytestmark = pytest.mark.anyio

TESTS = Path(__file__).parents[1]
FULL = 2
"""SQLite's number for `PRAGMA synchronous = FULL`."""
KILLS = 3
WRITES_BEFORE_A_KILL = 400


async def opened(path: Path, clock: ManualClock | None = None) -> Stage:
    store = SqliteStore(path, clock or ManualClock())
    stage = Stage(store)
    await store.open(stage.listen)
    return stage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.db"


@pytest.fixture
async def stage(path: Path) -> AsyncIterator[Stage]:
    stage = await opened(path)
    yield stage
    await stage.store.close()


@pytest.fixture
async def lined(path: Path) -> AsyncIterator[Stage]:
    stage = Stage(SqliteStore(path, ManualClock(), rules=QueueRules(wallet_order=True)))
    await stage.store.open(stage.listen)
    yield stage
    await stage.store.close()


class TestConformance(StoreConformance):
    pass


class TestReopening:
    async def test_everything_is_there_again(self, path: Path) -> None:
        stage = await opened(path)
        order = await stage.change(step(await stage.insert(1, client_order_id="mine"), ROUTED))
        await stage.insert(2, ready_at_ms=NOW_MS + 5)
        before = await stage.everything(order)
        await stage.store.close()
        stage = await opened(path)
        assert await stage.everything(order) == before
        assert await stage.insert(3, client_order_id="mine") == order
        await stage.insert(4)
        assert [event.sequence for event in stage.heard] == [4]
        await stage.store.close()

    async def test_claims_of_the_process_before_are_released(self, path: Path) -> None:
        stage = await opened(path)
        lease, order = await stage.held()
        await stage.store.close()
        stage = await opened(path)
        with pytest.raises(StaleLease):
            await stage.store.change(step(order, ROUTED, lease))
        stats = await stage.store.stats(NOW_MS)
        assert (stats.leased, stats.due) == (0, 1)
        again, orders = await stage.take()
        assert orders == [order]
        assert again.epoch > lease.epoch
        await stage.store.close()

    async def test_a_second_store_on_the_file_is_refused_until_the_first_is_closed(self, path: Path) -> None:
        first = await opened(path)
        with pytest.raises(ConfigError, match=f"in use by another process.*{os.getpid()}"):
            await opened(path)
        await first.insert(1)
        await first.store.close()
        await (await opened(path)).store.close()

    async def test_another_process_is_refused(self, stage: Stage, path: Path) -> None:
        child = await asyncio.create_subprocess_exec(
            sys.executable, TESTS / "store" / "writing_child.py", path, "1", stderr=subprocess.PIPE, env=environment()
        )
        _, errors = await child.communicate()
        assert child.returncode == 1
        assert b"ConfigError" in errors
        assert b"in use by another process" in errors
        assert await stage.store.last_sequence() == 0

    async def test_only_the_owner_may_read_the_files(self, stage: Stage, path: Path) -> None:
        await stage.insert(1)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}

    def test_what_is_no_database_is_refused(self, path: Path) -> None:
        path.parent.mkdir()
        path.write_text("not a database, but a long enough text to be looked at" * 100)
        with pytest.raises(ConfigError, match="can't be used"):
            asyncio.run(opened(path))

    async def test_a_place_that_can_not_be_written_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigError, match="can't be opened"):
            await opened(tmp_path / "file" / "store.db")

    def test_every_commit_waits_for_the_disk(self, path: Path) -> None:
        prepare(path)
        connection = connect_writer(path)
        assert connection.execute("PRAGMA synchronous").fetchone() == (FULL,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()


class TestOutsiders:
    async def test_a_lock_held_by_someone_else_is_unavailable_and_passes(self, stage: Stage, path: Path) -> None:
        outsider = sqlite3.connect(path, isolation_level=None)
        outsider.execute("BEGIN IMMEDIATE")
        outcomes = await asyncio.gather(stage.insert(1), stage.insert(2), return_exceptions=True)
        assert [(type(o), getattr(o, "code", "")) for o in outcomes] == [(Unavailable, "store_busy")] * 2
        outsider.execute("ROLLBACK")
        outsider.close()
        await stage.insert(1)
        assert [event.sequence for event in stage.heard] == [1]


class TestMigrations:
    async def test_a_step_runs_once_and_is_recorded(self, stage: Stage, path: Path) -> None:
        await stage.store.close()
        connection = connect_writer(path)
        recorded = connection.execute("SELECT number, name FROM schema_version").fetchall()
        assert recorded == [(step.number, step.name) for step in migrations("sqlite")]
        connection.close()

    async def test_a_newer_files_schema_is_refused(self, path: Path) -> None:
        prepare(path)
        connection = connect_writer(path)
        connection.execute("INSERT INTO schema_version (number, name) VALUES (999, 'from the future')")
        connection.close()
        with pytest.raises(ConfigError, match="newer version"):
            await opened(path)

    async def test_a_step_that_fails_leaves_nothing_behind(self) -> None:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        good = migrations("sqlite")[0]
        broken = good._replace(number=2, name="0002_broken.sql", script="CREATE TABLE extra (a); SELECT no_such;")
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, [good, broken])
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        assert "orders" in names
        assert "extra" not in names
        migrate(connection, [good])
        connection.close()


class TestLeases:
    async def test_an_epoch_is_silent_by_the_stores_own_clock(self, path: Path) -> None:
        clock = ManualClock()
        stage = await opened(path, clock)
        quiet, order = await stage.held()
        loud = await stage.store.register("w2")
        await clock.advance(10)
        await stage.store.heartbeat(loud)
        await clock.advance(1)
        assert await stage.store.reap(11_000) == 0
        assert await stage.store.reap(10_999) == 1
        await stage.store.heartbeat(loud)
        with pytest.raises(StaleLease):
            await stage.store.change(step(order, ROUTED, quiet))
        await stage.store.close()

    async def test_a_claim_in_the_same_flush_finds_the_order_before_it(self, stage: Stage) -> None:
        lease = await stage.store.register("w1")
        order, claimed = await asyncio.gather(stage.insert(1), stage.store.claim(lease, NOW_MS, 9))
        assert claimed == [order]


class TestReading:
    async def test_a_read_does_not_wait_behind_the_writer(self, stage: Stage) -> None:
        order = await stage.insert(1)
        gate = threading.Event()
        stage.store._commits._pace.took(1.0)  # type: ignore[attr-defined] # a slow disk: commits go to the thread
        stuck = stage.store._commits._thread.submit(gate.wait, 30)  # type: ignore[attr-defined]
        waiting = asyncio.create_task(stage.insert(2))
        assert await stage.store.get(order.id) == order
        assert (await stage.store.stats(NOW_MS)).due == 1
        assert not waiting.done()
        gate.set()
        assert await asyncio.wrap_future(stuck)
        await waiting

    async def test_no_frequent_statement_reads_a_whole_table(self, stage: Stage, path: Path) -> None:
        connection = sqlite3.connect(path)
        statements = load("sqlite")
        connection.execute(statements["make_lines"])
        frequent = {name: statements[name] for name in statements if name not in RARE}
        for where in FILTERS:
            frequent[str(where)] = page_query(where, order_id(1), 10)[0]
        for name, statement in frequent.items():
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", [1] * statement.count("?")).fetchall()
            scans = [row[3] for row in plan if row[3].startswith("SCAN") and row[3] not in RECURSIVE]
            sorts = [row[3] for row in plan if "TEMP B-TREE" in row[3] and name != "fills"]
            assert (name, scans, sorts) == (name, [], [])
        connection.close()


RECURSIVE = {"SCAN levels", "SCAN wallets", "SCAN w"}
"""Over what one seek each has found."""
RARE = {"live_epochs", "silent_epochs", "load_totals", "save_totals", "list_orders", "queue_state", "set_queue_state"}
"""Statements on tables that stay small, and a part of a statement."""

FILTERS = [
    OrderFilter(),
    OrderFilter(account="a"),
    OrderFilter(wallet="a"),
    OrderFilter(account="a", status=OrderStatus.PENDING),
    OrderFilter(account="a", status=OrderStatus.FAILED),
    OrderFilter(account="a", input_mint=ROUTED.route.input_mint, output_mint=ROUTED.route.output_mint),  # type: ignore[union-attr]
]


class TestTotals:
    async def test_running_totals_survive_a_write_that_is_rolled_back(self, stage: Stage) -> None:
        lease, order = await stage.held()
        await stage.change(step(order, ROUTED, lease))
        await stage.insert(2, ready_at_ms=NOW_MS + 9)
        first = attempt_of(order)
        moved = step(step(order, ROUTED).order, built(first), lease, attempt=first)
        await stage.store.change(moved)
        second = attempt_of(order, 2)
        refused = step(moved.order, Submitted(2, second.signature), lease, attempt=second)
        outcomes = await asyncio.gather(
            stage.insert(3), stage.store.change(refused), stage.insert(4), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [Order, StoreError, Order]
        stats = await stage.store.stats(NOW_MS)
        assert stats.by_status == {"building": 1, "pending": 3}
        assert (stats.leased, stats.due, stats.delayed) == (1, 2, 1)

    async def test_totals_are_brought_up_to_date_when_much_has_become_due(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fillwright.store.sqlite.MAX_COUNTED", 5)
        for number in range(1, 21):
            await stage.insert(number, ready_at_ms=NOW_MS + number)
        assert (await stage.store.stats(NOW_MS + 15)).due == 15
        totals: Totals = stage.store._writer._totals  # type: ignore[attr-defined]
        assert (totals.due, totals.watermark_ms) == (15, NOW_MS + 15)
        assert (await stage.store.stats(NOW_MS + 20)).due == 20
        assert (await stage.store.stats(NOW_MS + 1)).due == 1


def environment() -> dict[str, str]:
    root = TESTS.parent
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(TESTS)])}


def kill_in_full_flight(path: Path, first: int) -> dict[OrderId, int]:
    """Let a process write, kill it, and say which version of each order it had been told was durable."""
    acknowledged: dict[OrderId, int] = {}
    with subprocess.Popen(
        [sys.executable, TESTS / "store" / "writing_child.py", path, str(first)],
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    ) as child:
        assert child.stdout is not None
        for line, _ in zip(child.stdout, range(WRITES_BEFORE_A_KILL), strict=False):
            note(acknowledged, line)
        os.kill(child.pid, signal.SIGKILL)
        for line in child.stdout:
            if line.endswith("\n"):
                note(acknowledged, line)
    assert child.returncode == -signal.SIGKILL
    return acknowledged


def note(acknowledged: dict[OrderId, int], line: str) -> None:
    found, version = line.split()
    acknowledged[OrderId(found)] = int(version)


async def test_what_was_acknowledged_survives_kill_9(path: Path) -> None:
    acknowledged: dict[OrderId, int] = {}
    for kill in range(KILLS):
        acknowledged |= await asyncio.to_thread(kill_in_full_flight, path, 1 + kill * 100_000)
        stage = await opened(path)
        for found, version in acknowledged.items():
            order = await stage.store.get(found)
            assert order is not None
            assert order.version >= version
            assert replay(await stage.store.events(found)) == order
        log, sequence = [], 0
        while more := await stage.store.events_since(sequence):
            log += more
            sequence = log[-1].sequence
        assert [event.sequence for event in log] == list(range(1, len(log) + 1))
        stats = await stage.store.stats(NOW_MS)
        assert sum(stats.by_status.values()) == stats.due == len({event.order_id for event in log})
        await stage.store.close()
    assert len(acknowledged) >= KILLS * WRITES_BEFORE_A_KILL // 5
