"""Paper worlds for tests: an open chain over a folder, with plans for its pools."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fillwright.config import Settings
from fillwright.domain.accounts import Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.routes import Leg
from fillwright.domain.tokens import MAINNET_TOKENS, TokenList
from fillwright.domain.transactions import LandedTransaction, Signed, SwapPlan
from fillwright.market.pools import LoadedPools
from fillwright.market.snapshot import Snapshot, venue_for
from fillwright.paper.chain import PaperChain
from fillwright.paper.feed import PaperMarketFeed
from fillwright.paper.origin import Origin
from fillwright.paper.signer import PaperSigner
from fillwright.ports import Clock
from fillwright.venues.venue import Pool, Swap
from paper.manual_clock import ManualClock

TOKENS = TokenList(MAINNET_TOKENS)
SOL, USDC, RAY, BONK = (TOKENS.resolve(symbol, pointer="").mint for symbol in ("SOL", "USDC", "RAY", "BONK"))
ONE_SOL = 10**9
OWNER = "alice"
QUICK: dict[str, Any] = {
    "paper_execution_delay_min_ms": 0,
    "paper_execution_delay_max_ms": 0,
    "paper_failure_rate": 0.0,
    "paper_raydium_quote_delay_ms": 0,
    "paper_meteora_quote_delay_ms": 0,
}
"""Nothing takes time and nothing fails."""
STILL: dict[str, Any] = {**QUICK, "paper_market": False}
"""As QUICK, and nobody else trades."""


def settings(folder: Path, **changed: Any) -> Settings:
    return Settings(_env_file=None, data_dir=folder, **changed)


class PaperWorld:
    """An open chain with what a test needs around it."""

    def __init__(self, chain: PaperChain, feed: PaperMarketFeed, signer: PaperSigner, clock: Clock) -> None:
        self.chain = chain
        self.feed = feed
        self.signer = signer
        self.clock = clock

    @property
    def snapshot(self) -> Snapshot:
        return self.feed.current()

    def pool(self, dex: str = "raydium", mints: tuple[Mint, Mint] = (SOL, USDC)) -> Pool:
        return next(pool for pool in self.snapshot.of_pair(*mints) if venue_for(pool).dex == dex)

    def leg(self, amount: int, *, mints: tuple[Mint, Mint] = (SOL, USDC), dex: str = "raydium", mode: SwapMode) -> Leg:
        pool = self.pool(dex, mints)
        quote = venue_for(pool).quote(pool, Swap(mints[0], mode, amount), self.snapshot.clock)
        return Leg(pool.venue, dex, pool.address, *mints, quote.amount_in, quote.amount_out, quote.fees)

    def plan(
        self,
        order: int = 1,
        *,
        amount: int = ONE_SOL,
        mints: tuple[Mint, Mint] = (SOL, USDC),
        dex: str = "raydium",
        mode: SwapMode = SwapMode.EXACT_IN,
        attempt: int = 1,
        limit: int | None = None,
        owner: str = OWNER,
        marker: bool = True,
    ) -> SwapPlan:
        """A one-leg plan, quoted now; its limit is met as long as nothing gets worse by 1 %."""
        leg = self.leg(amount, mints=mints, dex=dex, mode=mode)
        if limit is None:
            limit = leg.amount_out * 99 // 100 if mode is SwapMode.EXACT_IN else leg.amount_in * 101 // 100
        return SwapPlan(
            order_id=f"01980000-0000-7000-8000-{order:012d}",
            attempt=attempt,
            owner=owner,
            mode=mode,
            input_mint=mints[0],
            output_mint=mints[1],
            amount_in=leg.amount_in,
            amount_out=leg.amount_out,
            limit=limit,
            legs=(leg,),
            marker_seed=f"{order:032x}" if marker else "",
        )

    async def signed(self, plan: SwapPlan) -> Signed:
        return await self.signer.sign(await self.chain.build(plan, await self.chain.latest_blockhash()))

    async def send(self, plan: SwapPlan) -> Signed:
        signed = await self.signed(plan)
        await self.chain.send(signed.raw)
        return signed

    async def land(self, plan: SwapPlan) -> LandedTransaction:
        """Send and wait until it is durable; for chains that land at once."""
        return await self.landed(await self.send(plan))

    async def landed(self, signed: Signed) -> LandedTransaction:
        await self.chain.wait_for_news(signed.signature, 60)
        transaction = await self.chain.transaction(signed.signature)
        assert transaction is not None
        return transaction


@asynccontextmanager
async def open_world(
    folder: Path, *, clock: Clock | None = None, loaded: LoadedPools | None = None, **changed: Any
) -> AsyncIterator[PaperWorld]:
    """A chain over `folder`, closed at the end."""
    clock = clock or ManualClock()
    chosen = settings(folder, **changed)
    origin = Origin(tokens=TOKENS, loaded=loaded)
    signer = PaperSigner.from_seed(1)
    chain = PaperChain(settings=chosen, clock=clock, wallet=signer.wallet, origin=origin)
    await chain.open()
    try:
        feed = PaperMarketFeed(settings=chosen, clock=clock, chain=chain, tokens=origin.tokens)
        yield PaperWorld(chain, feed, signer, clock)
    finally:
        await chain.close()
