"""How many orders a second the embedded store takes, durably: each is one insert and five transitions.

`python -m benchmarks.store [orders]`. Prints each figure beside its goal, and beside a baseline that the same
run measures on the same disk: a transaction for every transition.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import quantiles

import uvloop
from msgspec.structs import replace

from benchmarks.figures import Figure, show
from fillwright.app import tune_interpreter
from fillwright.clock import SystemClock, SystemIds
from fillwright.domain.accounts import Address, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.lifecycle import accept, advance
from fillwright.domain.orders import (
    Accepted,
    Attempt,
    AttemptStatus,
    Built,
    Confirmed,
    Fill,
    Landed,
    Order,
    OrderEvent,
    OrderId,
    OrderSpec,
    OrderType,
    Routed,
    Submitted,
)
from fillwright.domain.routes import Candidate, Fee, FeeKind, Leg, Route
from fillwright.ports import Change, Lease, OrderFilter
from fillwright.store.records import encode, encode_state
from fillwright.store.sqlite import SqliteStore

DEFAULT_ORDERS = 20_000
IN_FLIGHT = (10, 100, 1_000)
GOALS_ORDERS_PER_S = {100: 18_000}
FULL_IN_FLIGHT = 100
BASELINE_ORDERS = 300
PAGE = 50

SOL = Mint("So11111111111111111111111111111111111111112")
USDC = Mint("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v")
POOLS = (
    Address("7JuwJuNU88gurFnyWeiyGKbFmExMWcmRZntn9imEzdny"),
    Address("HTvjzsfX3yU6BUodCjZ5vZkUrAxMDTrBs3CJaq43ashR"),
)
SPEC = OrderSpec(
    "default", "9WzDXwBbmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM", OrderType.MARKET, SOL, USDC, SwapMode.EXACT_IN, 10**9, 50
)  # fmt: skip

Steps = list[tuple[Order, OrderEvent]]


def life(order_id: OrderId, number: int, now_ms: int) -> tuple[Steps, list[Attempt | None], Fill]:
    """An order's six states with the events between them, as large as the real ones; its attempts; its fill."""
    fees = (Fee(FeeKind.LP, SOL, 2_500_000),)
    candidates = tuple(Candidate("raydium_cpmm", "raydium", pool, 10**9, 170_000_000, fees, 120) for pool in POOLS)
    leg = Leg("raydium_cpmm", "raydium", POOLS[0], SOL, USDC, 10**9, 170_000_000, fees)
    route = Route(SwapMode.EXACT_IN, SOL, USDC, 10**9, 170_000_000, 169_150_000, (leg,), 120, 250_000_000)
    signature = f"{number:088d}"
    fill = Fill(signature, order_id, 1, 10**9, 170_000_000, 5_000, 0, 250_000_007, now_ms)
    built = Attempt(order_id, 1, AttemptStatus.BUILT, signature, bytes(400), 250, 169_150_000, order_id[:32], now_ms)
    steps = [accept(order_id, Accepted(replace(SPEC, client_order_id=f"c{number}"), now_ms, "170.1", 1), now_ms)]
    for body in (
        Routed(candidates, route, 250_000_000),
        Built(1, signature, 250, 169_150_000),
        Submitted(1, signature),
        Landed(1, signature, 250_000_007),
        Confirmed(fill),
    ):
        steps.append(advance(steps[-1][0], body, now_ms))
    sent, landed = replace(built, status=AttemptStatus.SENT), replace(built, status=AttemptStatus.LANDED)
    return steps, [None, built, sent, landed, landed], fill


async def bare(store: SqliteStore, lives: Sequence[Steps], in_flight: int) -> tuple[float, list[float]]:
    """Insert and five transitions, each answered before the next. Seconds in all; each write's latency."""
    waits: list[float] = []
    queue = iter(lives)

    async def one_after_another() -> None:
        for steps in queue:
            before = time.perf_counter()
            await store.insert(*steps[0])
            waits.append(time.perf_counter() - before)
            for order, event in steps[1:]:
                before = time.perf_counter()
                await store.change(Change(order, (event,), order.version - 1, None))
                waits.append(time.perf_counter() - before)

    started = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(in_flight)))
    return time.perf_counter() - started, waits


async def full(store: SqliteStore, lives: Sequence[tuple[Steps, list[Attempt | None], Fill]], in_flight: int) -> float:
    """What the engine writes: insert, claim, five fenced transitions with the attempt and the fill. Seconds."""
    lease = await store.register("benchmark")
    claimed: dict[OrderId, asyncio.Event] = {steps[0][0].id: asyncio.Event() for steps, _, _ in lives}
    inserted = asyncio.Event()
    left = len(lives)
    queue = iter(lives)

    async def claim() -> None:
        nonlocal left
        while left:
            await inserted.wait()
            inserted.clear()
            while orders := await store.claim(lease, 2**62, in_flight):
                left -= len(orders)
                for order in orders:
                    claimed[order.id].set()

    async def one_after_another(lease: Lease) -> None:
        for steps, attempts, fill in queue:
            await store.insert(*steps[0])
            inserted.set()
            await claimed[steps[0][0].id].wait()
            for (order, event), attempt in zip(steps[1:], attempts, strict=True):
                last = fill if attempt is attempts[-1] and order.fill else None
                await store.change(
                    Change(order, (event,), order.version - 1, lease, attempt, last, release=order.fill is not None)
                )

    started = time.perf_counter()
    await asyncio.gather(claim(), *(one_after_another(lease) for _ in range(in_flight)))
    return time.perf_counter() - started


def baseline(path: Path, lives: Sequence[Steps]) -> float:
    """The same rows, a transaction for each transition, one after another. Seconds."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE orders (id TEXT PRIMARY KEY, status TEXT, version INTEGER, state TEXT);"
        "CREATE TABLE events (sequence INTEGER PRIMARY KEY, order_id TEXT, number INTEGER, body TEXT,"
        " UNIQUE (order_id, number))"
    )
    started = time.perf_counter()
    for steps in lives:
        for order, event in steps:
            connection.execute("BEGIN IMMEDIATE")
            if order.version == 1:
                connection.execute(
                    "INSERT INTO orders VALUES (?, ?, ?, ?)", (order.id, order.status, 1, encode_state(order))
                )
            else:
                connection.execute(
                    "UPDATE orders SET status = ?, version = ?, state = ? WHERE id = ? AND version = ?",
                    (order.status, order.version, encode_state(order), order.id, order.version - 1),
                )
            connection.execute(
                "INSERT INTO events (order_id, number, body) VALUES (?, ?, ?)",
                (order.id, event.number, encode(event.body)),
            )
            connection.execute("COMMIT")
    elapsed = time.perf_counter() - started
    connection.close()
    return elapsed


async def measure(directory: Path, count: int) -> list[Figure]:
    clock, ids = SystemClock(), SystemIds()
    lives = []
    for number in range(count):
        now_ms = clock.now_ms()
        lives.append(life(ids.order_id(now_ms), number, now_ms))
    steps = [steps for steps, _, _ in lives]
    tune_interpreter()
    figures = []
    few = steps[:BASELINE_ORDERS]
    alone = len(few) / baseline(directory / "baseline.db", few)
    compared = f"a transaction per transition: {alone:,.0f} orders/s"
    for in_flight in IN_FLIGHT:
        store = SqliteStore(directory / f"bare-{in_flight}.db", clock)
        await store.open(lambda _: None)
        cpu = time.process_time()
        seconds, waits = await bare(store, steps, in_flight)
        cpu = time.process_time() - cpu
        percent = quantiles(waits, n=100)
        name, goal = f"insert + 5 transitions, {in_flight} in flight", GOALS_ORDERS_PER_S.get(in_flight)
        figures += [
            Figure(name, count / seconds, "/s", goal, at_most=False, baseline=compared),
            Figure("  write p50", percent[49] * 1e3, "ms"),
            Figure("  write p99", percent[98] * 1e3, "ms"),
            Figure("  CPU per order", cpu / count * 1e6, "µs"),
        ]
        await store.close()
    store = SqliteStore(directory / "full.db", clock)
    await store.open(lambda _: None)
    seconds = await full(store, lives, FULL_IN_FLIGHT)
    name = f"with claim, attempt and fill, {FULL_IN_FLIGHT} in flight"
    figures.append(Figure(name, count / seconds, "/s", baseline=compared))
    figures += await reads(store, steps)
    await store.close()
    return figures


async def reads(store: SqliteStore, lives: Sequence[Steps]) -> list[Figure]:
    """One at a time, over all the orders just written."""

    async def timed(name: str, calls: int, call: Callable[[int], Awaitable[object]]) -> Figure:
        started = time.perf_counter()
        for number in range(calls):
            await call(number)
        return Figure(name, (time.perf_counter() - started) / calls * 1e6, "µs")

    return [
        await timed("get", 500, lambda n: store.get(lives[n % len(lives)][0][0].id)),
        await timed(
            f"a page of {PAGE} of an account", 50, lambda n: store.page(OrderFilter(account="default"), None, PAGE)
        ),
        await timed("stats", 200, store.stats),
    ]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ORDERS
    with tempfile.TemporaryDirectory(prefix="fillwright-bench-") as directory:
        figures = uvloop.run(measure(Path(directory), count))
    show(f"SQLite store, {count:,} orders, full fsync", figures)


if __name__ == "__main__":
    main()
