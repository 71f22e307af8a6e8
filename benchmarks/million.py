"""Whether listing, submitting and leasing are as fast with a million orders in the table as with none, in both stores.

`python -m benchmarks.million [orders]`. The table is filled by the database itself with ended orders of many
accounts; the baseline is the same store before that, in the same run.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from statistics import median

import asyncpg
import uvloop
from msgspec.structs import replace
from tests.servers import PostgresServer

from benchmarks.figures import Figure, show
from benchmarks.store import life
from fillwright.app import tune_interpreter
from fillwright.clock import SystemClock, SystemIds
from fillwright.domain.lifecycle import advance
from fillwright.domain.orders import Failed, Order, OrderError, OrderEvent, OrderStatus
from fillwright.ports import Change, OrderFilter, Store
from fillwright.store.postgres import PostgresStore
from fillwright.store.postgres_schema import migrate
from fillwright.store.records import encode, encode_state
from fillwright.store.sqlite import SqliteStore

DEFAULT_ORDERS = 1_000_000
ROUNDS = 60
WARM = 30
AT_ONCE = 50
GOAL = 1.3
ACCOUNTS = 100
AGO_MS = 10_000_000
NUMBERS = count(1)
"""Of the orders of this run, which name themselves by them."""

POSTGRES = """
INSERT INTO orders SELECT {id}, 'account-' || n % {accounts}, NULL, 'wallet-' || n % {accounts},
    'input', 'output', '', 0, {since} + n FROM generate_series(1, {count}) AS n;
INSERT INTO progress SELECT {id}, 0, 'failed', 2, NULL, NULL, true, NULL, $state${state}$state$
    FROM generate_series(1, {count}) AS n;
INSERT INTO endings SELECT 'account-' || n % {accounts}, 'failed', {id} FROM generate_series(1, {count}) AS n;
INSERT INTO events SELECT s.sequence + n * 2 - 1, {id}, 1, {since} + n, 'accepted', 'pending', $body${accepted}$body$
    FROM generate_series(1, {count}) AS n, (SELECT sequence FROM log) AS s;
INSERT INTO events SELECT s.sequence + n * 2, {id}, 2, {since} + n, 'failed', 'failed', $body${failed}$body$
    FROM generate_series(1, {count}) AS n, (SELECT sequence FROM log) AS s;
UPDATE log SET sequence = sequence + 2 * {count}, failed = failed + {count};
"""
POSTGRES_ID = "(lpad(to_hex({since} + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid"

SQLITE = """
BEGIN;
CREATE TEMP TABLE filled AS
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
SELECT n, (SELECT coalesce(max(seq), 0) FROM orders) AS seqs, (SELECT coalesce(max(sequence), 0) FROM events) AS last,
    printf('%08x-%04x-7000-8000-%012x', ({since} + n) >> 16, ({since} + n) & 65535, n) AS id FROM numbers;
INSERT INTO orders (seq, id, account, wallet, input_mint, output_mint, dialect, priority, created_ms, status, version,
    ended_ms, accepted_sequence, state)
SELECT seqs + n, id, 'account-' || n % {accounts}, 'wallet-' || n % {accounts}, 'input', 'output', '', 0, {since} + n,
    'failed', 2, {since} + n, last + 2 * n - 1, ? FROM filled;
INSERT INTO events SELECT last + 2 * n - 1, seqs + n, 1, {since} + n, 'accepted', 'pending', ? FROM filled;
INSERT INTO events SELECT last + 2 * n, seqs + n, 2, {since} + n, 'failed', 'failed', ? FROM filled;
DROP TABLE filled;
COMMIT;
"""

Fill = Callable[[int], Awaitable[None]]


def bodies() -> tuple[str, str, str]:
    """State, first and last event of an order that failed, as they are stored."""
    (order, accepted), *_ = life(SystemIds().order_id(1), 1, 1)[0]
    ended, failed = advance(order, Failed(OrderError("no_route", "no pool can execute it now")), 2)
    return encode_state(ended), encode(accepted.body), encode(failed.body)


async def fill_postgres(url: str, orders: int) -> None:
    state, accepted, failed = bodies()
    since = SystemClock().now_ms() - AGO_MS
    terms = {"count": orders, "accounts": ACCOUNTS, "since": since, "state": state}
    text = POSTGRES.format(id=POSTGRES_ID.format(since=since), accepted=accepted, failed=failed, **terms)
    connection = await asyncpg.connect(url)
    await connection.execute(text)
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()


def fill_sqlite(path: Path, orders: int) -> None:
    """The store must be closed."""
    terms = {"count": orders, "accounts": ACCOUNTS, "since": SystemClock().now_ms() - AGO_MS}
    values = iter(bodies())
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in SQLITE.format(**terms).split(";"):
        if statement.strip():
            connection.execute(statement, (next(values),) if "?" in statement else ())
    connection.execute("UPDATE totals SET by_status = json_set(by_status, '$.failed', ?)", (orders,))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    """Median milliseconds of a call, once it is warm."""
    for _ in range(WARM):
        await call()
    found = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        await call()
        found.append((time.perf_counter() - started) * 1e3)
    return median(found)


async def measure(store: Store) -> dict[str, float]:
    """Milliseconds by name."""
    clock, ids = SystemClock(), SystemIds()
    lease = await store.register("bench")

    def fresh() -> tuple[Order, OrderEvent]:
        number = next(NUMBERS)
        return life(ids.order_id(clock.now_ms()), number, clock.now_ms())[0][0]

    async def submit() -> None:
        await asyncio.gather(*(store.insert(*fresh()) for _ in range(AT_ONCE)))

    leasing: list[float] = []

    async def lease_all() -> None:
        """What has been submitted, ended again, so that the queue is as long in every round."""
        await submit()
        started = time.perf_counter()
        orders = await store.claim(lease, 2**62, AT_ONCE)
        leasing.append((time.perf_counter() - started) * 1e3)
        await asyncio.gather(*(end(order) for order in orders))

    async def end(order: Order) -> None:
        moved, event = advance(order, Failed(OrderError("no_route", "no pool can execute it now")), clock.now_ms())
        await store.change(Change(replace(moved), (event,), order.version, lease, release=True))

    while orders := await store.claim(lease, 2**62, 500):
        await asyncio.gather(*(end(order) for order in orders))
    found = {f"submit {AT_ONCE}": await timed(submit)}
    while orders := await store.claim(lease, 2**62, 500):
        await asyncio.gather(*(end(order) for order in orders))
    await timed(lease_all)
    found[f"lease {AT_ONCE}"] = median(leasing[WARM:])
    account = fresh()[0].spec.account
    pages = {
        "list an account": OrderFilter(account=account),
        "list an account's failed": OrderFilter(account=account, status=OrderStatus.FAILED),
        "list all": OrderFilter(),
        "list an account's pending": OrderFilter(account=account, status=OrderStatus.PENDING),
    }
    for name, where in pages.items():
        found[name] = await timed(lambda where=where: store.page(where, None, 50))  # type: ignore[misc]
    found["statistics"] = await timed(lambda: store.stats(clock.now_ms()))
    await store.retire(lease)
    return found


def figures(before: dict[str, float], after: dict[str, float]) -> list[Figure]:
    return [
        Figure(name, after[name] / before[name], "×", GOAL, baseline=f"{before[name]:.2f} → {after[name]:.2f} ms")
        for name in before
    ]


async def postgres(orders: int) -> None:
    server = PostgresServer(durable=True)
    try:
        await asyncio.to_thread(server.start)
        connection = await asyncpg.connect(server.url)
        await migrate(connection)
        await connection.close()
        found = []
        for filling in (0, orders):
            if filling:
                await fill_postgres(server.url, filling)
            store = PostgresStore(server.url)
            await store.open(lambda _: None)
            found.append(await measure(store))
            await store.close()
        show(f"PostgreSQL with {orders:,} orders against none", figures(*found))
    finally:
        await asyncio.to_thread(server.stop)


async def sqlite(orders: int) -> None:
    with tempfile.TemporaryDirectory(prefix="fillwright-bench-") as folder:
        path = Path(folder) / "store.db"
        found = []
        for filling in (0, orders):
            if filling:
                fill_sqlite(path, filling)
            store = SqliteStore(path, SystemClock())
            await store.open(lambda _: None)
            found.append(await measure(store))
            await store.close()
        show(f"SQLite with {orders:,} orders against none", figures(*found))


def main() -> None:
    orders = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ORDERS
    tune_interpreter()
    for run in (sqlite, postgres):
        uvloop.run(run(orders))


if __name__ == "__main__":
    main()
