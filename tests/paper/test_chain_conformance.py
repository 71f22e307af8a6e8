"""The paper chain, alone and behind a network without faults, as every chain must be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from chain.conformance import ChainConformance, Harness
from fillwright.paper.faults import Faults, FaultyChain
from paper.manual_clock import ManualClock
from paper.worlds import STILL, open_world

SLOT_MS = 400


class TestPaperChain(ChainConformance):
    @asynccontextmanager
    async def open_chain(self, folder: Path) -> AsyncIterator[tuple[Harness, Callable[[int], Awaitable[None]]]]:
        clock = ManualClock()
        async with open_world(folder, clock=clock, **STILL) as world:
            yield world, lambda blocks: clock.advance(blocks * SLOT_MS)


class TestFaultyChainWithoutFaults(ChainConformance):
    @asynccontextmanager
    async def open_chain(self, folder: Path) -> AsyncIterator[tuple[Harness, Callable[[int], Awaitable[None]]]]:
        clock = ManualClock()
        async with open_world(folder, clock=clock, **STILL) as world:
            world.chain = FaultyChain(world.chain, Faults())  # type: ignore[assignment]
            yield world, lambda blocks: clock.advance(blocks * SLOT_MS)
