"""The bus of many processes, against a real Redis that is killed and wiped."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from bus.conformance import LONG_S, BusConformance, receive
from bus.conformance import events as batch
from fillwright.bus.redis import RedisBus
from servers import RedisServer

pytestmark = pytest.mark.anyio

PREFIX = f"fillwright-test-{os.getpid()}"
"""One server may serve several test processes."""


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[RedisBus]:
    async with opened(redis_url) as bus:
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
