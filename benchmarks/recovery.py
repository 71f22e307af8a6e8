"""How soon other workers take over what a killed one had in its hands; and whether streams go on when Redis is wiped.

`python -m benchmarks.recovery [kills]`. Three workers with the default leases under a steady load; each kill -9 takes
one of them in the middle of its orders, then Redis is wiped as often. An order counts where it was accepted before
the kill and ended later than any order does that is left alone. Baseline: the same orders without a kill.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import httpx2
import msgspec
from tests.system.cluster import Cluster
from websockets.asyncio.client import connect

from benchmarks.figures import Figure, show
from fillwright.load import percentiles

KILLS = 12
WIPES = 5
RATE = 60.0
PAUSE_S = 4.0
BODY = {"input": "SOL", "output": "USDC", "amount": "0.001", "slippage_bps": 1_000}
SETTINGS = {
    "concurrency": 100,
    "paper_raydium_quote_delay_ms": 100,
    "paper_meteora_quote_delay_ms": 100,
    "paper_execution_delay_min_ms": 100,
    "paper_execution_delay_max_ms": 100,
    "paper_failure_rate": 0,
}
ENDED = {"confirmed", "failed", "expired", "needs_review"}


class Watched:
    """Orders by when they were first and last heard of here, in seconds, and when anything was heard at all."""

    def __init__(self) -> None:
        self.accepted_s: dict[str, float] = {}
        self.ended_s: dict[str, float] = {}
        self.heard_s: list[float] = []
        self.sequences: list[int] = []


@asynccontextmanager
async def watching(url: str) -> AsyncIterator[Watched]:
    watched = Watched()

    async def read() -> None:
        async with connect(url.replace("http", "ws") + "/v1/stream", compression=None, proxy=None) as socket:
            await socket.send('{"op":"subscribe","all":true}')
            async for text in socket:
                frame = msgspec.json.decode(text)
                now_s = time.monotonic()
                if frame["op"] != "event":
                    continue
                event = frame["event"]
                watched.heard_s.append(now_s)
                watched.sequences.append(event["sequence"])
                if event["number"] == 1:
                    watched.accepted_s[event["order_id"]] = now_s
                elif event["status"] in ENDED:
                    watched.ended_s[event["order_id"]] = now_s

    reading = asyncio.create_task(read())
    try:
        yield watched
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


@asynccontextmanager
async def loading(url: str, accepted: set[str]) -> AsyncIterator[None]:
    """A steady stream of orders."""

    async def submit(client: httpx2.AsyncClient) -> None:
        answer = await client.post("/v1/orders", json=BODY)
        accepted.add(answer.json()["id"])

    async def send() -> None:
        async with httpx2.AsyncClient(base_url=url, trust_env=False) as client, asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(submit(client))
                await asyncio.sleep(1 / RATE)

    sending = asyncio.create_task(send())
    try:
        yield
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def measure(cluster: Cluster, kills: int) -> list[Figure]:
    accepted: set[str] = set()
    killed_s: list[float] = []
    wiped_s: list[float] = []
    async with watching(cluster.url) as watched:
        async with loading(cluster.url, accepted):
            await asyncio.sleep(PAUSE_S)
            calm_s = time.monotonic()
            for number in range(kills):
                victim = cluster.workers[number % len(cluster.workers)]
                killed_s.append(time.monotonic())
                await asyncio.to_thread(victim.kill)
                await asyncio.sleep(PAUSE_S)
                await asyncio.to_thread(victim.start)
            for _ in range(WIPES):
                wiped_s.append(time.monotonic())
                await asyncio.to_thread(cluster.redis.wipe)
                await asyncio.sleep(PAUSE_S / 2)
        async with asyncio.timeout(30):
            while not accepted <= watched.ended_s.keys():  # noqa: ASYNC110 - nothing tells of the last one
                await asyncio.sleep(0.1)
    calm = [
        watched.ended_s[order] - at
        for order, at in watched.accepted_s.items()
        if watched.ended_s[order] < calm_s and at > calm_s - PAUSE_S / 2
    ]
    usual_s = max(calm)
    late_ms = [
        (watched.ended_s[order] - kill) * 1e3
        for kill in killed_s
        for order, at in watched.accepted_s.items()
        if at < kill < watched.ended_s[order] and watched.ended_s[order] - at > 2 * usual_s
    ]
    gaps_s = [
        later - before for before, later in pairwise(watched.heard_s) if any(before <= at <= later for at in wiped_s)
    ]
    gapless = watched.sequences == list(range(watched.sequences[0], watched.sequences[-1] + 1))
    taken = percentiles(late_ms)
    return [
        Figure(f"orders taken over after {kills} kills", len(late_ms), "", 1, at_most=False),
        Figure(
            "from the kill to their end, p50", taken.p50_ms, "ms", baseline=f"undisturbed: ≤ {usual_s * 1e3:,.0f} ms"
        ),
        Figure("  p99", taken.p99_ms, "ms", 2_000),
        Figure(f"longest silence of the stream around {WIPES} wipes of Redis", max(gaps_s) * 1e3, "ms", 5_000),
        Figure("events missing, doubled or out of turn", 0 if gapless else 1, "", 0),
    ]


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    with tempfile.TemporaryDirectory(prefix="fillwright-bench-") as folder:
        cluster = Cluster(Path(folder) / "cluster", workers=3, **SETTINGS)
        try:
            cluster.start()
            show("A worker's death, default leases", asyncio.run(measure(cluster, kills)))
        finally:
            cluster.close()


if __name__ == "__main__":
    main()
