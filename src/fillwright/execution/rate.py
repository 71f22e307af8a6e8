"""Sliding-window rate limits within one process: never more than `limit` within any window."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from fillwright.ports import Clock, Grant, Window

MAX_WINDOWS = 10_000
"""Names that are counted at the same time; the one longest not asked for goes first."""


class SlidingWindow:
    """`limit` 0: unlimited. Times in milliseconds, given by the caller."""

    def __init__(self, limit: int, window_ms: int = 60_000) -> None:
        self._limit = limit
        self._window_ms = window_ms
        self._starts: deque[int] = deque(maxlen=limit or 1)

    def available(self, now_ms: int, wanted: int) -> int:
        """How many of `wanted` starts are allowed now."""
        if self._limit == 0:
            return wanted
        while self._starts and self._starts[0] <= now_ms - self._window_ms:
            self._starts.popleft()
        return min(wanted, self._limit - len(self._starts))

    def take(self, now_ms: int, count: int) -> None:
        """Count `count` starts at `now_ms`."""
        if self._limit:
            self._starts.extend([now_ms] * count)

    def next_ms(self, now_ms: int) -> int:
        """When the next start is allowed; `now_ms` if one is now."""
        if self._limit == 0 or len(self._starts) < self._limit:
            return now_ms
        return max(now_ms, self._starts[0] + self._window_ms)


class LocalLimiter:
    """`ports.Limiter` of a single process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[str, SlidingWindow] = {}

    async def take(self, windows: Sequence[Window], wanted: int) -> Grant:
        return self.take_now(windows, wanted)

    async def close(self) -> None: ...

    def take_now(self, windows: Sequence[Window], wanted: int) -> Grant:
        """As `take`, which never waits here."""
        now_ms = int(self._clock.monotonic_s() * 1000)
        counted = [self._window(window) for window in windows]
        count = min([wanted, *(window.available(now_ms, wanted) for window in counted)])
        for window in counted:
            window.take(now_ms, count)
        if count == wanted:
            return Grant(count)
        return Grant(count, max(window.next_ms(now_ms) - now_ms for window in counted) / 1000)

    def _window(self, window: Window) -> SlidingWindow:
        name = f"{window.name}/{window.limit}"
        found = self._windows.pop(name, None) or SlidingWindow(window.limit)
        self._windows[name] = found
        if len(self._windows) > MAX_WINDOWS:
            del self._windows[next(iter(self._windows))]
        return found
