"""How many orders a second the PostgreSQL store takes, durably: each is one insert and five transitions.

`python -m benchmarks.postgres [orders]`, on a server of its own at full fsync. Baselines of the same run: a
transaction for every transition over one connection, and the empty flushes a second that the disk allows.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Sequence
from statistics import quantiles

import asyncpg
import uvloop
from tests.servers import PostgresServer

from benchmarks.figures import Figure, show
from benchmarks.store import Steps, bare, full, life
from fillwright.clock import SystemClock, SystemIds
from fillwright.domain.orders import OrderId
from fillwright.ports import OrderFilter
from fillwright.store.postgres import PostgresStore
from fillwright.store.postgres_schema import migrate
from fillwright.store.records import encode, encode_state

DEFAULT_ORDERS = 10_000
IN_FLIGHT = (10, 100, 1_000)
GOALS = {100: 7_000.0}
BASELINE_ORDERS = 150


async def baseline(url: str, lives: Sequence[Steps]) -> float:
    """Orders a second of a transaction per transition, one after another."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        "CREATE TABLE plain_orders (id uuid PRIMARY KEY, status text, version int, state text);"
        "CREATE TABLE plain_events (sequence bigserial PRIMARY KEY, order_id uuid, number int, body text,"
        " UNIQUE (order_id, number))"
    )
    started = time.perf_counter()
    for steps in lives:
        for order, event in steps:
            async with connection.transaction():
                row = (order.id, str(order.status), order.version, encode_state(order))
                if order.version == 1:
                    await connection.execute("INSERT INTO plain_orders VALUES ($1, $2, $3, $4)", *row)
                else:
                    await connection.execute(
                        "UPDATE plain_orders SET status = $2, version = $3, state = $4 WHERE id = $1", *row
                    )
                await connection.execute(
                    "INSERT INTO plain_events (order_id, number, body) VALUES ($1, $2, $3)",
                    order.id, event.number, encode(event.body),
                )  # fmt: skip
    elapsed = time.perf_counter() - started
    await connection.close()
    return len(lives) / elapsed


async def measure(server: PostgresServer, count: int) -> None:
    connection = await asyncpg.connect(server.url)
    await migrate(connection)
    clock, ids = SystemClock(), SystemIds()

    def lives(number: int) -> list[tuple[Steps, list, object]]:
        return [life(ids.order_id(clock.now_ms()), number * count + n, clock.now_ms()) for n in range(count)]

    gc.freeze()
    per_s = await baseline(server.url, [steps for steps, _, _ in lives(99)[:BASELINE_ORDERS]])
    against = f"a transaction per transition: {per_s:,.0f}/s"
    figures = []
    for number, in_flight in enumerate(IN_FLIGHT):
        store = PostgresStore(server.url)
        await store.open(lambda _: None)
        steps = [steps for steps, _, _ in lives(number)]
        cpu = time.process_time()
        seconds, waits = await bare(store, steps, in_flight)
        cpu = time.process_time() - cpu
        percent = quantiles(waits, n=100)
        name = f"insert + 5 transitions, {in_flight} in flight"
        rate, goal = count / seconds, GOALS.get(in_flight)
        name = f"insert + 5 transitions, {in_flight} in flight"
        rate, goal = count / seconds, GOALS.get(in_flight)
        figures += [
            Figure(name, rate, "/s", goal, at_most=False, baseline=against),
            Figure("  write p50", percent[49] * 1e3, "ms"),
            Figure("  write p99", percent[98] * 1e3, "ms"),
            Figure("  CPU of the client per order", cpu / count * 1e6, "µs"),
        ]
        await store.close()
    store = PostgresStore(server.url)
    await store.open(lambda _: None)
    await connection.execute("UPDATE progress SET ready_at_ms = NULL")
    written = lives(7)
    figures.append(Figure("with claim, attempt and fill, 100 in flight", count / await full(store, written, 100), "/s"))
    figures += await reads(store, [steps[0][0].id for steps, _, _ in written])
    await store.close()
    rows = await connection.fetchrow(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'progress'"
    )
    figures.append(Figure("heap-only updates of orders' progress", 100 * rows[1] / max(1, rows[0]), "%"))
    await connection.close()
    show("PostgreSQL store, full fsync", figures)


async def reads(store: PostgresStore, order_ids: list[OrderId]) -> list[Figure]:
    """One at a time, over all the orders written."""

    async def timed(name: str, calls: int, call: object) -> Figure:
        started = time.perf_counter()
        for number in range(calls):
            await call(number)  # type: ignore[operator]
        return Figure(name, (time.perf_counter() - started) / calls * 1e6, "µs")

    return [
        await timed("get", 500, lambda n: store.get(order_ids[n % len(order_ids)])),
        await timed("a page of 50 by account", 50, lambda _: store.page(OrderFilter(account="default"), None, 50)),
        await timed("stats", 50, lambda n: store.stats(n)),
    ]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ORDERS
    server = PostgresServer(durable=True)
    try:
        server.start()
        uvloop.run(measure(server, count))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
