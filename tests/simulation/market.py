"""A market of one constant-price pool, enough for the engine to route."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import msgspec

from fillwright.domain.accounts import Account, Accounts, Address, ChainClock, Mint
from fillwright.domain.tokens import Token, TokenList
from fillwright.market.snapshot import Snapshot, index_pairs
from fillwright.venues import registry
from fillwright.venues.venue import CurveSegment, Quote, Quoter, Swap
from simulation.ports import Process


class FlatPool(msgspec.Struct, frozen=True):
    venue: str = "flat"
    address: Address = Address("flat-pool")
    mints: tuple[Mint, Mint] = (Mint("A"), Mint("B"))
    decimals: tuple[int, int] = (6, 6)


class FlatVenue:
    """One to one, no fee."""

    id = "flat"
    label = "Flat"
    dex = "flat"
    program_id = Address("flat-program")

    def recognises(self, account: Account) -> bool:
        return False

    def companions(self, address: Address, accounts: Accounts) -> tuple[Address, ...]:
        return ()

    def quote(self, pool: FlatPool, swap: Swap, clock: ChainClock) -> Quote:
        return Quote(swap.amount, swap.amount)

    def apply(self, pool: FlatPool, swap: Swap, clock: ChainClock) -> tuple[Quote, FlatPool]:
        return self.quote(pool, swap, clock), pool

    def quoter(self, pool: FlatPool, input_mint: Mint, clock: ChainClock) -> Quoter:
        return lambda amount: amount

    def spot(self, pool: FlatPool, input_mint: Mint, clock: ChainClock) -> Fraction:
        return Fraction(1)

    def curve(self, pool: FlatPool, input_mint: Mint, clock: ChainClock) -> Iterator[CurveSegment]:
        yield CurveSegment(1.0, 0.0, 1e18)


registry.VENUES["flat"] = FlatVenue()  # type: ignore[index]


class OnePoolFeed:
    def __init__(self, process: Process) -> None:
        self._process = process
        pool = FlatPool()
        self._snapshot = Snapshot(ChainClock(1, 1, 1), {pool.address: pool}, index_pairs([pool]))
        self.tokens = TokenList([Token("A", Mint("A"), 6), Token("B", Mint("B"), 6)])

    def current(self) -> Snapshot:
        return self._snapshot

    async def fetch(self, input_mint: Mint, output_mint: Mint) -> Snapshot:
        await self._process.gate()
        return self._snapshot
