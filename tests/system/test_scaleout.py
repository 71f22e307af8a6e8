"""API, workers and paper chain as processes of their own: orders end, health tells what is down, all comes back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import httpx2
import pytest

from fillwright.client import AsyncClient
from fillwright.domain.lifecycle import TERMINAL
from fillwright.load import Load, LoadReport, generate
from system.cluster import Cluster
from system.process import SOURCE

AT_ONCE = {
    "concurrency": 50,
    "heartbeat_s": 0.25,
    "lease_ttl_s": 1.0,
    "sweep_s": 0.25,
    "paper_raydium_quote_delay_ms": 0,
    "paper_meteora_quote_delay_ms": 0,
    "paper_execution_delay_min_ms": 0,
    "paper_execution_delay_max_ms": 0,
    "paper_failure_rate": 0,
}
LIMIT_S = 20.0
WRITERS = 4
ORDERS_EACH = 60


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, **AT_ONCE)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


async def until(url: str, ready: Callable[[httpx2.Response], bool]) -> httpx2.Response:
    """The first answer of the readiness check that is `ready`."""
    async with httpx2.AsyncClient() as client, asyncio.timeout(LIMIT_S):
        while True:
            response = await client.get(f"{url}/health/ready")
            if ready(response):
                return response
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("batch", [1, 20])
def test_every_order_ends_and_every_event_is_seen_once(cluster: Cluster, batch: int) -> None:
    report = asyncio.run(generate(Load(cluster.url, orders=400, clients=20, batch=batch)))
    assert report.violations == []
    assert report.rejected == {}
    assert report.statuses == {"confirmed": 400}
    assert cluster.stop() == [0, 0, 0, 0]


def test_two_engines_that_share_a_redis_hear_nothing_of_each_other(cluster: Cluster, tmp_path: Path) -> None:
    numbered = {"redis_url": cluster.redis.url.replace("/0", "/1"), "accept_per_minute": 100}
    other = Cluster(tmp_path / "other", workers=1, **{**AT_ONCE, **numbered})

    def written(engine: Cluster) -> int:
        """Events in its log."""
        return int(httpx2.get(f"{engine.url}/v1/stats").json()["last_sequence"])

    async def load(*engines: Cluster) -> list[LoadReport]:
        return await asyncio.gather(*(generate(Load(one.url, orders=100, clients=10)) for one in engines))

    try:
        other.start()
        asyncio.run(load(cluster))
        before = {cluster: written(cluster), other: 0}
        for engine, report in zip(before, asyncio.run(load(*before)), strict=True):
            assert (report.orders, report.violations, report.rejected) == (100, [], {})
            assert sum(report.statuses.values()) == 100
            assert report.events == written(engine) - before[engine]
    finally:
        other.close()


def test_what_is_down_is_told_and_comes_back(cluster: Cluster) -> None:
    async def work() -> None:
        order = {"input": "SOL", "output": "USDC", "amount": "0.1"}
        ready = await until(cluster.url, lambda found: found.status_code == 200)
        assert set(ready.json()["checks"].values()) == {"ok"}
        async with AsyncClient(cluster.url) as client, httpx2.AsyncClient(base_url=cluster.url) as plain:
            await asyncio.to_thread(cluster.redis.kill)
            without = await until(cluster.url, lambda found: found.json()["checks"]["bus"] != "ok")
            assert without.status_code == 200
            health = await plain.get("/health")
            assert (health.status_code, health.json()["redis"]) == (200, "disconnected")
            placed = await client.submit(**order)
            assert (await client.wait(placed.id, timeout_s=LIMIT_S)).status == "confirmed"
            await asyncio.to_thread(cluster.redis.start)

            await asyncio.to_thread(cluster.postgres.kill)
            down = await until(cluster.url, lambda found: found.status_code == 503)
            assert down.json()["checks"]["store"] == "store_unavailable"
            health = await plain.get("/health")
            assert (health.status_code, health.json()["status"]) == (503, "degraded")
            assert health.json()["database"] == "disconnected"
            refused = await plain.post("/v1/orders", json=order)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
            await asyncio.to_thread(cluster.postgres.start)

            await asyncio.to_thread(cluster.paper.kill)
            await until(cluster.url, lambda found: found.json()["checks"]["chain"] != "ok")
            await asyncio.to_thread(cluster.paper.start)
            back = await until(cluster.url, lambda found: set(found.json()["checks"].values()) == {"ok"})
            assert back.status_code == 200
            placed = await client.submit(**order)
            assert (await client.wait(placed.id, timeout_s=LIMIT_S)).status == "confirmed"

    asyncio.run(work())


def test_the_global_stream_of_two_apis_and_two_workers_has_every_event_once(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, workers=2, apis=2, **AT_ONCE)

    async def follow(url: str, seen: list[int]) -> None:
        ended = 0
        async with AsyncClient(url) as client, aclosing(client.stream(from_seq=0)) as events:
            async for event in events:
                seen.append(event.sequence)
                ended += event.status in TERMINAL
                if ended == WRITERS * ORDERS_EACH:
                    return

    async def write(url: str) -> None:
        async with AsyncClient(url) as client:
            for _ in range(ORDERS_EACH):
                await client.submit(input="SOL", output="USDC", amount="0.01")

    async def work() -> None:
        urls = [api.url for api in cluster.apis]
        logs: list[list[int]] = [[] for _ in urls]
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            for url, log in zip(urls, logs, strict=True):
                tasks.create_task(follow(url, log))
            for number in range(WRITERS):
                tasks.create_task(write(urls[number % len(urls)]))
        for log in logs:
            assert log == list(range(1, len(log) + 1))

    try:
        cluster.start()
        asyncio.run(work())
        assert cluster.stop() == [0] * 5
    finally:
        cluster.close()


def test_a_database_that_hangs_is_told_fast_and_nothing_is_lost(cluster: Cluster) -> None:
    order = {"input": "SOL", "output": "USDC", "amount": "0.1"}

    async def work() -> None:
        async with httpx2.AsyncClient(base_url=cluster.url, timeout=LIMIT_S) as plain:
            placed = [plain.post("/v1/orders", json={**order, "client_order_id": f"{n}"}) for n in range(4)]
            await until(cluster.url, lambda found: found.status_code == 200)
            await asyncio.to_thread(cluster.postgres.freeze)
            under_way = [asyncio.create_task(one) for one in placed]
            down = await until(cluster.url, lambda found: found.status_code == 503)
            assert down.json()["checks"]["store"] == "does not answer"
            answers = await asyncio.gather(*under_way)
            assert {answer.status_code for answer in answers} == {503}
            assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
            await asyncio.to_thread(cluster.postgres.thaw)
            await until(cluster.url, lambda found: found.status_code == 200)
            async with AsyncClient(cluster.url) as client:
                for number in range(4):
                    again = await client.submit(**order, client_order_id=f"{number}")
                    assert (await client.wait(again.id, timeout_s=LIMIT_S)).status == "confirmed"
                assert sum((await client.stats()).orders.values()) == 4

    asyncio.run(work())


@pytest.mark.parametrize("command", ["api", "worker"])
def test_a_process_without_a_database_says_what_it_needs(tmp_path: Path, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fillwright", command],
        env={"PYTHONPATH": str(SOURCE), "FILLWRIGHT_DATA_DIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "FILLWRIGHT_DATABASE_URL" in done.stderr
