"""Orders and made-up markets for the tests of routing."""

from __future__ import annotations

from math import exp, log
from random import Random
from typing import Any

from solders.pubkey import Pubkey

from fillwright.domain.accounts import Address, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.lookup_tables import LookupTable
from fillwright.domain.orders import OrderSpec, OrderType
from fillwright.market.snapshot import Snapshot
from fillwright.paper.generator import Coin, coins, pool_of_pair, snapshot_of
from fillwright.routing.book import Book, Side
from fillwright.routing.named import NamedAccounts
from fillwright.routing.terms import RoutingTerms

HELD = coins(3, 8)
FREE = RoutingTerms(max_bytes=10_000, signature_lamports=0, priority_micro_lamports=0, hop_tolerance_bps=0)
"""Nothing costs anything, so that routes compare by output alone; bytes don't bind."""


def order(source: Mint, target: Mint, amount: int, mode: SwapMode = SwapMode.EXACT_IN, **options: Any) -> OrderSpec:
    fields: dict[str, Any] = {"slippage_bps": 50, **options}
    return OrderSpec("account", "wallet", OrderType.MARKET, source, target, mode, amount, **fields)


def direct_market(seed: int, count: int, *, noise: float = 0.002, venue: str = "") -> Snapshot:
    """`count` pools of one pair (wSOL and a dollar)."""
    sizes = Random(f"sizes/{seed}")
    pair = (HELD[0], HELD[1])
    return snapshot_of(
        pool_of_pair(seed, at, pair, dollars=exp(sizes.gauss(log(60_000), 1.5)), noise=noise, venue=venue)
        for at in range(count)
    )


def sides_of(snapshot: Snapshot, source: Coin = HELD[0], target: Coin = HELD[1]) -> list[Side]:
    book = Book()
    book.open(snapshot)
    return book.sides(source.mint, target.mint)


def tabled(snapshot: Snapshot) -> RoutingTerms:
    """As if one lookup table held every account of every pool."""
    named = NamedAccounts(snapshot)
    keys = {bytes(Pubkey.from_string(key)) for pool in snapshot.pools.values() for key in named.of(pool)}
    return RoutingTerms(lookup_tables=(LookupTable(Address("a table"), frozenset(keys)),))


def amount_of(coin: Coin, dollars: float) -> int:
    return max(1, int(dollars / coin.unit_price))
