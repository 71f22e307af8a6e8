"""Swaps that mainnet executed come out to the unit, from the accounts before them."""

from pathlib import Path
from typing import Any

import msgspec
import pybase64
import pytest
from tests.venues.raydium_clmm.onchain import SHARED, THIRD_PARTY_POOL, pool_accounts

from fillwright.domain.accounts import Account, Address, ChainClock
from fillwright.domain.amounts import SwapMode
from fillwright.venues.raydium_clmm import VENUE
from fillwright.venues.raydium_clmm.tick_arrays import PROGRAM_ID
from fillwright.venues.venue import Swap

FILES = sorted((SHARED / "swaps" / "raydium_clmm").glob("swap_*.json"))
EPOCH = 962


@pytest.mark.skipif(not FILES, reason="no recorded mainnet swaps below FILLWRIGHT_SHARED")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_mainnet_swap_comes_out_as_it_did(path: Path) -> None:
    recorded: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    address = Address(recorded["pool_address"])
    # Config and mints are those of the snapshot; the arrays are the recorded ones alone.
    accounts = {key: held for key, held in pool_accounts(THIRD_PARTY_POOL).items() if len(held.data) <= 117}
    accounts[address] = Account(PROGRAM_ID, pybase64.b64decode(recorded["pool_b64"]))
    for array in recorded["tick_arrays"]:
        accounts[Address(array["address"])] = Account(PROGRAM_ID, pybase64.b64decode(array["data_b64"]))
    pool = VENUE.decode(address, accounts)
    swap = recorded["swap"]
    assert swap["is_base_input"]
    input_mint = pool.mint_0 if swap["zero_for_one"] else pool.mint_1
    clock = ChainClock(swap["slot"], EPOCH, swap["block_time"])
    quote = VENUE.quote(pool, Swap(input_mint, SwapMode.EXACT_IN, swap["amount"]), clock)
    assert (quote.amount_in, quote.amount_out) == (swap["observed_amount_in"], swap["observed_amount_out"])
    assert VENUE.quoter(pool, input_mint, clock)(swap["amount"]) == swap["observed_amount_out"]
