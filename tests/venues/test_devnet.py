"""Raydium's pools on devnet: the same amounts as the recorded mainnet pools, under the devnet programs' own ids."""

from __future__ import annotations

import io
import pickle
from typing import Any

import msgspec
import pytest
from solders.pubkey import Pubkey
from tests.venues.devnet import RAYDIUM, SEEDS, derived, devnet_id, on_devnet, raw
from tests.venues.raydium_data import pool_accounts
from tests.venues.raydium_programs import Program, needs_program

from fillwright.domain.accounts import Account, Address, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.clusters import Cluster, cluster_of
from fillwright.domain.errors import PoolRefused, QuoteRefused, Refusal
from fillwright.venues.raydium_amm_v4 import RaydiumAmmV4, SwapForm
from fillwright.venues.registry import VENUES, misplaced, programs_on, venue_by_program, venue_of
from fillwright.venues.vectors import pool_in
from fillwright.venues.venue import AnyVenue, Pool, Swap, SwapAccounts

CLOCK = ChainClock(448_500_000, 1_038, 1_790_000_010)
POOLS = (
    "raydium_amm_v4/SYN_SOL-6_fee25",
    "raydium_amm_v4/SYN_6-SOL_fee100",
    "raydium_cpmm/FRESH_SOL-SPL",
    "raydium_cpmm/FRESH_T22FEE-SOL",
    "raydium_clmm/SYN_ts10_T22",
    "raydium_clmm/SYN_ts1_bitmap-extension",
    "raydium_clmm/SYN_ts60_gap-no-liquidity",
)
TRADER = SwapAccounts(*(Pubkey(bytes([number]) * 32) for number in (7, 8, 9)))
AMOUNTS = (1, 1_000, 10**6 + 7, 10**9 + 3, 10**13)

every_pool = pytest.mark.parametrize("name", POOLS)
every_venue = pytest.mark.parametrize("venue", RAYDIUM)


def pair(name: str) -> tuple[AnyVenue, Any, Any]:
    """The venue, the pool as recorded, and the same on devnet."""
    held = pool_accounts(name)
    venue, address = pool_in(held)
    moved = on_devnet(held)
    return venue, venue.decode(address, held), venue.decode(pool_in(moved)[1], moved)


def outcome(venue: AnyVenue, pool: Pool, swap: Swap) -> tuple[int, int] | Refusal:
    try:
        quote = venue.quote(pool, swap, CLOCK)
    except QuoteRefused as error:
        return error.reason
    return quote.amount_in, quote.amount_out


@every_pool
def test_a_pool_on_devnet_quotes_what_the_recorded_one_quotes(name: str) -> None:
    venue, recorded, moved = pair(name)
    assert (recorded.program, moved.program) == (venue.program_id, devnet_id(venue.id))
    swaps = [Swap(Mint(mint), mode, amount) for mint in recorded.mints for mode in SwapMode for amount in AMOUNTS]
    answers = [outcome(venue, recorded, swap) for swap in swaps]
    assert [outcome(venue, moved, swap) for swap in swaps] == answers
    assert sum(isinstance(answer, tuple) for answer in answers) >= 8
    after = venue.apply(moved, Swap(moved.mints[0], SwapMode.EXACT_IN, 10**6 + 7), CLOCK)[1]
    assert after.program == devnet_id(venue.id)


@every_pool
def test_the_instruction_and_its_derived_accounts_are_of_the_devnet_program(name: str) -> None:
    venue, recorded, moved = pair(name)
    swap = Swap(recorded.mints[0], SwapMode.EXACT_IN, 10**6 + 7)
    ours = venue.instruction(recorded, swap, 1, TRADER, CLOCK)
    theirs = venue.instruction(moved, swap, 1, TRADER, CLOCK)
    assert str(ours.program_id) == venue.program_id
    assert str(theirs.program_id) == devnet_id(venue.id)
    assert (bytes(ours.data), len(ours.accounts)) == (bytes(theirs.data), len(theirs.accounts))
    here = {str(meta.pubkey) for meta in ours.accounts}
    there = {str(meta.pubkey) for meta in theirs.accounts}
    for known, program in ((here, venue.program_id), (there, devnet_id(venue.id))):
        assert own_addresses(venue.id, recorded if known is here else moved, program) <= known
    assert (getattr(moved, "config", None) in there) == (venue.id != "raydium_amm_v4")
    changed = {str(b.pubkey) for a, b in zip(ours.accounts, theirs.accounts, strict=True) if a.pubkey != b.pubkey}
    assert changed <= own_addresses(venue.id, moved, devnet_id(venue.id)) | {getattr(moved, "config", "")}


def own_addresses(venue: str, pool: Any, program: str) -> set[str]:
    """What the program derives from its own id and the swap of `pool` names, as the test derives it."""
    if venue != "raydium_clmm":
        return {derived(program, SEEDS[venue])[0]}
    ahead = [array for array in reversed(pool.arrays) if array.start <= pool.tick]
    found = {str(pool.address)}
    for array in ahead:
        start = array.start.to_bytes(4, "big", signed=True)
        found.add(derived(program, b"tick_array", raw(pool.address), start)[0])
    if pool.extension is not None:
        found.add(derived(program, b"pool_tick_array_bitmap_extension", raw(pool.address))[0])
    return found


@pytest.mark.parametrize("form", list(SwapForm))
def test_every_form_of_amm_v4_s_swap_names_the_devnet_authority(form: SwapForm) -> None:
    _, recorded, moved = pair(POOLS[0])
    for pool in (recorded, moved):
        swap = Swap(pool.mints[0], SwapMode.EXACT_OUT, 1_000)
        built = RaydiumAmmV4(form).instruction(pool, swap, 10**9, TRADER, CLOCK)
        assert str(built.program_id) == pool.program
        assert str(built.accounts[2].pubkey) == derived(pool.program, SEEDS["raydium_amm_v4"])[0]


@every_pool
def test_accounts_of_both_deployments_are_never_one_pool(name: str) -> None:
    held = pool_accounts(name)
    venue, _ = pool_in(held)
    for accounts, other in ((held, devnet_id(venue.id)), (on_devnet(held), venue.program_id)):
        address = pool_in(accounts)[1]
        whole = venue.decode(address, accounts)
        read = set(venue.companions(address, accounts))
        own = [key for key in read & accounts.keys() if accounts[key].owner == whole.program]
        for key in own:
            mixed = {**accounts, key: Account(other, accounts[key].data)}
            with pytest.raises(PoolRefused) as refused:
                venue.decode(address, mixed)
            assert refused.value.reason is Refusal.MALFORMED
        assert bool(own) == (venue.id != "raydium_amm_v4")


@every_pool
def test_a_pool_account_alone_under_another_program_is_no_pool_with_its_old_companions(name: str) -> None:
    held = dict(pool_accounts(name))
    venue, address = pool_in(held)
    stranger = Address("HWy1jotHpo6UqeQxx49dpYYdQB8wj9Qk9MdxwjLvDHB8")
    held[address] = Account(stranger, held[address].data)
    assert venue_of(held[address]) is None
    with pytest.raises(PoolRefused):
        venue.decode(address, held)


def test_an_amm_v4_pool_repeats_its_own_program_s_bump() -> None:
    moved = on_devnet(pool_accounts(POOLS[0]))
    venue, address = pool_in(moved)
    data = moved[address].data
    bump = derived(devnet_id(venue.id), SEEDS[venue.id])[1]
    wrong = {**moved, address: Account(moved[address].owner, data[:8] + bytes([bump - 1]) + data[9:])}
    with pytest.raises(PoolRefused, match="nonce"):
        venue.decode(address, wrong)


@every_pool
def test_the_companions_of_a_devnet_pool_are_found_from_its_account_alone(name: str) -> None:
    found = []
    for accounts in (pool_accounts(name), on_devnet(pool_accounts(name))):
        venue, address = pool_in(accounts)
        known = {address: accounts[address]}
        for _ in range(8):
            named = set(venue.companions(address, known))
            known = {key: accounts[key] for key in {address, *named} if key in accounts}
        found.append((venue, venue.decode(address, known), len(known)))
    (venue, recorded, held), (_, moved, held_on_devnet) = found
    assert held == held_on_devnet > 2
    swaps = [Swap(Mint(mint), SwapMode.EXACT_IN, amount) for mint in recorded.mints for amount in AMOUNTS]
    assert [outcome(venue, moved, swap) for swap in swaps] == [outcome(venue, recorded, swap) for swap in swaps]


@every_pool
def test_values_stored_before_pools_named_their_program_are_mainnet_s(name: str) -> None:
    venue, recorded, moved = pair(name)
    text = msgspec.json.encode(recorded)
    assert b'"program"' not in text.replace(b'"program":"Token', b"")
    assert msgspec.json.decode(text, type=venue.pool_type) == recorded
    assert msgspec.json.decode(msgspec.json.encode(moved), type=venue.pool_type) == moved
    assert pickle.loads(shorter_pickle(recorded)) == recorded  # noqa: S301 - written above
    assert pickle.loads(pickle.dumps(moved)) == moved  # noqa: S301 - written here


def shorter_pickle(pool: Any) -> bytes:
    """The pool as a pickle of the time when its last field was not there yet."""

    class Older(pickle.Pickler):
        def reducer_override(self, value: object) -> Any:
            if value is pool:
                return type(pool), tuple(getattr(pool, field) for field in pool.__struct_fields__[:-1])
            return NotImplemented

    assert pool.__struct_fields__[-1] == "program"
    written = io.BytesIO()
    Older(written).dump(pool)
    return written.getvalue()


@every_venue
def test_a_chain_of_a_cluster_has_that_cluster_s_program_and_a_private_one_may_have_either(venue: str) -> None:
    known = VENUES[venue]
    mainnet, devnet = known.program_id, devnet_id(venue)
    assert programs_on(known, Cluster.MAINNET) == (mainnet,)
    assert programs_on(known, Cluster.DEVNET) == (devnet,)
    assert programs_on(known, None) == (mainnet, devnet)
    assert venue_by_program(devnet) is known
    theirs, ours = Account(devnet, b""), Account(mainnet, b"")
    assert misplaced(theirs, None) == misplaced(theirs, Cluster.DEVNET) == misplaced(ours, Cluster.MAINNET) == ""
    assert "on devnet, and this chain is mainnet" in misplaced(theirs, Cluster.MAINNET)
    assert "on mainnet, and this chain is devnet" in misplaced(ours, Cluster.DEVNET)
    assert misplaced(Account(Address("x"), b""), Cluster.DEVNET) == ""


@pytest.mark.parametrize("venue", sorted(set(VENUES) - set(RAYDIUM)))
def test_meteora_s_programs_are_the_same_everywhere(venue: str) -> None:
    known = VENUES[venue]
    assert {*known.program_ids.values()} == {known.program_id}
    assert programs_on(known, None) == programs_on(known, Cluster.DEVNET) == (known.program_id,)


def test_no_two_venues_share_an_id_and_a_genesis_tells_its_cluster() -> None:
    ids = [program for venue in VENUES.values() for program in programs_on(venue, None)]
    assert len(set(ids)) == len(ids) == 9
    assert all(len(raw(program)) == 32 for program in ids)
    assert cluster_of("EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG") is Cluster.DEVNET
    assert cluster_of("5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d") is Cluster.MAINNET
    assert cluster_of("11111111111111111111111111111111") is None


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_program(VENUES[name.partition("/")[0]].program_id)) for name in POOLS]
)
def test_the_program_executes_the_swap_at_its_devnet_id(name: str) -> None:
    venue, _, _ = pair(name)
    accounts = on_devnet(pool_accounts(name))
    address = pool_in(accounts)[1]
    pool = venue.decode(address, accounts)
    program = Program(venue, Cluster.DEVNET)
    program.load(accounts, CLOCK)
    executed = 0
    for mint in pool.mints:
        for mode in SwapMode:
            swap = Swap(mint, mode, 10**6 + 7)
            try:
                quote, after = venue.apply(pool, swap, CLOCK)
            except QuoteRefused:
                continue
            assert program.swap(pool, swap, CLOCK) == (quote.amount_in, quote.amount_out)
            held = {key: Account(accounts[key].owner, program.account(key)) for key in accounts}
            pool = venue.decode(address, held)
            assert pool == after
            executed += 1
    assert executed >= 2
