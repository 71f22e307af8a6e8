"""What a load run reports: rates, latencies and their histograms, outcomes, broken promises. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

import msgspec

BUCKETS_PER_DOUBLING = 2
SMALLEST_MS = 0.05


class Percentiles(msgspec.Struct, frozen=True):
    """Milliseconds."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class Histogram(msgspec.Struct, frozen=True):
    """`counts[i]` samples were at most `bounds_ms[i]` and more than the bound before. From the smallest bucket that
    has a sample to the largest."""

    bounds_ms: list[float]
    counts: list[int]


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """`accept`: request to answer. `end`: acceptance to the terminal event, by the engine's own times. `lag`: from an
    event's time to its arrival here (one machine's clock), over all sockets. `histograms` of the same three.
    `resumed`: how often a socket's connection ended and another went on after its last event.
    `rejected`: orders by the code that refused them; `connection_lost`: whether they were accepted is not known.
    `checked`: orders whose stored outcome was compared with their events. `violations` must be empty."""

    orders: int
    seconds: float
    orders_per_s: float
    accepted_per_s: float
    accept: Percentiles
    end: Percentiles
    lag: Percentiles
    histograms: dict[str, Histogram]
    statuses: dict[str, int]
    events: int
    sockets: int
    resumed: int
    checked: int
    rejected: dict[str, int]
    violations: list[str]


def percentiles(samples_ms: Sequence[float]) -> Percentiles:
    """Of the samples, zeros where there are none."""
    ordered = sorted(samples_ms)
    if not ordered:
        return Percentiles(0.0, 0.0, 0.0, 0.0)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)], 3)

    return Percentiles(at(0.5), at(0.9), at(0.99), round(ordered[-1], 3))


def histogram(samples_ms: Sequence[float]) -> Histogram:
    """Buckets whose bounds grow by the square root of two, so that few show a wide range."""
    if not samples_ms:
        return Histogram([], [])
    bounds = [SMALLEST_MS]
    while bounds[-1] < max(samples_ms):
        bounds.append(SMALLEST_MS * 2 ** (len(bounds) / BUCKETS_PER_DOUBLING))
    counts = [0] * len(bounds)
    for sample in samples_ms:
        counts[bisect_left(bounds, sample)] += 1
    first = next(index for index, count in enumerate(counts) if count)
    return Histogram([round(bound, 3) for bound in bounds[first:]], counts[first:])
