"""A frozen, slot-stamped market: what routing sees. Copy-free: pools are immutable values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fillwright.domain.accounts import Account, Address, ChainClock, Mint
from fillwright.domain.clusters import Cluster
from fillwright.domain.errors import Refusal
from fillwright.venues.registry import VENUES, misplaced
from fillwright.venues.venue import AnyVenue, Pool

Pair = tuple[Mint, Mint]


def pair_of(a: Mint, b: Mint) -> Pair:
    """The unordered pair as a key."""
    return (a, b) if a < b else (b, a)


def venue_for(pool: Pool) -> AnyVenue:
    return VENUES[pool.venue]


class Unpriced(msgspec.Struct, frozen=True):
    """An account that belongs to a known program but can't be priced, and why (`reason`: a Refusal)."""

    address: Address
    venue: str
    reason: str
    detail: str


def no_pool(address: Address, account: Account | None, cluster: Cluster | None) -> Unpriced:
    """Why what lies at `address` on a chain of `cluster` is not taken for a pool."""
    elsewhere = "" if account is None else misplaced(account, cluster)
    if elsewhere:
        return Unpriced(address, "", Refusal.UNSUPPORTED_FEATURE, elsewhere)
    return Unpriced(address, "", Refusal.MALFORMED, "no pool account of a known program")


class Snapshot(msgspec.Struct, frozen=True):
    """All pools at one slot. `by_pair` is an index of addresses and changes only when pools come or go. `warnings`: of
    pools that are quoted, what their tokens' issuers could do to a holder."""

    clock: ChainClock
    pools: Mapping[Address, Pool]
    by_pair: Mapping[Pair, tuple[Address, ...]]
    unpriced: tuple[Unpriced, ...] = ()
    warnings: Mapping[Address, tuple[str, ...]] = {}

    @property
    def slot(self) -> int:
        return self.clock.slot

    def of_pair(self, a: Mint, b: Mint) -> list[Pool]:
        """The pools that trade `a` against `b`, in a stable order."""
        pools = self.pools
        return [pools[address] for address in self.by_pair.get(pair_of(a, b), ())]


def index_pairs(pools: Iterable[Pool]) -> dict[Pair, tuple[Address, ...]]:
    """Pair -> addresses, ascending."""
    found: dict[Pair, list[Address]] = {}
    for pool in pools:
        found.setdefault(pair_of(*pool.mints), []).append(pool.address)
    return {pair: tuple(sorted(addresses)) for pair, addresses in found.items()}
