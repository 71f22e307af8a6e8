"""Paper fills on a real chain's pools: a world whose pools are followed instead of made up.

In: the newest snapshot of a live market. Out: what the paper chain starts from, how its pools move on, and a feed
of both. Orders land on the pools as the market has them then; what they do to a pool stays visible until somebody
really trades in it. Must not: send anything to the chain that it follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from fillwright.config import Settings
from fillwright.domain.accounts import Address, ChainClock, Mint
from fillwright.domain.tokens import TokenList
from fillwright.group_commit import GroupCommit
from fillwright.market.feed import MarketFeed
from fillwright.market.snapshot import Snapshot
from fillwright.paper import ledger
from fillwright.paper.chain import PaperChain
from fillwright.paper.ledger import LedgerReader
from fillwright.paper.origin import Origin, World, check_genesis, initial_units
from fillwright.paper.world import Genesis
from fillwright.ports import Clock
from fillwright.venues.venue import Pool

LIVE = "live pools"


class LivePools:
    """Implements `paper.state.Evolution`: pools become what the market says whenever the market has moved them.

    `followed`: the market's state of each pool that the paper chain last took over.
    """

    def __init__(self, newest: Callable[[], Snapshot]) -> None:
        self._newest = newest
        self.followed: dict[Address, Pool] = dict(newest().pools)

    def advance(self, pools: Mapping[Address, Pool], since: Mapping[Address, int], slot: int) -> dict[Address, Pool]:
        changed = {}
        for address, pool in self._newest().pools.items():
            if not self.has_followed(address, pool):
                self.followed[address] = pool
                changed[address] = pool
        return changed

    def has_followed(self, address: Address, pool: Pool) -> bool:
        """Whether the market's `pool` is what the paper chain went on from: a pool that was only read again is."""
        known = self.followed.get(address)
        return known is pool or known == pool

    def clock(self, own: ChainClock) -> ChainClock:
        """The real chain's clock: pools of theirs are priced by it."""
        return self._newest().clock


class LiveOrigin(Origin):
    """A world that begins at the market's pools, also when its ledger is opened again: the market has gone on."""

    def __init__(self, *, tokens: TokenList, newest: Callable[[], Snapshot]) -> None:
        super().__init__(tokens=tokens)
        self._newest = newest
        self.pools = LivePools(newest)

    async def world(self, settings: Settings, clock: Clock, reader: LedgerReader, writer: GroupCommit) -> World:
        """As `Origin.world`. Raises ConfigError where the ledger is another world's."""
        stored = reader.genesis()
        if stored is None:
            now_ms = clock.now_ms()
            genesis = Genesis(settings.paper_seed, now_ms, settings.paper_slot_ms, self._newest().clock, LIVE)
            seen_ms = 0
            await writer.submit(partial(ledger.write_genesis, genesis=genesis))
        else:
            genesis, seen_ms = stored
            check_genesis(genesis, settings, LIVE)
        slot = genesis.slot_at(max(clock.now_ms(), seen_ms))
        return World(
            genesis=genesis,
            pools={address: (slot, pool) for address, pool in self.pools.followed.items()},
            evolution=self.pools,
            initial_units=initial_units(settings, self.tokens, {}),
            seen_ms=seen_ms,
            reopened=stored is not None,
        )


class LivePaperFeed:
    """Implements `market.feed.MarketFeed`: the live market, with what paper orders have done to it since it moved."""

    def __init__(self, *, live: MarketFeed, chain: PaperChain, pools: LivePools) -> None:
        self._live = live
        self._chain = chain
        self._pools = pools
        self._newest: Snapshot | None = None
        self._held: tuple[Snapshot, Mapping[Address, Pool]] | None = None
        """What `_newest` was made of: both are frozen, and the same objects until something changes."""

    @property
    def tokens(self) -> TokenList:
        return self._live.tokens

    def current(self) -> Snapshot:
        live = self._live.current()
        _, paper = self._chain.market()
        held = self._held
        if self._newest is not None and held is not None and held[0] is live and held[1] is paper:
            return self._newest
        pools = {
            address: paper[address] if self._pools.has_followed(address, pool) else pool
            for address, pool in live.pools.items()
        }
        self._held = (live, paper)
        self._newest = Snapshot(live.clock, pools, live.by_pair, live.unpriced, live.warnings)
        return self._newest

    async def fetch(self, input_mint: Mint, output_mint: Mint) -> Snapshot:
        """As the protocol says. Raises ChainError where every pool of the pair is stale."""
        await self._live.fetch(input_mint, output_mint)
        return self.current()
