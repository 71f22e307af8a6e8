"""Runs swaps of one venue on its real program's bytecode, in a local SVM.

A snapshot's accounts go in, the executed amounts come out. The bytecode is not part of the repository: the
environment variable FILLWRIGHT_PROGRAMS names a folder that holds it as `<program id>.so`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from solders.account import Account as RawAccount
from solders.clock import Clock
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata

from fillwright.domain.accounts import Account, Accounts, Address, ChainClock
from fillwright.domain.amounts import SwapMode
from fillwright.domain.clusters import Cluster
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.token_program import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from fillwright.venues.vectors import pool_in
from fillwright.venues.venue import Swap, SwapAccounts

U64_MAX = 2**64 - 1
WALLET_BALANCE = 2**62
_RENT = 10**9
SWAPS = 5
MOST = 2**62
_TRADER = Keypair.from_seed(bytes(range(32)))
_INPUT = Pubkey(bytes([7]) * 32)
_OUTPUT = Pubkey(bytes([9]) * 32)


def needs_program(program_id: str) -> pytest.MarkDecorator:
    """Skips a test where the program's bytecode is not at hand."""
    folder = os.environ.get("FILLWRIGHT_PROGRAMS")
    missing = folder is None or not (Path(folder) / f"{program_id}.so").is_file()
    return pytest.mark.skipif(missing, reason=f"FILLWRIGHT_PROGRAMS names no folder with {program_id}.so")


def compare(
    program: Program,
    venue: Any,
    accounts: Accounts,
    clock: ChainClock,
    draw: random.Random,
    *,
    smallest: int,
    is_dust: Callable[[Any, Swap], bool],
) -> None:
    """Swap at random in the pool of `accounts`: the program's amounts, failures and next states are the venue's.

    Amounts below `smallest` are drawn often; what `is_dust` names is left out.
    """
    address = pool_in(accounts)[1]
    pool = venue.decode(address, accounts)
    program.load(accounts, clock)
    for _ in range(SWAPS):
        swap = any_swap(draw, pool, smallest)
        try:
            quote, after = venue.apply(pool, swap, clock)
        except QuoteRefused:
            expected, after = None, pool
        else:
            expected = (quote.amount_in, quote.amount_out)
        if (expected is not None and expected[0] > WALLET_BALANCE) or is_dust(pool, swap):
            continue
        assert program.swap(pool, swap, clock) == expected, (pool, swap)
        pool = after
        held = {key: Account(accounts[key].owner, program.account(key)) for key in accounts}
        assert venue.decode(address, held) == pool


def any_swap(draw: random.Random, pool: Any, smallest: int) -> Swap:
    """Either way and mode; amounts from dust to more than the pool holds."""
    side = draw.randrange(2)
    mode = draw.choice(list(SwapMode))
    held = pool.balances[side if mode is SwapMode.EXACT_IN else 1 - side]
    scaled = int(held * 10 ** draw.uniform(-9, 0.4))
    amount = draw.choice([draw.randrange(1, smallest), scaled, scaled, held - draw.randrange(3)])
    return Swap(pool.mints[side], mode, min(max(amount, 1), MOST))


def declaring(code: bytes, old: Pubkey, new: Pubkey) -> bytes:
    """The bytecode with another id in place of its own: it stands there whole, and in instructions, four bytes each."""
    for at in range(0, 32, 4):
        code = code.replace(bytes(old)[at : at + 4], bytes(new)[at : at + 4])
    return code


class Program:
    """One venue's program, ready to swap in any snapshot; at the id that it has on `cluster`.

    The bytecode is mainnet's. Anchor's programs compare the id that they run at with the one that they declare, so
    the declared one is replaced, as their `devnet` feature does.
    """

    def __init__(self, venue: Any, cluster: Cluster = Cluster.MAINNET) -> None:
        self._venue = venue
        code = (Path(os.environ["FILLWRIGHT_PROGRAMS"]) / f"{venue.program_id}.so").read_bytes()
        self._svm = LiteSVM()
        here = Pubkey.from_string(venue.program_ids[cluster])
        self._svm.add_program(here, declaring(code, Pubkey.from_string(venue.program_id), here))
        self._svm.airdrop(_TRADER.pubkey(), 10**12)

    def load(self, accounts: Accounts, clock: ChainClock) -> None:
        """Put the snapshot and the clock in place."""
        for address, account in accounts.items():
            data = account.data
            if account.owner == TOKEN_PROGRAM and len(data) == 165:
                # Snapshots hold any balance of wSOL without the lamports under it: make it an ordinary token.
                data = data[:109] + bytes(12) + data[121:]
            raw = RawAccount(max(account.lamports, _RENT), data, Pubkey.from_string(account.owner))
            self._svm.set_account(Pubkey.from_string(address), raw)
        self._svm.set_clock(Clock(clock.slot, 0, clock.epoch, clock.epoch, clock.unix_timestamp))

    def swap(self, pool: Any, swap: Swap, clock: ChainClock) -> tuple[int, int] | None:
        """The amounts that left and reached the wallet, or None where the program failed. State moves on."""
        before = swap.amount if swap.mode is SwapMode.EXACT_IN else WALLET_BALANCE
        output_mint = next(mint for mint in pool.mints if mint != swap.input_mint)
        self._hold(_INPUT, swap.input_mint, before)
        self._hold(_OUTPUT, output_mint, 0)
        limit = 0 if swap.mode is SwapMode.EXACT_IN else U64_MAX
        accounts = SwapAccounts(_TRADER.pubkey(), _INPUT, _OUTPUT)
        instruction = self._venue.instruction(pool, swap, limit, accounts, clock)
        self._svm.expire_blockhash()
        message = Message.new_with_blockhash([instruction], _TRADER.pubkey(), self._svm.latest_blockhash())
        result = self._svm.send_transaction(Transaction([_TRADER], message, self._svm.latest_blockhash()))
        if isinstance(result, FailedTransactionMetadata):
            return None
        return before - self._balance(_INPUT), self._balance(_OUTPUT)

    def account(self, address: str) -> bytes:
        """An account's data as it stands."""
        found = self._svm.get_account(Pubkey.from_string(address))
        assert found is not None
        return bytes(found.data)

    def _hold(self, key: Pubkey, mint: str, amount: int) -> None:
        held = self._svm.get_account(Pubkey.from_string(mint))
        assert held is not None
        owner = Address(str(held.owner))
        data = bytearray(165)
        data[0:32] = bytes(Pubkey.from_string(mint))
        data[32:64] = bytes(_TRADER.pubkey())
        data[64:72] = amount.to_bytes(8, "little")
        data[108] = 1
        if owner == TOKEN_2022_PROGRAM:
            data += bytes([2]) + (2).to_bytes(2, "little") + (8).to_bytes(2, "little") + bytes(8)
        self._svm.set_account(key, RawAccount(_RENT, bytes(data), Pubkey.from_string(owner)))

    def _balance(self, key: Pubkey) -> int:
        found = self._svm.get_account(key)
        assert found is not None
        return int.from_bytes(bytes(found.data)[64:72], "little")
