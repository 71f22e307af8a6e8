"""Decoding: recorded bytes, contradictions and missing accounts, and any bytes at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.raydium_data import damaged, edited, pool_accounts

from fillwright.domain.accounts import Account, Address
from fillwright.domain.errors import PoolRefused, Refusal
from fillwright.venues.raydium_cpmm import VENUE
from fillwright.venues.raydium_cpmm.layout import PROGRAM_ID
from fillwright.venues.token_program import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from fillwright.venues.vectors import pool_in

NAME = "raydium_cpmm/FRESH_T22FEE-SOL"


def load() -> tuple[Address, dict[Address, Account]]:
    accounts = dict(pool_accounts(NAME))
    return pool_in(accounts)[1], accounts


def reason(address: Address, accounts: dict[Address, Account]) -> Refusal:
    with pytest.raises(PoolRefused) as refused:
        VENUE.decode(address, accounts)
    return refused.value.reason


def test_a_snapshot_decodes_to_its_fields() -> None:
    address, accounts = load()
    pool = VENUE.decode(address, accounts)
    assert (pool.venue, pool.address, pool.decimals) == ("raydium_cpmm", address, (9, 6))
    assert pool.mints == (
        "So11111111111111111111111111111111111111112",
        "5w5aSyzkAmgYBcG3qop5EuLgpbMhAe7rnneuFkGjYKYc",
    )
    assert (pool.trade_fee_rate, pool.protocol_fee_rate, pool.fund_fee_rate) == (2_500, 120_000, 40_000)
    assert pool.balances == (4_000_000_000_000, 8_999_900_000_000)
    assert pool.open_time == 1_780_000_001
    assert [info.program for info in pool.mint_infos] == [TOKEN_PROGRAM, TOKEN_2022_PROGRAM]


def test_companions_name_exactly_what_decode_reads() -> None:
    address, accounts = load()
    needed = VENUE.companions(address, {address: accounts[address]})
    VENUE.decode(address, {key: accounts[key] for key in (address, *needed)})
    for absent in (address, *needed):
        rest = {key: account for key, account in accounts.items() if key != absent}
        assert reason(address, rest) is Refusal.MISSING_ACCOUNT
    assert VENUE.companions(address, accounts) == needed


def test_recognises_only_pool_accounts_of_the_program() -> None:
    address, accounts = load()
    pool = accounts[address]
    assert [key for key, account in accounts.items() if VENUE.recognises(account)] == [address]
    assert not VENUE.recognises(Account(TOKEN_PROGRAM, pool.data))
    assert not VENUE.recognises(Account(PROGRAM_ID, pool.data[:-1]))
    assert not VENUE.recognises(edited(pool, 0, b"\0"))


def test_the_creator_fee_counts_only_where_it_is_enabled() -> None:
    address, accounts = load()
    config = VENUE.decode(address, accounts).config
    accounts[config] = edited(accounts[config], 108, (700).to_bytes(8, "little"))
    assert VENUE.decode(address, accounts).creator_fee_rate == 0
    accounts[address] = edited(accounts[address], 389, bytes([2, 1]))
    pool = VENUE.decode(address, accounts)
    assert (pool.creator_fee_rate, pool.creator_fee_on) == (700, 2)


def test_an_unknown_creator_fee_mode_is_refused() -> None:
    address, accounts = load()
    accounts[address] = edited(accounts[address], 389, bytes([3]))
    assert reason(address, accounts) is Refusal.UNSUPPORTED_FEATURE


def test_accounts_that_contradict_the_pool_are_refused() -> None:
    address, whole = load()
    pool = VENUE.decode(address, whole)
    other_mint = edited(whole[pool.vaults[0]], 0, bytes(32))
    frozen = edited(whole[pool.vaults[0]], 108, bytes([2]))
    greedy = edited(whole[pool.config], 20, (999_999).to_bytes(8, "little"))
    token_mint = Account(TOKEN_PROGRAM, whole[pool.mints[1]].data[:82])
    for key, account, expected in (
        (pool.vaults[0], other_mint, Refusal.MALFORMED),
        (pool.vaults[0], frozen, Refusal.UNSUPPORTED_FEATURE),
        (pool.config, greedy, Refusal.MALFORMED),
        (pool.config, Account(TOKEN_PROGRAM, whole[pool.config].data), Refusal.MALFORMED),
        (Address(pool.mints[1]), token_mint, Refusal.MALFORMED),
        (pool.vaults[1], Account(TOKEN_PROGRAM, whole[pool.vaults[1]].data), Refusal.MALFORMED),
        (address, edited(whole[address], 168, whole[address].data[200:232]), Refusal.MALFORMED),
    ):
        assert reason(address, {**whole, key: account}) is expected


def test_a_transfer_hook_is_refused() -> None:
    address, accounts = load()
    mint = Address(VENUE.decode(address, accounts).mints[1])
    hook = (14).to_bytes(2, "little") + (64).to_bytes(2, "little") + bytes(32) + bytes([5]) * 32
    accounts[mint] = Account(TOKEN_2022_PROGRAM, accounts[mint].data + hook)
    assert reason(address, accounts) is Refusal.UNSUPPORTED_FEATURE


@given(seed=st.integers(0, 2**32), cut=st.integers(0, 700), flips=st.integers(0, 40))
def test_any_bytes_decode_or_are_refused(seed: int, cut: int, flips: int) -> None:
    address, accounts = load()
    accounts = damaged(accounts, seed, cut, flips)
    try:
        VENUE.companions(address, accounts)
        VENUE.decode(address, accounts)
    except PoolRefused:
        pass
