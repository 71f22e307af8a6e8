"""Durations of the recent past, kept in memory: what `/v1/stats` tells without a metrics server.

In: seconds, by name. Out: percentiles over the newest of each name.
"""

from __future__ import annotations

from collections import deque

import msgspec

LATENCY_SAMPLES = 2_048
"""How many of the newest durations of each kind `latencies` looks at."""


class Latency(msgspec.Struct, frozen=True):
    """Durations of the recent past, in milliseconds."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


_recent: dict[str, deque[float]] = {}


def latencies() -> dict[str, Latency]:
    """Percentiles of the newest durations, by name: `accepted_to_confirmed`, `accepted_to_failed`, `routing` …"""
    return {name: _percentiles(sorted(window)) for name, window in sorted(_recent.items())}


def _percentiles(ascending: list[float]) -> Latency:
    def at(share: float) -> float:
        return round(ascending[min(len(ascending) - 1, int(share * len(ascending)))] * 1000, 3)

    return Latency(len(ascending), at(0.5), at(0.95), at(0.99), round(ascending[-1] * 1000, 3))


def remember(name: str, seconds: float) -> None:
    """One more duration of this name; the oldest gives way."""
    window = _recent.get(name)
    if window is None:
        window = _recent[name] = deque(maxlen=LATENCY_SAMPLES)
    window.append(seconds)
