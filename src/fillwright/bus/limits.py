"""Rate limits that all processes share: exact sliding windows in Redis, one script per question.

In: windows and how many are wanted. Out: how many may go. Each process counts for itself, too, and never lets more
through than the limit: so while Redis is away or has been wiped, an engine of n API processes lets through at most
n times the limit, and still answers at once.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

from redis.exceptions import RedisError

from fillwright import observe
from fillwright.bus.connection import client
from fillwright.ports import Grant, Limiter, Window

PATIENCE_S = 0.25
"""How long an answer of Redis is waited for."""
AWAY_PAUSE_S = 1.0
"""After it has not come, Redis is not asked for this long."""

_LOST = (RedisError, OSError, TimeoutError)

TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local since = now - 60000000
local wanted, mark = tonumber(ARGV[1]), ARGV[2]
local count, wait = wanted, 0
for i, key in ipairs(KEYS) do
    local limit = tonumber(ARGV[2 + i])
    redis.call('ZREMRANGEBYSCORE', key, '-inf', since)
    local used = redis.call('ZCARD', key)
    count = math.min(count, math.max(0, limit - used))
end
for i, key in ipairs(KEYS) do
    local limit = tonumber(ARGV[2 + i])
    for n = 1, count do
        redis.call('ZADD', key, now, mark .. ':' .. n)
    end
    redis.call('PEXPIRE', key, 61000)
    if count < wanted then
        local over = redis.call('ZCARD', key) - limit
        if over >= 0 then
            local oldest = redis.call('ZRANGE', key, over, over, 'WITHSCORES')
            wait = math.max(wait, tonumber(oldest[2]) + 60000000 - now)
        end
    end
end
return {count, wait}
"""
"""KEYS: a sorted set for each window. ARGV: how many are wanted, a mark never used before, each window's limit.
Answers how many may go, and after how many microseconds one more may."""


class RedisLimiter:
    """`ports.Limiter` for all processes that share `url` and `prefix`. `local` counts what goes through this one."""

    def __init__(self, url: str, local: Limiter, *, prefix: str = "fillwright") -> None:
        self._redis = client(url, timeout_s=PATIENCE_S, connect_timeout_s=PATIENCE_S)
        self._script = self._redis.register_script(TAKE)
        self._local = local
        self._prefix = f"{prefix}:limit"
        self._mark = secrets.token_hex(8)
        self._asked = 0
        self._away_until_s = 0.0

    async def close(self) -> None:
        await self._redis.aclose()  # type: ignore[attr-defined]  # the stubs are of an older version

    async def take(self, windows: Sequence[Window], wanted: int) -> Grant:
        shared = await self._ask(windows, wanted)
        if shared is None:
            return await self._local.take(windows, wanted)
        if shared.count == 0:
            return shared
        own = await self._local.take(windows, shared.count)
        return own if own.count < shared.count else shared

    async def _ask(self, windows: Sequence[Window], wanted: int) -> Grant | None:
        """What Redis says; None while it says nothing."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._away_until_s:
            return None
        self._asked += 1
        keys = [f"{self._prefix}:{window.name}" for window in windows]
        mark = f"{self._mark}:{self._asked}"
        try:
            async with asyncio.timeout(PATIENCE_S):
                count, wait_us = await self._script(
                    keys=keys, args=[wanted, mark, *(window.limit for window in windows)]
                )
        except _LOST as error:
            self._away_until_s = loop.time() + AWAY_PAUSE_S
            observe.stream_fault(f"limits_{type(error).__name__}")
            return None
        return Grant(int(count), max(0.0, int(wait_us) / 1e6))
