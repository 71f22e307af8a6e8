"""What routing says that a transaction takes, against the bytes that are built: with lookup tables of every kind."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.message import MessageV0
from solders.pubkey import Pubkey
from tests.venues.raydium_data import pool_accounts

from fillwright.chain import programs
from fillwright.chain.transaction import SIGNATURE_BYTES, Payment, build_instructions, compile_message
from fillwright.domain.accounts import Address, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.domain.lookup_tables import LookupTable
from fillwright.domain.orders import OrderSpec
from fillwright.domain.routes import Leg
from fillwright.domain.transactions import Blockhash, SwapPlan
from fillwright.market.snapshot import Snapshot, index_pairs
from fillwright.paper.generator import coins, market
from fillwright.routing.book import Book
from fillwright.routing.footprint import footprint, leg_load
from fillwright.routing.named import NamedAccounts
from fillwright.routing.route import Router
from fillwright.routing.terms import RoutingTerms
from fillwright.venues.registry import VENUES
from fillwright.venues.vectors import pool_in
from fillwright.venues.venue import Swap
from routing.cases import amount_of, order

WALLET = Pubkey.from_bytes(bytes([5]) * 32)
TIPS = tuple(str(Pubkey.from_bytes(bytes([60 + number]) * 32)) for number in range(4))
BLOCKHASH = Blockhash("11111111111111111111111111111111", 1)
MARKET, HELD = market(5, 300), coins(5, 30)
DUMPS = (
    "meteora_damm_v1/SYN_stable_6-9",
    "meteora_damm_v2/SYN_T22_rate-limiter",
    "meteora_damm_v2/SYN_full-range_linear",
    "meteora_dlmm/SYN_bitmap-extension",
    "meteora_dlmm/SYN_gaps_many-arrays",
    "raydium_amm_v4/SYN_SOL-6_fee25",
    "raydium_clmm/SYN_ts10_T22",
    "raydium_clmm/SYN_ts1_bitmap-extension",
    "raydium_cpmm/FRESH_T22FEE-SOL",
)

Tables = list[AddressLookupTableAccount]


def worth_holding(snapshot: Snapshot) -> list[Pubkey]:
    """Everything that a transaction may look up, and what it may not, so that it must know better."""
    named = NamedAccounts(snapshot)
    found = {Pubkey.from_string(key) for pool in snapshot.pools.values() for key in named.of(pool)}
    for pool in snapshot.pools.values():
        for mint, program in zip(pool.mints, pool.token_programs, strict=True):
            found.add(programs.token_account(WALLET, Pubkey.from_string(mint), Pubkey.from_string(program)))
    found |= {WALLET, programs.SYSTEM, programs.TOKEN, programs.TOKEN_2022, programs.COMPUTE_BUDGET}
    found |= {programs.ASSOCIATED_TOKEN, *(Pubkey.from_string(venue.program_id) for venue in VENUES.values())}
    return sorted(found, key=bytes)


WORTH = worth_holding(MARKET)


def drawn_tables(draw: Random, worth: list[Pubkey], tips: tuple[str, ...]) -> Tables:
    """None, some or all of the addresses, in one or several tables, some in more than one; and some idle ones."""
    count, part = draw.choice((0, 1, 1, 2, 3, 6)), draw.choice((0.05, 0.3, 0.7, 1.0))
    held: list[list[Pubkey]] = [[Pubkey.from_bytes(draw.randbytes(32))] for _ in range(count)]
    with_tips = [*worth, *map(Pubkey.from_string, tips)] if draw.random() < 0.5 else worth
    for key in with_tips if count else ():
        for table in draw.sample(held, draw.choice((1, 1, 1, min(2, count)))):
            if draw.random() < part:
                table.append(key)
    if count and draw.random() < 0.3:
        held.append([draw.choice(worth)])
    for table in held:
        draw.shuffle(table)
    # A real table holds 256 addresses; where a random one got more, its last ones are cut off.
    return [AddressLookupTableAccount(Pubkey.from_bytes(draw.randbytes(32)), table[:256]) for table in held]


def terms_with(tables: Tables, tips: tuple[str, ...]) -> RoutingTerms:
    told = tuple(LookupTable(Address(str(each.key)), frozenset(map(bytes, each.addresses))) for each in tables)
    return RoutingTerms(lookup_tables=told, wallet=str(WALLET), tip_accounts=tips)


def built(plan: SwapPlan, snapshot: Snapshot, tables: Tables, tip: str) -> tuple[int, int]:
    """The bytes of the transaction, signature and all, and how many accounts it locks."""
    token_programs = {
        mint: Pubkey.from_string(program)
        for leg in plan.legs
        for mint, program in zip(snapshot.pools[leg.pool].mints, snapshot.pools[leg.pool].token_programs, strict=True)
    }
    payment = Payment(200_000, len(tables), 890_880, 10_000 if tip else 0, Pubkey.from_string(tip) if tip else None)
    parts = build_instructions(plan, snapshot, WALLET, payment, token_programs)
    raw = compile_message(parts, WALLET, BLOCKHASH, tables)
    message = MessageV0.from_bytes(raw[1:])
    used = message.address_table_lookups
    indices = sum(len(each.writable_indexes) + len(each.readonly_indexes) for each in used)
    assert all(len(each.writable_indexes) + len(each.readonly_indexes) >= 2 for each in used)
    return SIGNATURE_BYTES + len(raw), len(message.account_keys) + indices


def plan_of(spec: OrderSpec, legs: tuple[Leg, ...], amounts: tuple[int, int], limit: int) -> SwapPlan:
    seed = "a" * 32 if spec.marker else ""
    return SwapPlan("o", 1, "w", spec.mode, spec.input_mint, spec.output_mint, *amounts, limit, legs, seed)


def tables_holding(address: str, tables: Tables) -> frozenset[Pubkey]:
    return frozenset(each.key for each in tables if Pubkey.from_string(address) in each.addresses)


@pytest.mark.parametrize("seed", range(60))
def test_a_route_takes_what_was_said_to_the_byte(seed: int) -> None:
    draw, router, looked = Random(f"sizes/{seed}"), Router(), 0
    for _ in range(8):
        tips = draw.choice(((), TIPS[:1], TIPS))
        tables = drawn_tables(draw, WORTH, tips)
        source, target = draw.sample(HELD[:12], 2)
        mode = draw.choice(tuple(SwapMode))
        fixed = source if mode is SwapMode.EXACT_IN else target
        amount = amount_of(fixed, 10 ** draw.uniform(2, 6))
        spec = order(source.mint, target.mint, amount, mode, marker=draw.random() < 0.7)
        route = router.decide(spec, MARKET, terms_with(tables, tips)).route
        if route is None or len(route.legs) < 2:
            continue
        looked += 1
        plan = plan_of(spec, route.legs, (route.amount_in, route.amount_out), route.limit)
        sizes = {built(plan, MARKET, tables, tip) for tip in tips or ("",)}
        assert {locks for _, locks in sizes} == {route.locks}
        longest = max(size for size, _ in sizes)
        if len({tables_holding(tip, tables) for tip in tips}) > 1:
            # Which account is tipped decides: the worst of them counts, or one in no table.
            assert longest <= route.size_bytes <= longest + 31
        else:
            assert sizes == {(route.size_bytes, route.locks)}
    assert looked


def dumped(name: str) -> Snapshot:
    venue_name = name.partition("/")[0]
    accounts = pool_accounts(name)
    pool = VENUES[venue_name].decode(pool_in(accounts)[1], accounts)
    clock = ChainClock(448_500_000, 1_038, 1_790_000_010)
    return Snapshot(clock, {pool.address: pool}, index_pairs([pool]))


@pytest.mark.parametrize("name", DUMPS)
def test_a_swap_of_any_venue_and_token_program_takes_what_was_said_to_the_byte(name: str) -> None:
    draw, snapshot = Random(name), dumped(name)
    (pool,) = snapshot.pools.values()
    venue, book, looked = VENUES[pool.venue], Book(), 0
    book.open(snapshot)
    worth = worth_holding(snapshot)
    for number in range(120):
        mode, marker = draw.choice(tuple(SwapMode)), draw.random() < 0.7
        source = draw.choice(pool.mints)
        target = next(mint for mint in pool.mints if mint != source)
        spec = order(source, target, int(10 ** draw.uniform(3, 9)), mode, marker=marker)
        tips = TIPS[: draw.choice((0, 1))]
        tables = [] if number == 0 else drawn_tables(draw, worth, tips)
        try:
            quote = venue.quote(pool, Swap(source, mode, spec.amount), snapshot.clock)
            load = leg_load(book.side(pool, source), spec.amount, snapshot.clock, mode)
        except QuoteRefused:
            continue
        if not quote.amount_out:
            continue
        looked += 1
        leg = Leg(venue.id, venue.dex, pool.address, source, target, quote.amount_in, quote.amount_out)
        exact_in = mode is SwapMode.EXACT_IN
        limit = quote.amount_out if exact_in else quote.amount_in
        plan = plan_of(spec, (leg,), (quote.amount_in, quote.amount_out), limit)
        told = footprint([load], (source, target), terms_with(tables, tips), marker=marker)
        assert built(plan, snapshot, tables, tips[0] if tips else "") == (told.size_bytes, told.locks)
    assert looked > 20


def test_tables_let_routes_through_that_are_too_big_without() -> None:
    draw, more = Random("through"), 0
    for _ in range(12):
        source, target = draw.sample(HELD[:12], 2)
        spec = order(source.mint, target.mint, amount_of(source, 10 ** draw.uniform(4, 6)))
        plain = Router().decide(spec, MARKET, RoutingTerms()).route
        if plain is None:
            continue
        # A table for the best pools of this very pair: what an operator would put into one.
        wider = Router().decide(spec, MARKET, RoutingTerms(max_bytes=10_000)).route
        assert wider is not None
        named = NamedAccounts(MARKET)
        keys = dict.fromkeys(key for leg in wider.legs for key in named.of(MARKET.pools[leg.pool]))
        table = AddressLookupTableAccount(Pubkey.from_bytes(bytes([7]) * 32), list(map(Pubkey.from_string, keys))[:256])
        tabled = Router().decide(spec, MARKET, terms_with([table], ())).route
        assert tabled is not None
        assert tabled.amount_out - tabled.cost >= plain.amount_out - plain.cost
        assert tabled.size_bytes <= RoutingTerms().max_bytes
        more += len(tabled.legs) > len(plain.legs)
    assert more


def test_more_accounts_than_a_transaction_may_lock_never_make_a_route() -> None:
    source, target = HELD[0], HELD[1]
    spec = order(source.mint, target.mint, amount_of(source, 10**6))
    tables = [AddressLookupTableAccount(Pubkey.from_bytes(bytes([9]) * 32), WORTH)]
    terms = terms_with(tables, ())
    for locks in (64, 40, 30):
        route = Router().decide(spec, MARKET, replace(terms, max_locks=locks)).route
        assert route is None or route.locks <= locks


def test_a_wallets_token_account_counts_for_that_wallet_alone() -> None:
    mints = (HELD[0].mint, HELD[1].mint)
    book = Book()
    book.open(MARKET)
    side = next(iter(book.sides(*mints)))
    load = leg_load(side, 10**6, MARKET.clock)
    own = [programs.token_account(WALLET, Pubkey.from_string(Mint(mint))) for mint in mints]
    table = AddressLookupTableAccount(Pubkey.from_bytes(bytes([9]) * 32), own)
    terms = terms_with([table], ())
    mine = footprint([load], mints, terms, marker=True)
    other = footprint([load], mints, replace(terms, wallet=str(Pubkey.from_bytes(bytes([6]) * 32))), marker=True)
    assert other.size_bytes - mine.size_bytes == 2 * 31 - 34
    assert other.locks == mine.locks
