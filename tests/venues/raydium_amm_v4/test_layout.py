"""Decoding: recorded bytes, contradictions and missing accounts, and any bytes at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.raydium_data import damaged, edited, pool_accounts

from fillwright.domain.accounts import Account, Address
from fillwright.domain.errors import PoolRefused, Refusal
from fillwright.venues.raydium_amm_v4 import VENUE
from fillwright.venues.raydium_amm_v4.layout import PROGRAM_ID
from fillwright.venues.token_program import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from fillwright.venues.vectors import pool_in

NAME = "raydium_amm_v4/SYN_SOL-6_fee25"


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
    assert (pool.venue, pool.address, pool.decimals, pool.status) == ("raydium_amm_v4", address, (9, 6), 6)
    assert pool.mints == (
        "So11111111111111111111111111111111111111112",
        "7VZd4XZHCzW3e8CJdKhBLeLN74gzsNcaE6s44es5ECS1",
    )
    assert (pool.fee_numerator, pool.fee_denominator) == (25, 10_000)
    assert pool.need_take_pnl == (71_234_567_890, 9_876_543_210)
    assert pool.target_orders == "Q8YZSJ4i1AHBuzEsqFJZ66vM8JsAypYicSuwugKBCrF"


def test_companions_name_exactly_what_decode_reads() -> None:
    address, accounts = load()
    needed = VENUE.companions(address, {address: accounts[address]})
    VENUE.decode(address, {key: accounts[key] for key in (address, *needed)})
    for absent in (address, *needed):
        rest = {key: account for key, account in accounts.items() if key != absent}
        assert reason(address, rest) is Refusal.MISSING_ACCOUNT


def test_recognises_only_pool_accounts_of_the_program() -> None:
    address, accounts = load()
    data = accounts[address].data
    assert [key for key, account in accounts.items() if VENUE.recognises(account)] == [address]
    assert not VENUE.recognises(Account(TOKEN_PROGRAM, data))
    assert not VENUE.recognises(Account(PROGRAM_ID, data + b"\0"))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0, Refusal.MALFORMED),
        (1, Refusal.UNSUPPORTED_FEATURE),
        (5, Refusal.UNSUPPORTED_FEATURE),
        (8, Refusal.MALFORMED),
        (2**63, Refusal.MALFORMED),
    ],
)
def test_a_status_that_is_unknown_or_reads_an_order_book_is_refused(status: int, expected: Refusal) -> None:
    address, accounts = load()
    accounts[address] = edited(accounts[address], 0, status.to_bytes(8, "little"))
    assert reason(address, accounts) is expected


def test_accounts_that_contradict_the_pool_are_refused() -> None:
    address, whole = load()
    pool = VENUE.decode(address, whole)
    vault = whole[pool.vaults[1]]
    for key, account, expected in (
        (pool.vaults[1], edited(vault, 0, bytes(32)), Refusal.MALFORMED),
        (pool.vaults[1], edited(vault, 108, bytes([2])), Refusal.UNSUPPORTED_FEATURE),
        (pool.vaults[1], Account(TOKEN_2022_PROGRAM, vault.data), Refusal.MALFORMED),
        (pool.vaults[1], Account(TOKEN_PROGRAM, vault.data[:100]), Refusal.MALFORMED),
        (address, edited(whole[address], 8, bytes([253])), Refusal.MALFORMED),
        (address, edited(whole[address], 32, bytes([0, 1])), Refusal.MALFORMED),
        (address, edited(whole[address], 400, whole[address].data[432:464]), Refusal.MALFORMED),
    ):
        assert reason(address, {**whole, key: account}) is expected


@given(seed=st.integers(0, 2**32), cut=st.integers(0, 800), flips=st.integers(0, 40))
def test_any_bytes_decode_or_are_refused(seed: int, cut: int, flips: int) -> None:
    address, accounts = load()
    accounts = damaged(accounts, seed, cut, flips)
    try:
        VENUE.companions(address, accounts)
        VENUE.decode(address, accounts)
    except PoolRefused:
        pass
