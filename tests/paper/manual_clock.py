"""A clock that moves only when told: sleepers wake in order, each at its own time."""

from __future__ import annotations

import asyncio
import heapq

START_MS = 1_780_000_000_000
_TURNS = 8


class ManualClock:
    """Implements `ports.Clock`."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self._now_ms = now_ms
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_s(self) -> float:
        return self._now_ms / 1_000

    async def sleep(self, seconds: float) -> None:
        self._count += 1
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_ms + round(seconds * 1_000), self._count, woken))
        await woken

    async def advance(self, ms: int) -> None:
        """Let `ms` pass; whoever is due wakes at its own time and may sleep again."""
        end = self._now_ms + ms
        await _turns()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now_ms, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
            await _turns()
        self._now_ms = end
        await _turns()

    def jump(self, ms: int) -> None:
        """Let `ms` pass without waking anyone: the process was not scheduled."""
        self._now_ms += ms


async def _turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
