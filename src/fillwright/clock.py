"""The real clock and real identifiers behind `ports.Clock` and `ports.Ids`. Nothing else asks the time."""

from __future__ import annotations

import asyncio
import os
import time

from fillwright.domain.orders import OrderId

_RANDOM_BITS = 74
_RANDOM_MASK = (1 << _RANDOM_BITS) - 1
_MAX_MS = (1 << 48) - 1
_ENTROPY_BYTES = 4_096
_STEP_BITS = 32
"""Ids of one millisecond are this many random bits apart at most: ascending, and not guessable from each other."""


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Wall time in milliseconds since the epoch, the nearest: a cut one would be half of one late on average."""
        return (time.time_ns() + 500_000) // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait; not at all where `seconds` is not positive, but other tasks get their turn."""
        await asyncio.sleep(seconds)


class SystemIds:
    """UUIDv7 (RFC 9562) that ascend within a process, whatever the wall clock does."""

    def __init__(self) -> None:
        self._last_ms = -1
        self._last_random = 0
        self._entropy = memoryview(b"")

    def order_id(self, now_ms: int) -> OrderId:
        """A new UUIDv7, greater than all before it. Where the clock stands still or goes back, or the
        millisecond's ids are used up, it continues from the last id. Raises ValueError outside 48 bits."""
        if not 0 <= now_ms <= _MAX_MS:
            raise ValueError(f"{now_ms} ms is outside of what a UUIDv7 can say")
        if now_ms > self._last_ms:
            self._last_ms = now_ms
            self._last_random = self._draw(10) & _RANDOM_MASK
        else:
            step = self._draw(_STEP_BITS // 8) + 1
            following = self._last_random + step
            self._last_ms += following >> _RANDOM_BITS
            self._last_random = following & _RANDOM_MASK
        return _uuid7(self._last_ms, self._last_random)

    def _draw(self, size: int) -> int:
        """`size` fresh random bytes as an integer; the system is asked for many at a time, as each call is slow."""
        if len(self._entropy) < size:
            self._entropy = memoryview(os.urandom(_ENTROPY_BYTES))
        drawn, self._entropy = self._entropy[:size], self._entropy[size:]
        return int.from_bytes(drawn, "big")


def _uuid7(ms: int, random: int) -> OrderId:
    """48 bits of time, version 7, 12 random bits, variant 2, 62 random bits."""
    high, low = random >> 62, random & ((1 << 62) - 1)
    digits = f"{ms << 80 | 0x7 << 76 | high << 64 | 0x2 << 62 | low:032x}"
    return OrderId(f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")
