"""The PostgreSQL store: what every store does, and what only this one can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from fakes.orders import ROUTED, SOL, USDC, new_order, order_id, step
from fillwright.domain.errors import ConfigError, StaleLease, StoreError, Unavailable, VersionConflict
from fillwright.domain.orders import Order, OrderStatus
from fillwright.domain.queue import DEFAULT_RULES, QueueRules
from fillwright.ports import OrderFilter
from fillwright.store import postgres_connections, postgres_writer
from fillwright.store.postgres import PostgresStore
from fillwright.store.postgres_connections import connect, hang_up
from fillwright.store.postgres_reads import page_query
from fillwright.store.postgres_schema import migrate, status
from fillwright.store.queries import migrations
from servers import PostgresServer, free_port
from store.conformance import Stage, StoreConformance, run_to_built

pytestmark = pytest.mark.anyio

EMPTY = (
    "TRUNCATE orders, progress, endings, events, attempts, bids, fills, epochs, starts, lines;"
    "UPDATE log SET sequence = 0, confirmed = 0, failed = 0, cancelled = 0, expired = 0, needs_review = 0;"
    "UPDATE queue SET state = 'running';"
    "UPDATE engine SET mode = NULL"
)


@pytest.fixture
async def url(postgres_url: str) -> str:
    """A database with the newest schema and no orders."""
    connection = await asyncpg.connect(postgres_url)
    try:
        await migrate(connection)
        await connection.execute(EMPTY)
    finally:
        await connection.close()
    return postgres_url


async def opened(url: str, rules: QueueRules = DEFAULT_RULES) -> Stage:
    stage = Stage(PostgresStore(url, rules=rules))
    await stage.store.open(stage.listen)
    return stage


async def started(server: PostgresServer) -> Stage:
    """On a server of the test's own."""
    await asyncio.to_thread(server.start)
    connection = await asyncpg.connect(server.url)
    await migrate(connection)
    await connection.close()
    return await opened(server.url)


@pytest.fixture
async def stage(url: str) -> AsyncIterator[Stage]:
    stage = await opened(url)
    yield stage
    await stage.store.close()


@pytest.fixture
async def lined(url: str) -> AsyncIterator[Stage]:
    stage = await opened(url, QueueRules(wallet_order=True))
    yield stage
    await stage.store.close()


class TestConformance(StoreConformance):
    pass


class TestManyProcesses:
    async def test_four_writers_leave_no_gap_and_a_reader_misses_nothing(self, url: str) -> None:
        stages = [await opened(url) for _ in range(4)]
        seen: list[int] = []
        writing = True

        async def follow() -> None:
            while writing or seen[-1:] != [await stages[0].store.last_sequence()]:
                batch = await stages[0].store.events_since(seen[-1] if seen else 0, 50)
                seen.extend(event.sequence for event in batch)

        async def live(stage: Stage, number: int) -> None:
            order = await stage.insert(number)
            for _ in range(4):
                order = await stage.change(step(order, ROUTED))

        following = asyncio.create_task(follow())
        await asyncio.gather(*(live(stages[number % 4], number) for number in range(1, 201)))
        writing = False
        await following
        assert seen == list(range(1, 1001))
        assert sorted(event.sequence for stage in stages for event in stage.heard) == seen
        assert all(heard_in_order(stage) for stage in stages)
        for stage in stages:
            await stage.store.close()

    async def test_two_processes_with_the_same_keys_store_each_once(self, url: str) -> None:
        first, second = await opened(url), await opened(url)
        found = await asyncio.gather(
            *(first.insert(number, client_order_id=f"key {number}") for number in range(1, 41)),
            *(second.insert(100 + number, client_order_id=f"key {number}") for number in range(40, 0, -1)),
        )
        assert len({order.id for order in found}) == 40
        assert len(first.heard) + len(second.heard) == 40
        await first.store.close()
        await second.store.close()

    async def test_of_many_processes_one_moves_the_order(self, url: str) -> None:
        stages = [await opened(url) for _ in range(3)]
        order = await stages[0].insert(1)
        outcomes = await asyncio.gather(
            *(stage.store.change(step(order, ROUTED)) for stage in stages * 3), return_exceptions=True
        )
        assert sum(outcome is None for outcome in outcomes) == 1
        assert {type(outcome) for outcome in outcomes} == {type(None), VersionConflict}
        for stage in stages:
            await stage.store.close()

    async def test_a_reaped_workers_late_write_is_refused_and_the_next_one_goes_on(self, url: str) -> None:
        first, second = await opened(url), await opened(url)
        lease, order = await first.held()
        assert await second.store.reap(-1_000) == 1
        late, (again,) = await second.take("w2")
        assert late.epoch > lease.epoch
        with pytest.raises(StaleLease):
            await first.store.change(step(order, ROUTED, lease))
        await second.change(step(again, ROUTED, late))
        await first.store.close()
        await second.store.close()


class TestValuesThatDoNotFit:
    async def test_a_value_that_can_not_be_stored_takes_no_other_write_along(self, stage: Stage) -> None:
        writes = [stage.insert(number, priority=2**40 if number == 7 else 0) for number in range(1, 21)]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)] == [StoreError]
        with pytest.raises(StoreError):
            await stage.insert(30, account="nul \0")
        assert await stage.store.last_sequence() == 19


class TestRateLimit:
    async def test_all_workers_together_start_no_more_than_the_limit_within_a_minute(self, url: str) -> None:
        stages = [Stage(PostgresStore(url, rules=QueueRules(orders_per_minute=5))) for _ in range(3)]
        for stage in stages:
            await stage.store.open(stage.listen)
        for number in range(1, 13):
            await stages[0].insert(number)
        claims = await asyncio.gather(*(stage.take(limit=4) for stage in stages))
        assert sum(len(orders) for _, orders in claims) == 5
        assert (await stages[0].take())[1] == []
        connection = await asyncpg.connect(url)
        await connection.execute("UPDATE starts SET at = at - interval '59 seconds'")
        assert (await stages[1].take())[1] == []
        await connection.execute("UPDATE starts SET at = at - interval '1 second'")
        assert len((await stages[2].take())[1]) == 5
        await connection.close()
        for stage in stages:
            await stage.store.close()


class TestTheServerGoesAway:
    async def test_writes_and_reads_are_refused_while_it_is_away_and_done_when_it_is_back(self) -> None:
        server = PostgresServer(durable=True)
        try:
            stage = await started(server)
            order = await stage.insert(1)
            await asyncio.to_thread(server.kill)
            with pytest.raises((StoreError, Unavailable)):
                await stage.insert(2)
            with pytest.raises(Unavailable):
                await stage.insert(3)
            with pytest.raises(Unavailable):
                await stage.store.get(order.id)
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(10):
                while await absent(stage, 4):
                    await asyncio.sleep(0.02)
            assert await stage.store.get(order.id) == order
            log = await stage.store.events_since(0)
            assert [event.sequence for event in log] == list(range(1, len(log) + 1))
            await stage.store.close()
        finally:
            await asyncio.to_thread(server.stop)

    async def test_a_connection_that_breaks_is_replaced(self, stage: Stage, url: str) -> None:
        await stage.insert(1)
        connection = await asyncpg.connect(url)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fillwright'"
        )
        await connection.close()
        async with asyncio.timeout(10):
            while await absent(stage, 2):
                await asyncio.sleep(0.02)
        assert await stage.store.last_sequence() == 2

    async def test_a_store_that_may_not_write_is_not_ready_and_writes_again_without_a_new_start(
        self, postgres_url: str
    ) -> None:
        admin = await asyncpg.connect(postgres_url)
        await admin.execute("DROP DATABASE IF EXISTS fw_read_only")
        await admin.execute("CREATE DATABASE fw_read_only")
        url = urlunsplit(urlsplit(postgres_url)._replace(path="/fw_read_only"))
        connection = await asyncpg.connect(url)
        await migrate(connection)
        await connection.close()
        await admin.execute("ALTER DATABASE fw_read_only SET default_transaction_read_only = on")
        stage = await opened(url)
        with pytest.raises(Unavailable) as refused:
            await stage.store.ready()
        assert refused.value.code == "store_read_only"
        with pytest.raises(Unavailable):
            await stage.store.register("w")
        with pytest.raises(Unavailable) as refused:
            await stage.insert(1)
        assert refused.value.code == "store_read_only"
        assert await stage.store.last_sequence() == 0
        await admin.execute("ALTER DATABASE fw_read_only RESET default_transaction_read_only")
        assert await stage.insert(2)
        await stage.store.ready()
        await stage.store.close()
        await admin.execute("DROP DATABASE fw_read_only WITH (FORCE)")
        await admin.close()

    async def test_a_store_that_can_only_read_for_want_of_connections_is_not_ready(self, url: str) -> None:
        admin = await asyncpg.connect(url)
        await admin.execute("DO $$ BEGIN CREATE ROLE fw_few LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        await admin.execute("ALTER ROLE fw_few CONNECTION LIMIT 2")
        await migrate(admin, role="fw_few")
        stage = await opened(urlunsplit(urlsplit(url)._replace(netloc=f"fw_few@{urlsplit(url).netloc.split('@')[-1]}")))
        await stage.store.ready()
        await admin.execute("ALTER ROLE fw_few CONNECTION LIMIT 1")
        await admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'fw_few'")
        assert await stage.store.last_sequence() == 0
        with pytest.raises(Unavailable):
            await stage.store.ready()
        with pytest.raises(Unavailable):
            await stage.insert(1)
        assert await stage.store.last_sequence() == 0
        await admin.execute("ALTER ROLE fw_few CONNECTION LIMIT -1")
        async with asyncio.timeout(10):
            while await absent(stage, 2):
                await asyncio.sleep(0.02)
        await stage.store.ready()
        await stage.store.close()
        await admin.close()

    async def test_of_a_server_that_hangs_one_waits_and_the_others_are_refused_at_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres_writer, "FLUSH_TIMEOUT_S", 0.2)
        monkeypatch.setattr(postgres_connections, "CONNECT_TIMEOUT_S", 30.0)
        server = PostgresServer()
        try:
            stage = await started(server)
            order = await stage.insert(1)
            await asyncio.to_thread(server.freeze)
            with pytest.raises(StoreError):
                await stage.insert(2)
            for number in range(3, 6):
                async with asyncio.timeout(5):
                    with pytest.raises(Unavailable, match="does not answer"):
                        await stage.insert(number)
                    with pytest.raises(Unavailable):
                        await stage.store.ready()
            await asyncio.to_thread(server.thaw)
            async with asyncio.timeout(20):
                while await absent(stage, 6):
                    await asyncio.sleep(0.02)
            assert await stage.store.get(order.id) == order
            await stage.store.close()
        finally:
            await asyncio.to_thread(server.thaw)
            await asyncio.to_thread(server.stop)

    async def test_a_batch_that_was_not_tried_is_refused_whole_and_one_that_was_in_part_is_not(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stage = await opened(url)
        items = [new_order(number) for number in range(1, 5)]
        monkeypatch.setattr(postgres_writer, "MAX_PENDING", 2)
        outcomes = await stage.store.insert_many(items)
        assert [type(outcome) for outcome in outcomes] == [Order, Order, Unavailable, Unavailable]
        assert await stage.store.last_sequence() == 2
        monkeypatch.setattr(postgres_writer, "MAX_PENDING", 0)
        with pytest.raises(Unavailable):
            await stage.store.insert_many(items)
        await stage.store.close()

    async def test_who_waits_too_long_for_a_free_connection_is_refused(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres_connections, "WAIT_S", 0.01)
        connections = postgres_connections.Connections(postgres_connections.Server(url), size=1)
        held, free = asyncio.Event(), asyncio.Event()

        async def hold(connection: asyncpg.Connection) -> None:
            held.set()
            await free.wait()

        holding = asyncio.create_task(connections.run(hold))
        await held.wait()
        with pytest.raises(Unavailable) as refused:
            await connections.run(hold)
        assert refused.value.code == "store_overloaded"
        free.set()
        await holding
        assert await connections.run(lambda connection: connection.fetchval("SELECT 1")) == 1
        await connections.close()

    async def test_a_server_that_is_not_there_is_said_to_be_unavailable(self) -> None:
        store = PostgresStore(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
        with pytest.raises(Unavailable):
            await store.open(lambda _: None)
        await store.close()


class TestSchema:
    async def test_an_empty_database_is_refused_until_it_is_migrated(self, postgres_url: str) -> None:
        admin = await asyncpg.connect(postgres_url)
        await admin.execute("DROP DATABASE IF EXISTS fw_empty")
        await admin.execute("CREATE DATABASE fw_empty")
        url = urlunsplit(urlsplit(postgres_url)._replace(path="/fw_empty"))
        store = PostgresStore(url)
        with pytest.raises(ConfigError, match="fillwright db migrate"):
            await store.open(lambda _: None)
        await store.close()
        connections = [await asyncpg.connect(url) for _ in range(3)]
        before = await asyncio.gather(*(migrate(connection) for connection in connections))
        known = len(migrations("postgres"))
        assert sorted(found.applied for found in before) == [0, known, known]
        assert (await status(connections[0])).pending == []
        await connections[0].execute("INSERT INTO schema_version (number, name) VALUES (99, 'later')")
        with pytest.raises(ConfigError, match="newer version"):
            await status(connections[0])
        for connection in connections:
            await connection.close()
        await admin.execute("DROP DATABASE fw_empty WITH (FORCE)")
        await admin.close()

    async def test_a_role_without_rights_on_the_schema_can_serve(self, url: str) -> None:
        connection = await asyncpg.connect(url)
        if not await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = 'fw_serving'"):
            await connection.execute("CREATE ROLE fw_serving LOGIN PASSWORD 'serving'")
        await migrate(connection, role="fw_serving")
        parts = urlsplit(url)
        serving = urlunsplit(parts._replace(netloc=f"fw_serving:serving@{parts.hostname}:{parts.port}"))
        stage = await opened(serving)
        lease, order = await stage.held()
        await run_to_built(stage, order, lease)
        await stage.store.reap(-1_000)
        await stage.store.close()
        plain = await asyncpg.connect(serving)
        for forbidden in ("DROP TABLE events", "DELETE FROM events", "ALTER TABLE orders ADD x int"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await plain.execute(forbidden)
        await plain.close()
        await connection.close()

    async def test_a_role_that_was_given_nothing_is_told_what_to_do(self, url: str) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(
            "DO $$ BEGIN CREATE ROLE fw_nothing LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        await connection.close()
        store = PostgresStore(
            urlunsplit(urlsplit(url)._replace(netloc=f"fw_nothing@{urlsplit(url).netloc.split('@')[-1]}"))
        )
        with pytest.raises(ConfigError, match="fillwright db migrate --role"):
            await store.open(lambda _: None)
        await store.close()

    async def test_each_database_has_a_mark_of_its_own_that_all_its_processes_see(
        self, url: str, postgres_url: str
    ) -> None:
        admin = await asyncpg.connect(postgres_url)
        await admin.execute("DROP DATABASE IF EXISTS fw_copy")
        await admin.execute("CREATE DATABASE fw_copy")
        copy_url = urlunsplit(urlsplit(postgres_url)._replace(path="/fw_copy"))
        copy = await asyncpg.connect(copy_url)
        await migrate(copy)
        await copy.execute("DELETE FROM schema_version WHERE number > 1")
        applied_at = await admin.fetchval("SELECT min(applied_at) FROM schema_version")
        await copy.execute("UPDATE schema_version SET applied_at = $1", applied_at)
        await copy.execute(
            "INSERT INTO schema_version (number, name) SELECT g, 'x' FROM generate_series(2, $1::int) AS g",
            len(migrations("postgres")),
        )
        await copy.close()
        first, second, other = await opened(url), await opened(url), await opened(copy_url)
        mark = await first.store.identity()
        assert mark == await second.store.identity()
        assert len(mark) == 12
        assert await other.store.identity() != mark
        for stage in (first, second, other):
            await stage.store.close()
        await admin.execute("DROP DATABASE fw_copy WITH (FORCE)")
        await admin.close()

    async def test_a_database_belongs_to_the_mode_of_who_serves_first(self, url: str) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(
            "DO $$ BEGIN CREATE ROLE fw_bound LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        await migrate(connection, role="fw_bound")
        await connection.execute("REVOKE ALL ON engine FROM fw_bound")
        await connection.close()
        stage = await opened(
            urlunsplit(urlsplit(url)._replace(netloc=f"fw_bound@{urlsplit(url).netloc.split('@')[-1]}"))
        )
        await asyncio.gather(*(stage.store.bind("paper") for _ in range(5)))
        await stage.store.bind("paper")
        with pytest.raises(ConfigError, match="mode paper, not mainnet"):
            await stage.store.bind("mainnet")
        await stage.store.close()

    async def test_no_list_sorts_or_scans_even_where_the_planner_knows_nothing(self, stage: Stage, url: str) -> None:
        for number in range(1, 60):
            await stage.insert(number)
        connection = await connect(url)
        for where in (
            OrderFilter(),
            OrderFilter(account="alice"),
            OrderFilter(wallet="w"),
            OrderFilter(input_mint=SOL, output_mint=USDC),
            OrderFilter(account="alice", status=OrderStatus.PENDING),
            OrderFilter(account="alice", status=OrderStatus.CONFIRMED),
            OrderFilter(status=OrderStatus.CONFIRMED),
        ):
            statement, values = page_query(where, order_id(50), 10)
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {statement}", *values))
            assert "Sort" not in plan, plan
            assert "Seq Scan" not in plan, plan
        await hang_up(connection)

    async def test_transitions_are_heap_only_updates(self, stage: Stage, url: str) -> None:
        lease, order = await stage.held()
        connection = await asyncpg.connect(url)
        before = await connection.fetchrow(_UPDATES)
        for _ in range(20):
            order = await stage.change(step(order, ROUTED, lease))
        await stage.store.close()
        async with asyncio.timeout(10):
            while (after := await connection.fetchrow(_UPDATES))[0] < before[0] + 20:
                await asyncio.sleep(0.05)
        assert after[1] - before[1] >= 20
        await connection.close()


_UPDATES = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'progress'"


def heard_in_order(stage: Stage) -> bool:
    sequences = [event.sequence for event in stage.heard]
    return sequences == sorted(sequences)


async def absent(stage: Stage, number: int) -> bool:
    """Whether order `number` could not be inserted this time."""
    try:
        await stage.insert(number)
    except (StoreError, Unavailable):
        return True
    return False
