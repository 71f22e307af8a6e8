"""Random pools and swaps, executed by the real programs in a local SVM, against the venue.

FILLWRIGHT_PROGRAMS names a folder with the programs' binaries, each named `<program id>.so`; the tests are
skipped without it. FILLWRIGHT_PROGRAM_POOLS sets how many pools are drawn.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from solders.account import Account as SvmAccount
from solders.clock import Clock
from solders.compute_budget import set_compute_unit_limit
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata
from tests.venues.meteora_damm_v1.pools import CLOCK, OWN_POOLS, U64_MAX, accounts_of, exact_in, snapshot

from fillwright.domain.accounts import Account, Address, ChainClock
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.meteora_damm_v1 import VENUE
from fillwright.venues.meteora_damm_v1.layout import PROGRAM_ID, VAULT_PROGRAM_ID, DammV1Pool
from fillwright.venues.token_program import TOKEN_PROGRAM
from fillwright.venues.venue import SwapAccounts

_PROGRAMS = os.environ.get("FILLWRIGHT_PROGRAMS", "")
_POOLS = int(os.environ.get("FILLWRIGHT_PROGRAM_POOLS", "60"))
_MISSING = [name for name in (PROGRAM_ID, VAULT_PROGRAM_ID) if not (Path(_PROGRAMS) / f"{name}.so").is_file()]
_TRADER = Keypair.from_seed(bytes([7]) * 32)
_SOURCE, _DESTINATION = (Pubkey.from_bytes(bytes([byte]) * 32) for byte in (1, 2))
_IS_NATIVE = slice(109, 121)

pytestmark = pytest.mark.skipif(
    not _PROGRAMS or bool(_MISSING), reason="FILLWRIGHT_PROGRAMS holds no binaries of the pool and vault programs"
)


class _Chain:
    """A local SVM that holds one pool and its vaults."""

    def __init__(self, accounts: dict[Address, Account]) -> None:
        self.addresses = tuple(accounts)
        self._svm = LiteSVM().with_sigverify(False).with_blockhash_check(False).with_transaction_history(0)
        for name in (PROGRAM_ID, VAULT_PROGRAM_ID):
            self._svm.add_program_from_file(Pubkey.from_string(name), str(Path(_PROGRAMS) / f"{name}.so"))
        self._svm.airdrop(_TRADER.pubkey(), 10**12)
        for address, account in accounts.items():
            data = bytearray(account.data)
            if account.owner == TOKEN_PROGRAM and len(data) == 165:
                # wSOL accounts hold no lamports here, so they are plain token accounts.
                data[_IS_NATIVE] = bytes(12)
            self._put(Pubkey.from_string(address), bytes(data), account.owner)

    def accounts(self) -> dict[Address, Account]:
        found = {}
        for address in self.addresses:
            account = self._svm.get_account(Pubkey.from_string(address))
            assert account is not None
            found[address] = Account(Address(str(account.owner)), bytes(account.data))
        return found

    def swap(self, pool: DammV1Pool, given: int, amount: int, clock: ChainClock) -> tuple[int, int] | None:
        """What left and what reached the wallet, or None where the program failed."""
        for address, mint, balance in ((_SOURCE, pool.mints[given], amount), (_DESTINATION, pool.mints[1 - given], 0)):
            self._put(address, _token_account(Pubkey.from_string(mint), balance), TOKEN_PROGRAM)
        self._svm.set_clock(Clock(clock.slot, 0, clock.epoch, clock.epoch, clock.unix_timestamp))
        trader = SwapAccounts(_TRADER.pubkey(), _SOURCE, _DESTINATION)
        instruction = VENUE.instruction(pool, exact_in(pool, given, amount), 0, trader, clock)
        message = Message([set_compute_unit_limit(1_400_000), instruction], _TRADER.pubkey())
        if isinstance(self._svm.send_transaction(Transaction.new_unsigned(message)), FailedTransactionMetadata):
            return None
        return amount - self._balance(_SOURCE), self._balance(_DESTINATION)

    def _balance(self, address: Pubkey) -> int:
        account = self._svm.get_account(address)
        assert account is not None
        return int.from_bytes(account.data[64:72], "little")

    def _put(self, address: Pubkey, data: bytes, owner: Address) -> None:
        self._svm.set_account(address, SvmAccount(10**12, data, Pubkey.from_string(owner), False, 0))


def _token_account(mint: Pubkey, balance: int) -> bytes:
    head = bytes(mint) + bytes(_TRADER.pubkey()) + balance.to_bytes(8, "little")
    return (head.ljust(108, b"\0") + b"\1").ljust(165, b"\0")


def _mutated(draw: random.Random, name: str) -> dict[Address, Account]:
    """The snapshot with other fees, curves, vault shares, locked profits and reserves."""
    pool = snapshot(name)
    data = {address: bytearray(account.data) for address, account in accounts_of(name).items()}

    def put(address: Address, offset: int, value: int) -> None:
        data[address][offset : offset + 8] = value.to_bytes(8, "little")

    if draw.random() < 0.6:
        put(pool.address, 330, draw.choice([0, 1, 10, 2_500, 60_000, draw.randrange(10**6)]))
        put(pool.address, 346, draw.choice([0, 20_000, 200_000, draw.randrange(10**6)]))
    if draw.random() < 0.3:
        put(pool.address, 476, draw.choice([0, 50_000, 100_000]))
        put(pool.address, 516, draw.choice([0, U64_MAX - draw.randrange(10**6)]))
    if pool.stable is not None and draw.random() < 0.6:
        put(pool.address, 875, draw.choice([0, 1, 2, 10, 100, 1_000, 10_000]))
        put(pool.address, 883, draw.choice([1, 1, 1_000]))
    for index in (0, 1):
        vault = pool.vaults[index]
        if draw.random() < 0.6:
            total = draw.getrandbits(draw.choice([8, 20, 40, 50, 60, 64]))
            supply = min(U64_MAX, int(total * draw.choice([1, 1, 0.9, 0.7, 1.3, 3, 0.01])))
            put(vault.address, 11, total)
            put(vault.lp_mint, 36, supply)
            put(pool.lp_accounts[index], 64, draw.choice([0, supply, *(draw.randint(0, supply) for _ in range(8))]))
            put(vault.token_vault, 64, draw.choice([total, total, total // 2, total // 1_000]))
        if draw.random() < 0.4:
            put(vault.address, 1203, draw.randint(0, vault.total_amount) // draw.choice([1, 1_000]))
            put(vault.address, 1211, CLOCK.unix_timestamp - draw.choice([-1, 0, 1, 3_600, 21_600, 86_400]))
            put(vault.address, 1219, draw.choice([0, 1, 46_296_296, 10**9, 10**12]))
    return {address: Account(account.owner, bytes(data[address])) for address, account in accounts_of(name).items()}


@pytest.mark.parametrize("name", OWN_POOLS)
def test_random_swaps_equal_the_program_s(name: str) -> None:
    draw = random.Random(f"{name} 1")
    for _ in range(_POOLS):
        chain = _Chain(_mutated(draw, name))
        pool = VENUE.decode(snapshot(name).address, chain.accounts())
        for _ in range(6):
            given, clock = draw.randrange(2), _later(draw)
            around = pool.lp_amounts[given] + 1
            amount = draw.choice(
                [draw.randint(1, 20), int(around * 10 ** draw.uniform(-9, 3)), draw.getrandbits(64), U64_MAX]
            )
            amount = min(max(amount, 1), U64_MAX)
            try:
                quote, after = VENUE.apply(pool, exact_in(pool, given, amount), clock)
            except QuoteRefused:
                assert chain.swap(pool, given, amount, clock) is None
                continue
            assert chain.swap(pool, given, amount, clock) == (quote.amount_in, quote.amount_out)
            assert VENUE.quoter(pool, pool.mints[given], clock)(amount) == quote.amount_out
            pool = after
            assert pool == VENUE.decode(pool.address, chain.accounts())


def _later(draw: random.Random) -> ChainClock:
    seconds = draw.choice([0, 1, 60, 600, 601, 86_400])
    return ChainClock(CLOCK.slot + 2 * seconds, CLOCK.epoch, CLOCK.unix_timestamp + seconds)
