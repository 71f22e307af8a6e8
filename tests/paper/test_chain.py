"""The paper chain: delays, evolved states, expiry, chance, finality, balances."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fillwright.domain.accounts import WRAPPED_SOL, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import AlreadyProcessed, ChainError, SimulationFailed
from fillwright.domain.transactions import Commitment, RevertReason, SwapPlan
from fillwright.market.snapshot import venue_for
from fillwright.paper import chain as chain_module
from fillwright.paper import ledger
from fillwright.paper.ledger import LedgerEntry
from fillwright.paper.transaction import MARKER_LAMPORTS
from fillwright.venues.venue import Swap
from paper.manual_clock import ManualClock
from paper.worlds import BONK, ONE_SOL, OWNER, QUICK, RAY, SOL, STILL, USDC, PaperWorld, open_world

SLOT_MS = 400
DELAYED: dict[str, Any] = {**STILL, "paper_execution_delay_min_ms": 2_000, "paper_execution_delay_max_ms": 3_000}

Test = Callable[[PaperWorld, ManualClock], Awaitable[None]]


def run(folder: Path, test: Test, **changed: Any) -> None:
    async def inside() -> None:
        clock = ManualClock()
        async with open_world(folder, clock=clock, **changed) as world:
            await test(world, clock)

    asyncio.run(inside())


def test_a_transaction_lands_between_the_least_and_the_longest_delay(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        start_ms = clock.now_ms()
        sent = [await world.send(world.plan(order, amount=10**6)) for order in range(20)]
        await clock.advance(1_999)
        assert [await world.chain.status(signed.signature, True) for signed in sent] == [None] * 20
        await clock.advance(1_001)
        times = [(await world.landed(signed)).block_time_ms - start_ms for signed in sent]
        assert all(2_000 <= time <= 3_000 for time in times)
        assert len(set(times)) > 10

    run(tmp_path, test, **DELAYED)


def test_waiting_for_news_wakes_at_the_landing_without_polling(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        signed = await world.send(world.plan())
        waiting = asyncio.create_task(world.chain.wait_for_news(signed.signature, 30))
        await clock.advance(1_999)
        assert not waiting.done()
        await clock.advance(1_001)
        await waiting
        assert await world.chain.transaction(signed.signature) is not None

    run(tmp_path, test, **DELAYED)


def test_waiting_for_a_transaction_that_is_unknown_ends_after_its_timeout(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        signed = await world.signed(world.plan())
        waiting = asyncio.create_task(world.chain.wait_for_news(signed.signature, 1.5))
        await clock.advance(1_499)
        assert not waiting.done()
        await clock.advance(1)
        await waiting
        assert await world.chain.status(signed.signature, True) is None

    run(tmp_path, test, **STILL)


def test_a_swap_executes_on_the_pool_as_it_is_when_it_lands(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        plan = world.plan(1, amount=ONE_SOL, limit=0)
        rival = world.plan(2, amount=50 * ONE_SOL, limit=0, owner="bob")
        await world.send(rival)
        await clock.advance(3_000)
        pool, snapshot = world.pool(), world.snapshot
        signed = await world.send(plan)
        await clock.advance(3_000)
        landed = await world.landed(signed)
        expected = venue_for(pool).quote(pool, Swap(SOL, SwapMode.EXACT_IN, ONE_SOL), snapshot.clock)
        assert landed.amount_out == expected.amount_out < plan.amount_out

    run(tmp_path, test, **DELAYED)


def test_a_rival_that_lands_first_makes_the_min_out_break(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        plan = world.plan(1, amount=ONE_SOL)
        await world.land(world.plan(2, amount=50 * ONE_SOL, limit=0, owner="bob"))
        landed = await world.land(plan)
        assert landed.revert == RevertReason.SLIPPAGE
        assert str(plan.limit) in landed.detail

    run(tmp_path, test, **STILL)


@pytest.mark.parametrize("multiple", [0.97, 0.995, 1.005, 1.04])
def test_an_execution_pays_the_multiple_of_its_quote_that_the_settings_say(tmp_path: Path, multiple: float) -> None:
    changed = {"paper_execution_price_low": multiple, "paper_execution_price_high": multiple}

    async def test(world: PaperWorld, clock: ManualClock) -> None:
        for number, dex in enumerate(("raydium", "meteora"), 1):
            plan = world.plan(number, dex=dex, limit=1)
            landed = await world.land(plan)
            assert landed.revert == ""
            assert landed.amount_out / plan.amount_out == pytest.approx(multiple, abs=2e-4)

    run(tmp_path, test, **STILL, **changed)


def test_a_max_in_that_is_exceeded_reverts_an_exact_out(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        plan = world.plan(mode=SwapMode.EXACT_OUT, amount=10**8)
        exact = replace(plan, limit=plan.amount_in)
        short = replace(plan, limit=plan.amount_in - 1, order_id="other", marker_seed="")
        assert (await world.land(short)).revert == RevertReason.SLIPPAGE
        assert (await world.land(exact)).revert == ""

    run(tmp_path, test, **STILL)


def test_a_transaction_whose_time_comes_after_its_blockhash_has_expired_never_lands(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        blockhash = await world.chain.latest_blockhash()
        signed = await world.signer.sign(await world.chain.build(world.plan(), blockhash))
        await clock.advance(149 * SLOT_MS)
        await world.chain.send(signed.raw)
        await clock.advance(10 * SLOT_MS)
        assert await world.chain.block_height(Commitment.FINALIZED) > blockhash.last_valid_block_height
        assert await world.chain.status(signed.signature, True) is None
        assert list(world.chain.reader.entries()) == []

    run(tmp_path, test, **DELAYED)


def test_a_process_that_slept_lands_each_transaction_in_its_own_slot(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        signed = await world.send(world.plan())
        sent_slot = await world.chain.slot(Commitment.PROCESSED)
        clock.jump(600_000)
        await world.chain.latest_blockhash()
        landed = await world.landed(signed)
        assert 5 <= landed.slot - sent_slot <= 8
        assert await world.chain.slot(Commitment.PROCESSED) == sent_slot + 1_500

    run(tmp_path, test, **DELAYED)


def test_a_failure_rate_of_one_fails_every_transaction_for_its_fee(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        landed = await world.land(world.plan())
        assert (landed.revert, landed.amount_in, landed.amount_out) == (RevertReason.PROGRAM_ERROR, 0, 0)
        held = world.chain.reader.balances(OWNER)
        assert {mint: balance.initial - balance.units for mint, balance in held.items()} == {WRAPPED_SOL: 5_000}

    run(tmp_path, test, **{**STILL, "paper_failure_rate": 1.0})


def test_failures_come_at_their_rate_and_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    outcomes: list[list[str]] = []

    async def test(world: PaperWorld, clock: ManualClock) -> None:
        outcomes.append([(await world.land(world.plan(order, amount=10**6))).revert for order in range(200)])

    for seed in (7, 7, 8):
        run(tmp_path / str(len(outcomes)), test, **{**STILL, "paper_failure_rate": 0.3, "paper_seed": seed})
    assert outcomes[0] == outcomes[1] != outcomes[2]
    assert 40 <= sum(bool(revert) for revert in outcomes[0]) <= 80


def test_a_dropped_send_is_silent_and_the_same_bytes_can_get_through_later(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        sends = []
        for order in range(20):
            signed = await world.signed(world.plan(order, amount=10**6))
            for send in range(1, 40):
                await world.chain.send(signed.raw)
                waiting = asyncio.create_task(world.chain.wait_for_news(signed.signature, 1))
                await _durable_or(waiting, world, clock)
                if await world.chain.status(signed.signature, True) is not None:
                    sends.append(send)
                    break
        assert len(sends) == 20
        assert 20 < sum(sends) < 80

    run(tmp_path, test, **{**STILL, "paper_drop_rate": 0.5})


async def _durable_or(waiting: asyncio.Task[None], world: PaperWorld, clock: ManualClock) -> None:
    """Let the wait end by its landing where one is under way, else by its timeout."""
    while world.chain.unwritten:
        await asyncio.sleep(0)
    await clock.advance(1_000)
    await waiting


def test_balances_change_by_fills_fees_and_rent_to_the_unit(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        pairs = [(SOL, USDC), (USDC, SOL), (RAY, USDC), (SOL, BONK), (BONK, SOL)]
        for order in range(40):
            mints, dex = pairs[order % 5], ("raydium", "meteora")[order % 2]
            limit = 2**63 if order % 7 == 0 else None
            owner = ("alice", "bob")[order % 3 == 0]
            await world.land(world.plan(order, mints=mints, dex=dex, amount=10**6 + order, limit=limit, owner=owner))
            await clock.advance(SLOT_MS)
        for owner in ("alice", "bob"):
            entries = [entry for entry in world.chain.reader.entries() if entry.owner == owner]
            assert any(entry.revert for entry in entries)
            moved = {mint: held.units - held.initial for mint, held in world.chain.reader.balances(owner).items()}
            assert moved == _sum_of(entries)

    run(tmp_path, test, **QUICK)


def _sum_of(entries: Iterable[LedgerEntry]) -> dict[Mint, int]:
    moved: dict[Mint, int] = {}
    for entry in entries:
        if not entry.revert:
            moved[entry.input_mint] = moved.get(entry.input_mint, 0) - entry.amount_in
            moved[entry.output_mint] = moved.get(entry.output_mint, 0) + entry.amount_out
        moved[WRAPPED_SOL] = moved.get(WRAPPED_SOL, 0) - entry.fee_lamports - entry.rent_lamports
    return moved


def test_rent_is_paid_for_a_marker_and_only_for_one(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        assert (await world.land(world.plan(1))).rent_lamports == MARKER_LAMPORTS
        assert (await world.land(world.plan(2, marker=False))).rent_lamports == 0

    run(tmp_path, test, **STILL)


def test_an_owner_cannot_spend_more_than_they_have(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        limit = ONE_SOL - 5_000 - MARKER_LAMPORTS
        message = await world.chain.build(world.plan(1, amount=limit + 1), await world.chain.latest_blockhash())
        with pytest.raises(SimulationFailed) as failure:
            await world.chain.simulate(message)
        assert failure.value.reason == RevertReason.INSUFFICIENT_FUNDS
        assert (await world.land(world.plan(2, amount=limit + 1))).revert == RevertReason.INSUFFICIENT_FUNDS
        assert (await world.land(world.plan(3, amount=limit - 5_000))).revert == ""
        assert world.chain.reader.balances(OWNER)[WRAPPED_SOL].units == 0

    run(tmp_path, test, **{**STILL, "paper_initial_balance": 1})


def test_a_transaction_whose_fee_cannot_be_paid_never_lands(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        signed = await world.send(world.plan())
        assert await world.chain.status(signed.signature, True) is None
        assert list(world.chain.reader.entries()) == []

    run(tmp_path, test, **{**STILL, "paper_initial_balance": 0})


def test_two_legs_in_series_pass_the_middle_token_on(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        first = world.leg(ONE_SOL, mints=(SOL, USDC), mode=SwapMode.EXACT_IN)
        second = world.leg(first.amount_out, mints=(USDC, RAY), dex="meteora", mode=SwapMode.EXACT_IN)
        plan = _joined(world, (SOL, RAY), first, second)
        landed = await world.land(plan)
        assert (landed.revert, landed.amount_in, landed.amount_out) == ("", ONE_SOL, second.amount_out)
        held = world.chain.reader.balances(OWNER)
        assert held[USDC].units == held[USDC].initial

    run(tmp_path, test, **STILL)


def test_parallel_legs_add_up_and_one_that_fails_undoes_all(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        legs = [world.leg(ONE_SOL, dex=dex, mode=SwapMode.EXACT_IN) for dex in ("raydium", "meteora")]
        plan = _joined(world, (SOL, USDC), *legs)
        before = dict(world.snapshot.pools)
        too_much = replace(legs[1], amount_in=2**64 - 1)
        failed = await world.land(replace(plan, legs=(legs[0], too_much), order_id="failed", marker_seed=""))
        assert failed.revert in (RevertReason.POOL_REFUSED, RevertReason.INSUFFICIENT_FUNDS)
        assert dict(world.snapshot.pools) == before
        landed = await world.land(plan)
        assert (landed.amount_in, landed.amount_out) == (2 * ONE_SOL, sum(leg.amount_out for leg in legs))

    run(tmp_path, test, **STILL)


def _joined(world: PaperWorld, mints: tuple[Mint, Mint], *legs: Any) -> SwapPlan:
    plan = world.plan(99)
    amount_in = sum(leg.amount_in for leg in legs if leg.input_mint == mints[0])
    amount_out = sum(leg.amount_out for leg in legs if leg.output_mint == mints[1])
    return replace(
        plan, input_mint=mints[0], output_mint=mints[1], legs=legs, amount_in=amount_in, amount_out=amount_out, limit=1
    )


def test_a_leg_in_a_pool_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        plan = world.plan()
        gone = replace(plan, legs=(replace(plan.legs[0], pool=world.signer.wallet),))
        wrong = replace(plan, legs=(replace(plan.legs[0], pool=world.pool(mints=(RAY, USDC)).address),))
        for refused in (gone, wrong):
            assert (await world.land(replace(refused, marker_seed=""))).revert == RevertReason.POOL_REFUSED

    run(tmp_path, test, **STILL)


def test_a_plan_that_does_not_fit_a_packet_is_not_built(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        plan = world.plan()
        with pytest.raises(ChainError) as refused:
            await world.chain.build(replace(plan, legs=plan.legs * 20), await world.chain.latest_blockhash())
        assert refused.value.code == "transaction_too_large"

    run(tmp_path, test, **STILL)


def test_a_landing_becomes_final_slot_by_slot(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        plan = world.plan()
        signed = await world.send(plan)
        await world.chain.wait_for_news(signed.signature, 60)
        assert await _commitment(world, signed.signature) is Commitment.PROCESSED
        assert await world.chain.transaction(signed.signature) is None
        slot = await world.chain.slot(Commitment.FINALIZED)
        waiting = asyncio.create_task(world.chain.wait_for_news(signed.signature, 60))
        await clock.advance(SLOT_MS)
        await waiting
        assert await _commitment(world, signed.signature) is Commitment.CONFIRMED
        assert await world.chain.transaction(signed.signature) is not None
        assert not await world.chain.marker_exists(plan.marker_seed, slot)
        waiting = asyncio.create_task(world.chain.wait_for_news(signed.signature, 60))
        await clock.advance(30 * SLOT_MS)
        assert not waiting.done()
        await clock.advance(SLOT_MS)
        await waiting
        assert await _commitment(world, signed.signature) is Commitment.FINALIZED
        assert await world.chain.marker_exists(plan.marker_seed, slot)
        assert await world.chain.signature_in_history(signed.signature, slot)

    run(tmp_path, test, **{**STILL, "paper_finality_slots": 32})


async def _commitment(world: PaperWorld, signature: str) -> Commitment:
    status = await world.chain.status(signature, True)
    assert status is not None
    return status.commitment


def test_nothing_is_told_of_a_landing_before_it_is_durable(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        plan = world.plan()
        signed = await world.signed(plan)
        # No await lets the ledger's thread report back between these lines.
        await world.chain.send(signed.raw)
        assert world.chain.unwritten == 1
        assert await world.chain.status(signed.signature, True) is None
        assert not await world.chain.marker_exists(plan.marker_seed, 0)
        clock.jump(200 * SLOT_MS)
        assert await world.chain.block_height(Commitment.PROCESSED) >= 300_000_200
        height = await world.chain.block_height(Commitment.FINALIZED)
        assert height <= 300_000_000, "a final height past the landing would pass for a proof of absence"
        await world.chain.wait_for_news(signed.signature, 60)
        assert await world.chain.block_height(Commitment.FINALIZED) >= 300_000_200
        assert (await world.landed(signed)).slot == 300_000_000

    run(tmp_path, test, **STILL)


def test_old_statuses_need_a_search_of_the_history(tmp_path: Path) -> None:
    async def test(world: PaperWorld, clock: ManualClock) -> None:
        signed = await world.send(world.plan())
        await world.landed(signed)
        await clock.advance(301 * SLOT_MS)
        assert await world.chain.status(signed.signature, False) is None
        assert await world.chain.status(signed.signature, True) is not None

    run(tmp_path, test, **STILL)


def test_what_memory_has_forgotten_is_read_from_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "MAX_RECENT", 3)

    async def test(world: PaperWorld, clock: ManualClock) -> None:
        sent = [await world.send(world.plan(order, amount=10**6, marker=False)) for order in range(10)]
        for signed in sent:
            assert (await world.landed(signed)).revert == ""
        for signed in sent:
            with pytest.raises(AlreadyProcessed):
                await world.chain.send(signed.raw)
        assert len(list(world.chain.reader.entries())) == 10

    run(tmp_path, test, **STILL)


def test_the_same_seed_gives_the_same_world_swap_by_swap(tmp_path: Path) -> None:
    logs: list[list[LedgerEntry]] = []

    async def test(world: PaperWorld, clock: ManualClock) -> None:
        for order in range(30):
            plan = world.plan(order, dex=("raydium", "meteora")[order % 2], amount=10**7)
            await world.send(plan)
            await clock.advance(700)
        await clock.advance(5_000)
        while world.chain.unwritten:
            await asyncio.sleep(0)
        logs.append([replace(entry, signature="") for entry in world.chain.reader.entries()])

    changed = {**DELAYED, "paper_market": True, "paper_failure_rate": 0.1}
    for seed in (3, 3, 4):
        run(tmp_path / str(len(logs)), test, **{**changed, "paper_seed": seed})
    assert logs[0] == logs[1] != logs[2]
    assert len(logs[0]) == 30


def test_a_disk_that_fails_slows_the_network_down_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [sqlite3.OperationalError("disk I/O error"), sqlite3.OperationalError("database or disk is full")]
    write_flush = ledger.write_flush

    def failing(connection: sqlite3.Connection, flush: ledger.Flush) -> None:
        write_flush(connection, flush)
        if failures:
            raise failures.pop()

    async def test(world: PaperWorld, clock: ManualClock) -> None:
        first = await world.send(world.plan(1))
        while failures:
            assert await world.chain.status(first.signature, True) is None
            await clock.advance(1_000)
        second = await world.send(world.plan(2))
        for signed in (first, second):
            waiting = asyncio.create_task(world.chain.wait_for_news(signed.signature, 60))
            await clock.advance(1_000)
            await waiting
            assert (await world.landed(signed)).revert == ""
        assert [entry.signature for entry in world.chain.reader.entries()] == [first.signature, second.signature]

    run(tmp_path, _nothing, **STILL)
    monkeypatch.setattr(ledger, "write_flush", failing)
    run(tmp_path, test, **STILL)


async def _nothing(world: PaperWorld, clock: ManualClock) -> None:
    """Only begin the world."""
