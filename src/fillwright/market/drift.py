"""The drift sentinel: do pools do what they were quoted to do? Pure, but for its memory.

In: for each swap what was predicted, and what a simulation or the chain gave from the same state. Out: the pools
that are not to be quoted any more. A pool that keeps disagreeing has changed its rules, or we have them wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import msgspec

from fillwright.domain.accounts import Address

_PPM = 1_000_000
MAX_POOLS = 100_000


class DriftPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pool is quarantined when `strikes` of its last `window` observations are off by more than `tolerance_ppm`."""

    tolerance_ppm: int = 100
    strikes: int = 3
    window: int = 20


class Drift(msgspec.Struct, frozen=True):
    """Why a pool is quarantined: its last disagreement."""

    pool: Address
    predicted: int
    actual: int
    source: str

    @property
    def detail(self) -> str:
        return f"{self.source} gave {self.actual} where {self.predicted} was predicted"


class DriftSentinel:
    """Observations of the same state only: where somebody else traded in between, there is nothing to compare."""

    def __init__(self, policy: DriftPolicy | None = None) -> None:
        self._policy = policy or DriftPolicy()
        self._seen: dict[Address, deque[bool]] = {}
        self._quarantined: dict[Address, Drift] = {}

    @property
    def quarantined(self) -> Mapping[Address, Drift]:
        return self._quarantined

    def observe(self, pool: Address, *, predicted: int, actual: int, source: str) -> Drift | None:
        """Note one swap; the drift, if this observation has quarantined the pool."""
        if len(self._seen) >= MAX_POOLS and pool not in self._seen:
            self._seen.pop(next(iter(self._seen)))
        seen = self._seen.setdefault(pool, deque(maxlen=self._policy.window))
        off = abs(actual - predicted) * _PPM > self._policy.tolerance_ppm * max(predicted, 1)
        seen.append(off)
        if not off or pool in self._quarantined or sum(seen) < self._policy.strikes:
            return None
        drift = Drift(pool, predicted, actual, source)
        self._quarantined[pool] = drift
        return drift

    def release(self, pool: Address) -> bool:
        """Quote the pool again, with a clean record; whether it was quarantined."""
        self._seen.pop(pool, None)
        return self._quarantined.pop(pool, None) is not None
