"""A live market is gathered once and kept, until a pool changes, or none of them can be trusted any longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.chain.node import StandInNode
from tests.venues.raydium_data import pool_accounts

from fakes.clock import ManualClock
from fillwright.chain.endpoint import RpcEndpoint
from fillwright.chain.feed import FeedSettings, LiveMarketFeed
from fillwright.chain.rpc import Rpc
from fillwright.clock import SystemClock
from fillwright.domain.accounts import Account, Address, ChainClock
from fillwright.domain.tokens import MAINNET_TOKENS, TokenList
from fillwright.market.drift import DriftPolicy, DriftSentinel
from fillwright.venues.vectors import pool_in

ACCOUNTS = pool_accounts("raydium_cpmm/FRESH_SOL-SPL")
POOL = pool_in(ACCOUNTS)[1]
SETTINGS = FeedSettings(stale_after_s=5.0, poll_s=10_000.0)


@asynccontextmanager
async def feed(clock: ManualClock, sentinel: DriftSentinel) -> AsyncIterator[tuple[LiveMarketFeed, StandInNode]]:
    node = StandInNode(ACCOUNTS, ChainClock(450_000_000, 1_041, 1_790_700_000))
    # The stand-in owns no mints: decimals are the pool's own.
    async with node:
        rpc = Rpc([RpcEndpoint("node", node.url)], SystemClock())
        await rpc.open()
        following = LiveMarketFeed(
            rpc=rpc, clock=clock, tokens=TokenList(MAINNET_TOKENS), pools=[POOL], settings=SETTINGS, sentinel=sentinel
        )
        await following.open()
        try:
            yield following, node
        finally:
            await following.close()
            await rpc.close()


def test_the_same_market_is_the_same_object_until_time_makes_it_stale() -> None:
    async def run() -> None:
        clock = ManualClock()
        async with feed(clock, DriftSentinel()) as (following, _):
            first = following.current()
            assert list(first.pools) == [POOL]
            await clock.advance(4.9)
            assert following.current() is first
            await clock.advance(0.2)
            (stale,) = following.current().unpriced
            assert (stale.address, stale.reason) == (POOL, "stale")
            assert await following.reread(POOL) is not None
            assert list(following.current().pools) == [POOL]

    asyncio.run(run())


def test_a_change_and_a_quarantine_are_seen_at_once() -> None:
    async def run() -> None:
        clock, sentinel = ManualClock(), DriftSentinel(DriftPolicy(strikes=1))
        async with feed(clock, sentinel) as (following, node):
            first = following.current()
            held = node.accounts[POOL]
            changed = bytearray(held.data)
            changed[341] ^= 1  # protocol fees owed on side 0: another state of the same pool
            node.accounts[POOL] = Account(Address(held.owner), bytes(changed), held.lamports)
            await following.reread(POOL)
            second = following.current()
            assert second is not first
            assert second.pools[POOL] != first.pools[POOL]
            sentinel.observe(POOL, predicted=100, actual=50, source="a test")
            assert [each.reason for each in following.current().unpriced] == ["quarantined"]
            sentinel.release(POOL)
            assert list(following.current().pools) == [POOL]

    asyncio.run(run())
