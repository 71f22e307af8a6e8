"""The swap instruction equals those that the real program accepted, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace
from solders.pubkey import Pubkey
from tests.venues.meteora_damm_v1.pools import CLOCK, OWN, accounts_of, exact_in, snapshot

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.meteora_damm_v1 import VENUE
from fillwright.venues.vectors import pool_in
from fillwright.venues.venue import Swap, SwapAccounts

_FILE = OWN / "instructions" / "meteora_damm_v1.json"
_EXAMPLES: list[dict[str, Any]] = json.loads(_FILE.read_text())["examples"]
_TRADER = SwapAccounts(*(Pubkey.from_bytes(bytes([byte]) * 32) for byte in (1, 2, 3)))


@pytest.mark.parametrize("example", _EXAMPLES, ids=range(len(_EXAMPLES)))
def test_the_instruction_equals_the_accepted_one(example: dict[str, Any]) -> None:
    accounts = accounts_of(example["pool"].partition("/")[2])
    pool = VENUE.decode(pool_in(accounts)[1], accounts)
    if "constant product" in (example["note"] or ""):
        pool = replace(pool, stable=None)
    input_mint = example["direction"].partition("->")[0]
    token_accounts = {held["mint"]: Pubkey.from_string(held["account"]) for held in example["token_accounts"]}
    trader = SwapAccounts(
        Pubkey.from_string(example["user"]),
        token_accounts[input_mint],
        token_accounts[example["direction"].partition("->")[2]],
    )
    swap = Swap(Mint(input_mint), SwapMode.EXACT_IN, example["amount"])
    built = VENUE.instruction(pool, swap, example["limit"], trader, ChainClock(**example["clock"]))
    assert str(built.program_id) == example["program_id"]
    assert bytes(built.data).hex() == example["data_hex"]
    assert [(str(meta.pubkey), meta.is_signer, meta.is_writable) for meta in built.accounts] == [
        (account["pubkey"], account["is_signer"], account["is_writable"]) for account in example["accounts"]
    ]


def test_the_protocol_fee_account_is_that_of_the_input() -> None:
    pool = snapshot()
    for given in (0, 1):
        built = VENUE.instruction(pool, exact_in(pool, given, 5), 4, _TRADER, CLOCK)
        assert str(built.accounts[11].pubkey) == pool.protocol_fee_accounts[given]


def test_an_exact_output_has_no_instruction() -> None:
    pool = snapshot()
    with pytest.raises(QuoteRefused) as refused:
        VENUE.instruction(pool, Swap(pool.mints[0], SwapMode.EXACT_OUT, 5), 9, _TRADER, CLOCK)
    assert refused.value.reason is Refusal.UNSUPPORTED_MODE


@pytest.mark.parametrize(("amount", "limit"), [(0, 0), (2**64, 0), (1, 2**64), (1, -1)])
def test_a_number_beyond_64_bits_has_no_instruction(amount: int, limit: int) -> None:
    pool = snapshot()
    with pytest.raises(QuoteRefused):
        VENUE.instruction(pool, exact_in(pool, 0, amount), limit, _TRADER, CLOCK)
