"""Timers, transactions, the signer and injected faults."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from fillwright.domain.accounts import Address
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import ChainError, ConfigError
from fillwright.domain.routes import Leg
from fillwright.domain.tokens import MAINNET_TOKENS
from fillwright.domain.transactions import SwapPlan
from fillwright.paper.faults import Faults, FaultyChain
from fillwright.paper.signer import PaperSigner
from fillwright.paper.timers import Timers
from fillwright.paper.transaction import (
    MARKER_LAMPORTS,
    PAPER_SWAP_PROGRAM,
    build_message,
    is_signed,
    parse_message,
    parse_signed,
    read_message,
)
from fillwright.paper.world import Genesis, WorldTime, first_clock
from paper.manual_clock import START_MS, ManualClock
from paper.worlds import STILL, open_world

MINTS = [token.mint for token in MAINNET_TOKENS]
U64 = st.integers(0, U64_MAX)
GENESIS = Genesis(1, START_MS, 400, first_clock(START_MS), "test")
KEY = Keypair.from_seed(bytes(32))


def test_timers_run_in_order_of_time_and_forget_what_is_cancelled() -> None:
    async def test() -> None:
        clock, ran = ManualClock(), []
        time = WorldTime(clock)
        timers = Timers(time.now_ms, clock.sleep, lambda: timers.run_due(time.now_ms()))
        start = time.now_ms()
        for due in (300, 100, 200, 100):
            timers.at(start + due, ran.append)
        timers.at(start + 150, ran.append).cancel()
        await clock.advance(99)
        assert ran == []
        await clock.advance(151)
        assert ran == [start + 100, start + 100, start + 200]
        timers.at(start + 260, ran.append)
        await clock.advance(100)
        assert ran[3:] == [start + 260, start + 300]
        timers.at(start + 1_000, ran.append)
        await timers.close()
        await clock.advance(1_000)
        assert len(ran) == 5

    asyncio.run(test())


def legs() -> st.SearchStrategy[tuple[Leg, ...]]:
    mint = st.sampled_from(MINTS)
    pool = st.binary(min_size=32, max_size=32).map(lambda raw: Address(str(Pubkey.from_bytes(raw))))
    leg = st.builds(Leg, st.just("v"), st.just("d"), pool, mint, mint, U64, U64)
    return st.lists(leg, min_size=1, max_size=3).map(tuple)


@given(
    st.builds(
        SwapPlan,
        order_id=st.uuids().map(str),
        attempt=st.integers(1, 100),
        owner=st.text(min_size=1, max_size=40).filter(lambda text: len(text.encode()) <= 60),
        mode=st.sampled_from(SwapMode),
        input_mint=st.sampled_from(MINTS[:3]),
        output_mint=st.sampled_from(MINTS[3:]),
        amount_in=U64,
        amount_out=U64,
        limit=U64,
        legs=legs(),
        marker_seed=st.one_of(st.just(""), st.text("0123456789abcdef", min_size=32, max_size=32)),
    )
)
def test_a_transaction_reads_back_as_its_plan(plan: SwapPlan) -> None:
    message = build_message(plan, GENESIS.blockhash(300_000_007), KEY.pubkey())
    raw = b"\x01" + bytes(KEY.sign_message(message)) + message
    transaction = parse_signed(raw)
    assert is_signed(raw, parse_signed(raw).payer)
    assert transaction.payer == str(KEY.pubkey())
    assert transaction.marker_seed == plan.marker_seed
    assert GENESIS.slot_of(transaction.blockhash) == 300_000_007
    swap, mints = transaction.swap, transaction.mints
    assert (swap.order_id, swap.attempt, swap.owner) == (plan.order_id, plan.attempt, plan.owner)
    assert (swap.mode, swap.limit) == (plan.mode, plan.limit)
    assert mints[:2] == (plan.input_mint, plan.output_mint)
    read = [
        (transaction.pool(leg), mints[leg.input], mints[leg.output], leg.amount_in, leg.amount_out) for leg in swap.legs
    ]
    assert read == [(leg.pool, leg.input_mint, leg.output_mint, leg.amount_in, leg.amount_out) for leg in plan.legs]
    assert parse_message(message) == read_message(message) == replace(transaction, signature="")


def test_the_bytes_are_a_solana_transaction_that_its_tools_accept() -> None:
    leg = Leg("v", "d", Address(str(KEY.pubkey())), MINTS[0], MINTS[1], 5, 6)
    plan = SwapPlan("order", 1, "owner", SwapMode.EXACT_IN, MINTS[0], MINTS[1], 5, 6, 6, (leg,), "a" * 32)
    message = build_message(plan, GENESIS.blockhash(300_000_000), KEY.pubkey())
    transaction = VersionedTransaction.from_bytes(b"\x01" + bytes(KEY.sign_message(message)) + message)
    assert transaction.verify_with_results() == [True]
    marker, swap = transaction.message.instructions
    keys = transaction.message.account_keys
    assert keys[marker.program_id_index] == Pubkey.default()
    assert keys[marker.accounts[1]] == Pubkey.create_with_seed(KEY.pubkey(), "a" * 32, Pubkey.default())
    assert MARKER_LAMPORTS.to_bytes(8, "little") in marker.data
    assert keys[swap.program_id_index] == PAPER_SWAP_PROGRAM


@given(st.binary(max_size=600))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with pytest.raises(ChainError):
        parse_signed(raw)
    with pytest.raises(ChainError):
        parse_signed(b"\x01" + bytes(64) + raw)


def test_a_signer_keeps_its_key_in_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "paper-wallet.json"
    signer = PaperSigner.from_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert PaperSigner.from_file(path).wallet == signer.wallet
    assert len(json.loads(path.read_text())) == 64
    signed = asyncio.run(signer.sign(b"message"))
    assert signed.raw[65:] == b"message"
    os.chmod(path, 0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        PaperSigner.from_file(path)


@pytest.mark.parametrize("content", ["", "[1, 2]", "{}", "[" + ", ".join(["1"] * 64) + "]", "[" + "300, " * 63 + "1]"])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError):
        PaperSigner.from_file(path)


def test_a_seed_always_gives_the_same_wallet() -> None:
    assert PaperSigner.from_seed(1).wallet == PaperSigner.from_seed(1).wallet != PaperSigner.from_seed(2).wallet


def test_injected_faults_strike_as_often_as_told(tmp_path: Path) -> None:
    async def test() -> None:
        async with open_world(tmp_path, **STILL) as world:
            faults = Faults(drop_sends=1, refuse_sends=1, lose_replies=1)
            chain = FaultyChain(world.chain, faults)
            signed = await world.signed(world.plan(1, marker=False))
            await chain.send(signed.raw)
            with pytest.raises(ChainError, match="refused"):
                await chain.send(signed.raw)
            assert world.chain.unwritten == 0
            with pytest.raises(ChainError, match="reset"):
                await chain.send(signed.raw)
            await chain.wait_for_news(signed.signature, 60)
            faults.null_statuses = 2
            statuses = [await chain.status(signed.signature, True) for _ in range(3)]
            assert [status is None for status in statuses] == [True, True, False]
            faults.lag_slots = 3
            assert await chain.status(signed.signature, True) is None
            assert isinstance(world.clock, ManualClock)
            await world.clock.advance(1_200)
            assert await chain.status(signed.signature, True) is not None
            faults.duplicate_sends = 1
            await chain.send((await world.signed(world.plan(2))).raw)
            assert world.chain.unwritten == 1

    asyncio.run(test())
