"""Decoding: recorded pools, feature bytes that are not known, and bytes that mean nothing."""

from __future__ import annotations

import contextlib
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from tests.venues.meteora_damm_v2.made_pools import (
    CLOCK,
    MINT_A,
    MINT_B,
    POOL,
    U64_MAX,
    VAULT_A,
    VAULT_B,
    MadePool,
    random_pool,
    rate_limiter,
    token_account,
    transfer_fee,
)
from tests.venues.meteora_damm_v2.onchain import pool_accounts

from fillwright.domain.accounts import Account, Address, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import PoolRefused, QuoteRefused, Refusal
from fillwright.venues.meteora_damm_v2 import VENUE
from fillwright.venues.meteora_damm_v2.layout import POOL_AUTHORITY, PROGRAM_ID
from fillwright.venues.meteora_damm_v2.rate_limiter import RateLimiter
from fillwright.venues.token_program import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from fillwright.venues.vectors import pool_in
from fillwright.venues.venue import Swap

DETERMINISTIC = settings(max_examples=150, deadline=None, derandomize=True)


def refusal(accounts: dict[Address, Account]) -> Refusal:
    with pytest.raises(PoolRefused) as refused:
        VENUE.decode(POOL, accounts)
    return refused.value.reason


def test_a_recorded_pool_is_recognised_and_read() -> None:
    accounts = pool_accounts("meteora_damm_v2/SYN_T22_rate-limiter")
    venue, address = pool_in(accounts)
    pool = venue.decode(address, accounts)
    assert venue is VENUE
    assert pool.venue == "meteora_damm_v2"
    assert pool.address == address
    assert (pool.reserve_a, pool.reserve_b) == (281219669296, 379392999917)
    assert isinstance(pool.base_fee, RateLimiter)
    assert pool.side_a.mint_info.program == TOKEN_2022_PROGRAM


def test_every_field_is_read_from_its_place() -> None:
    made = MadePool(
        base_fee=rate_limiter(11, 12, 13, 14, 15),
        first_sqrt_price=21,
        liquidity=22,
        sqrt_min=23,
        sqrt_max=24,
        sqrt_price=25,
        activation_point=26,
        protocol_fees=(31, 32),
        total_protocol_fees=(33, 34),
        per_liquidity=(35, 36),
        total_lp=(37, 38),
        reserves=(41, 42),
        balances=(43, 44),
        compounding_bps=45,
    )
    pool = VENUE.decode(POOL, made.accounts())
    assert pool.base_fee == RateLimiter(11, 12, 13, 14, 15)
    assert (pool.first_sqrt_price, pool.liquidity, pool.activation_point) == (21, 22, 26)
    assert (pool.sqrt_min_price, pool.sqrt_max_price, pool.sqrt_price) == (23, 24, 25)
    assert (pool.accrued_a.protocol, pool.accrued_b.protocol) == (31, 32)
    assert (pool.accrued_a.total_protocol, pool.accrued_b.total_protocol) == (33, 34)
    assert (pool.accrued_a.per_liquidity, pool.accrued_b.per_liquidity) == (35, 36)
    assert (pool.accrued_a.total_lp, pool.accrued_b.total_lp) == (37, 38)
    assert (pool.reserve_a, pool.reserve_b, pool.balance_a, pool.balance_b) == (41, 42, 43, 44)
    assert (pool.compounding_fee_bps, pool.protocol_fee_percent) == (45, 20)
    assert (pool.mints, pool.decimals) == ((MINT_A, MINT_B), (9, 6))


def test_companions_are_the_mints_and_the_vaults() -> None:
    accounts = MadePool().accounts()
    assert VENUE.companions(POOL, {}) == ()
    assert set(VENUE.companions(POOL, {POOL: accounts[POOL]})) == {MINT_A, MINT_B, VAULT_A, VAULT_B}
    assert set(VENUE.companions(POOL, accounts)) == {MINT_A, MINT_B, VAULT_A, VAULT_B}


@pytest.mark.parametrize("absent", [POOL, MINT_A, MINT_B, VAULT_A, VAULT_B])
def test_a_missing_account_is_named_as_the_reason(absent: Address) -> None:
    accounts = MadePool().accounts()
    del accounts[absent]
    assert refusal(accounts) is Refusal.MISSING_ACCOUNT


@pytest.mark.parametrize(
    "edits",
    [{16: b"\x05"}, {480: b"\x02"}, {484: b"\x03"}, {486: b"\x02"}, {696: b"\x02"}],
    ids=["base fee mode", "activation type", "fee collection mode", "fee version", "layout version"],
)
def test_a_feature_newer_than_the_maths_is_refused(edits: dict[int, bytes]) -> None:
    assert refusal(MadePool(edits=edits).accounts()) is Refusal.UNSUPPORTED_FEATURE


def test_a_token_with_a_transfer_hook_is_refused() -> None:
    accounts = MadePool(fee_a=transfer_fee((0, 0, 0), (0, 0, 0))).accounts()
    hooked = accounts[MINT_A].data + struct.pack("<HH", 14, 64) + bytes(32) + b"\x09" * 32
    accounts[MINT_A] = Account(TOKEN_2022_PROGRAM, hooked)
    assert refusal(accounts) is Refusal.UNSUPPORTED_FEATURE


@pytest.mark.parametrize(
    ("vault", "reason"),
    [
        (token_account(MINT_B, POOL_AUTHORITY, 5, with_fee=False), Refusal.MALFORMED),
        (token_account(MINT_A, MINT_B, 5, with_fee=False), Refusal.MALFORMED),
        (token_account(MINT_A, POOL_AUTHORITY, 5, with_fee=True), Refusal.MALFORMED),
        (Account(TOKEN_PROGRAM, b""), Refusal.MALFORMED),
    ],
    ids=["of another mint", "of another owner", "of another token program", "empty"],
)
def test_a_vault_that_the_program_would_reject_is_refused(vault: Account, reason: Refusal) -> None:
    assert refusal({**MadePool().accounts(), VAULT_A: vault}) is reason


def test_a_frozen_vault_is_refused() -> None:
    accounts = MadePool().accounts()
    data = bytearray(accounts[VAULT_A].data)
    data[108] = 2
    assert refusal({**accounts, VAULT_A: Account(TOKEN_PROGRAM, bytes(data))}) is Refusal.PAUSED


def test_other_accounts_are_not_pools() -> None:
    pool = MadePool().accounts()[POOL]
    others = (
        Account(TOKEN_PROGRAM, pool.data),
        Account(PROGRAM_ID, pool.data[:-1]),
        Account(PROGRAM_ID, b"\0" + pool.data[1:]),
        Account(PROGRAM_ID, b""),
    )
    assert VENUE.recognises(pool)
    assert not any(VENUE.recognises(other) for other in others)
    for other in others:
        assert refusal({**MadePool().accounts(), POOL: other}) is Refusal.MALFORMED


@DETERMINISTIC
@given(st.binary(max_size=1200), st.sampled_from([POOL, MINT_A, MINT_B, VAULT_A, VAULT_B]), st.booleans())
def test_meaningless_bytes_give_a_typed_refusal_or_a_pool(raw: bytes, address: Address, overwrite: bool) -> None:
    accounts = MadePool().accounts()
    before = accounts[address]
    data = raw + before.data[len(raw) :] if overwrite else raw
    accounts[address] = Account(before.owner, data)
    with contextlib.suppress(PoolRefused):
        VENUE.decode(POOL, accounts)


@DETERMINISTIC
@given(st.integers(0, 1112))
def test_a_truncated_pool_is_malformed(length: int) -> None:
    accounts = MadePool().accounts()
    cut = Account(PROGRAM_ID, accounts[POOL].data[:length])
    if length < 1112:
        assert refusal({**accounts, POOL: cut}) is Refusal.MALFORMED


PLACES = (8, 16, 22, 24, 28, 32, 48, 54, 56, 64, 68, 76, 80, 88, 104, 120, 136, 152, 360, 392, 424, 440, 456, 472, 520,
          584, 608, 680, 688)  # fmt: skip


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.integers(0, U64_MAX))
def test_a_pool_of_absurd_values_never_crashes(seed: int, amount: int) -> None:
    draw = random.Random(seed)
    accounts = random_pool(draw).accounts()
    data = bytearray(accounts[POOL].data)
    for _ in range(draw.randrange(1, 4)):
        at, length = draw.choice(PLACES), draw.choice((1, 2, 4, 8, 16))
        data[at : at + length] = draw.choice((bytes(length), b"\xff" * length, draw.randbytes(length)))
    accounts[POOL] = Account(PROGRAM_ID, bytes(data))
    for mint in (Mint(MINT_A), Mint(MINT_B)):
        for mode in SwapMode:
            with contextlib.suppress(PoolRefused, QuoteRefused):
                pool = VENUE.decode(POOL, accounts)
                for _, segment in zip(range(20), VENUE.curve(pool, mint, CLOCK), strict=False):
                    assert segment.cap > 0
                VENUE.spot(pool, mint, CLOCK)
                VENUE.quoter(pool, mint, CLOCK)(amount)
                VENUE.apply(pool, Swap(mint, mode, amount), CLOCK)


def test_addresses_are_canonical_base58() -> None:
    pool = VENUE.decode(POOL, MadePool().accounts())
    assert str(Pubkey.from_string(pool.side_a.vault)) == VAULT_A
