"""Splits, hops, lookup tables, sweeps, lagging nodes: what goes beyond one swap in one pool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace
from solders.message import from_bytes_versioned
from tests.chain.test_solana import check_balances, land
from tests.chain.world import WALLET, LocalWorld, engine, put_table, sign

from fillwright.chain.endpoint import RpcEndpoint
from fillwright.chain.programs import marker_account
from fillwright.chain.rpc import Rpc
from fillwright.chain.sender import NodeSender, Senders
from fillwright.chain.solana import SolanaChain
from fillwright.chain.sweep import existing_markers, sweep_messages
from fillwright.clock import SystemClock
from fillwright.domain.accounts import WRAPPED_SOL, Mint
from fillwright.domain.errors import ChainError, SimulationFailed
from fillwright.domain.transactions import Commitment, SwapPlan
from fillwright.localnet.chain import LocalChain
from fillwright.localnet.server import LocalNode
from fillwright.market.guards import GuardPolicy

CPMM, DAMM2, V4 = (
    "raydium_cpmm/FRESH_SOL-SPL",
    "meteora_damm_v2/SYN_full-range_linear",
    "raydium_amm_v4/SYN_SOL-6_fee25",
)


def two_hops(world: LocalWorld) -> SwapPlan:
    """From one pool's token through SOL to the other's: the second hop spends what the first must yield."""
    first, second = world.held
    mint_in = next(Mint(mint) for mint in world.pool(first).mints if mint != WRAPPED_SOL)
    alone = world.plan([(first, mint_in, 50_000_000)])
    passed = alone.amount_out * 99 // 100
    tail = world.plan([(second, WRAPPED_SOL, passed)])
    return replace(
        alone,
        output_mint=tail.output_mint,
        amount_out=tail.amount_out,
        limit=tail.amount_out * 99 // 100,
        legs=(alone.legs[0], tail.legs[0]),
    )


def test_two_hops_in_one_transaction_move_what_was_quoted_and_return_the_dust() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM, V4)
        plan = two_hops(world)
        async with engine(world) as running:
            sol = world.sol()
            tokens = {mint: world.tokens(mint) for mint in (plan.input_mint, plan.output_mint)}
            landed, _ = await land(running, plan)
            assert (landed.revert, landed.amount_in, landed.amount_out) == ("", plan.amount_in, plan.amount_out)
            check_balances(world, landed, plan, sol, tokens)
            assert world.tokens(WRAPPED_SOL) == 0

    asyncio.run(run())


def test_a_split_over_the_same_pool_twice_keeps_the_plans_bound() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        (address,) = world.held
        one = world.plan([(address, WRAPPED_SOL, 10_000_000)])
        after = world.plan([(address, WRAPPED_SOL, 20_000_000)])
        legs = (one.legs[0], replace(one.legs[0], amount_out=after.amount_out - one.amount_out))
        plan = replace(after, legs=legs, limit=after.amount_out * 999 // 1000)
        async with engine(world) as running:
            landed, _ = await land(running, plan)
            assert landed.revert == ""
            assert landed.amount_in == 20_000_000
            assert landed.amount_out >= plan.limit

    asyncio.run(run())


def test_a_lookup_table_makes_the_transaction_shorter_and_is_read_back() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM, V4)
        plan = two_hops(world)
        key = put_table(world.local, [each for keys in world.held.values() for each in keys])
        sizes = []
        for tables in ((), (key,)):
            async with engine(world, lookup_tables=tables) as running:
                message = await running.chain.build(plan, await running.chain.latest_blockhash())
                sizes.append(len(message))
                if tables:
                    assert from_bytes_versioned(message).address_table_lookups
                    sol = world.sol()
                    held = {mint: world.tokens(mint) for mint in (plan.input_mint, plan.output_mint)}
                    landed, _ = await land(running, plan)
                    assert landed.revert == ""
                    check_balances(world, landed, plan, sol, held)
        assert sizes[1] < sizes[0] - 150

    asyncio.run(run())


def test_a_table_that_is_none_is_not_used_and_says_so() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        (address,) = world.held
        async with engine(world, lookup_tables=(world.wallet,)) as running:
            plan = world.plan([(address, WRAPPED_SOL, 10_000_000)])
            message = await running.chain.build(plan, await running.chain.latest_blockhash())
            assert not from_bytes_versioned(message).address_table_lookups
            assert f"{world.wallet} is no lookup table" in running.tables.state

    asyncio.run(run())


def test_markers_are_swept_together_once_they_are_final() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        (address,) = world.held
        seeds = [f"{number:032d}" for number in range(10)]
        async with engine(world) as running:
            for seed in seeds[:9]:
                await land(running, world.plan([(address, WRAPPED_SOL, 10_000_000)], marker_seed=seed))
            markers = await existing_markers(running.rpc, WALLET.pubkey(), seeds)
            assert [seed for seed, _ in markers] == seeds[:9]
            before = world.sol()
            messages = list(sweep_messages(WALLET.pubkey(), markers, await running.chain.latest_blockhash()))
            assert len(messages) == 2
            for message in messages:
                await running.chain.send(sign(message).raw)
            world.local.advance(40)
            assert world.sol() - before == sum(lamports for _, lamports in markers) - 2 * 5_000
            assert await existing_markers(running.rpc, WALLET.pubkey(), seeds) == []
            assert world.local.account(str(marker_account(WALLET.pubkey(), seeds[0]))) is None

    asyncio.run(run())


@asynccontextmanager
async def two_nodes(world: LocalWorld, behind: LocalChain) -> AsyncIterator[tuple[SolanaChain, Rpc]]:
    """A chain over a good node and one that lags, the good one first."""
    clock = SystemClock()
    nodes = [LocalNode(world.local), LocalNode(behind)]
    for node in nodes:
        await node.open()
    rpc = Rpc([RpcEndpoint(f"n{number}", node.url) for number, node in enumerate(nodes)], clock)
    await rpc.open()
    senders = Senders([NodeSender(rpc, rpc.endpoints[0])])
    chain = SolanaChain(rpc=rpc, senders=senders, clock=clock, wallet=world.wallet, market=world.snapshot)
    try:
        yield chain, rpc
    finally:
        await senders.close()
        await rpc.close()
        for node in nodes:
            await node.close()


def test_a_null_from_a_node_that_lags_is_no_answer() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        (address,) = world.held
        behind = LocalChain(start_slot=world.local.slot - 10)
        async with two_nodes(world, behind) as (chain, rpc):
            plan = world.plan([(address, WRAPPED_SOL, 10_000_000)])
            signed = sign(await chain.build(plan, await chain.latest_blockhash()))
            await chain.send(signed.raw)
            world.local.advance(300)
            assert await chain.block_height(Commitment.FINALIZED) > 0
            # The good node is away: only the one that lags can be asked, and it knows nothing.
            rpc.endpoints[0].finalized_height = 0
            rpc.endpoints[0].paused_until_s = 1e12
            with pytest.raises(ChainError) as refused:
                await chain.status(signed.signature, search_history=True)
            assert refused.value.code == "node_behind"
            slot = world.local.slot_at("finalized")
            with pytest.raises(ChainError):
                await rpc.ask_one(rpc.endpoints[1], "getAccountInfo", [world.wallet, {"minContextSlot": slot}], dict)

    asyncio.run(run())


def test_a_pool_too_thin_for_the_guards_is_not_traded() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        (address,) = world.held
        guards = GuardPolicy(min_depth={Mint(WRAPPED_SOL): 2**62})
        async with engine(world, guards=guards) as running:
            plan = world.plan([(address, Mint(WRAPPED_SOL), 10_000_000)])
            blockhash = await running.chain.latest_blockhash()
            with pytest.raises(SimulationFailed) as refused:
                await running.chain.build(plan, blockhash)
            assert refused.value.reason == "pool_refused"

    asyncio.run(run())
