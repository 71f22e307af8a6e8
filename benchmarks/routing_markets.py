"""Made-up markets and orders for the benchmark of routing, from seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import exp, log
from random import Random

from solders.pubkey import Pubkey

from fillwright.domain.accounts import Address
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.domain.lookup_tables import LookupTable
from fillwright.domain.orders import OrderSpec, OrderType
from fillwright.market.snapshot import Snapshot, venue_for
from fillwright.paper.generator import Coin, coins, pool_of_pair, snapshot_of
from fillwright.routing.book import Book, Side
from fillwright.routing.named import NamedAccounts
from fillwright.routing.terms import RoutingTerms
from fillwright.venues.venue import Swap

HELD = coins(3, 8)
PAIR = (HELD[0], HELD[1])
FREE = RoutingTerms(max_bytes=10_000, signature_lamports=0, priority_micro_lamports=0, hop_tolerance_bps=0)
UNLIMITED = RoutingTerms(
    max_legs=50, max_bytes=10**6, max_locks=10**6, max_compute=10**9, signature_lamports=0, priority_micro_lamports=0
)
UNLIMITED_HOPS = RoutingTerms(
    max_bytes=10**6, max_locks=10**6, max_compute=10**9, signature_lamports=0, priority_micro_lamports=0,
    hop_tolerance_bps=0,
)  # fmt: skip
APART = ("raydium_amm_v4", "raydium_cpmm", "raydium_clmm", "meteora_dlmm", "meteora_damm_v2")
"""Without DAMM v1: pools that share a lending vault can't share a transaction, which is no rule that a grid knows."""


def order(
    source: Coin, target: Coin, amount: int, mode: SwapMode = SwapMode.EXACT_IN, max_legs: int | None = None
) -> OrderSpec:
    return OrderSpec("a", "w", OrderType.MARKET, source.mint, target.mint, mode, amount, 50, max_legs=max_legs)


def direct_market(seed: int, count: int, noise: float = 0.002, venues: Sequence[str] = ("",)) -> Snapshot:
    draw = Random(f"sizes/{seed}")
    return snapshot_of(
        pool_of_pair(
            seed, at, PAIR, dollars=exp(draw.gauss(log(60_000), 1.5)), noise=noise, venue=venues[at % len(venues)]
        )
        for at in range(count)
    )


def tabled(snapshot: Snapshot) -> RoutingTerms:
    """As if one lookup table held every account of every pool."""
    named = NamedAccounts(snapshot)
    keys = {bytes(Pubkey.from_string(key)) for pool in snapshot.pools.values() for key in named.of(pool)}
    return RoutingTerms(lookup_tables=(LookupTable(Address("a table"), frozenset(keys)),))


def sides_of(snapshot: Snapshot) -> list[Side]:
    book = Book()
    book.open(snapshot)
    return book.sides(PAIR[0].mint, PAIR[1].mint)


def changes(snapshot: Snapshot, draw: Random) -> Iterator[Snapshot]:
    """The snapshot with one more pool swapped through, again and again."""
    while True:
        address = draw.choice(sorted(snapshot.pools))
        pool = snapshot.pools[address]
        swap = Swap(draw.choice(pool.mints), SwapMode.EXACT_IN, draw.randrange(10**6, 10**8))
        try:
            pool = venue_for(pool).apply(pool, swap, snapshot.clock)[1]
        except QuoteRefused:
            continue
        snapshot = Snapshot(snapshot.clock, {**snapshot.pools, address: pool}, snapshot.by_pair)
        yield snapshot


def drained(draw: Random, snapshot: Snapshot) -> Snapshot:
    pools = dict(snapshot.pools)
    for address, pool in snapshot.pools.items():
        if draw.random() < 0.3:
            swap = Swap(draw.choice(pool.mints), SwapMode.EXACT_IN, int(10 ** draw.uniform(6, 17)))
            try:
                pools[address] = venue_for(pool).apply(pool, swap, snapshot.clock)[1]
            except QuoteRefused:
                continue
    return Snapshot(snapshot.clock, pools, snapshot.by_pair)
