"""What processes remember together, in a real Redis that goes away."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from fillwright.bus.cache import RedisCache
from servers import RedisServer

pytestmark = pytest.mark.anyio


async def until_there(cache: RedisCache, key: str) -> bytes:
    async with asyncio.timeout(10):
        while (found := await cache.get(key)) is None:
            await asyncio.sleep(0.01)
    return found


async def test_what_one_process_puts_another_gets(redis_url: str) -> None:
    prefix = f"fillwright-test-{secrets.token_hex(4)}"
    first, second = (RedisCache(redis_url, prefix=prefix) for _ in range(2))
    assert await first.get("a") is None
    first.put("a", b"\x00 one", 60)
    assert await until_there(second, "a") == b"\x00 one"
    await first.close()
    await second.close()


async def test_without_redis_nothing_is_found_and_nothing_waits() -> None:
    server = RedisServer()
    try:
        server.start()
        cache = RedisCache(server.url)
        cache.put("a", b"one", 60)
        await until_there(cache, "a")
        await asyncio.to_thread(server.kill)
        for _ in range(3):
            async with asyncio.timeout(1):
                assert await cache.get("a") is None
            cache.put("a", b"two", 60)
        await cache.close()
    finally:
        server.stop()
