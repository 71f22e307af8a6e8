"""A market of one real pool, enough for the engine to route."""

from __future__ import annotations

from pathlib import Path

from fillwright.domain.accounts import ChainClock
from fillwright.domain.tokens import Token, TokenList
from fillwright.market import dumps
from fillwright.market.snapshot import Snapshot, index_pairs
from fillwright.venues.vectors import pool_in
from simulation.ports import Process

_ACCOUNTS = dumps.read_folder(Path(__file__).parents[1] / "data/onchain/pools/raydium_cpmm/FRESH_SOL-SPL")
_VENUE, _ADDRESS = pool_in(_ACCOUNTS)
POOL = _VENUE.decode(_ADDRESS, _ACCOUNTS)
CLOCK = ChainClock(slot=430_000_100, epoch=995, unix_timestamp=1_780_000_040)


class OnePoolFeed:
    """Implements `market.feed.MarketFeed` for one life of the engine."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._snapshot = Snapshot(CLOCK, {POOL.address: POOL}, index_pairs([POOL]))
        self.tokens = TokenList(
            [Token(name, mint, of) for name, mint, of in zip("AB", POOL.mints, POOL.decimals, strict=True)]
        )

    def current(self) -> Snapshot:
        return self._snapshot

    async def fetch(self, input_mint: str, output_mint: str) -> Snapshot:
        await self._process.gate()
        return self._snapshot
