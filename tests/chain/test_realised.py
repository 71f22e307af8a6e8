"""What pools were quoted to do against what they did: only outcomes of the same state are told to the sentinel."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from tests.chain.test_solana import POOLS, first_quotable
from tests.chain.world import LocalWorld, engine, sign

from fillwright import observe
from fillwright.domain.accounts import Address
from fillwright.domain.amounts import SwapMode
from fillwright.market.drift import Drift, DriftPolicy, DriftSentinel


class Recorder(DriftSentinel):
    """Remembers every observation."""

    def __init__(self) -> None:
        super().__init__(DriftPolicy(tolerance_ppm=0, strikes=1))
        self.seen: list[tuple[str, int, int]] = []

    def observe(self, pool: Address, *, predicted: int, actual: int, source: str) -> Drift | None:
        self.seen.append((source, predicted, actual))
        return super().observe(pool, predicted=predicted, actual=actual, source=source)


async def swap(world: LocalWorld, sentinel: Recorder, *, others: bool = False, cheat: int = 0) -> None:
    """One swap from build to finality; `others` trade in the pool before it lands."""
    async with engine(world, sentinel=sentinel) as running:
        chain = running.chain
        plan = first_quotable(world, 0, SwapMode.EXACT_IN)
        assert plan is not None
        message = await chain.build(plan, await chain.latest_blockhash())
        await chain.simulate(message)
        if others:
            again = replace(plan, order_id="01890000-0000-7000-8000-000000000002", marker_seed="b" * 32, limit=1)
            await chain.send(sign(await chain.build(again, await chain.latest_blockhash())).raw)
        if cheat:
            expected = chain._realised._expected[message]
            chain._realised._expected[message] = _cheated(expected, cheat)
        signed = sign(message)
        await chain.send(signed.raw)
        world.local.advance(world.local.finality_slots)
        landed = await chain.transaction(signed.signature)
        assert landed is not None
        assert not landed.revert


def _cheated(expected: object, fee: int) -> object:
    """As if our maths had missed a change of the pool's fee."""
    return replace(expected, pool=replace(expected.pool, trade_fee_rate=fee))  # type: ignore[type-var, attr-defined]


@pytest.mark.parametrize("pool", POOLS)
def test_what_lands_alone_is_told_and_is_what_was_quoted(pool: str) -> None:
    sentinel = Recorder()
    asyncio.run(swap(LocalWorld(pool), sentinel))
    assert [source for source, _, _ in sentinel.seen] == ["a simulation", "a landed swap"]
    assert all(predicted == actual for _, predicted, actual in sentinel.seen)
    assert not sentinel.quarantined


def test_what_lands_after_somebody_elses_swap_is_not_compared() -> None:
    sentinel = Recorder()
    asyncio.run(swap(LocalWorld("raydium_cpmm/FRESH_SOL-SPL"), sentinel, others=True))
    assert [source for source, _, _ in sentinel.seen] == ["a simulation"]


def test_a_landed_swap_that_differs_quarantines_its_pool() -> None:
    sentinel = Recorder()
    world = LocalWorld("raydium_cpmm/FRESH_SOL-SPL")
    asyncio.run(swap(world, sentinel, cheat=1))
    assert list(sentinel.quarantined) == list(world.held)
    assert sentinel.quarantined[next(iter(world.held))].source == "a landed swap"
    assert observe.REGISTRY.get_sample_value("fillwright_pools_quarantined") == 1
