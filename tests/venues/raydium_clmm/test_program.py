"""Made-up pools and swaps, executed by the real program: amounts, failures and next states are equal.

Left out are a wallet that can't pay, swaps of more steps than a transaction's compute units allow, and
two outcomes that no real mint's supply allows: withheld transfer fees beyond 64 bits, and a step of one price
unit whose liquidity holds more than 2^64 - 1 (the program gives nothing for its input; it is refused here).
The bytecode is not part of the repository: FILLWRIGHT_PROGRAMS names a folder that holds it as
`<program id>.so`.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from solders.account import Account as RawAccount
from solders.clock import Clock
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata
from tests.venues.raydium_clmm.made_pools import CLOCK, any_amount, make, other_mint, vault_account

from fillwright.domain.accounts import Account, Accounts, Address, ChainClock, Mint
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import PoolRefused, QuoteRefused
from fillwright.venues.raydium_clmm import VENUE, instructions
from fillwright.venues.raydium_clmm.layout import ClmmPool
from fillwright.venues.raydium_clmm.quote import side_of
from fillwright.venues.venue import Swap, SwapAccounts

POOLS = int(os.environ.get("FILLWRIGHT_PROGRAM_POOLS", "400"))
FIRST = int(os.environ.get("FILLWRIGHT_PROGRAM_FIRST", "0"))
SWAPS = 6
WALLET_BALANCE = 2**62
COMPUTE_UNITS = 1_400_000
MOST_ARRAYS = 48
LAMPORTS = 10**17
TRADER = Keypair.from_seed(bytes(range(32)))
INPUT, OUTPUT = Pubkey(bytes([7]) * 32), Pubkey(bytes([9]) * 32)
BEYOND_REACH = ("exceeded CUs", "Computational budget exceeded", "memory allocation failed", "Operation overflowed")

FOLDER = Path(os.environ.get("FILLWRIGHT_PROGRAMS", "absent"))
BYTECODE = FOLDER / f"{VENUE.program_id}.so"


class Program:
    """The CLMM program in a local SVM."""

    def __init__(self) -> None:
        self.svm = LiteSVM().with_sigverify(False).with_blockhash_check(False).with_transaction_history(0)
        self.svm.add_program_from_file(Pubkey.from_string(VENUE.program_id), str(BYTECODE))
        self._put(TRADER.pubkey(), Account(Address("11111111111111111111111111111111"), b""))

    def load(self, accounts: Accounts) -> None:
        for address, account in accounts.items():
            self._put(Pubkey.from_string(address), account)

    def swap(self, accounts: Accounts, pool: ClmmPool, swap: Swap, clock: ChainClock) -> tuple[int, int] | str:
        """What left and reached the wallet, or the log of a failure. State moves on."""
        self.svm.set_clock(Clock(clock.slot, 0, clock.epoch, clock.epoch, clock.unix_timestamp))
        exact_in = swap.mode is SwapMode.EXACT_IN
        before = swap.amount if exact_in else WALLET_BALANCE
        self._hold(accounts, INPUT, swap.input_mint, before)
        self._hold(accounts, OUTPUT, other_mint(pool, swap.input_mint), 0)
        trader = SwapAccounts(TRADER.pubkey(), INPUT, OUTPUT)
        limit = 0 if exact_in else U64_MAX
        built = instructions.swap_v2(
            pool, swap.input_mint, swap.amount, limit, trader, exact_in=exact_in, arrays=MOST_ARRAYS
        )
        budget = set_compute_unit_limit(COMPUTE_UNITS)
        message = Message.new_with_blockhash([budget, built], TRADER.pubkey(), Hash.default())
        result = self.svm.send_transaction(Transaction.new_unsigned(message))
        if isinstance(result, FailedTransactionMetadata):
            return "\n".join((*result.meta().logs(), str(result.err())))
        return before - self._balance(INPUT), self._balance(OUTPUT)

    def accounts_like(self, accounts: Accounts) -> dict[Address, Account]:
        """Those same accounts as they stand now."""
        found = {address: self.svm.get_account(Pubkey.from_string(address)) for address in accounts}
        return {key: Account(Address(str(held.owner)), bytes(held.data)) for key, held in found.items() if held}

    def _put(self, key: Pubkey, account: Account) -> None:
        self.svm.set_account(key, RawAccount(LAMPORTS, account.data, Pubkey.from_string(account.owner)))

    def _hold(self, accounts: Accounts, key: Pubkey, mint: Mint, amount: int) -> None:
        owner = Address(str(TRADER.pubkey()))
        self._put(key, vault_account(Address(mint), accounts[Address(mint)], owner, amount))

    def _balance(self, key: Pubkey) -> int:
        held = self.svm.get_account(key)
        assert held is not None
        return int.from_bytes(bytes(held.data)[64:72], "little")


def is_out_of_reach(swap: Swap, mine: tuple[int, int] | QuoteRefused, executed: tuple[int, int] | str) -> bool:
    if isinstance(mine, QuoteRefused):
        return mine.message == "the amounts of one step exceed 2^64 - 1"
    wallet_is_short = swap.mode is SwapMode.EXACT_OUT and mine[0] > WALLET_BALANCE
    return isinstance(executed, str) and (wallet_is_short or any(sign in executed for sign in BEYOND_REACH))


@pytest.mark.skipif(not BYTECODE.is_file(), reason=f"FILLWRIGHT_PROGRAMS names no folder with {BYTECODE.name}")
@pytest.mark.timeout(0)
def test_random_swaps_come_out_as_the_program_executes_them() -> None:
    program = Program()
    executed_swaps = 0
    for seed in range(FIRST, FIRST + POOLS):
        made, draw, clock = make(seed), random.Random(seed), CLOCK
        try:
            pool = VENUE.decode(made.address, made.accounts)
        except PoolRefused:
            continue
        program.load(made.accounts)
        for _ in range(SWAPS):
            mint, mode = draw.choice(pool.mints), draw.choice(list(SwapMode))
            amount = any_amount(draw, pool, side_of(pool, mint, clock), exact_in=mode is SwapMode.EXACT_IN)
            swap = Swap(mint, mode, amount)
            mine: tuple[int, int] | QuoteRefused
            try:
                quote, after = VENUE.apply(pool, swap, clock)
                mine = quote.amount_in, quote.amount_out
            except QuoteRefused as refusal:
                mine, after = refusal, pool
            try:
                executed = program.swap(made.accounts, pool, swap, clock)
            except QuoteRefused:
                # Without an array to name there is no instruction.
                executed = "no tick array"
            if (mine if isinstance(mine, tuple) else None) != (executed if isinstance(executed, tuple) else None):
                assert is_out_of_reach(swap, mine, executed), (seed, swap, mine, executed)
                break
            if isinstance(mine, tuple):
                executed_swaps += 1
                now = VENUE.decode(made.address, program.accounts_like(made.accounts))
                # Where the price has left the held arrays, decoding anew holds none; quotes are refused either way.
                assert now == after or not now.arrays, (seed, swap)
            pool = after
            clock = ChainClock(clock.slot + 1, clock.epoch, clock.unix_timestamp + draw.choice((0, 1, 30)))
    assert executed_swaps > POOLS
