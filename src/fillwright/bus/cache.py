"""What processes remember together, in Redis, each entry for a while.

In: bytes under a key. Out: the same, or nothing: Redis may be absent, wiped or full, and whoever reads must be able
to do without, and must see from the value itself whether it still holds.
"""

from __future__ import annotations

import asyncio

from redis.exceptions import RedisError

from fillwright import observe
from fillwright.bus.connection import client

PATIENCE_S = 0.1
AWAY_PAUSE_S = 1.0
"""After an answer has not come in time, Redis is not asked for this long."""
MAX_PUTTING = 200
"""Entries on their way; beyond, they are dropped."""

_LOST = (RedisError, OSError, TimeoutError)


class RedisCache:
    """`ports.Cache` for all processes that share `url` and `prefix`."""

    def __init__(self, url: str, *, prefix: str = "fillwright") -> None:
        self._redis = client(url, timeout_s=PATIENCE_S, connect_timeout_s=PATIENCE_S)
        self._prefix = f"{prefix}:cache:"
        self._putting: set[asyncio.Task[None]] = set()
        self._away_until_s = 0.0

    async def get(self, key: str) -> bytes | None:
        if self._is_away():
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                found: bytes | None = await self._redis.get(self._prefix + key)
        except _LOST as error:
            self._lost(error)
            return None
        return found

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        if self._is_away() or len(self._putting) >= MAX_PUTTING:
            return
        task = asyncio.get_running_loop().create_task(self._put(key, value, ttl_s))
        self._putting.add(task)
        task.add_done_callback(self._putting.discard)

    async def close(self) -> None:
        """Drop what is on its way and hang up."""
        for task in self._putting:
            task.cancel()
        await asyncio.gather(*self._putting, return_exceptions=True)
        await self._redis.aclose()  # type: ignore[attr-defined]  # the stubs are of an older version

    async def _put(self, key: str, value: bytes, ttl_s: float) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._redis.set(self._prefix + key, value, px=int(ttl_s * 1000))
        except _LOST as error:
            self._lost(error)

    def _is_away(self) -> bool:
        return asyncio.get_running_loop().time() < self._away_until_s

    def _lost(self, error: Exception) -> None:
        self._away_until_s = asyncio.get_running_loop().time() + AWAY_PAUSE_S
        observe.stream_fault(f"cache_{type(error).__name__}")
