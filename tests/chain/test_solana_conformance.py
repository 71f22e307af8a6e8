"""Solana, behind a local node on which everything is final at once, as every chain must be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.chain.world import WALLET, LocalWorld, engine, sign

from chain.conformance import ChainConformance, Harness, landed_of
from fillwright.domain.accounts import WRAPPED_SOL
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import AlreadyProcessed
from fillwright.domain.transactions import Signed, SwapPlan
from fillwright.localnet.faults import Faults


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

    def test_bytes_sent_twice_before_they_land_land_once(self, tmp_path: Path) -> None:
        async def test(harness: Harness, pass_blocks: Callable[[int], Awaitable[None]]) -> None:
            local = harness.world.local  # type: ignore[attr-defined]
            local.dice.faults = Faults(delay_slots=1)
            signed = sign(await harness.chain.build(harness.plan(marker=False), await harness.chain.latest_blockhash()))
            for _ in range(20):
                with suppress(AlreadyProcessed):
                    await harness.chain.send(signed.raw)
            await pass_blocks(2)
            assert (await landed_of(harness, signed)).revert == ""
            assert len(local.ledger) == 1

        self.run(tmp_path, test)
