"""Actions at set times, on one sleeping task, whatever their number.

In: a time in milliseconds and a function. Out: the function is called at that time or later, in order of time,
never before. Must not: know what it is that is due.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable

Action = Callable[[int], None]
"""Called with the time at which it was due."""


class Timer:
    """An action that is waiting for its time."""

    __slots__ = ("action",)

    def __init__(self, action: Action) -> None:
        self.action: Action | None = action

    def cancel(self) -> None:
        """Forget the action."""
        self.action = None


class Timers:
    """`tick` is called when something is due; it is expected to call `run_due`."""

    def __init__(
        self, now_ms: Callable[[], int], sleep: Callable[[float], Awaitable[None]], tick: Callable[[], None]
    ) -> None:
        self._now_ms = now_ms
        self._sleep = sleep
        self._tick = tick
        # Tuples, so that the heap compares numbers: it holds cancelled timers too, thousands of them.
        self._heap: list[tuple[int, int, Timer]] = []
        self._count = 0
        self._sleeper: asyncio.Task[None] | None = None
        self._wakes_ms = 0
        self._closed = False

    def at(self, due_ms: int, action: Action) -> Timer:
        """Call `action` once `due_ms` has come."""
        self._count += 1
        timer = Timer(action)
        heapq.heappush(self._heap, (due_ms, self._count, timer))
        if self._sleeper is None or due_ms < self._wakes_ms:
            self._restart()
        return timer

    def run_due(self, now_ms: int) -> None:
        """Run everything due by `now_ms`, in order of time, then of scheduling."""
        heap = self._heap
        while heap and heap[0][0] <= now_ms:
            due_ms, _, timer = heapq.heappop(heap)
            if timer.action is not None:
                timer.action(due_ms)

    async def close(self) -> None:
        """Drop everything that is not due yet."""
        self._closed = True
        self._heap.clear()
        if self._sleeper is not None:
            self._sleeper.cancel()
            await asyncio.gather(self._sleeper, return_exceptions=True)
            self._sleeper = None

    def _restart(self) -> None:
        if self._closed:
            return
        if self._sleeper is not None:
            self._sleeper.cancel()
        self._wakes_ms = self._heap[0][0]
        self._sleeper = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._heap:
            self._wakes_ms = self._heap[0][0]
            await self._sleep(max(0, self._wakes_ms - self._now_ms()) / 1_000)
            self._tick()
        self._sleeper = None
