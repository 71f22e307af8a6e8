"""The swap instructions equal, byte by byte and account by account, those that the program accepted."""

from typing import Any

import msgspec
import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from tests.venues.raydium_clmm.onchain import OWN, pool_accounts, pool_of

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.raydium_clmm import VENUE, instructions
from fillwright.venues.vectors import pool_in
from fillwright.venues.venue import Swap, SwapAccounts

EXAMPLES = msgspec.json.decode((OWN / "instructions" / "raydium_clmm.json").read_bytes())["examples"]
CLOCK = ChainClock(433_200_000, 1002, 1_784_000_000)
TRADER = SwapAccounts(Pubkey(bytes([1]) * 32), Pubkey(bytes([2]) * 32), Pubkey(bytes([3]) * 32))


def built(example: dict[str, Any]) -> Instruction:
    accounts = pool_accounts(example["pool"])
    pool = VENUE.decode(pool_in(accounts)[1], accounts)
    source, _, target = example["direction"].partition("->")
    held = {account["mint"]: Pubkey.from_string(account["account"]) for account in example["token_accounts"]}
    trader = SwapAccounts(Pubkey.from_string(example["user"]), held[source], held[target])
    mode, amount, limit = SwapMode(example["mode"]), example["amount"], example["limit"]
    if example["note"] == "swap (v1)":
        exact_in = mode is SwapMode.EXACT_IN
        return instructions.swap(pool, Mint(source), amount, limit, trader, exact_in=exact_in, arrays=2)
    clock = msgspec.convert(example["clock"], ChainClock)
    return VENUE.instruction(pool, Swap(Mint(source), mode, amount), limit, trader, clock)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example['pool']}-{example['note']}")
def test_an_instruction_equals_the_one_that_the_program_accepted(example: dict[str, Any]) -> None:
    instruction = built(example)
    assert str(instruction.program_id) == example["program_id"]
    assert bytes(instruction.data).hex() == example["data_hex"]
    assert [(str(meta.pubkey), meta.is_signer, meta.is_writable) for meta in instruction.accounts] == [
        (account["pubkey"], account["is_signer"], account["is_writable"]) for account in example["accounts"]
    ]


def test_a_swap_names_every_array_that_it_crosses() -> None:
    pool = pool_of("SYN_ts1_bitmap-extension")
    whole = Swap(pool.mint_1, SwapMode.EXACT_OUT, 16_431_726_800_000)
    _, after = VENUE.apply(pool, whole, CLOCK)
    crossed = [array for array in pool.arrays if pool.tick // 60 * 60 <= array.start <= after.tick]
    instruction = VENUE.instruction(pool, whole, 2**64 - 1, TRADER, CLOCK)
    named = [str(meta.pubkey) for meta in instruction.accounts[14:]]
    assert len(crossed) > instructions.MAX_TICK_ARRAYS
    assert named[: len(crossed)] == [array.address for array in crossed]


def test_a_small_swap_names_at_most_nine_arrays() -> None:
    pool = pool_of("SYN_ts1_bitmap-extension")
    small = VENUE.instruction(pool, Swap(pool.mint_1, SwapMode.EXACT_IN, 1000), 0, TRADER, CLOCK)
    assert len(small.accounts) == 14 + instructions.MAX_TICK_ARRAYS


def test_a_swap_that_would_be_refused_still_gets_its_instruction() -> None:
    pool = pool_of("SYN_ts60_gap-no-liquidity")
    instruction = VENUE.instruction(pool, Swap(pool.mint_0, SwapMode.EXACT_IN, 2**64 - 1), 1, TRADER, CLOCK)
    assert len(instruction.accounts) > 14


def test_the_older_instruction_takes_no_token_2022_mints() -> None:
    pool = pool_of("SYN_ts10_T22")
    with pytest.raises(QuoteRefused) as caught:
        instructions.swap(pool, pool.mint_0, 10, 1, TRADER, exact_in=True, arrays=2)
    assert caught.value.reason is Refusal.UNSUPPORTED_FEATURE


def test_no_instruction_without_a_tick_array() -> None:
    accounts = {key: held for key, held in pool_accounts("SYN_ts10_T22").items() if len(held.data) != 10_240}
    pool = VENUE.decode(pool_in(accounts)[1], accounts)
    with pytest.raises(QuoteRefused) as caught:
        VENUE.instruction(pool, Swap(pool.mint_0, SwapMode.EXACT_IN, 1000), 0, TRADER, CLOCK)
    assert caught.value.reason is Refusal.MISSING_ACCOUNT
