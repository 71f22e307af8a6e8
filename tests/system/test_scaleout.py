"""API, workers and paper chain as processes of their own: orders end, health tells what is down, all comes back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from fillwright.client import AsyncClient
from fillwright.load import Load, generate
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
