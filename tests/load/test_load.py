"""The load generator against an engine that keeps its promises, and against broken ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.world import World, served
from fillwright import app
from fillwright.client import AsyncClient
from fillwright.config import Settings
from fillwright.load import Load, LoadError, generate, histogram, percentiles
from fillwright.load.outcomes import compare
from fillwright.load.watcher import Watcher, decode_frame
from fillwright.load.wire import target

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
        # Between its events are those of other accounts, and of orders from before.
        ([frame(1, "a", 1, "pending"), frame(3, "a", 2, "confirmed")], 0),
        ([frame(5, "old", 4, "submitted"), frame(6, "old", 5, "confirmed")], 0),
        ([frame(5, "old", 4, "submitted"), frame(6, "old", 6, "confirmed")], 1),
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
        watcher = Watcher()
        await watcher.read(messages())
        assert len(watcher.violations) == count
        assert decode_frame(frames[0]).event is not None

    asyncio.run(run())


def test_an_order_of_ones_own_whose_first_event_did_not_come_is_told() -> None:
    async def messages() -> AsyncIterator[tuple[str, float]]:
        for number, text in enumerate(("routing", "confirmed"), 2):
            yield frame(number, "mine", number, text), 0.0

    async def run() -> None:
        watcher = Watcher()
        await watcher.read(messages())
        assert watcher.violations == []
        assert watcher.beheaded({"mine", "another"}) == ["mine: its events began at 2"]

    asyncio.run(run())


def test_a_load_goes_on_across_a_restart_of_the_engine_and_tells_of_it(tmp_path: Path) -> None:
    async def run() -> None:
        settings = Settings(_env_file=None, data_dir=tmp_path, port=0, **QUICK)  # type: ignore[call-arg, arg-type]
        async with app.running(settings) as engine:
            port = urlsplit(engine.url).port
            loading = asyncio.create_task(generate(Load(engine.url, orders=500, clients=2, rate=150.0)))
            await _accepted(engine.url, 20)
        again = settings.model_copy(update={"port": port})
        async with app.running(again):
            report = await loading
        assert report.violations == []
        assert report.resumed == 1
        assert 20 <= report.orders < 500
        assert report.orders + sum(report.rejected.values()) == 500
        assert report.checked == sum(report.statuses.values()) == report.orders
        assert set(report.rejected) <= {"connection_lost", "shutting_down"}

    asyncio.run(run())


def test_a_load_that_is_stopped_reports_what_was_sent(tmp_path: Path) -> None:
    async def run() -> None:
        settings = Settings(_env_file=None, data_dir=tmp_path, port=0, **QUICK)  # type: ignore[call-arg, arg-type]
        async with app.running(settings) as engine:
            stop = asyncio.Event()
            loading = asyncio.create_task(generate(Load(engine.url, orders=100_000, clients=4, rate=100.0), stop))
            await _accepted(engine.url, 5)
            stop.set()
            report = await loading
            assert 5 <= report.orders < 1_000
            assert (report.violations, report.rejected) == ([], {})
            assert report.checked == report.orders

    asyncio.run(run())


async def _accepted(url: str, count: int) -> None:
    async with AsyncClient(url) as client:
        while len([order async for order in client.orders(limit=count)]) < count:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("key", [None, "wrong", "no-reads"])
def test_a_key_that_does_not_do_is_told_in_a_line(key: str | None) -> None:
    async def test(world: World) -> None:
        with pytest.raises(LoadError, match="--api-key"):
            await generate(Load(world.server.url, orders=1, api_key=key))

    digest = sha256(b"no-reads").hexdigest()
    served(test, api_keys=f'[{{"account": "a", "sha256": "{digest}", "scopes": ["trade"]}}]')


@pytest.mark.parametrize("url", ["engine", "ftp://host", "http://", "http://host:port", "http://[::1"])
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(LoadError, match="address"):
        asyncio.run(generate(Load(url, orders=1)))


def test_an_address_may_have_a_path_and_tls() -> None:
    plain, secure = target("http://host:81/engine/"), target("https://host")
    assert (plain.host, plain.port, plain.tls) == ("host", 81, False)
    assert plain.head("GET", "/v1/orders", "k").startswith("GET /engine/v1/orders HTTP/1.1\r\nhost: host:81\r\n")
    assert plain.stream_url == "ws://host:81/engine/v1/stream"
    assert (secure.port, secure.tls, secure.stream_url) == (443, True, "wss://host/v1/stream")


def test_what_answers_without_being_an_engine_is_told() -> None:
    async def run() -> None:
        async def hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(hello, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(LoadError, match="no engine"):
                await generate(Load(f"http://127.0.0.1:{port}", orders=1))

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
