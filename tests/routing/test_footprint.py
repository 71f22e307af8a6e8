"""Transaction sizes against messages that solders really encodes."""

from __future__ import annotations

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import Message
from solders.pubkey import Pubkey

from fillwright.domain.amounts import SwapMode
from fillwright.routing.book import Side
from fillwright.routing.footprint import LegLoad, footprint, independent, leg_load
from fillwright.routing.terms import RoutingTerms
from fillwright.venues.venue import Swap, SwapAccounts
from routing.cases import HELD, direct_market, sides_of

MARKET = direct_market(6, 24)
SIDES = {side.pool.venue: side for side in sides_of(MARKET)}
AMOUNT = 10**9


def encoded(loads: list[LegLoad], wallet: bytes) -> int:
    """The signed bytes of a legacy transaction with instructions of these shapes."""
    instructions = []
    for load in loads:
        named = sorted(load.keys)
        listed = (named * load.accounts)[: load.accounts]
        metas = [AccountMeta(Pubkey.from_bytes(key), key == wallet, True) for key in listed]
        instructions.append(Instruction(Pubkey.from_bytes(load.program), bytes(load.data_bytes), metas))
    message = Message.new_with_blockhash(instructions, Pubkey.from_bytes(wallet), Hash.default())
    return 1 + 64 + len(bytes(message))


@pytest.mark.parametrize("venues", [("raydium_cpmm",), ("raydium_amm_v4", "meteora_damm_v2"), tuple(sorted(SIDES))])
def test_sizes_are_those_of_encoded_messages(venues: tuple[str, ...]) -> None:
    from fillwright.routing.footprint import _stand_in, _surroundings

    loads = [leg_load(SIDES[venue], AMOUNT, MARKET.clock) for venue in venues]
    mints = (HELD[0].mint, HELD[1].mint)
    around = list(_surroundings(mints, True))
    size = footprint(loads, mints, RoutingTerms(), marker=True)
    assert size.size_bytes == encoded([*around, *loads], bytes(_stand_in("wallet")))


def test_a_load_is_what_the_venue_builds() -> None:
    for side in SIDES.values():
        accounts = SwapAccounts(Pubkey.new_unique(), Pubkey.new_unique(), Pubkey.new_unique())
        swap = Swap(side.input_mint, SwapMode.EXACT_IN, AMOUNT)
        built = side.venue.instruction(side.pool, swap, 0, accounts, MARKET.clock)
        load = leg_load(side, AMOUNT, MARKET.clock)
        assert (load.accounts, load.data_bytes) == (len(built.accounts), len(built.data))
        assert load.program == bytes(built.program_id)


def test_lookup_tables_make_transactions_smaller_and_lock_as_much() -> None:
    loads = [leg_load(side, AMOUNT, MARKET.clock) for side in SIDES.values()]
    mints = (HELD[0].mint, HELD[1].mint)
    plain = footprint(loads, mints, RoutingTerms(), marker=True)
    tabled = footprint(loads, mints, RoutingTerms(lookup_tables=True), marker=True)
    assert tabled.size_bytes < plain.size_bytes
    assert tabled.locks == plain.locks
    assert not plain.fits(RoutingTerms())


def test_the_marker_costs_what_was_measured() -> None:
    loads = [leg_load(SIDES["raydium_cpmm"], AMOUNT, MARKET.clock)]
    # Without wSOL the system program comes in by the token accounts alone.
    mints = (HELD[1].mint, HELD[2].mint)
    with_marker, without = (footprint(loads, mints, RoutingTerms(), marker=flag).size_bytes for flag in (True, False))
    assert with_marker - without <= 161


def test_legs_that_write_one_account_are_not_independent() -> None:
    side: Side = SIDES["meteora_damm_v1"]
    load = leg_load(side, AMOUNT, MARKET.clock)
    other = leg_load(SIDES["raydium_cpmm"], AMOUNT, MARKET.clock)
    assert independent([load, other])
    assert not independent([load, load])
