"""How many orders have ended lately: counted as their last events go by."""

from __future__ import annotations

from collections import deque

from fillwright.ports import Clock

SPAN_S = 60


class Throughput:
    """Orders that have ended over the last minute, in steps of a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_s = clock.monotonic_s()
        self._seconds: deque[tuple[int, int]] = deque()

    def note(self, ended: int) -> None:
        """So many have ended now."""
        now_s = int(self._clock.monotonic_s())
        if self._seconds and self._seconds[-1][0] == now_s:
            ended += self._seconds.pop()[1]
        self._seconds.append((now_s, ended))
        self._forget(now_s)

    def per_s(self) -> float:
        """Over the last minute, or since the start where that is later."""
        now_s = self._clock.monotonic_s()
        self._forget(int(now_s))
        span_s = min(SPAN_S, max(1.0, now_s - self._since_s))
        return round(sum(count for _, count in self._seconds) / span_s, 3)

    def _forget(self, now_s: int) -> None:
        while self._seconds and self._seconds[0][0] <= now_s - SPAN_S:
            self._seconds.popleft()
