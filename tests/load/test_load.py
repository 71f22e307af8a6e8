"""The load generator against an engine that keeps its promises, and against broken ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.world import World, served
from fillwright import app
from fillwright.config import Settings
from fillwright.load import Load, LoadError, generate, histogram, percentiles
from fillwright.load.generator import _decode_frame, _Watcher
from fillwright.load.outcomes import compare

QUICK = {
    "paper_raydium_quote_delay_ms": 0,
    "paper_meteora_quote_delay_ms": 0,
    "paper_execution_delay_min_ms": 0,
    "paper_execution_delay_max_ms": 0,
    "paper_failure_rate": 0,
    "concurrency": 50,
}


@pytest.mark.parametrize(
    "shape",
    [
        {"clients": 4},
        {"clients": 4, "batch": 5},
        {"clients": 8, "rate": 400.0},
        {"clients": 2, "sockets": 3},
        {"clients": 3, "wait": True},
        {"clients": 2, "batch": 6, "wait": True},
    ],
    ids=str,
)
def test_a_sound_engine_is_found_sound(shape: dict[str, Any], tmp_path: Path) -> None:
    async def run() -> None:
        settings = Settings(_env_file=None, data_dir=tmp_path, port=0, **QUICK)  # type: ignore[call-arg, arg-type]
        async with app.running(settings) as engine:
            report = await generate(Load(engine.url, orders=60, **shape))
            assert report.violations == []
            assert (report.orders, report.checked, sum(report.statuses.values())) == (60, 60, 60)
            assert report.sockets == shape.get("sockets", 1)
            assert sum(report.histograms["end"].counts) == 60
            assert sum(report.histograms["lag"].counts) == report.events * report.sockets
            assert report.rejected == {}
            msgspec.json.encode(report)

    asyncio.run(run())


def frame(sequence: int, order: str, number: int, status: str) -> str:
    at = "2030-01-31T12:00:00.000Z"
    event = {"order_id": order, "status": status, "number": number, "sequence": sequence, "at": at}
    return msgspec.json.encode({"op": "event", "event": event}).decode()


@pytest.mark.parametrize(
    ("frames", "count"),
    [
        ([frame(1, "a", 1, "pending"), frame(2, "b", 1, "pending"), frame(3, "a", 2, "confirmed")], 0),
        ([frame(1, "a", 1, "pending"), frame(3, "a", 2, "confirmed")], 1),
        ([frame(1, "a", 1, "pending"), frame(1, "a", 1, "pending")], 2),
        ([frame(1, "a", 1, "pending"), frame(2, "a", 3, "confirmed")], 1),
        ([frame(2, "a", 1, "pending"), frame(1, "b", 1, "pending")], 1),
    ],
)
def test_a_broken_stream_is_told(frames: list[str], count: int) -> None:
    async def messages() -> AsyncIterator[tuple[str, float]]:
        for text in frames:
            yield text, 0.0

    async def run() -> None:
        watcher = _Watcher()
        await watcher.read(messages())
        assert len(watcher.violations) == count
        assert _decode_frame(frames[0]).event is not None

    asyncio.run(run())


def test_an_outcome_that_is_stored_otherwise_or_not_at_all_is_told() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            body = {"input": "SOL", "output": "USDC", "amount": "1"}
            ids = [(await client.post("/v1/orders", json=body)).json()["id"] for _ in range(3)]
        load = Load(world.server.url)
        assert await compare(load, dict.fromkeys(ids, "pending")) == (3, [])
        checked, wrong = await compare(load, {ids[0]: "confirmed", ids[1]: None, "nobody": "failed"})
        assert checked == 2
        assert [violation.split()[0] for violation in sorted(wrong)] == sorted([ids[0], "nobody"])

    served(test)


@pytest.mark.parametrize("shape", [{"orders": 0}, {"clients": 0}, {"batch": 101}, {"sockets": 0}])
def test_a_load_out_of_bounds_is_refused(shape: dict[str, int]) -> None:
    with pytest.raises(LoadError):
        asyncio.run(generate(Load("http://127.0.0.1:1", **shape)))


@given(st.lists(st.floats(0, 1e5), max_size=200))
def test_a_histogram_holds_every_sample_once(samples: list[float]) -> None:
    found = histogram(samples)
    assert sum(found.counts) == len(samples)
    assert found.bounds_ms == sorted(found.bounds_ms)
    assert percentiles(samples).max_ms == pytest.approx(max(samples, default=0.0), abs=0.001)
