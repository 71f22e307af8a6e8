"""What transactions take, by their legs; `tests/chain/test_sizes.py` holds it against transactions that are built."""

from __future__ import annotations

from solders.pubkey import Pubkey

from fillwright.domain.accounts import Address
from fillwright.domain.amounts import SwapMode
from fillwright.domain.lookup_tables import LookupTable
from fillwright.routing.book import Side
from fillwright.routing.footprint import Scale, footprint, independent, leg_load
from fillwright.routing.terms import RoutingTerms
from fillwright.venues.token_program import TOKEN_PROGRAM
from fillwright.venues.venue import Swap, SwapAccounts
from routing.cases import HELD, direct_market, sides_of, tabled

MARKET = direct_market(6, 24)
SIDES = {side.pool.venue: side for side in sides_of(MARKET)}
AMOUNT = 10**9


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
    with_tables = footprint(loads, mints, tabled(MARKET), marker=True)
    assert with_tables.size_bytes < plain.size_bytes
    assert with_tables.locks == plain.locks
    assert not plain.fits(RoutingTerms())


def test_a_table_with_one_address_of_a_transaction_changes_nothing() -> None:
    load = leg_load(SIDES["raydium_cpmm"], AMOUNT, MARKET.clock)
    mints = (HELD[0].mint, HELD[1].mint)
    key = bytes(Pubkey.from_string(SIDES["raydium_cpmm"].address))
    terms = RoutingTerms(lookup_tables=(LookupTable(Address("t"), frozenset({key})),))
    assert footprint([load], mints, terms, marker=True) == footprint([load], mints, RoutingTerms(), marker=True)


def test_what_signs_or_is_invoked_is_not_looked_up() -> None:
    load = leg_load(SIDES["raydium_cpmm"], AMOUNT, MARKET.clock)
    mints = (HELD[0].mint, HELD[1].mint)
    invoked = {load.program, bytes(32), bytes(Pubkey.from_string(TOKEN_PROGRAM))}
    terms = RoutingTerms(lookup_tables=(LookupTable(Address("t"), frozenset(invoked)),))
    assert footprint([load], mints, terms, marker=True) == footprint([load], mints, RoutingTerms(), marker=True)


def test_the_terms_of_a_decision_keep_of_the_tables_what_it_has_looked_at() -> None:
    load = leg_load(SIDES["raydium_cpmm"], AMOUNT, MARKET.clock)
    terms = tabled(MARKET)
    scale = Scale(terms)
    assert scale.terms().lookup_tables[0].held == frozenset()
    size = scale.weigh([load], (HELD[0].mint, HELD[1].mint), marker=True)
    kept = scale.terms()
    assert 0 < len(kept.lookup_tables[0].held) < len(terms.lookup_tables[0].held)
    assert footprint([load], (HELD[0].mint, HELD[1].mint), kept, marker=True) == size
    assert Scale(RoutingTerms()).terms() == RoutingTerms()


def test_the_marker_costs_what_was_measured() -> None:
    loads = [leg_load(SIDES["raydium_cpmm"], AMOUNT, MARKET.clock)]
    # Without wSOL the system program comes in by the token accounts alone.
    mints = (HELD[1].mint, HELD[2].mint)
    with_marker, without = (footprint(loads, mints, RoutingTerms(), marker=flag).size_bytes for flag in (True, False))
    assert with_marker - without == 161


def test_legs_that_write_one_account_are_not_independent() -> None:
    side: Side = SIDES["meteora_damm_v1"]
    load = leg_load(side, AMOUNT, MARKET.clock)
    other = leg_load(SIDES["raydium_cpmm"], AMOUNT, MARKET.clock)
    assert independent([load, other])
    assert not independent([load, load])
