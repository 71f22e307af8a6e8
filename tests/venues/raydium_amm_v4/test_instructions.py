"""The swap instructions equal, byte by byte and account by account, those that the program accepted."""

from typing import Any

import msgspec
import pytest
from solders.pubkey import Pubkey
from tests.venues.raydium_amm_v4.pools import snapshot
from tests.venues.raydium_data import OWN, pool_accounts

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.raydium_amm_v4 import VENUE, RaydiumAmmV4, SwapForm
from fillwright.venues.vectors import pool_in
from fillwright.venues.venue import Swap, SwapAccounts

EXAMPLES = msgspec.json.decode((OWN / "instructions" / "raydium_amm_v4.json").read_bytes())["examples"]
TRADER = SwapAccounts(Pubkey(bytes([1]) * 32), Pubkey(bytes([2]) * 32), Pubkey(bytes([3]) * 32))
CLOCK = ChainClock(0, 0, 0)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example['mode']}-{len(example['accounts'])}")
def test_an_instruction_equals_the_one_that_the_program_accepted(example: dict[str, Any]) -> None:
    accounts = pool_accounts(example["pool"])
    roles = {account["role"]: Pubkey.from_string(account["pubkey"]) for account in example["accounts"]}
    trader = SwapAccounts(Pubkey.from_string(example["user"]), roles["user_source"], roles["user_destination"])
    swap = Swap(Mint(example["direction"].partition("->")[0]), SwapMode(example["mode"]), example["amount"])
    clock = ChainClock(**example["clock"])
    venue = RaydiumAmmV4(SwapForm.TARGET_ORDERS) if "amm_target_orders" in roles else VENUE
    pool = venue.decode(pool_in(accounts)[1], accounts)

    built = venue.instruction(pool, swap, example["limit"], trader, clock)

    assert str(built.program_id) == example["program_id"]
    assert bytes(built.data).hex() == example["data_hex"]
    assert [(str(meta.pubkey), meta.is_signer, meta.is_writable) for meta in built.accounts] == [
        (account["pubkey"], account["is_signer"], account["is_writable"]) for account in example["accounts"]
    ]
    executed = example["executed"]
    quote = venue.quote(pool, swap, clock)
    assert (quote.amount_in, quote.amount_out) == (executed["amount_in"], executed["amount_out"])
    assert example["slippage_error"]["code"] in venue.slippage_codes()


@pytest.mark.parametrize(
    ("form", "mode", "tag", "count"),
    [
        (SwapForm.MARKET, SwapMode.EXACT_IN, 9, 17),
        (SwapForm.MARKET, SwapMode.EXACT_OUT, 11, 17),
        (SwapForm.TARGET_ORDERS, SwapMode.EXACT_IN, 9, 18),
        (SwapForm.V2, SwapMode.EXACT_IN, 16, 8),
        (SwapForm.V2, SwapMode.EXACT_OUT, 17, 8),
    ],
)
def test_a_form_decides_the_tag_and_the_accounts(form: SwapForm, mode: SwapMode, tag: int, count: int) -> None:
    pool = snapshot()
    built = RaydiumAmmV4(form).instruction(pool, Swap(pool.mints[1], mode, 5), 7, TRADER, CLOCK)
    first, second = (5, 7) if mode is SwapMode.EXACT_IN else (7, 5)
    assert bytes(built.data) == bytes([tag]) + first.to_bytes(8, "little") + second.to_bytes(8, "little")
    assert len(built.accounts) == count
    assert [meta.pubkey for meta in built.accounts[-3:]] == [
        TRADER.input_account,
        TRADER.output_account,
        TRADER.wallet,
    ]
    assert [str(meta.pubkey) for meta in built.accounts if str(meta.pubkey) in pool.vaults] == list(pool.vaults)


def test_an_instruction_needs_a_mint_of_the_pool_and_amounts_of_64_bits() -> None:
    pool = snapshot()
    with pytest.raises(QuoteRefused) as refused:
        VENUE.instruction(pool, Swap(Mint("nowhere"), SwapMode.EXACT_IN, 1), 0, TRADER, CLOCK)
    assert refused.value.reason is Refusal.NOT_IN_POOL
    with pytest.raises(QuoteRefused) as refused:
        VENUE.instruction(pool, Swap(pool.mints[0], SwapMode.EXACT_IN, 2**64), 0, TRADER, CLOCK)
    assert refused.value.reason is Refusal.AMOUNT_TOO_LARGE
