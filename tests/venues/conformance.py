"""Every venue's pools from the repository's own snapshots, for the suite that every venue passes.

A snapshot is a folder `tests/data/onchain/pools/<venue>/<name>` with `meta.json` (the clock) and `accounts/`
(account dumps). A new venue's snapshots are found without being named anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.venues.raydium_data import OWN

from fillwright.domain.accounts import Account, Accounts, Address, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.market.dumps import read_folder
from fillwright.market.pools import load_pools
from fillwright.venues import registry
from fillwright.venues.venue import AnyVenue, Pool, Quote, Swap

REAL_VENUES = tuple(venue for venue in registry.VENUES.values() if type(venue).__module__.startswith("fillwright."))
"""What the registry holds; other tests of the same process may add made-up venues to it."""
MAX_ROUNDS = 8
"""Fetches after which a venue must have named all accounts that it reads."""


@dataclass(frozen=True, repr=False)
class Sample:
    """One pool as it was recorded: its venue, all accounts of its snapshot, and itself decoded."""

    name: str
    venue: AnyVenue
    address: Address
    accounts: dict[Address, Account]
    clock: ChainClock
    pool: Pool

    def quote(
        self, mint: Mint, amount: int, mode: SwapMode = SwapMode.EXACT_IN, pool: Pool | None = None
    ) -> Quote | None:
        """The quote, or None where it is refused."""
        try:
            return self.venue.quote(pool or self.pool, Swap(mint, mode, amount), self.clock)
        except QuoteRefused:
            return None

    def apply(self, mint: Mint, amount: int, mode: SwapMode = SwapMode.EXACT_IN) -> tuple[Quote, Pool] | None:
        try:
            quote, after = self.venue.apply(self.pool, Swap(mint, mode, amount), self.clock)
        except QuoteRefused:
            return None
        return quote, after


def samples() -> list[Sample]:
    """Every pool of every venue's own snapshots that can be priced."""
    found = []
    for venue in REAL_VENUES:
        for folder in sorted((OWN / "pools" / venue.id).glob("*/")):
            found += _samples(venue, folder)
    return found


def _samples(venue: AnyVenue, folder: Path) -> list[Sample]:
    loaded = load_pools(folder)
    if loaded.clock is None:
        raise AssertionError(f"{folder} has no clock in its meta.json")
    accounts = read_folder(folder)
    return [
        Sample(f"{venue.id}/{folder.name}", venue, address, accounts, loaded.clock, pool)
        for address, pool in loaded.pools.items()
        if pool.venue == venue.id
    ]


def named_accounts(venue: AnyVenue, address: Address, accounts: Accounts) -> dict[Address, Account]:
    """What a fetcher would end up with that starts from the pool alone and follows `companions`."""
    have = {address: accounts[address]}
    for _ in range(MAX_ROUNDS):
        wanted = {one for one in venue.companions(address, have) if one in accounts} - set(have)
        if not wanted:
            return have
        have |= {one: accounts[one] for one in wanted}
    raise AssertionError(f"{venue.id} still names new accounts after {MAX_ROUNDS} rounds")
