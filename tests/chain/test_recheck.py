"""Quarantined pools, checked by the swap that disagreed, on the real programs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace
from tests.chain.test_solana import POOLS, first_quotable
from tests.chain.world import Engine, LocalWorld, engine, sign

from fillwright import observe
from fillwright.chain.recheck import AGREES, DIFFERS, UNKNOWN, Rechecks, release
from fillwright.clock import SystemClock
from fillwright.domain.accounts import WRAPPED_SOL, Address, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import ChainError
from fillwright.market.drift import Drift, DriftPolicy, DriftSentinel
from fillwright.venues.venue import Pool, Swap

CPMM = "raydium_cpmm/FRESH_SOL-SPL"


def gauge(name: str, labels: dict[str, str] | None = None) -> float:
    return observe.REGISTRY.get_sample_value(f"fillwright_{name}", labels or {}) or 0.0


class Suspects:
    """A quarantined pool of a local chain. `trade` is called between the two looks at the pool."""

    def __init__(self, running: Engine, swap: Swap | None, **policy: float) -> None:
        self.running, self.world = running, running.world
        self.address = next(iter(self.world.held))
        self.sentinel = DriftSentinel(DriftPolicy(strikes=1, **policy))  # type: ignore[arg-type]
        self.sentinel.observe(self.address, predicted=1_000, actual=900, source="a simulation")
        if swap is not None:
            self.sentinel.suspect(self.address, swap)
        self.lie: Callable[[Pool], Pool] = lambda pool: pool
        self.before_each_look: Callable[[], Awaitable[None]] | None = None
        self.rechecks = Rechecks(
            sentinel=self.sentinel, reread=self._reread, rehearse=running.chain.rehearse,
            clock_now=lambda: ChainClock(self.world.local.slot, self.world.local.epoch, self.world.local.time_s),
            wallet=self.world.wallet,
        )  # fmt: skip

    @property
    def drift(self) -> Drift:
        return self.sentinel.quarantined[self.address]

    async def _reread(self, address: Address) -> Pool:
        if self.before_each_look is not None:
            await self.before_each_look()
        return self.lie(self.world.pool(address))


@pytest.mark.parametrize("pool", POOLS)
def test_a_pool_that_does_what_is_predicted_again_is_released_after_enough_checks(pool: str) -> None:
    async def run() -> None:
        world = LocalWorld(pool)
        plan = first_quotable(world, 0, SwapMode.EXACT_IN)
        assert plan is not None
        async with engine(world) as running:
            suspects = Suspects(running, Swap(plan.input_mint, SwapMode.EXACT_IN, plan.amount_in), release_after=3)
            before = world.sol(), gauge("pools_released_total", {"by": "checks"})
            outcomes = [await suspects.rechecks.check(suspects.drift) for _ in range(3)]
            assert outcomes == [AGREES] * 3
            assert not suspects.sentinel.quarantined
            assert gauge("pools_released_total", {"by": "checks"}) == before[1] + 1
            assert gauge("pools_quarantined") == 0
            # Nothing was sent for it.
            assert world.sol() == before[0]

    asyncio.run(run())


def test_an_exact_output_is_checked_by_its_input() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        plan = first_quotable(world, 0, SwapMode.EXACT_OUT)
        assert plan is not None
        async with engine(world) as running:
            suspects = Suspects(running, Swap(plan.input_mint, SwapMode.EXACT_OUT, plan.amount_out))
            assert await suspects.rechecks.check(suspects.drift) == AGREES
            assert suspects.drift.agreed == 1

    asyncio.run(run())


def test_a_pool_that_still_differs_stays_and_its_count_begins_anew() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        async with engine(world) as running:
            suspects = Suspects(running, Swap(Mint(WRAPPED_SOL), SwapMode.EXACT_IN, 10**8), release_after=2)
            assert await suspects.rechecks.check(suspects.drift) == AGREES
            suspects.lie = lambda pool: replace(pool, trade_fee_rate=1)  # type: ignore[type-var]
            assert await suspects.rechecks.check(suspects.drift) == DIFFERS
            assert suspects.drift.agreed == 0
            assert suspects.drift.source == "a check"
            suspects.lie = lambda pool: pool
            assert await suspects.rechecks.check(suspects.drift) == AGREES
            assert suspects.address in suspects.sentinel.quarantined

    asyncio.run(run())


def test_what_tells_nothing_changes_nothing() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        async with engine(world) as running:
            unknown = Suspects(running, None)
            assert await unknown.rechecks.check(unknown.drift) == UNKNOWN
            too_dear = Suspects(running, Swap(Mint(WRAPPED_SOL), SwapMode.EXACT_IN, 2**50))
            assert await too_dear.rechecks.check(too_dear.drift) == UNKNOWN
            suspects = Suspects(running, Swap(Mint(WRAPPED_SOL), SwapMode.EXACT_IN, 10**8))

            async def others_trade() -> None:
                plan = world.plan([(suspects.address, Mint(WRAPPED_SOL), 10**7)], marker_seed="")
                await running.chain.send(sign(await running.chain.build(plan, await blockhash())).raw)
                world.local.advance(2)

            async def blockhash() -> object:
                return await running.chain.latest_blockhash()

            suspects.before_each_look = others_trade
            assert await suspects.rechecks.check(suspects.drift) == UNKNOWN

            async def away() -> None:
                raise ChainError("the node is away")

            suspects.before_each_look = away
            assert await suspects.rechecks.check(suspects.drift) == UNKNOWN
            assert suspects.drift.agreed == 0

    asyncio.run(run())


def test_checks_go_on_until_the_pool_is_released() -> None:
    async def run() -> None:
        async with engine(LocalWorld(CPMM)) as running:
            swap = Swap(Mint(WRAPPED_SOL), SwapMode.EXACT_IN, 10**8)
            suspects = Suspects(running, swap, release_after=4, recheck_s=0.001)
            keeping = asyncio.create_task(suspects.rechecks.keep(SystemClock()))
            async with asyncio.timeout(20):
                while suspects.sentinel.quarantined:
                    await asyncio.sleep(0.005)
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(run())


def test_a_person_releases_a_pool_at_once() -> None:
    sentinel = DriftSentinel(DriftPolicy(strikes=1))
    sentinel.observe(Address("x"), predicted=1_000, actual=900, source="a test")
    before = gauge("pools_released_total", {"by": "person"})
    assert release(sentinel, Address("x"))
    assert not release(sentinel, Address("x"))
    assert gauge("pools_released_total", {"by": "person"}) == before + 1
