"""Rate limits that processes share, against a real Redis that goes away and is wiped."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from fakes.clock import ManualClock
from fillwright.bus.limits import RedisLimiter
from fillwright.execution.rate import LocalLimiter
from fillwright.ports import Grant, Window
from servers import RedisServer

pytestmark = pytest.mark.anyio


def limiters(url: str, count: int) -> list[RedisLimiter]:
    prefix = f"fillwright-test-{secrets.token_hex(4)}"
    return [RedisLimiter(url, LocalLimiter(ManualClock()), prefix=prefix) for _ in range(count)]


async def test_processes_share_a_limit_exactly(redis_url: str) -> None:
    shared = limiters(redis_url, 3)
    window = Window("key:a", 100)
    grants = await asyncio.gather(*(limiter.take([window], 7) for limiter in shared * 8))
    assert sum(grant.count for grant in grants) == 100
    refused = [grant for grant in grants if grant.count < 7]
    assert refused
    assert all(55 < grant.retry_after_s <= 60 for grant in refused)
    assert await shared[0].take([Window("key:b", 1)], 1) == Grant(1)
    for limiter in shared:
        await limiter.close()


async def test_what_one_window_refuses_costs_the_other_nothing(redis_url: str) -> None:
    (limiter,) = limiters(redis_url, 1)
    small, large = Window("key:a", 2), Window("all", 5)
    assert (await limiter.take([small, large], 4)).count == 2
    assert (await limiter.take([small, large], 1)).count == 0
    assert await limiter.take([large], 3) == Grant(3)
    assert (await limiter.take([large], 1)).count == 0
    await limiter.close()


async def test_without_redis_each_process_counts_for_itself() -> None:
    server = RedisServer()
    try:
        server.start()
        first, second = limiters(server.url, 2)
        window = Window("all", 10)
        assert (await first.take([window], 6)).count == 6
        await asyncio.to_thread(server.kill)
        assert (await first.take([window], 6)).count == 4
        assert (await second.take([window], 20)).count == 10
        assert (await second.take([window], 1)).count == 0
        await first.close()
        await second.close()
    finally:
        server.stop()


async def test_a_wiped_redis_lets_no_process_exceed_the_limit_by_itself() -> None:
    server = RedisServer()
    try:
        server.start()
        (limiter,) = limiters(server.url, 1)
        window = Window("all", 10)
        assert (await limiter.take([window], 8)).count == 8
        await asyncio.to_thread(server.wipe)
        assert (await limiter.take([window], 8)).count == 2
        await limiter.close()
    finally:
        server.stop()
