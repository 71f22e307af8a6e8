"""The bus of many processes, against a real Redis that is killed and wiped."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from bus.conformance import LONG_S, BusConformance, receive
from bus.conformance import events as batch
from fakes.orders import order_id
from fillwright import observe
from fillwright.bus.cache import RedisCache
from fillwright.bus.limits import RedisLimiter
from fillwright.bus.redis import RedisBus
from fillwright.clock import SystemClock
from fillwright.domain.errors import ConfigError
from fillwright.execution.rate import LocalLimiter
from servers import RedisServer

pytestmark = pytest.mark.anyio

PREFIX = f"fillwright-test-{os.getpid()}"
"""One server may serve several test processes."""


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[RedisBus]:
    async with opened(redis_url) as bus:
        await bus.wait_ring(0.0, 1)
        await until_joined(bus)
        while await bus.wait_ring(0.05, 1):
            pass
        yield bus


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisBus]:
    bus = RedisBus(url, prefix=PREFIX)
    await bus.open()
    try:
        await until_connected(bus)
        while await bus.wait_ring(0.0):
            pass
        yield bus
    finally:
        await bus.close()


async def until_connected(bus: RedisBus, *, connected: bool = True) -> None:
    async with asyncio.timeout(10):
        while bus.connected is not connected:
            await asyncio.sleep(0.01)


async def work(bus: RedisBus, named: list[str]) -> None:
    """A worker with much room."""
    while True:
        ring = await bus.wait_ring(LONG_S, 100)
        named += ring.order_ids if ring is not None else ()


async def until_joined(*buses: RedisBus) -> None:
    """Until the workers' group is there: joining it is announced by a ring for all."""
    async with asyncio.timeout(LONG_S), Redis.from_url(buses[0].url) as redis:
        while not await redis.exists(f"{PREFIX}:due"):
            await asyncio.sleep(0.01)
        await redis.xgroup_setid(f"{PREFIX}:due", "workers", "$")


async def end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class TestConformance(BusConformance):
    pass


class TestBetweenProcesses:
    async def test_events_and_rings_reach_the_others(self, redis_url: str) -> None:
        async with opened(redis_url) as first, opened(redis_url) as second:
            here, there = first.subscribe(), second.subscribe()
            events = batch(1, 6)
            first.publish(events[:3])
            assert await receive(there, 3) == events[:3]
            second.publish(events[3:])
            assert await receive(here, 6) == events
            assert await receive(there, 3) == events[3:]
            while await second.wait_ring(0.0):
                pass
            first.ring()
            assert await second.wait_ring(LONG_S)

    async def test_two_publishers_are_read_in_sequence(self, redis_url: str) -> None:
        async with opened(redis_url) as first, opened(redis_url) as second, opened(redis_url) as third:
            reader = third.subscribe()
            events = batch(1, 40)
            first.publish(events[:1])
            assert await receive(reader, 1) == events[:1]
            for at in range(1, 40):
                (first if at % 2 else second).publish(events[at : at + 1])
            assert await receive(reader, 39) == events[1:]

    async def test_each_due_order_is_named_to_one_of_the_workers(self, redis_url: str) -> None:
        async with opened(redis_url) as api, opened(redis_url) as first, opened(redis_url) as second:
            ids = [order_id(number) for number in range(1_001, 1_201)]
            named: list[str] = []
            workers = [asyncio.create_task(work(bus, named)) for bus in (first, second)]
            await until_joined(first, second)
            for at in range(0, len(ids), 5):
                api.ring(ids[at : at + 5])
                async with asyncio.timeout(LONG_S):
                    while len(named) < at + 5:
                        await asyncio.sleep(0.001)
            await end(workers)
            assert sorted(named) == ids, "each once, and to one"

    async def test_prefixes_keep_engines_apart(self, redis_url: str) -> None:
        other = RedisBus(redis_url, prefix="another")
        await other.open()
        await until_connected(other)
        async with opened(redis_url) as bus:
            apart, together = other.subscribe(), bus.subscribe()
            bus.publish(batch(1, 1))
            assert len(await receive(together, 1)) == 1
            other.publish(batch(2, 2))
            assert await receive(apart, 1) == batch(2, 2)
        await other.close()


class TestRedisGoesAway:
    async def test_readers_are_told_again_and_again_until_it_is_back(self, redis: RedisServer) -> None:
        async with opened(redis.url) as first, opened(redis.url) as second:
            reader = second.subscribe()
            await asyncio.to_thread(redis.kill)
            for _ in range(2):
                async with asyncio.timeout(LONG_S):
                    assert await reader.next() == ()
                assert reader.overflowed
                reader = second.subscribe()
            own = first.subscribe()
            first.publish(batch(1, 2))
            assert await receive(own, 2) == batch(1, 2)
            first.ring()
            assert await first.wait_ring(0.0)
            await asyncio.to_thread(redis.start)
            await until_connected(first)
            await until_connected(second)
            reader = second.subscribe()
            first.publish(batch(3, 4))
            assert await receive(reader, 2) == batch(3, 4)

    async def test_wiping_it_disturbs_nothing(self, redis: RedisServer) -> None:
        async with opened(redis.url) as first, opened(redis.url) as second:
            reader, events = second.subscribe(), batch(1, 2)
            first.publish(events[:1])
            await asyncio.to_thread(redis.wipe)
            first.publish(events[1:])
            assert await receive(reader, 2) == events

    async def test_after_a_wipe_due_orders_are_named_again(self, redis: RedisServer) -> None:
        async with opened(redis.url) as api, opened(redis.url) as worker:
            named: list[str] = []
            workers = [asyncio.create_task(work(worker, named))]
            await until_joined(worker)
            await asyncio.to_thread(redis.wipe)
            async with asyncio.timeout(LONG_S):
                while not named:
                    api.ring([order_id(1)])
                    await asyncio.sleep(0.05)
            await end(workers)

    async def test_what_is_no_id_is_named_to_nobody(self, redis: RedisServer) -> None:
        async with opened(redis.url) as api, opened(redis.url) as worker, Redis.from_url(redis.url) as other:
            named: list[str] = []
            workers = [asyncio.create_task(work(worker, named))]
            await until_joined(worker)
            for fields in ({"ids": b"\xff,1,"}, {"other": "x"}):
                await other.xadd(f"{PREFIX}:due", fields)
            api.ring([order_id(1)])
            async with asyncio.timeout(LONG_S):
                while not named:
                    await asyncio.sleep(0.001)
            await end(workers)
            assert named == [order_id(1)]

    async def test_a_bus_opens_without_it(self, redis: RedisServer) -> None:
        await asyncio.to_thread(redis.kill)
        bus = RedisBus(redis.url)
        await bus.open()
        reader = bus.subscribe()
        bus.publish(batch(1, 1))
        assert await receive(reader, 1) == batch(1, 1)
        await asyncio.to_thread(redis.start)
        await until_connected(bus)
        await bus.close()

    async def test_its_absence_is_told_once_and_its_return_too(
        self, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[tuple[str, str]] = []
        monkeypatch.setattr(observe, "bus_failing", lambda what, reason: told.append((what, reason)))
        monkeypatch.setattr(observe, "bus_works", lambda what: told.append((what, "works")))
        monkeypatch.setattr(observe, "stream_fault", lambda code: told.append(("streams", code)))
        await asyncio.to_thread(redis.kill)
        bus = RedisBus(redis.url, prefix=PREFIX)
        await bus.open()
        for _ in range(4):
            reader = bus.subscribe()
            async with asyncio.timeout(LONG_S):
                assert await reader.next() == ()
            bus.ring()
        assert sorted(what for what, _ in told) == ["hearing", "sending"]
        assert all("connecting" in reason for _, reason in told)
        assert bus.standing is False
        await asyncio.to_thread(redis.start)
        await until_connected(bus)
        async with asyncio.timeout(LONG_S):
            while len(told) < 4:
                await asyncio.sleep(0.01)
        assert sorted(told[2:]) == [("hearing", "works"), ("sending", "works")]
        assert bus.standing is True
        await bus.close()

    async def test_a_full_one_is_told_of_and_events_go_through_it_all_the_same(self, redis: RedisServer) -> None:
        async with opened(redis.url) as first, opened(redis.url) as second, Redis.from_url(redis.url) as operator:
            await operator.config_set("maxmemory-policy", "noeviction")
            await operator.config_set("maxmemory", 1)
            reader = second.subscribe()
            first.ring([order_id(1)])
            first.publish(batch(1, 1))
            assert await receive(reader, 1) == batch(1, 1)
            async with asyncio.timeout(LONG_S):
                while first.standing != "refuses messages: OutOfMemoryError":
                    await asyncio.sleep(0.01)
            await operator.config_set("maxmemory", 0)
            first.ring([order_id(1)])
            async with asyncio.timeout(LONG_S):
                while first.standing is not True:
                    await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "url", ["foo://:s3cret@host", "127.0.0.1:6379", "redis+cluster://host", "redis://:s3cret/@host:port", "http://host"]
)
async def test_what_is_no_address_of_a_redis_is_refused_without_showing_it(url: str) -> None:
    for build in (RedisBus, RedisCache, lambda url: RedisLimiter(url, LocalLimiter(SystemClock()))):
        with pytest.raises(ConfigError, match="FILLWRIGHT_REDIS_URL") as refused:
            build(url)
        assert "s3cret" not in str(refused.value)
