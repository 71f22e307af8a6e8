"""The paper world's beginning and its time: slots, the Clock sysvar and blockhashes.

In: the genesis and wall time. Out: slots, clocks and blockhashes that are functions of these alone, so that a
reopened world goes on where time has got to. No slot is ever skipped, so block height and slot are one number.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import msgspec
from solders.hash import Hash

from fillwright.domain.accounts import ChainClock
from fillwright.domain.transactions import Blockhash
from fillwright.ports import Clock

SLOTS_PER_EPOCH = 432_000
BLOCKHASH_LIFE = 150
"""How many blocks a blockhash stays recent."""

DEFAULT_FIRST_SLOT = 300_000_000
_MS = 1_000
_SLOT_BYTES = 8
_HASH_BYTES = 32
_CACHED_HASHES = 256
"""More than BLOCKHASH_LIFE: every order asks for a hash of the newest slots."""


class Genesis(msgspec.Struct, frozen=True):
    """How a world began. `first` is its clock at `started_ms` of wall time; `origin` names its first pools."""

    seed: int
    started_ms: int
    slot_ms: int
    first: ChainClock
    origin: str

    def slot_at(self, now_ms: int) -> int:
        """The slot that is being produced at `now_ms`, the first one at the earliest."""
        return self.first.slot + max(0, now_ms - self.started_ms) // self.slot_ms

    def start_ms(self, slot: int) -> int:
        """Wall time at which `slot` begins."""
        return self.started_ms + (slot - self.first.slot) * self.slot_ms

    def clock_at(self, slot: int) -> ChainClock:
        """The Clock sysvar in `slot`. Seconds round down."""
        elapsed_s = (slot - self.first.slot) * self.slot_ms // _MS
        epochs = slot // SLOTS_PER_EPOCH - self.first.slot // SLOTS_PER_EPOCH
        return ChainClock(slot, self.first.epoch + epochs, self.first.unix_timestamp + elapsed_s)

    def blockhash(self, slot: int) -> Blockhash:
        """The blockhash of `slot`, good for BLOCKHASH_LIFE blocks more."""
        return Blockhash(_hash_text(self._hash(slot)), slot + BLOCKHASH_LIFE)

    def slot_of(self, blockhash: bytes) -> int | None:
        """The slot whose blockhash this is; None for a hash that this world never had."""
        slot = int.from_bytes(blockhash[-_SLOT_BYTES:], "big")
        return slot if blockhash == self._hash(slot) else None

    def _hash(self, slot: int) -> bytes:
        """A digest that only this world gives the slot, then the slot itself: no table of hashes is needed."""
        return _slot_hash(self.seed, self.started_ms, slot)


@lru_cache(maxsize=_CACHED_HASHES)
def _slot_hash(seed: int, started_ms: int, slot: int) -> bytes:
    digest = hashlib.blake2b(f"{seed}/{started_ms}/{slot}".encode(), digest_size=_HASH_BYTES - _SLOT_BYTES).digest()
    return digest + slot.to_bytes(_SLOT_BYTES, "big")


@lru_cache(maxsize=_CACHED_HASHES)
def _hash_text(slot_hash: bytes) -> str:
    return str(Hash.from_bytes(slot_hash))


def first_clock(now_ms: int) -> ChainClock:
    """The clock of a world that begins at `now_ms` without account dumps to suit."""
    return ChainClock(DEFAULT_FIRST_SLOT, DEFAULT_FIRST_SLOT // SLOTS_PER_EPOCH, now_ms // _MS)


class WorldTime:
    """Wall time that never goes back: read once, then carried on by the monotonic clock.

    `not_before_ms`: what the world has seen already. A wall clock that was set back stands still for it.
    """

    def __init__(self, clock: Clock, not_before_ms: int = 0) -> None:
        self._clock = clock
        self._opened_ms = max(clock.now_ms(), not_before_ms)
        self._opened_s = clock.monotonic_s()

    def now_ms(self) -> int:
        # Half a microsecond more than nothing: 2.3 s · 1000 must not round down to 2,299 ms.
        return self._opened_ms + int((self._clock.monotonic_s() - self._opened_s) * _MS + 0.0005)
