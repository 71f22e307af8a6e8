"""The real program in a local SVM against the venue: random pools, chains of swaps, every byte that is read.

Needs program binaries, which are not ours to ship: FILLWRIGHT_PROGRAMS names a folder of `<program id>.so`.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from solders.account import Account as SvmAccount
from solders.clock import Clock
from solders.compute_budget import set_compute_unit_limit
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata
from tests.venues.meteora_dlmm.made_pools import (
    CLOCK,
    MINT_X,
    MINT_Y,
    POOL,
    MadeBin,
    MadePool,
    drawn_amount,
    drawn_pool,
)

from fillwright.domain.accounts import Account, Address, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.meteora_dlmm import VENUE
from fillwright.venues.meteora_dlmm.bitmap import PROGRAM_ID, array_address, array_index, arrays_from
from fillwright.venues.meteora_dlmm.instructions import swap_instruction
from fillwright.venues.meteora_dlmm.layout import DlmmPool
from fillwright.venues.token_program import TOKEN_2022_PROGRAM
from fillwright.venues.venue import Swap, SwapAccounts

PROGRAMS = Path(os.environ.get("FILLWRIGHT_PROGRAMS", "-"))
pytestmark = pytest.mark.skipif(
    not (PROGRAMS / f"{PROGRAM_ID}.so").is_file(),
    reason="FILLWRIGHT_PROGRAMS names no folder with the program's binary",
)
WALLET = Keypair.from_seed(bytes([7]) * 32)
SOURCE, TARGET = Pubkey.from_bytes(b"\x11" * 32), Pubkey.from_bytes(b"\x12" * 32)
TRADER = SwapAccounts(WALLET.pubkey(), SOURCE, TARGET)
MOST_PAID = 2**62


def machine() -> Any:
    svm = LiteSVM()
    for program in (PROGRAM_ID, TOKEN_2022_PROGRAM):
        if (PROGRAMS / f"{program}.so").is_file():
            svm.add_program_from_file(Pubkey.from_string(program), str(PROGRAMS / f"{program}.so"))
    svm.airdrop(WALLET.pubkey(), 10**12)
    return svm


def execute(
    svm: Any, accounts: dict[Address, Account], instruction: Instruction, swap: Swap, clock: ChainClock
) -> tuple[int, int, dict[Address, Account]] | None:
    """What the wallet paid and got, and the accounts afterwards; None where the program failed."""
    for address, account in accounts.items():
        svm.set_account(
            Pubkey.from_string(address), SvmAccount(10**18, account.data, Pubkey.from_string(account.owner))
        )
    svm.set_clock(Clock(clock.slot, 0, clock.epoch, clock.epoch, clock.unix_timestamp))
    held = swap.amount if swap.mode is SwapMode.EXACT_IN else MOST_PAID
    mint_out = MINT_Y if swap.input_mint == MINT_X else MINT_X
    for key, mint, amount in ((SOURCE, swap.input_mint, held), (TARGET, mint_out, 0)):
        owner = accounts[Address(mint)].owner
        data = bytes(Pubkey.from_string(mint)) + bytes(WALLET.pubkey()) + struct.pack("<Q", amount) + bytes(36) + b"\1"
        data = data.ljust(165, b"\0")
        if owner == TOKEN_2022_PROGRAM:
            data += b"\2" + struct.pack("<HH", 2, 8) + bytes(8)
        svm.set_account(key, SvmAccount(10**9, data, Pubkey.from_string(owner)))
    svm.expire_blockhash()
    blockhash = svm.latest_blockhash()
    steps = [set_compute_unit_limit(1_400_000), instruction]
    result = svm.send_transaction(
        Transaction([WALLET], Message.new_with_blockhash(steps, WALLET.pubkey(), blockhash), blockhash)
    )
    if isinstance(result, FailedTransactionMetadata):
        return None
    paid, got = (int.from_bytes(svm.get_account(key).data[64:72], "little") for key in (SOURCE, TARGET))
    after = {a: replaced(svm.get_account(Pubkey.from_string(a)).data, account) for a, account in accounts.items()}
    return held - paid, got, after


def replaced(data: bytes, account: Account) -> Account:
    return Account(account.owner, bytes(data))


def unlimited(pool: DlmmPool, swap: Swap) -> Instruction:
    """A swap without a limit that names every array on its side: also for swaps that the venue refuses."""
    x_to_y = swap.input_mint == MINT_X
    side = MadePool(bins={0: MadeBin(x=10**6, y=10**6)}, base_factor=0).decoded()
    plain = swap_instruction(side, Swap(swap.input_mint, swap.mode, 10), 0, TRADER, CLOCK)
    metas = plain.accounts[:16]
    metas[11:13] = [AccountMeta(Pubkey.from_string(info.program), False, False) for info in (pool.info_x, pool.info_y)]
    if pool.extension is not None:
        metas[1] = AccountMeta(Pubkey.from_string(pool.extension), False, True)
    walk = arrays_from(pool.bitmap, array_index(pool.active_id), x_to_y, 40)
    metas += [AccountMeta(Pubkey.from_string(array_address(POOL, i)), False, True) for i in walk]
    amounts = (swap.amount, 0) if swap.mode is SwapMode.EXACT_IN else (2**64 - 1, swap.amount)
    return Instruction(plain.program_id, bytes(plain.data[:8]) + struct.pack("<QQI", *amounts, 0), metas)


def check_chain(svm: Any, random: Random) -> Counter[str]:
    """A few swaps in one pool, each compared with the program: amounts, refusals and the state after it."""
    seen: Counter[str] = Counter()
    accounts, clock = drawn_pool(random).accounts(), CLOCK
    for _ in range(5):
        clock = ChainClock(clock.slot + 1, clock.epoch, clock.unix_timestamp + random.choice([0, 1, 31, 400, 2_000]))
        pool = VENUE.decode(POOL, accounts)
        swap = Swap(Mint(random.choice([MINT_X, MINT_Y])), random.choice(list(SwapMode)), drawn_amount(random, pool))
        real = execute(svm, accounts, unlimited(pool, swap), swap, clock)
        try:
            quote, after = VENUE.apply(pool, swap, clock)
        except QuoteRefused:
            assert real is None, f"refused what the program executes: {swap}"
            seen["refused"] += 1
            continue
        if quote.amount_in > MOST_PAID and swap.mode is SwapMode.EXACT_OUT:
            continue
        assert real is not None, f"quoted what the program refuses: {swap}"
        paid, got, accounts = real
        assert (paid, got) == (quote.amount_in, quote.amount_out)
        assert VENUE.decode(POOL, accounts) == after
        seen["equal"] += 1
    return seen


@pytest.mark.parametrize("block", range(8))
def test_the_program_agrees_on_random_pools(block: int) -> None:
    svm, random = machine(), Random(block)
    seen = sum((check_chain(svm, random) for _ in range(40)), Counter())
    assert seen["equal"] > 60
    assert seen["refused"] > 10


def test_the_venues_own_instruction_executes_at_its_exact_limit() -> None:
    random, svm, done = Random(5), machine(), 0
    while done < 40:
        made = drawn_pool(random)
        made = replace(made, transfer_fee_y=None)
        accounts, pool = made.accounts(), made.decoded()
        swap = Swap(Mint(random.choice([MINT_X, MINT_Y])), random.choice(list(SwapMode)), drawn_amount(random, pool))
        try:
            quote = VENUE.quote(pool, swap, CLOCK)
        except QuoteRefused:
            continue
        exact_in = swap.mode is SwapMode.EXACT_IN
        limit = quote.amount_out if exact_in else quote.amount_in
        tighter = limit + 1 if exact_in else limit - 1
        if quote.amount_in > MOST_PAID:
            continue
        for bound, succeeds in ((tighter, False), (limit, True)):
            instruction = VENUE.instruction(pool, swap, bound, TRADER, CLOCK)
            assert (execute(svm, accounts, instruction, swap, CLOCK) is not None) is succeeds
        done += 1
