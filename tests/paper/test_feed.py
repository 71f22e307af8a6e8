"""The paper market as a feed of snapshots."""

from __future__ import annotations

import asyncio
from pathlib import Path

from paper.manual_clock import ManualClock
from paper.worlds import QUICK, SOL, STILL, USDC, open_world


def test_a_snapshot_is_the_same_object_until_something_changes(tmp_path: Path) -> None:
    async def test() -> None:
        clock = ManualClock()
        async with open_world(tmp_path, clock=clock, **STILL) as world:
            first = world.feed.current()
            assert world.feed.current() is first
            before = dict(first.pools)
            await world.land(world.plan())
            second = world.feed.current()
            changed = [address for address in first.pools if second.pools[address] is not first.pools[address]]
            assert changed == [world.pool().address]
            assert dict(first.pools) == before
            await clock.advance(400)
            third = world.feed.current()
            assert third.slot == first.slot + 1
            assert third.pools is second.pools

    asyncio.run(test())


def test_fetching_waits_for_the_slower_dex_and_then_shows_the_newest_market(tmp_path: Path) -> None:
    async def test() -> None:
        clock = ManualClock()
        delays = {"paper_raydium_quote_delay_ms": 200, "paper_meteora_quote_delay_ms": 350}
        async with open_world(tmp_path, clock=clock, **{**QUICK, **delays}) as world:
            slot = world.snapshot.slot
            fetching = asyncio.create_task(world.feed.fetch(SOL, USDC))
            await clock.advance(349)
            assert not fetching.done()
            await clock.advance(1)
            assert (await fetching).slot == slot
            fetching = asyncio.create_task(world.feed.fetch(SOL, USDC))
            await clock.advance(350)
            assert (await fetching).slot == slot + 1

    asyncio.run(test())


def test_fetching_without_delays_answers_at_once(tmp_path: Path) -> None:
    async def test() -> None:
        async with open_world(tmp_path, **STILL) as world:
            assert await world.feed.fetch(SOL, USDC) is world.feed.current()

    asyncio.run(test())
