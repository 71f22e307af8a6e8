"""A sliding-window rate limit: never more than `limit` starts within any window."""

from __future__ import annotations

from collections import deque


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
