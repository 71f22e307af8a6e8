"""Account bytes to a pool: what is read, what is refused, and that no bytes crash it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest
from tests.venues.meteora_dlmm.made_pools import (
    BASE,
    CLOCK,
    MINT_X,
    MINT_Y,
    POOL,
    RESERVE_X,
    MadeBin,
    MadePool,
    fee_mint,
)

from fillwright.domain.accounts import Account, Address
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import PoolRefused, QuoteRefused, Refusal
from fillwright.venues.meteora_dlmm import VENUE
from fillwright.venues.meteora_dlmm.bitmap import (
    PROGRAM_ID,
    array_address,
    extension_address,
    merged_bitmap,
    next_array,
)
from fillwright.venues.venue import Swap

MADE = MadePool(bins={i: MadeBin(x=1_000, y=1_000) for i in range(-80, 81)})


def edited(accounts: dict[Address, Account], address: Address, offset: int, raw: bytes) -> dict[Address, Account]:
    data = bytearray(accounts[address].data)
    data[offset : offset + len(raw)] = raw
    return {**accounts, address: Account(accounts[address].owner, bytes(data))}


def reason(accounts: dict[Address, Account]) -> Refusal:
    with pytest.raises(PoolRefused) as refused:
        VENUE.decode(POOL, accounts)
    return refused.value.reason


def test_companions_name_everything_that_decoding_reads() -> None:
    accounts = MadePool(bins={70 * i: MadeBin(x=5, y=5) for i in (-514, -513, -1, 0, 1, 600)}, active_id=-70).accounts()
    known = {POOL: accounts[POOL]}
    while named := [a for a in VENUE.companions(POOL, known) if a not in known and a in accounts]:
        known.update({address: accounts[address] for address in named})
    assert VENUE.decode(POOL, known) == VENUE.decode(POOL, accounts)
    assert len(VENUE.decode(POOL, known).arrays) == 6


def test_a_recorded_pool_is_recognised_and_read() -> None:
    pool = VENUE.decode(POOL, BASE)
    assert VENUE.recognises(BASE[POOL])
    assert pool.venue == "meteora_dlmm"
    assert pool.mints == (MINT_X, MINT_Y)
    assert (pool.active_id, pool.fee.bin_step, len(pool.arrays)) == (151, 80, 9)


def test_other_accounts_are_not_recognised() -> None:
    account = BASE[POOL]
    assert not VENUE.recognises(Account(account.owner, account.data[:-1]))
    assert not VENUE.recognises(Account(Address(MINT_X), account.data))
    assert not VENUE.recognises(Account(PROGRAM_ID, bytes(904)))


@pytest.mark.parametrize(
    ("offset", "value", "expected"),
    [
        (75, 4, Refusal.UNSUPPORTED_FEATURE),
        (82, 2, Refusal.UNSUPPORTED_FEATURE),
        (86, 2, Refusal.UNSUPPORTED_FEATURE),
        (35, 3, Refusal.UNSUPPORTED_FEATURE),
        (36, 2, Refusal.UNSUPPORTED_FEATURE),
        (33, 255, Refusal.MALFORMED),
    ],
    ids=["pair type", "status", "activation type", "function type", "fee mode", "protocol share"],
)
def test_pools_newer_than_this_code_are_refused(offset: int, value: int, expected: Refusal) -> None:
    assert reason(edited(MADE.accounts(), POOL, offset, bytes([value]))) is expected


@pytest.mark.parametrize("missing", [POOL, MINT_X, MINT_Y, RESERVE_X])
def test_a_missing_account_refuses_the_pool(missing: str) -> None:
    accounts = MADE.accounts()
    del accounts[Address(missing)]
    assert reason(accounts) is Refusal.MISSING_ACCOUNT


def test_a_missing_bin_array_refuses_only_the_swaps_that_reach_it() -> None:
    accounts = MADE.accounts()
    del accounts[array_address(POOL, -1)]
    pool = VENUE.decode(POOL, accounts)
    assert VENUE.quote(pool, Swap(MINT_X, SwapMode.EXACT_IN, 500), CLOCK).amount_out > 0
    with pytest.raises(QuoteRefused) as refused:
        VENUE.quote(pool, Swap(MINT_X, SwapMode.EXACT_IN, 5_000), CLOCK)
    assert refused.value.reason is Refusal.MISSING_ACCOUNT


@pytest.mark.parametrize("offset", [0, 8, 24])
def test_a_bin_array_of_another_kind_index_or_pool_is_malformed(offset: int) -> None:
    assert reason(edited(MADE.accounts(), array_address(POOL, 0), offset, b"\x55")) is Refusal.MALFORMED


@pytest.mark.parametrize("offset", [0, 8])
def test_a_foreign_bitmap_extension_is_malformed(offset: int) -> None:
    accounts = replace(MADE, bins={-36_000: MadeBin(y=5)}, active_id=-36_000).accounts()
    assert reason(edited(accounts, extension_address(POOL), offset, b"\x55")) is Refusal.MALFORMED


def test_transfer_hooks_are_refused() -> None:
    accounts = replace(MADE, transfer_fee_y=(100, 5)).accounts()
    hook = b"\x0e\x00\x40\x00" + bytes(32) + b"\1" * 32
    accounts[Address(MINT_Y)] = Account(accounts[Address(MINT_Y)].owner, fee_mint(100, 5) + hook)
    assert reason(accounts) is Refusal.UNSUPPORTED_FEATURE


@pytest.mark.parametrize("seed", range(150))
def test_no_bytes_crash_decoding_or_quoting(seed: int) -> None:
    random = Random(seed)
    accounts = MADE.accounts()
    for _ in range(random.randint(1, 4)):
        address = random.choice(list(accounts))
        data = bytearray(accounts[address].data)
        if random.random() < 0.2:
            data = data[: random.randint(0, len(data))]
        else:
            at = random.randrange(8, max(9, len(data)))
            data[at : at + 8] = random.randbytes(min(8, max(0, len(data) - at)))
        accounts[address] = Account(accounts[address].owner, bytes(data))
    with suppress(PoolRefused):
        pool = VENUE.decode(POOL, accounts)
        for mint in (MINT_X, MINT_Y):
            for mode in SwapMode:
                with suppress(QuoteRefused):
                    VENUE.apply(pool, Swap(mint, mode, random.randint(1, 2**40)), CLOCK)
            with suppress(QuoteRefused):
                VENUE.quoter(pool, mint, CLOCK)(random.randint(1, 2**40))
            assert len(list(VENUE.curve(pool, mint, CLOCK))) < 1_000


@pytest.mark.parametrize("seed", range(40))
def test_the_merged_bitmap_finds_what_a_scan_finds(seed: int) -> None:
    random = Random(seed)
    held = {random.randint(-6_656, 6_655) for _ in range(random.randint(0, 12))} | {
        random.choice([-513, -512, 511, 512])
    }
    internal, positive, negative = bytearray(128), bytearray(768), bytearray(768)
    for index in held:
        part, bit = (
            (internal, index + 512) if -512 <= index < 512
            else (positive, index - 512) if index > 0 else (negative, -index - 513)
        )  # fmt: skip
        part[bit // 8] |= 1 << bit % 8
    bits = merged_bitmap(bytes(internal), bytes(positive), bytes(negative))
    for start in (*held, *(index + off for index in held for off in (-1, 1)), -6_656, 6_655, 0):
        assert next_array(bits, start, True) == max((i for i in held if i <= start), default=None)
        assert next_array(bits, start, False) == min((i for i in held if i >= start), default=None)
