"""kill -9 over an engine in many processes: API, workers, PostgreSQL and Redis, in any order, under load.

No accepted order is lost, none is executed twice, the log has no gap, the books balance, and a client of the global
stream sees every event once. FILLWRIGHT_CHAOS_KILLS and FILLWRIGHT_CHAOS_ORDERS make it as long as you like.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from fillwright.client import AsyncClient, Unreachable
from fillwright.domain.errors import FillwrightError
from fillwright.domain.lifecycle import TERMINAL
from fillwright.store.postgres import PostgresStore
from system import audit
from system.cluster import Cluster

KILLS = int(os.environ.get("FILLWRIGHT_CHAOS_KILLS", "12"))
ORDERS = int(os.environ.get("FILLWRIGHT_CHAOS_ORDERS", "150"))
SEED = int(os.environ.get("FILLWRIGHT_CHAOS_SEED", "5"))
PAIRS = (("SOL", "USDC", "0.05"), ("USDC", "SOL", "6"), ("RAY", "USDC", "1"), ("BONK", "SOL", "5000"))
LEASE_TTL_S = 1.0
SETTLE_LIMIT_S = 180.0
MAX_FREEZE_S = 7.0
"""Of PostgreSQL: from a hiccup to beyond what anybody waits for a write."""
VICTIMS = {"worker": 9, "frozen worker": 2, "redis": 4, "wiped redis": 1, "postgres": 4, "frozen postgres": 1, "api": 2}
"""What is hit, and how often beside the others."""


async def _submit(client: AsyncClient, number: int, accepted: dict[str, str]) -> None:
    """One order, asked for with the same key until it is accepted."""
    source, target, amount = PAIRS[number % len(PAIRS)]
    key = f"chaos-{number}"
    for _ in range(2_000):
        try:
            order = await client.submit(
                input=source, output=target, amount=amount, slippage_bps=500, client_order_id=key
            )  # fmt: skip
        except (Unreachable, FillwrightError):
            await asyncio.sleep(0.1)
        else:
            accepted[key] = order.id
            return


async def _hit(victim: str, cluster: Cluster, rng: random.Random) -> None:
    """Kill it and start it again, or freeze it for longer than its lease."""
    pause_s = rng.random() * 0.2
    if victim == "wiped redis":
        await asyncio.to_thread(cluster.redis.wipe)
        return
    if victim == "frozen postgres":
        await asyncio.to_thread(cluster.postgres.freeze)
        await asyncio.sleep(rng.random() * MAX_FREEZE_S)
        await asyncio.to_thread(cluster.postgres.thaw)
        return
    if victim == "frozen worker":
        worker = rng.choice(cluster.workers)
        os.kill(worker.pid, signal.SIGSTOP)
        await asyncio.sleep(LEASE_TTL_S * 2)
        os.kill(worker.pid, signal.SIGCONT)
        return
    of_kind = {"worker": rng.choice(cluster.workers), "redis": cluster.redis, "postgres": cluster.postgres}
    process = of_kind.get(victim, cluster.api)
    await asyncio.to_thread(process.kill)
    await asyncio.sleep(pause_s)
    await asyncio.to_thread(process.start)


async def _open_orders(client: AsyncClient, order_ids: set[str]) -> set[str]:
    """Those of `order_ids` that have not ended."""
    still_open = set()
    for order_id in order_ids:
        try:
            order = await client.get(order_id)
        except (Unreachable, FillwrightError):
            still_open.add(order_id)
            continue
        if order.status not in TERMINAL:
            still_open.add(order_id)
    return still_open


async def _watch(client: AsyncClient, seen: list[int], stop: asyncio.Event) -> None:
    """Follow the stream of all orders, resuming after the last event seen."""
    while not stop.is_set():
        try:
            async for event in client.stream(from_seq=seen[-1] if seen else 0):
                seen.append(event.sequence)  # noqa: PERF401 - what has been seen is needed when the stream breaks
        except (Unreachable, FillwrightError):
            await asyncio.sleep(0.1)


@pytest.mark.timeout(3_600)
def test_nothing_is_lost_or_doubled_whatever_is_killed(tmp_path: Path) -> None:
    cluster = Cluster(
        tmp_path,
        workers=2,
        concurrency=20,
        heartbeat_s=LEASE_TTL_S / 4,
        lease_ttl_s=LEASE_TTL_S,
        sweep_s=0.25,
        backoff_s=0.2,
        rebroadcast_s=0.2,
        paper_slot_ms=100,
        paper_raydium_quote_delay_ms=20,
        paper_meteora_quote_delay_ms=20,
        paper_execution_delay_min_ms=50,
        paper_execution_delay_max_ms=500,
        paper_failure_rate=0.1,
        paper_drop_rate=0.1,
    )
    try:
        cluster.start()
        accepted, seen, hits = asyncio.run(_chaos(cluster, random.Random(SEED)))
        assert len(accepted) == ORDERS
        assert cluster.stop() == [0, 0, 0, 0]
        books = asyncio.run(audit.books_of(PostgresStore(cluster.postgres.url)))
        ledger = cluster.data_dir / "paper-chain.db"
        assert audit.is_sound_file(ledger)
        assert audit.violations(books, ledger, set(accepted.values())) == []
        assert len(books.orders) == ORDERS
        assert seen == books.sequences
        print(f"{sum(hits.values())} hits {dict(hits)} over {ORDERS} orders: nothing lost, nothing doubled")  # noqa: T201
    finally:
        cluster.close()


async def _chaos(cluster: Cluster, rng: random.Random) -> tuple[dict[str, str], list[int], Counter[str]]:
    accepted: dict[str, str] = {}
    seen: list[int] = []
    hits: Counter[str] = Counter()
    stop = asyncio.Event()
    async with AsyncClient(cluster.url, timeout_s=5.0) as client, AsyncClient(cluster.url, timeout_s=5.0) as watching:
        watcher = asyncio.create_task(_watch(watching, seen, stop))
        sent = 0
        tasks: set[asyncio.Task[None]] = set()
        for kill in range(1, KILLS + 1):
            while sent < ORDERS * kill // KILLS:
                tasks.add(asyncio.create_task(_submit(client, sent, accepted)))
                sent += 1
                await asyncio.sleep(rng.random() * 0.01)
            victim = rng.choices(list(VICTIMS), weights=list(VICTIMS.values()))[0]
            hits[victim] += 1
            await _hit(victim, cluster, rng)
        await asyncio.gather(*tasks)
        still_open = set(accepted.values())
        deadline = time.monotonic() + SETTLE_LIMIT_S
        while still_open and time.monotonic() < deadline:
            await asyncio.sleep(0.25)
            still_open = await _open_orders(client, still_open)
        assert not still_open
        newest = (await client.stats()).last_sequence
        async with asyncio.timeout(10):
            while not seen or seen[-1] < newest:
                await asyncio.sleep(0.05)
        stop.set()
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
    return accepted, seen, hits
