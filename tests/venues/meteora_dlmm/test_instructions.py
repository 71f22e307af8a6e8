"""The swap instruction, byte for byte as the deployed program accepted it."""

from __future__ import annotations

from typing import Any

import pytest
from solders.pubkey import Pubkey
from tests.venues.meteora_dlmm.made_pools import CLOCK, MINT_X, POOL, MadeBin, MadePool
from tests.venues.meteora_dlmm.onchain_data import instruction_examples, pool_accounts, pool_folder

from fillwright.domain.accounts import Address, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.meteora_dlmm import VENUE
from fillwright.venues.meteora_dlmm.bitmap import extension_address
from fillwright.venues.venue import Swap, SwapAccounts

ACCOUNTS = SwapAccounts(Pubkey.new_unique(), Pubkey.new_unique(), Pubkey.new_unique())


@pytest.mark.parametrize("example", instruction_examples(), ids=lambda e: f"{e['pool'].split('/')[1]}-{e['mode']}")
def test_accepted_instructions_are_reproduced(example: dict[str, Any]) -> None:
    if pool_folder(example["pool"]) is None:
        pytest.skip("this pool's accounts are others' and lie in ../shared only")
    accounts = pool_accounts(example["pool"])
    address = Address(next(a["pubkey"] for a in example["accounts"] if a["role"] == "lb_pair"))
    by_mint = {a["mint"]: Pubkey.from_string(a["account"]) for a in example["token_accounts"]}
    mint_in, _, mint_out = example["direction"].partition("->")
    instruction = VENUE.instruction(
        VENUE.decode(address, accounts),
        Swap(Mint(mint_in), SwapMode(example["mode"]), example["amount"]),
        example["limit"],
        SwapAccounts(Pubkey.from_string(example["user"]), by_mint[mint_in], by_mint[mint_out]),
        ChainClock(**example["clock"]),
    )
    assert str(instruction.program_id) == example["program_id"]
    assert bytes(instruction.data).hex() == example["data_hex"]
    got = [(str(m.pubkey), m.is_signer, m.is_writable) for m in instruction.accounts]
    assert got == [(a["pubkey"], a["is_signer"], a["is_writable"]) for a in example["accounts"]]
    assert example["slippage_error"]["code"] in VENUE.slippage_codes()


def test_bin_arrays_crossed_come_first_and_two_spare_ones_follow() -> None:
    pool = MadePool(bins={-70 * i: MadeBin(y=1_000) for i in range(8)}).decoded()
    swap = Swap(MINT_X, SwapMode.EXACT_IN, 2_500)
    instruction = VENUE.instruction(pool, swap, 0, ACCOUNTS, CLOCK)
    assert len(instruction.accounts) == 16 + 3 + 2


def test_the_extension_is_named_once_the_walk_leaves_the_internal_bitmap() -> None:
    inside = MadePool(bins={i * 70: MadeBin(x=1_000, y=1_000) for i in (-513, -2, -1, 0)})
    for made, named in ((inside, False), (MadePool(bins=inside.bins, active_id=-70), True)):
        swap = Swap(MINT_X, SwapMode.EXACT_IN, 500)
        instruction = VENUE.instruction(made.decoded(), swap, 0, ACCOUNTS, CLOCK)
        assert (str(instruction.accounts[1].pubkey) == extension_address(POOL)) is named


@pytest.mark.parametrize("limit", [-1, 2**64])
def test_a_limit_beyond_64_bits_is_refused(limit: int) -> None:
    pool = MadePool(bins={0: MadeBin(y=1_000)}).decoded()
    with pytest.raises(QuoteRefused):
        VENUE.instruction(pool, Swap(MINT_X, SwapMode.EXACT_IN, 500), limit, ACCOUNTS, CLOCK)
