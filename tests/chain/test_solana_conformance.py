"""Solana, behind a local node on which everything is final at once, as every chain must be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from chain.conformance import ChainConformance, Harness
from tests.chain.world import WALLET, LocalWorld, engine, sign

from fillwright.domain.accounts import WRAPPED_SOL
from fillwright.domain.amounts import SwapMode
from fillwright.domain.transactions import Signed, SwapPlan


class _Signer:
    wallet = str(WALLET.pubkey())

    async def sign(self, message: bytes, plan: SwapPlan | None = None) -> Signed:
        return sign(message)


class _Harness:
    def __init__(self, world: LocalWorld, chain: object) -> None:
        self.world, self.chain, self.signer = world, chain, _Signer()

    def plan(
        self,
        order: int = 1,
        *,
        attempt: int = 1,
        amount: int = 10_000_000,
        mode: SwapMode = SwapMode.EXACT_IN,
        limit: int | None = None,
        marker: bool = True,
    ) -> SwapPlan:
        (address,) = self.world.held
        plan = self.world.plan([(address, WRAPPED_SOL, amount)], mode=mode, attempt=attempt)
        changes = {"marker_seed": f"{order:032d}" if marker else "", "limit": plan.limit if limit is None else limit}
        return self.world.plan([(address, WRAPPED_SOL, amount)], mode=mode, attempt=attempt, **changes)


class TestSolanaChain(ChainConformance):
    @asynccontextmanager
    async def open_chain(self, folder: Path) -> AsyncIterator[tuple[Harness, Callable[[int], Awaitable[None]]]]:
        world = LocalWorld("raydium_cpmm/FRESH_SOL-SPL")
        local = world.local
        local.confirm_slots = local.finality_slots = 0

        async def pass_blocks(count: int) -> None:
            local.advance(count)

        async with engine(world) as running:
            yield _Harness(world, running.chain), pass_blocks  # type: ignore[misc]
