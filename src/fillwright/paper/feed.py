"""The paper chain's pools as a market feed.

In: a chain. Out: frozen snapshots, at once or after the time that asking each DEX takes. Must not: change pools.
"""

from __future__ import annotations

from fillwright.config import Settings
from fillwright.domain.accounts import Mint
from fillwright.domain.tokens import TokenList
from fillwright.market.snapshot import Snapshot, Unpriced, index_pairs, venue_for
from fillwright.paper.chain import PaperChain
from fillwright.ports import Clock

_MS = 1_000


class PaperMarketFeed:
    """Implements `market.feed.MarketFeed`. The chain must be open; its pools neither come nor go."""

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        chain: PaperChain,
        tokens: TokenList,
        unpriced: tuple[Unpriced, ...] = (),
    ) -> None:
        self._clock = clock
        self._chain = chain
        self._tokens = tokens
        self._delays_ms = {
            "raydium": settings.paper_raydium_quote_delay_ms,
            "meteora": settings.paper_meteora_quote_delay_ms,
        }
        at, pools = chain.market()
        self._newest = Snapshot(at, pools, index_pairs(pools.values()), unpriced)

    @property
    def tokens(self) -> TokenList:
        return self._tokens

    def current(self) -> Snapshot:
        at, pools = self._chain.market()
        newest = self._newest
        if pools is not newest.pools or at.slot != newest.clock.slot:
            newest = self._newest = Snapshot(at, pools, newest.by_pair, newest.unpriced)
        return newest

    async def fetch(self, input_mint: Mint, output_mint: Mint) -> Snapshot:
        """The market after the slowest of the pair's DEXes has answered: all are asked at the same time."""
        if any(self._delays_ms.values()):
            asked = {venue_for(pool).dex for pool in self._newest.of_pair(input_mint, output_mint)}
            delay_ms = max((self._delays_ms.get(dex, 0) for dex in asked), default=0)
            if delay_ms:
                await self._clock.sleep(delay_ms / _MS)
        return self.current()
