"""The swap instructions equal, byte by byte and account by account, those that the program accepted."""

from typing import Any

import msgspec
import pytest
from solders.pubkey import Pubkey
from tests.venues.raydium_data import OWN, pool_accounts

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.raydium_cpmm import VENUE
from fillwright.venues.vectors import pool_in
from fillwright.venues.venue import Swap, SwapAccounts

EXAMPLES = msgspec.json.decode((OWN / "instructions" / "raydium_cpmm.json").read_bytes())["examples"]
TRADER = SwapAccounts(Pubkey(bytes([1]) * 32), Pubkey(bytes([2]) * 32), Pubkey(bytes([3]) * 32))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example['pool']}-{example['mode']}")
def test_an_instruction_equals_the_one_that_the_program_accepted(example: dict[str, Any]) -> None:
    accounts = pool_accounts(example["pool"])
    _, address = pool_in(accounts)
    roles = {account["role"]: Pubkey.from_string(account["pubkey"]) for account in example["accounts"]}
    trader = SwapAccounts(
        Pubkey.from_string(example["user"]), roles["input_token_account"], roles["output_token_account"]
    )
    swap = Swap(Mint(example["direction"].partition("->")[0]), SwapMode(example["mode"]), example["amount"])
    clock = ChainClock(**example["clock"])
    pool = VENUE.decode(address, accounts)

    built = VENUE.instruction(pool, swap, example["limit"], trader, clock)

    assert str(built.program_id) == example["program_id"]
    assert bytes(built.data).hex() == example["data_hex"]
    assert [(str(meta.pubkey), meta.is_signer, meta.is_writable) for meta in built.accounts] == [
        (account["pubkey"], account["is_signer"], account["is_writable"]) for account in example["accounts"]
    ]
    quote = VENUE.quote(pool, swap, clock)
    assert (quote.amount_in, quote.amount_out) == (
        example["executed"]["amount_in"],
        example["executed"]["amount_out"],
    )
    assert example["slippage_error"]["code"] in VENUE.slippage_codes()


def test_an_instruction_needs_a_mint_of_the_pool_and_amounts_of_64_bits() -> None:
    accounts = pool_accounts("raydium_cpmm/FRESH_SOL-SPL")
    pool = VENUE.decode(pool_in(accounts)[1], accounts)
    clock = ChainClock(0, 0, 0)
    with pytest.raises(QuoteRefused) as refused:
        VENUE.instruction(pool, Swap(Mint("nowhere"), SwapMode.EXACT_IN, 1), 0, TRADER, clock)
    assert refused.value.reason is Refusal.NOT_IN_POOL
    with pytest.raises(QuoteRefused) as refused:
        VENUE.instruction(pool, Swap(pool.mints[0], SwapMode.EXACT_IN, 1), 2**64, TRADER, clock)
    assert refused.value.reason is Refusal.AMOUNT_TOO_LARGE
