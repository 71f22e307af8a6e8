"""The drift sentinel: do pools do what they were quoted to do? Pure, but for its memory.

In: for each swap what was predicted, and what a simulation or the chain gave from the same state. Out: the pools
that are not to be quoted any more. A pool that keeps disagreeing has changed its rules, or we have them wrong. It is
released once the very swap that disagreed has come out as predicted often enough, or when a person says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from fillwright.domain.accounts import Address
from fillwright.venues.venue import Swap

_PPM = 1_000_000
MAX_POOLS = 100_000


class DriftPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pool is quarantined when `strikes` of its last `window` observations are off by more than `tolerance_ppm`.

    Every `recheck_s` the swap that disagreed is simulated again; `release_after` checks in a row that agree release
    the pool. 0: it stays until a person releases it.
    """

    tolerance_ppm: int = 100
    strikes: int = 3
    window: int = 20
    release_after: int = 5
    recheck_s: float = 60.0


class Drift(msgspec.Struct, frozen=True):
    """Why a pool is quarantined: its last disagreement. `swap`: what was asked of it then, where that is known;
    `agreed`: how many checks in a row have come out as predicted since."""

    pool: Address
    predicted: int
    actual: int
    source: str
    swap: Swap | None = None
    agreed: int = 0

    @property
    def detail(self) -> str:
        text = f"{self.source} gave {self.actual} where {self.predicted} was predicted"
        return f"{text}; {self.agreed} checks in a row have agreed since" if self.agreed else text


class DriftSentinel:
    """Observations of the same state only: where somebody else traded in between, there is nothing to compare."""

    def __init__(self, policy: DriftPolicy | None = None) -> None:
        self._policy = policy or DriftPolicy()
        self._seen: dict[Address, deque[bool]] = {}
        self._quarantined: dict[Address, Drift] = {}
        self._version = 0

    @property
    def policy(self) -> DriftPolicy:
        return self._policy

    @property
    def version(self) -> int:
        """Grows whenever `quarantined` changes."""
        return self._version

    @property
    def quarantined(self) -> Mapping[Address, Drift]:
        return self._quarantined

    def observe(self, pool: Address, *, predicted: int, actual: int, source: str) -> Drift | None:
        """Note one swap; the drift, if this observation has quarantined the pool."""
        if len(self._seen) >= MAX_POOLS and pool not in self._seen:
            self._seen.pop(next(iter(self._seen)))
        seen = self._seen.setdefault(pool, deque(maxlen=self._policy.window))
        off = self._is_off(predicted, actual)
        seen.append(off)
        if not off or pool in self._quarantined or sum(seen) < self._policy.strikes:
            return None
        drift = Drift(pool, predicted, actual, source)
        self._set(drift)
        return drift

    def suspect(self, pool: Address, swap: Swap) -> None:
        """Remember of a quarantined pool which swap it is to be checked by."""
        drift = self._quarantined.get(pool)
        if drift is not None:
            self._set(replace(drift, swap=swap))

    def checked(self, pool: Address, *, predicted: int, actual: int) -> bool:
        """Note a repetition of the swap that disagreed; whether it has released the pool."""
        drift = self._quarantined.get(pool)
        if drift is None:
            return False
        if self._is_off(predicted, actual):
            self._set(replace(drift, predicted=predicted, actual=actual, source="a check", agreed=0))
            return False
        if 0 < self._policy.release_after <= drift.agreed + 1:
            return self.release(pool)
        self._set(replace(drift, agreed=drift.agreed + 1))
        return False

    def release(self, pool: Address) -> bool:
        """Quote the pool again, with a clean record; whether it was quarantined."""
        self._seen.pop(pool, None)
        self._version += 1
        return self._quarantined.pop(pool, None) is not None

    def _set(self, drift: Drift) -> None:
        self._quarantined[drift.pool] = drift
        self._version += 1

    def _is_off(self, predicted: int, actual: int) -> bool:
        return abs(actual - predicted) * _PPM > self._policy.tolerance_ppm * max(predicted, 1)
