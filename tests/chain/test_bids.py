"""Bids: what they cost, that they change nothing but the price, and that nothing without a marker is outbid."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from solders.hash import Hash
from solders.pubkey import Pubkey
from tests.chain.signer.orders import TIP_ACCOUNT, order, parts
from tests.chain.world import LocalWorld, engine, sign

from fillwright.chain.bids import Priced
from fillwright.chain.fees import FeePolicy, check_fees, priority_fee_lamports, raised_price, unit_price
from fillwright.chain.landed import parse
from fillwright.chain.solana import Tip
from fillwright.chain.transaction import Payment, compile_message
from fillwright.domain.accounts import WRAPPED_SOL
from fillwright.domain.errors import ChainError, SimulationFailed
from fillwright.domain.transactions import Blockhash, RevertReason

BLOCKHASH = Blockhash(str(Hash.hash(b"x")), 250)


def test_a_bid_is_above_the_one_before_it_and_below_the_caps_or_there_is_none() -> None:
    policy = FeePolicy(percentile=50, max_price=100_000, max_lamports=10_000, bump_bps=5_000, min_bump=1_000)
    assert raised_price([], 0, 100_000, policy) == 1_000
    assert raised_price([], 1_000, 100_000, policy) == 2_000
    assert raised_price([], 3_001, 100_000, policy) == 4_502
    assert raised_price([50_000], 3_001, 100_000, policy) == 50_000
    assert raised_price([], 90_000, 100_000, policy) == 100_000
    assert raised_price([], 100_000, 100_000, policy) == 100_000
    assert raised_price([], 19_999, 500_000, policy) == 20_000
    assert priority_fee_lamports(20_000, 500_000) == 10_000


def test_an_attempt_that_follows_bids_begins_above_the_last_of_them() -> None:
    policy = FeePolicy(max_price=100_000, bump_bps=5_000, min_bump=1_000)
    for recent in ([], [100], [10_000]):
        last = unit_price(recent, 1, 100_000, policy)
        for bids in range(1, 4):
            last = raised_price(recent, last, 100_000, policy)
            assert unit_price(recent, 2, 100_000, policy, bids) > last
            assert unit_price(recent, 1, 100_000, policy, bids) == last
    assert unit_price([10_000], 5, 100_000, policy, 1_000) == 100_000


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        (FeePolicy(), ""),
        (FeePolicy(bump_after_blocks=0, max_bids=1), ""),
        (FeePolicy(bump_after_blocks=-1), "negative"),
        (FeePolicy(min_bump=-1), "negative"),
        (FeePolicy(percentile=101), "percentile"),
        (FeePolicy(max_bids=0), "max_bids"),
        (FeePolicy(max_bids=17), "max_bids"),
    ],
)
def test_a_fee_policy_that_can_not_be_followed_is_refused(policy: FeePolicy, problem: str) -> None:
    assert problem in check_fees(policy)
    assert bool(problem) == bool(check_fees(policy))


def test_another_price_changes_nothing_else() -> None:
    plan = order()
    for payment in (Payment(200_000, 1_000, 890_880, 5_000, TIP_ACCOUNT), Payment(200_000, 0, 890_880)):
        message = compile_message(parts(plan, payment), Pubkey.from_string(plan.owner), BLOCKHASH)
        wanted = replace(payment, unit_price=7_777)
        raised = Priced(message).at(7_777)
        assert raised == compile_message(parts(plan, wanted), Pubkey.from_string(plan.owner), BLOCKHASH)
        assert (Priced(message).unit_price, Priced(raised).unit_price) == (payment.unit_price, 7_777)
        assert Priced(raised).unit_limit == 200_000
        assert Priced(raised).has_marker


def test_only_a_message_that_makes_its_marker_first_is_under_it() -> None:
    plan = order()
    for seed, has in ((plan.marker_seed, True), ("", False)):
        built = parts(replace(plan, marker_seed=seed))
        for instructions, expected in ((built, has), (built[1:] + built[:1], False)):
            message = compile_message(instructions, Pubkey.from_string(plan.owner), BLOCKHASH)
            assert Priced(message).has_marker is expected


@pytest.mark.parametrize("message", [b"", b"\x80", bytes(100), bytes(range(200))])
def test_what_is_no_message_has_no_price(message: bytes) -> None:
    with pytest.raises(ChainError):
        Priced(message)


def test_a_bid_swaps_what_the_first_would_have_and_the_first_then_fails_on_the_marker() -> None:
    async def run() -> None:
        world = LocalWorld("raydium_cpmm/FRESH_SOL-SPL")
        (address,) = world.held
        tip = Tip(1_000_000, (str(TIP_ACCOUNT),))
        async with engine(world, tip=tip, fees=FeePolicy(min_bump=20_000)) as running:
            chain, local = running.chain, running.world.local
            plan = world.plan([(address, WRAPPED_SOL, 10_000_000)])
            first = sign(await chain.build(plan, await chain.latest_blockhash()))
            prices = [0]
            newest = first
            for _ in range(3):
                offer = await chain.outbid(newest.raw, plan)
                assert offer is not None
                simulated = await chain.simulate(offer.message)
                assert simulated.amount_in == plan.amount_in
                newest = sign(offer.message)
                assert parse(newest.raw, ()).tips_lamports() == tip.lamports
                prices.append(offer.unit_price)
            assert prices == [0, 20_000, 40_000, 60_000]
            units = Priced(newest.raw[65:]).unit_limit
            await chain.send(newest.raw)
            await chain.send(first.raw)
            local.advance(local.finality_slots)
            landed = await chain.transaction(newest.signature)
            failed = await chain.transaction(first.signature)
            assert landed is not None
            assert failed is not None
            assert (landed.amount_in, landed.amount_out) == (plan.amount_in, plan.amount_out)
            assert landed.fee_lamports == 5_000 + tip.lamports + priority_fee_lamports(60_000, units)
            assert (failed.revert, failed.fee_lamports) == (RevertReason.MARKER_EXISTS, 5_000)
            late = await chain.outbid(newest.raw, plan)
            assert late is not None
            with pytest.raises(SimulationFailed) as refusal:
                await chain.simulate(late.message)
            assert refusal.value.reason == RevertReason.MARKER_EXISTS

    asyncio.run(run())


def test_there_is_no_bid_without_a_marker_nor_above_the_cap() -> None:
    async def run() -> None:
        world = LocalWorld("raydium_cpmm/FRESH_SOL-SPL")
        (address,) = world.held
        fees = FeePolicy(min_price=40_000, max_price=50_000)
        async with engine(world, fees=fees) as running:
            chain = running.chain
            plan = world.plan([(address, WRAPPED_SOL, 10_000_000)])
            bare = replace(plan, marker_seed="")
            unmarked = sign(await chain.build(bare, await chain.latest_blockhash()))
            assert await chain.outbid(unmarked.raw, bare) is None
            assert await chain.outbid(unmarked.raw, plan) is None
            first = sign(await chain.build(plan, await chain.latest_blockhash()))
            offer = await chain.outbid(first.raw, plan)
            assert offer is not None
            assert offer.unit_price == 50_000
            assert await chain.outbid(sign(offer.message).raw, plan) is None

    asyncio.run(run())
