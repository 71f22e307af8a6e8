"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

START_MS = 1_760_000_000_000
SETTLE_ROUNDS = 20
"""Turns of the event loop that woken tasks get before time goes on."""


class ManualClock:
    """`ports.Clock`. `sleep` waits until `advance` has moved time far enough; wakings happen in time order."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self._start_ms = now_ms
        self._elapsed_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def now_ms(self) -> int:
        return self._start_ms + round(self._elapsed_s * 1000)

    def monotonic_s(self) -> float:
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_s + seconds, next(self._numbers), woken))
        await woken

    @property
    def sleepers(self) -> int:
        """How many tasks are asleep."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move time on, stopping at each waking on the way, so that what wakes may fall asleep again."""
        end_s = self._elapsed_s + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end_s:
            self._elapsed_s, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
                await self._settle()
        self._elapsed_s = end_s

    @staticmethod
    async def _settle() -> None:
        for _ in range(SETTLE_ROUNDS):
            await asyncio.sleep(0)
