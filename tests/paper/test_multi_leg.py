"""Routes of several legs on the paper chain: what each hop is fed, what is left, and that no unit comes or goes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from fillwright.domain.accounts import WRAPPED_SOL, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.routes import Route
from fillwright.domain.transactions import RevertReason, SwapPlan
from fillwright.market.snapshot import Snapshot
from fillwright.paper.transaction import MARKER_LAMPORTS
from fillwright.routing.route import Router
from fillwright.venues.meteora_damm_v2.layout import DammV2Pool
from fillwright.venues.meteora_dlmm.layout import DlmmPool
from fillwright.venues.raydium_cpmm.layout import CpmmPool
from paper.manual_clock import ManualClock
from paper.worlds import BONK, ONE_SOL, OWNER, RAY, SOL, STILL, USDC, PaperWorld, open_world
from routing.cases import order, tabled


def routed(world: PaperWorld, mints: tuple[Mint, Mint], amount: int, mode: SwapMode = SwapMode.EXACT_IN) -> Route:
    decision = Router().decide(order(*mints, amount, mode), world.snapshot, tabled(world.snapshot))
    assert decision.route is not None
    return decision.route


def plan_of(number: int, route: Route) -> SwapPlan:
    return SwapPlan(
        order_id=f"01980000-0000-7000-8000-{number:012d}",
        attempt=1,
        owner=OWNER,
        mode=route.mode,
        input_mint=route.input_mint,
        output_mint=route.output_mint,
        amount_in=route.amount_in,
        amount_out=route.amount_out,
        limit=route.limit,
        legs=route.legs,
        marker_seed=f"{number:032x}",
    )


def moved(world: PaperWorld) -> dict[Mint, int]:
    """What has changed for the owner, by mint, network costs included."""
    held = {mint: one.units - one.initial for mint, one in world.chain.reader.balances(OWNER).items()}
    return {mint: units for mint, units in held.items() if units}


def vaults(snapshot: Snapshot) -> dict[Mint, int]:
    """What all pools hold of each mint."""
    total: dict[Mint, int] = {}
    for pool in snapshot.pools.values():
        if isinstance(pool, CpmmPool):
            held = pool.balances
        elif isinstance(pool, DammV2Pool):
            held = (pool.balance_a, pool.balance_b)
        else:
            assert isinstance(pool, DlmmPool)
            held = (pool.balance_x, pool.balance_y)
        for mint, units in zip(pool.mints, held, strict=True):
            total[mint] = total.get(mint, 0) + units
    return total


@pytest.mark.parametrize("mode", SwapMode)
def test_the_second_hop_gets_the_least_of_the_first_and_the_rest_is_dust(tmp_path: Path, mode: SwapMode) -> None:
    async def test() -> None:
        async with open_world(tmp_path, clock=ManualClock(), **STILL) as world:
            amount = 10**9 * 10**5 if mode is SwapMode.EXACT_IN else 700 * 10**6
            route = routed(world, (BONK, USDC), amount, mode)
            first = [leg for leg in route.legs if leg.hop == 0]
            second = [leg for leg in route.legs if leg.hop == 1]
            assert {leg.output_mint for leg in first} == {SOL} == {leg.input_mint for leg in second}
            fed = sum(leg.amount_in for leg in second)
            if mode is SwapMode.EXACT_IN:
                assert fed == sum(leg.limit for leg in first) < sum(leg.amount_out for leg in first)
            (dust,) = route.dust
            assert (dust.mint, dust.amount) == (SOL, sum(leg.amount_out for leg in first) - fed)
            fill = await world.land(plan_of(1, route))
            assert (fill.revert, fill.amount_in, fill.amount_out) == ("", route.amount_in, route.amount_out)
            costs = fill.fee_lamports + fill.rent_lamports
            assert moved(world) == {BONK: -route.amount_in, USDC: route.amount_out, SOL: dust.amount - costs}

    asyncio.run(test())


def test_a_first_hop_below_its_least_undoes_all(tmp_path: Path) -> None:
    """The wallet has the middle token, but the second hop must not be fed from there."""

    async def test() -> None:
        async with open_world(tmp_path, clock=ManualClock(), **STILL) as world:
            plan = plan_of(1, routed(world, (BONK, USDC), 10**9 * 10**5))
            rival = plan_of(2, routed(world, (BONK, SOL), 10**8 * 10**5))
            assert (await world.land(rival)).revert == ""
            before = moved(world)
            late = await world.land(plan)
            assert late.revert == RevertReason.SLIPPAGE
            after = moved(world)
            assert after == before | {SOL: before[SOL] - late.fee_lamports}

    asyncio.run(test())


def test_a_parallel_leg_is_held_to_its_own_bound(tmp_path: Path) -> None:
    async def test() -> None:
        async with open_world(tmp_path, clock=ManualClock(), **STILL) as world:
            route = routed(world, (SOL, USDC), 60 * ONE_SOL)
            assert len(route.legs) == 2
            strict = replace(route.legs[1], limit=route.legs[1].amount_out + 1)
            broken = await world.land(replace(plan_of(1, route), legs=(route.legs[0], strict)))
            assert broken.revert == RevertReason.SLIPPAGE
            whole = await world.land(plan_of(2, route))
            assert (whole.revert, whole.amount_out) == ("", route.amount_out)

    asyncio.run(test())


@pytest.mark.parametrize("seed", range(3))
def test_no_unit_of_any_token_comes_or_goes(tmp_path: Path, seed: int) -> None:
    """Splits and hops in both modes; what the wallet and all vaults hold together changes by network costs alone."""

    async def test() -> None:
        async with open_world(tmp_path, clock=ManualClock(), **STILL) as world:
            before, draw, costs, longest = vaults(world.snapshot), Random(seed), 0, 0
            expected: dict[Mint, int] = {}
            sizes: dict[Mint, int] = {SOL: 10**11, USDC: 10**10, RAY: 10**10, BONK: 10**14}
            for number in range(25):
                source, target = draw.sample(list(sizes), 2)
                mode = draw.choice(tuple(SwapMode))
                fixed = source if mode is SwapMode.EXACT_IN else target
                route = routed(world, (source, target), int(sizes[fixed] * 10 ** draw.uniform(-3, 0)), mode)
                longest = max(longest, len(route.legs))
                fill = await world.land(plan_of(number, route))
                assert (fill.revert, fill.amount_in, fill.amount_out) == ("", route.amount_in, route.amount_out)
                costs += fill.fee_lamports + fill.rent_lamports
                assert fill.rent_lamports == MARKER_LAMPORTS
                changes: list[tuple[Mint, int]] = [(source, -route.amount_in), (target, route.amount_out)]
                changes += [(dust.mint, dust.amount) for dust in route.dust]
                for mint, units in changes:
                    expected[mint] = expected.get(mint, 0) + units
            assert longest >= 3
            held = moved(world)
            held[WRAPPED_SOL] = held.get(WRAPPED_SOL, 0) + costs
            assert held == {mint: units for mint, units in expected.items() if units}
            after: dict[Mint, Any] = vaults(world.snapshot)
            assert all(after[mint] - before[mint] == -held.get(mint, 0) for mint in after)

    asyncio.run(test())
