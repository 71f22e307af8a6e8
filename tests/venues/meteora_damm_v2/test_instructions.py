"""The swap instruction, against instructions that the real program accepted."""

from __future__ import annotations

import json

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from tests.venues.meteora_damm_v2.made_pools import CLOCK, MINT_A, MINT_B, POOL, MadePool
from tests.venues.meteora_damm_v2.onchain import SHARED, SHARED_IS_ABSENT, pool_accounts

from fillwright.domain.accounts import Address, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.meteora_damm_v2 import VENUE
from fillwright.venues.vectors import pool_in
from fillwright.venues.venue import Swap, SwapAccounts

ACCEPTED = SHARED / "instructions" / "meteora_damm_v2.json"
TRADER = SwapAccounts(*(Pubkey.from_bytes(bytes([index]) * 32) for index in (21, 22, 23)))


def made_instruction(swap: Swap, limit: int = 1) -> Instruction:
    pool = VENUE.decode(POOL, MadePool().accounts())
    return VENUE.instruction(pool, swap, limit, TRADER, CLOCK)


@pytest.mark.skipif(not ACCEPTED.exists(), reason=SHARED_IS_ABSENT)
def test_instructions_equal_those_the_program_accepted() -> None:
    compared = 0
    for example in json.loads(ACCEPTED.read_bytes())["examples"]:
        # swap2 in the modes that a `Swap` can ask for; `swap` is the older instruction, mode 1 a partial fill
        if example["mode"] not in {mode.value for mode in SwapMode} or not example["data_hex"].startswith("414b3f4c"):
            continue
        venue, address = pool_in(pool_accounts(example["pool"]))
        input_mint, output_mint = example["direction"].split("->")
        owned = {account["mint"]: Pubkey.from_string(account["account"]) for account in example["token_accounts"]}
        built = venue.instruction(
            venue.decode(Address(address), pool_accounts(example["pool"])),
            Swap(Mint(input_mint), SwapMode(example["mode"]), example["amount"]),
            example["limit"],
            SwapAccounts(Pubkey.from_string(example["user"]), owned[input_mint], owned[output_mint]),
            ChainClock(**example["clock"]),
        )
        assert bytes(built.data).hex() == example["data_hex"]
        assert str(built.program_id) == example["program_id"]
        assert [(str(m.pubkey), m.is_signer, m.is_writable) for m in built.accounts] == [
            (account["pubkey"], account["is_signer"], account["is_writable"]) for account in example["accounts"]
        ]
        compared += 1
    assert compared >= 3


def test_an_exact_out_instruction_carries_the_output_and_the_most_to_pay() -> None:
    data = bytes(made_instruction(Swap(Mint(MINT_A), SwapMode.EXACT_OUT, 7), limit=9).data)
    assert data[8:] == (7).to_bytes(8, "little") + (9).to_bytes(8, "little") + b"\x02"


def test_the_pool_sides_keep_their_order_while_the_traders_follow_the_direction() -> None:
    forth, back = (made_instruction(Swap(Mint(mint), SwapMode.EXACT_IN, 5)).accounts for mint in (MINT_A, MINT_B))
    assert forth == back
    assert [forth[2].pubkey, forth[3].pubkey] == [TRADER.input_account, TRADER.output_account]


def test_the_instructions_sysvar_comes_last_for_a_rate_limiter() -> None:
    accounts = made_instruction(Swap(Mint(MINT_B), SwapMode.EXACT_IN, 5)).accounts
    assert str(accounts[-1].pubkey) == "Sysvar1nstructions1111111111111111111111111"


@pytest.mark.parametrize(
    ("swap", "limit", "reason"),
    [
        (Swap(Mint(POOL), SwapMode.EXACT_IN, 5), 1, Refusal.NOT_IN_POOL),
        (Swap(Mint(MINT_A), SwapMode.EXACT_IN, 0), 1, Refusal.AMOUNT_TOO_SMALL),
        (Swap(Mint(MINT_A), SwapMode.EXACT_IN, 2**64), 1, Refusal.AMOUNT_TOO_LARGE),
        (Swap(Mint(MINT_A), SwapMode.EXACT_IN, 5), 2**64, Refusal.AMOUNT_TOO_LARGE),
        (Swap(Mint(MINT_A), SwapMode.EXACT_IN, 5), -1, Refusal.AMOUNT_TOO_LARGE),
    ],
)
def test_what_an_instruction_cannot_carry_is_refused(swap: Swap, limit: int, reason: Refusal) -> None:
    with pytest.raises(QuoteRefused) as refused:
        made_instruction(swap, limit)
    assert refused.value.reason is reason


def test_a_missed_limit_is_known_by_its_error_code() -> None:
    assert VENUE.slippage_codes() == {6002}
