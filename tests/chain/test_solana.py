"""The chain adapter against the real programs on a local node: what was quoted is what lands, to the unit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from tests.chain.world import Engine, LocalWorld, engine, sign

from fillwright.chain.landed import parse
from fillwright.chain.solana import Tip
from fillwright.domain.accounts import WRAPPED_SOL
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import BlockhashNotFound, ChainError, QuoteRefused, SimulationFailed
from fillwright.domain.transactions import Commitment, LandedTransaction, SwapPlan

POOLS = [
    "raydium_amm_v4/SYN_SOL-6_fee25",
    "raydium_amm_v4/SYN_6-6_fee5",
    "raydium_cpmm/FRESH_SOL-SPL",
    "raydium_cpmm/FRESH_T22FEE-SOL",
    "raydium_clmm/SYN_ts10_T22",
    "raydium_clmm/SYN_ts60_gap-no-liquidity",
    "raydium_clmm/SYN_ts1_bitmap-extension",
    "meteora_dlmm/SYN_gaps_many-arrays",
    "meteora_dlmm/SYN_bitmap-extension",
    "meteora_damm_v1/SYN_CP_locked-profit",
    "meteora_damm_v1/SYN_stable_6-6",
    "meteora_damm_v2/SYN_full-range_linear",
    "meteora_damm_v2/SYN_narrow_dynamic_exp",
    "meteora_damm_v2/SYN_T22_rate-limiter",
    "meteora_damm_v2/SYN_compounding",
]


async def land(running: Engine, plan: SwapPlan) -> tuple[LandedTransaction, SwapPlan]:
    chain, local = running.chain, running.world.local
    blockhash = await chain.latest_blockhash()
    message = await chain.build(plan, blockhash)
    await chain.simulate(message)
    signed = sign(message)
    loaded = await chain._simulator._looked_up(message)
    swaps = parse(signed.raw, loaded).swaps()
    assert [(swap.venue, str(swap.pool)) for swap in swaps] == [(leg.venue, leg.pool) for leg in plan.legs]
    await chain.send(signed.raw)
    local.advance(local.finality_slots)
    landed = await chain.transaction(signed.signature)
    assert landed is not None
    assert landed.signature == signed.signature
    return landed, plan


def first_quotable(world: LocalWorld, side: int, mode: SwapMode) -> SwapPlan | None:
    """A plan for the only pool, of an amount that it can swap."""
    ((address, pool),) = world.snapshot().pools.items()
    decimals = pool.decimals[side if mode is SwapMode.EXACT_IN else 1 - side]
    for exponent in (decimals - 2, decimals - 3, decimals - 4, 3):
        try:
            return world.plan([(address, pool.mints[side], 10 ** max(exponent, 1) * 3 + 7)], mode=mode)
        except QuoteRefused:
            continue
    return None


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("mode", list(SwapMode))
@pytest.mark.parametrize("name", POOLS)
def test_a_swap_on_a_quiet_chain_moves_exactly_what_was_quoted(name: str, mode: SwapMode, side: int) -> None:
    async def run() -> None:
        world = LocalWorld(name)
        plan = first_quotable(world, side, mode)
        if plan is None:
            pytest.skip("the pool trades nothing this way round")
        async with engine(world) as running:
            sol = world.sol()
            tokens = {mint: world.tokens(mint) for mint in (plan.input_mint, plan.output_mint)}
            landed, plan = await land(running, plan)
            assert (landed.revert, landed.amount_in, landed.amount_out) == ("", plan.amount_in, plan.amount_out)
            check_balances(world, landed, plan, sol, tokens)

    asyncio.run(run())


def check_balances(
    world: LocalWorld, landed: LandedTransaction, plan: SwapPlan, sol: int, tokens: dict[Any, int]
) -> None:
    """The wallet's change is the fill, less fee and rent, to the unit."""
    expected = sol - landed.fee_lamports - landed.rent_lamports
    for mint, amount in ((plan.input_mint, -landed.amount_in), (plan.output_mint, landed.amount_out)):
        if mint == WRAPPED_SOL:
            expected += amount
        else:
            assert world.tokens(mint) - tokens[mint] == amount
    assert world.sol() == expected


SOL_POOL = "raydium_cpmm/FRESH_SOL-SPL"


def test_a_second_transaction_of_an_order_fails_on_its_marker() -> None:
    async def run() -> None:
        world = LocalWorld(SOL_POOL)
        async with engine(world) as running:
            plan = first_quotable(world, 0, SwapMode.EXACT_IN)
            assert plan is not None
            blockhash = await running.chain.latest_blockhash()
            first = sign(await running.chain.build(plan, blockhash))
            second = sign(await running.chain.build(replace(plan, attempt=2, limit=plan.limit - 1), blockhash))
            assert first.signature != second.signature
            for each in (first, second):
                await running.chain.send(each.raw)
            world.local.advance(40)
            landed = await running.chain.transaction(second.signature)
            assert landed is not None
            assert landed.revert == "marker_exists"
            assert landed.fee_lamports == 5_001  # a later attempt bids more
            slot = await running.chain.slot(Commitment.FINALIZED)
            assert await running.chain.marker_exists(plan.marker_seed, slot)
            assert not await running.chain.marker_exists("b" * 32, slot)
            with pytest.raises(SimulationFailed) as refused:
                await running.chain.simulate(await running.chain.build(plan, await running.chain.latest_blockhash()))
            assert refused.value.reason == "marker_exists"

    asyncio.run(run())


@pytest.mark.parametrize("mode", list(SwapMode))
@pytest.mark.parametrize("name", POOLS)
def test_a_limit_that_can_not_be_met_is_told_as_slippage(name: str, mode: SwapMode) -> None:
    async def run() -> None:
        world = LocalWorld(name)
        plan = first_quotable(world, 1, mode) or first_quotable(world, 0, mode)
        if plan is None:
            pytest.skip("the pool has no such swap")
        # DAMM v1 compares before its vault rounds: a share's worth beyond the quote may still pass.
        limit = plan.amount_out + 1_000 if mode is SwapMode.EXACT_IN else plan.amount_in - 1
        async with engine(world) as running:
            chain = running.chain
            message = await chain.build(replace(plan, limit=limit), await chain.latest_blockhash())
            with pytest.raises(SimulationFailed) as refused:
                await chain.simulate(message)
            # Wrapped SOL of less than what is spent runs out before the program looks at its limit.
            short = mode is SwapMode.EXACT_OUT and plan.input_mint == WRAPPED_SOL
            reasons = {"slippage_exceeded", "insufficient_funds"} if short else {"slippage_exceeded"}
            assert refused.value.reason in reasons, refused.value.message
            signed = sign(message)
            await chain.send(signed.raw)
            world.local.advance(40)
            landed = await chain.transaction(signed.signature)
            assert landed is not None
            assert landed.revert == refused.value.reason
            assert (landed.amount_in, landed.amount_out, landed.rent_lamports) == (0, 0, 0)

    asyncio.run(run())


def test_a_simulation_that_gives_less_than_the_limit_is_refused() -> None:
    async def run() -> None:
        world = LocalWorld(SOL_POOL)
        async with engine(world) as running:
            plan = first_quotable(world, 0, SwapMode.EXACT_IN)
            assert plan is not None
            impossible = replace(plan, legs=(replace(plan.legs[0], amount_out=plan.amount_out * 2),))
            impossible = replace(impossible, limit=plan.amount_out + 1)
            message = await running.chain.build(impossible, await running.chain.latest_blockhash())
            with pytest.raises(SimulationFailed) as refused:
                await running.chain.simulate(message)
            assert refused.value.reason == "slippage_exceeded"

    asyncio.run(run())


def test_commitments_are_kept_apart() -> None:
    async def run() -> None:
        world = LocalWorld(SOL_POOL)
        async with engine(world) as running:
            chain = running.chain
            plan = first_quotable(world, 0, SwapMode.EXACT_IN)
            assert plan is not None
            signed = sign(await chain.build(plan, await chain.latest_blockhash()))
            assert await chain.status(signed.signature, search_history=True) is None
            await chain.send(signed.raw)
            seen = []
            for _ in range(40):
                status = await chain.status(signed.signature, search_history=True)
                assert status is not None
                slot = await chain.slot(Commitment.FINALIZED)
                seen.append((status.commitment, await chain.marker_exists(plan.marker_seed, slot)))
                world.local.advance()
            assert sorted(set(seen), key=seen.index) == [
                (Commitment.PROCESSED, False),
                (Commitment.CONFIRMED, False),
                (Commitment.FINALIZED, True),
            ]
            heights = [await chain.block_height(commitment) for commitment in Commitment]
            assert heights == sorted(heights, reverse=True)
            assert len(set(heights)) == 3

    asyncio.run(run())


def test_news_wakes_the_waiter_before_its_time_is_up() -> None:
    async def run() -> None:
        world = LocalWorld(SOL_POOL)
        async with engine(world) as running:
            chain = running.chain
            plan = first_quotable(world, 0, SwapMode.EXACT_IN)
            assert plan is not None
            signed = sign(await chain.build(plan, await chain.latest_blockhash()))
            while not running.stream.is_connected:
                await asyncio.sleep(0.001)
            waiting = asyncio.create_task(chain.wait_for_news(signed.signature, 100.0))
            await chain.send(signed.raw)
            world.local.advance(3)
            await asyncio.wait_for(waiting, 5.0)

    asyncio.run(run())


def test_a_tip_counts_as_a_fee() -> None:
    async def run() -> None:
        world = LocalWorld(SOL_POOL)
        receiver = "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5"
        async with engine(world, tip=Tip(1_000_000, (receiver,))) as running:
            plan = first_quotable(world, 1, SwapMode.EXACT_IN)
            assert plan is not None
            sol = world.sol()
            tokens = {mint: world.tokens(mint) for mint in (plan.input_mint, plan.output_mint)}
            landed, _ = await land(running, plan)
            assert landed.fee_lamports == 1_005_000
            check_balances(world, landed, plan, sol, tokens)
            paid = world.local.account(receiver)
            assert paid is not None
            assert paid.lamports == 1_000_000

    asyncio.run(run())


def test_expired_bytes_never_land_and_absence_can_be_proven() -> None:
    async def run() -> None:
        world = LocalWorld(SOL_POOL)
        async with engine(world) as running:
            chain = running.chain
            plan = first_quotable(world, 0, SwapMode.EXACT_IN)
            assert plan is not None
            blockhash = await chain.latest_blockhash()
            signed = sign(await chain.build(plan, blockhash))
            world.local.advance(152)
            with pytest.raises(BlockhashNotFound):
                await chain.send(signed.raw)
            world.local.advance(50)
            assert await chain.block_height(Commitment.FINALIZED) > blockhash.last_valid_block_height
            slot = await chain.slot(Commitment.FINALIZED)
            assert await chain.status(signed.signature, search_history=True) is None
            assert not await chain.signature_in_history(signed.signature, slot)
            assert not await chain.marker_exists(plan.marker_seed, slot)
            with pytest.raises(ChainError):
                await chain.marker_exists(plan.marker_seed, slot + 1_000_000)

    asyncio.run(run())
