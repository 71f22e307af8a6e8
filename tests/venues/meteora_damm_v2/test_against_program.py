"""Made-up pools, swapped by the real program in a local SVM, against the venue's maths.

Needs the program's binary: a folder in FILLWRIGHT_PROGRAMS with `<program id>.so` (also Token-2022's, if a
newer one than LiteSVM's own is wanted). FILLWRIGHT_CASES sets how many cases are run.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from solders.account import Account as SvmAccount
from solders.clock import Clock
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata
from tests.venues.meteora_damm_v2.made_pools import (
    CLOCK,
    MINT_A,
    MINT_B,
    POOL,
    VAULT_A,
    VAULT_B,
    random_amount,
    random_pool,
    token_account,
)

from fillwright.domain.accounts import Account, Accounts, Address, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import PoolRefused, QuoteRefused
from fillwright.venues.meteora_damm_v2 import VENUE
from fillwright.venues.meteora_damm_v2.layout import PROGRAM_ID
from fillwright.venues.token_program import TOKEN_2022_PROGRAM, decode_balance
from fillwright.venues.venue import Swap, SwapAccounts

PROGRAMS = os.environ.get("FILLWRIGHT_PROGRAMS")
CASES = int(os.environ.get("FILLWRIGHT_CASES", "400"))
U64_MAX = 2**64 - 1
TOKENS_BEYOND_SUPPLY = "InstructionErrorCustom(14)"
"""A balance or a withheld fee overflows, or wraps in LiteSVM's token program. Wallets here are funded anew for
every swap, so more tokens than a supply can hold get into a pool."""
INPUT, OUTPUT = Pubkey.from_bytes(b"\x11" * 32), Pubkey.from_bytes(b"\x12" * 32)

pytestmark = pytest.mark.skipif(
    PROGRAMS is None or not (Path(PROGRAMS) / f"{PROGRAM_ID}.so").exists(),
    reason="FILLWRIGHT_PROGRAMS names no folder with the program's binary",
)


class Chain:
    """A local SVM that runs one swap at a time on the accounts it is given."""

    def __init__(self) -> None:
        self.svm = LiteSVM().with_sigverify(False).with_blockhash_check(False).with_transaction_history(0)
        for program in (PROGRAM_ID, TOKEN_2022_PROGRAM):
            binary = Path(str(PROGRAMS)) / f"{program}.so"
            if binary.exists():
                self.svm.add_program_from_file(Pubkey.from_string(program), binary)
        self.wallet = Keypair.from_seed(b"\x07" * 32)
        self.svm.airdrop(self.wallet.pubkey(), 10**12)

    def put(self, key: Pubkey, account: Account) -> None:
        raw = SvmAccount(account.lamports, account.data, Pubkey.from_string(account.owner))
        self.svm.set_account(key, raw)

    def get(self, key: Pubkey) -> Account:
        raw = self.svm.get_account(key)
        assert raw is not None
        return Account(Address(str(raw.owner)), bytes(raw.data), raw.lamports)

    def swap(self, accounts: Accounts, swap: Swap, clock: ChainClock) -> tuple[int, int, dict[Address, Account]] | str:
        """(paid, received, accounts after) or the program's complaint."""
        for address, account in accounts.items():
            self.put(Pubkey.from_string(address), account)
        output_mint = MINT_B if swap.input_mint == MINT_A else MINT_A
        funds = swap.amount if swap.mode is SwapMode.EXACT_IN else U64_MAX
        for key, mint, balance in ((INPUT, Address(swap.input_mint), funds), (OUTPUT, output_mint, 0)):
            fee = accounts[mint].owner == TOKEN_2022_PROGRAM
            self.put(key, token_account(mint, str(self.wallet.pubkey()), balance, with_fee=fee))
        self.svm.set_clock(Clock(clock.slot, 0, clock.epoch, clock.epoch, clock.unix_timestamp))
        limit = 0 if swap.mode is SwapMode.EXACT_IN else U64_MAX
        pool = _decodable(accounts)
        instruction = VENUE.instruction(pool, swap, limit, SwapAccounts(self.wallet.pubkey(), INPUT, OUTPUT), clock)
        message = Message([set_compute_unit_limit(1_400_000), instruction], self.wallet.pubkey())
        result = self.svm.send_transaction(Transaction([self.wallet], message, Hash.default()))
        if isinstance(result, FailedTransactionMetadata):
            return f"{result.err()} {result.meta().logs()[-3:]}"
        after = {address: self.get(Pubkey.from_string(address)) for address in accounts}
        return funds - decode_balance(self.get(INPUT)), decode_balance(self.get(OUTPUT)), after


def _decodable(accounts: Accounts):
    """The pool with its feature bytes made known, so that an instruction can be built for any pool."""
    account = accounts[POOL]
    data = bytearray(account.data)
    data[16], data[480], data[484], data[486], data[696] = 0, 0, 0, 0, 0
    return VENUE.decode(POOL, {**accounts, POOL: Account(account.owner, bytes(data), account.lamports)})


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain()


def mismatch(chain: Chain, seed: int) -> str | None:
    draw = random.Random(seed)
    made = random_pool(draw)
    accounts = made.accounts()
    clock = CLOCK
    for step in range(draw.choice((1, 1, 3))):
        a_to_b, exact_in = draw.random() < 0.5, draw.random() < 0.6
        mode = SwapMode.EXACT_IN if exact_in else SwapMode.EXACT_OUT
        amount = random_amount(draw, made, a_to_b=a_to_b, exact_in=exact_in)
        swap = Swap(Mint(MINT_A if a_to_b else MINT_B), mode, amount)
        clock = ChainClock(
            clock.slot + draw.choice((0, 1, 40)), clock.epoch, clock.unix_timestamp + draw.choice((0, 1, 40))
        )
        try:
            pool = VENUE.decode(POOL, accounts)
            quote, expected = VENUE.apply(pool, swap, clock)
        except (PoolRefused, QuoteRefused) as error:
            quote, refusal = None, error
        real = chain.swap(accounts, swap, clock)
        if isinstance(real, str):
            if TOKENS_BEYOND_SUPPLY in real:
                break
            if quote is not None:
                return f"{seed}.{step} {swap} quoted {quote} but {real}\n{made}"
            STATS["refused"] = STATS.get("refused", 0) + 1
            continue
        if decode_balance(accounts[VAULT_A if a_to_b else VAULT_B]) + real[0] > U64_MAX:
            break
        if quote is None:
            return f"{seed}.{step} {swap} refused {refusal} but {real[:2]}\n{made}"
        if (quote.amount_in, quote.amount_out) != real[:2]:
            return f"{seed}.{step} {swap} quoted {quote} but {real[:2]}\n{made}"
        if VENUE.decode(POOL, real[2]) != expected:
            return f"{seed}.{step} {swap} another state after\n{VENUE.decode(POOL, real[2])}\n{expected}"
        if exact_in and VENUE.quoter(pool, swap.input_mint, clock)(amount) != quote.amount_out:
            return f"{seed}.{step} {swap} quoter differs"
        STATS["equal"] = STATS.get("equal", 0) + 1
        accounts = real[2]
    return None


STATS: dict[str, int] = {}


def test_quotes_and_states_after_swaps_equal_the_programs(chain: Chain) -> None:
    found = [text for seed in range(CASES) if (text := mismatch(chain, seed))]
    assert not found, f"{len(found)} of {CASES}:\n" + "\n\n".join(found[:5])
