"""Decoding: what is read, what is refused, and that no bytes crash it."""

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.raydium_clmm.made_pools import CLOCK, make, mint_account, raw, tag
from tests.venues.raydium_clmm.onchain import OWN_POOLS, pool_accounts, pool_of

from fillwright.domain.accounts import Account, Address
from fillwright.domain.errors import PoolRefused, QuoteRefused, Refusal
from fillwright.venues.raydium_clmm import VENUE
from fillwright.venues.raydium_clmm.layout import ARRAYS_EACH_WAY
from fillwright.venues.raydium_clmm.tick_arrays import (
    PROGRAM_ID,
    Bitmap,
    array_address,
    array_number,
    extension_address,
    read_bitmap,
)
from fillwright.venues.vectors import pool_in

NAME = "SYN_ts10_T22"
FEE_ON, DYNAMIC_FEE, TICK_SPACING, CONFIG_TRADE_FEE = 390, 1096, 235, 47
TICK, TICK_BYTES, ORDERS_AMOUNT, PART_FILLED = 44, 168, 124, 132


def edited(name: str, target: Address, offset: int, value: bytes) -> dict[Address, Account]:
    accounts = dict(pool_accounts(name))
    held = accounts[target]
    data = held.data[:offset] + value + held.data[offset + len(value) :]
    accounts[target] = Account(held.owner, data)
    return accounts


def refusal_of(accounts: dict[Address, Account], address: Address) -> Refusal:
    with pytest.raises(PoolRefused) as caught:
        VENUE.decode(address, accounts)
    return caught.value.reason


def test_a_pool_is_read_field_by_field() -> None:
    pool = pool_of("SYN_ts60_gap-no-liquidity")
    assert (pool.tick_spacing, pool.tick, pool.liquidity) == (60, 1234, 10**12)
    assert pool.sqrt_price == 19_621_056_415_905_903_790
    assert (pool.trade_fee_rate, pool.protocol_fee_rate, pool.fund_fee_rate) == (2500, 120_000, 40_000)
    assert pool.ticks == (-24_000, -9000, -600, 3000, 12_000, 15_000)
    assert pool.nets == (300_000_000_000, -300_000_000_000, 10**12, -(10**12), 500_000_000_000, -500_000_000_000)
    assert pool.venue == VENUE.id
    assert pool.mints == (pool.mint_0, pool.mint_1)
    assert pool.balances == (117_657_887_479, 194_141_674_878)


def test_only_pools_are_recognised() -> None:
    accounts = pool_accounts(NAME)
    assert [address for address, held in accounts.items() if VENUE.recognises(held)] == [pool_in(accounts)[1]]


@pytest.mark.parametrize(
    ("offset", "value"), [(FEE_ON, b"\1"), (FEE_ON, b"\2"), (DYNAMIC_FEE, b"\1"), (DYNAMIC_FEE + 6, b"\x10\x27")]
)
def test_a_pool_with_a_newer_fee_is_refused(offset: int, value: bytes) -> None:
    address = pool_of(NAME).address
    assert refusal_of(edited(NAME, address, offset, value), address) is Refusal.UNSUPPORTED_FEATURE


@pytest.mark.parametrize("field", [ORDERS_AMOUNT, PART_FILLED])
@pytest.mark.parametrize("place", [0, 17, 59])
def test_a_pool_with_limit_orders_is_refused(field: int, place: int) -> None:
    pool = pool_of(NAME)
    accounts = edited(NAME, pool.arrays[1].address, TICK + TICK_BYTES * place + field, b"\1")
    assert refusal_of(accounts, pool.address) is Refusal.UNSUPPORTED_FEATURE


def test_a_pool_with_a_transfer_hook_is_refused() -> None:
    pool = pool_of(NAME)
    hook = (14).to_bytes(2, "little") + (64).to_bytes(2, "little") + b"\1" * 64
    accounts = {**pool_accounts(NAME), Address(pool.mint_1): mint_account(extension=hook)}
    assert refusal_of(accounts, pool.address) is Refusal.UNSUPPORTED_FEATURE


@pytest.mark.parametrize("what", ["address", "config", "mint_0", "mint_1"])
def test_a_pool_without_an_account_that_every_swap_needs_is_refused(what: str) -> None:
    pool = pool_of(NAME)
    accounts = dict(pool_accounts(NAME))
    del accounts[Address(getattr(pool, what))]
    assert refusal_of(accounts, pool.address) is Refusal.MISSING_ACCOUNT


@pytest.mark.parametrize("what", ["address", "config", "mint_0", "extension", "vault_1"])
def test_an_account_of_another_kind_is_refused(what: str) -> None:
    # The extension is only looked at where the pool's own bitmap does not cover every tick.
    name = "SYN_ts1_bitmap-extension"
    pool = pool_of(name)
    accounts = {**pool_accounts(name), Address(getattr(pool, what)): Account(PROGRAM_ID, b"\1" * 200)}
    assert refusal_of(accounts, pool.address) is Refusal.MALFORMED


def test_an_array_of_another_pool_is_refused() -> None:
    pool = pool_of(NAME)
    assert refusal_of(edited(NAME, pool.arrays[0].address, 8, b"\1" * 32), pool.address) is Refusal.MALFORMED


def test_a_tick_in_the_wrong_place_is_refused() -> None:
    pool = pool_of(NAME)
    array = pool.arrays[0]
    at = TICK + TICK_BYTES * ((array.ticks[0] - array.start) // pool.tick_spacing)
    assert refusal_of(edited(NAME, array.address, at, b"\1"), pool.address) is Refusal.MALFORMED


@pytest.mark.parametrize("rate", [10**6, 2**32 - 1])
def test_a_fee_of_everything_is_refused(rate: int) -> None:
    pool = pool_of(NAME)
    accounts = edited(NAME, pool.config, CONFIG_TRADE_FEE, rate.to_bytes(4, "little"))
    assert refusal_of(accounts, pool.address) is Refusal.MALFORMED


def test_a_pool_without_tick_spacing_is_refused() -> None:
    pool = pool_of(NAME)
    assert refusal_of(edited(NAME, pool.address, TICK_SPACING, bytes(2)), pool.address) is Refusal.MALFORMED


def test_a_missing_array_ends_what_is_held() -> None:
    pool = pool_of(NAME)
    accounts = dict(pool_accounts(NAME))
    del accounts[array_address(pool.address, 1200)]
    shorter = VENUE.decode(pool.address, accounts)
    assert shorter.arrays == tuple(array for array in pool.arrays if array.start < 1200)
    assert (shorter.above.reason, shorter.below) == (Refusal.MISSING_ACCOUNT, pool.below)
    assert pool.above.reason is Refusal.LIQUIDITY_EXHAUSTED


def test_companions_are_enough_to_decode_the_same_pool() -> None:
    for name in OWN_POOLS:
        accounts = pool_accounts(name)
        address = pool_in(accounts)[1]
        fetched = {address: accounts[address]}
        while new := [key for key in VENUE.companions(address, fetched) if key in accounts and key not in fetched]:
            fetched.update((key, accounts[key]) for key in new)
        pool, whole = VENUE.decode(address, fetched), VENUE.decode(address, accounts)
        current = array_number(pool.tick, pool.tick_spacing)
        near = [array_number(array.start, pool.tick_spacing) for array in whole.arrays]
        below = sorted(number for number in near if number < current)[-ARRAYS_EACH_WAY:]
        above = sorted(number for number in near if number > current)[:ARRAYS_EACH_WAY]
        held = [array_number(array.start, pool.tick_spacing) for array in pool.arrays]
        assert held == [*below, *(number for number in near if number == current), *above]
        assert pool.balances == whole.balances


def test_companions_of_nothing_are_nothing() -> None:
    assert VENUE.companions(Address(PROGRAM_ID), {}) == ()
    assert VENUE.companions(Address(PROGRAM_ID), {Address(PROGRAM_ID): Account(PROGRAM_ID, b"")}) == ()


@given(st.sets(st.integers(-7680, 7679), max_size=40), st.integers(-7700, 7700), st.booleans())
def test_the_bitmaps_name_the_nearest_arrays_in_order(numbers: set[int], start: int, extended: bool) -> None:
    own = sum(1 << number + 512 for number in numbers if -512 <= number < 512)
    above = sum(1 << number - 512 for number in numbers if number >= 512)
    # Below zero the program keeps bitmap k for the numbers from -512·(k + 2) up, each ascending.
    below = [sum(1 << n + 512 * (k + 2) for n in numbers if -512 * (k + 2) <= n < -512 * (k + 1)) for k in range(14)]
    pool = bytes(32)
    data = tag("TickArrayBitmapExtension") + pool + above.to_bytes(14 * 64, "little")
    data += b"".join(bitmap.to_bytes(64, "little") for bitmap in below)
    extension = Account(PROGRAM_ID, data) if extended else None
    bitmap = read_bitmap(own.to_bytes(128, "little"), 1, pool, extension)
    known = {number for number in numbers if extended or -512 <= number < 512}
    assert list(bitmap.above(start)) == sorted(number for number in known if number > start)
    assert list(bitmap.below(start)) == sorted((number for number in known if number < start), reverse=True)
    assert {number for number in range(start - 5, start + 5) if bitmap.holds(number)} == known & set(
        range(start - 5, start + 5)
    )
    assert bitmap.complete is extended


def test_a_wide_spacing_needs_no_extension() -> None:
    assert read_bitmap(bytes(128), 15, bytes(32), None) == Bitmap.of(0, -512, 511, complete=True)
    assert not read_bitmap(bytes(128), 14, bytes(32), None).complete


def test_addresses_are_the_programs() -> None:
    pool = pool_of("SYN_ts1_bitmap-extension")
    assert array_address(pool.address, -45_060) == "8pA4E19JiGXbs8BWiinAeJsAF3ApZjEhDNDFeCYA6SGv"
    assert extension_address(pool.address) == "5wNpSGdkiANGx45Yydhtvf5YcJ7mbYF2BRCXgEvtwdB1"


@given(st.sampled_from(OWN_POOLS), st.randoms(use_true_random=False), st.integers(1, 40))
def test_damaged_bytes_are_decoded_or_refused(name: str, draw: random.Random, edits: int) -> None:
    accounts = dict(pool_accounts(name))
    address = pool_in(accounts)[1]
    for _ in range(edits):
        target = draw.choice([address, draw.choice(list(accounts))])
        data = bytearray(accounts[target].data)
        if draw.random() < 0.05:
            data = data[: draw.randrange(len(data) + 1)]
        elif data:
            data[draw.randrange(len(data))] = draw.randrange(256)
        accounts[target] = Account(accounts[target].owner, bytes(data))
    with contextlib.suppress(PoolRefused, QuoteRefused):
        VENUE.companions(address, accounts)
        pool = VENUE.decode(address, accounts)
        assert all(segment.cap > 0 for segment in VENUE.curve(pool, pool.mint_1, CLOCK))
        assert VENUE.quoter(pool, pool.mint_0, CLOCK)(10**6) >= 0


@given(st.binary(max_size=2000))
def test_any_bytes_are_refused(data: bytes) -> None:
    address = Address(PROGRAM_ID)
    accounts = {address: Account(PROGRAM_ID, data)}
    assert VENUE.companions(address, accounts) == ()
    with pytest.raises(PoolRefused):
        VENUE.decode(address, accounts)


@given(st.binary(min_size=1536, max_size=1536))
def test_any_bytes_behind_the_discriminator_are_refused(data: bytes) -> None:
    address = Address(PROGRAM_ID)
    accounts = {address: Account(PROGRAM_ID, tag("PoolState") + data)}
    assert VENUE.recognises(accounts[address])
    VENUE.companions(address, accounts)
    with pytest.raises(PoolRefused):
        VENUE.decode(address, accounts)


def test_a_made_up_pool_holds_what_it_was_made_of() -> None:
    made = make(3)
    pool = VENUE.decode(made.address, made.accounts)
    assert pool.address == made.address
    assert raw(pool.mint_0) < raw(pool.mint_1)
