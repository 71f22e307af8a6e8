"""Mid prices, of pairs with pools and of pairs without; and what can stand between two tokens."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import pytest

from fillwright.market.snapshot import Snapshot, venue_for
from fillwright.paper.generator import coins, market, pool_of_pair, snapshot_of
from fillwright.routing.mid import decimals_of, mid_price, mid_ratio
from fillwright.routing.paths import Graph
from routing.cases import HELD, order

A, B, C = HELD[0], HELD[1], HELD[4]


def spot(snapshot: Snapshot, address: str, source: str) -> Fraction:
    pool = snapshot.pools[address]
    return venue_for(pool).spot(pool, source, snapshot.clock)


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_a_mid_is_the_median_of_the_pools(count: int) -> None:
    snapshot = snapshot_of(pool_of_pair(5, at, (A, B), dollars=50_000.0, noise=0.02) for at in range(count))
    spots = sorted(spot(snapshot, address, A.mint) for address in snapshot.pools)
    middle = count // 2
    median = spots[middle] if count % 2 else (spots[middle - 1] + spots[middle]) / 2
    assert mid_ratio(order(A.mint, B.mint, 1), snapshot) == median
    whole = median * Fraction(10**A.decimals, 10**B.decimals)
    assert float(mid_price(order(A.mint, B.mint, 1), snapshot) or 0) == pytest.approx(float(whole), rel=1e-11)


def test_a_pair_without_pools_is_priced_over_the_token_between() -> None:
    pools = [pool_of_pair(5, at, pair, dollars=50_000.0) for at, pair in enumerate(((A, B), (B, C), (A, B)))]
    snapshot = snapshot_of(pools)
    first = mid_ratio(order(A.mint, B.mint, 1), snapshot)
    second = mid_ratio(order(B.mint, C.mint, 1), snapshot)
    assert first is not None
    assert second is not None
    assert mid_ratio(order(A.mint, C.mint, 1), snapshot) == first * second
    whole = first * second * Fraction(10**A.decimals, 10**C.decimals)
    assert float(mid_price(order(A.mint, C.mint, 1), snapshot) or 0) == pytest.approx(float(whole), rel=1e-11)
    assert decimals_of(C.mint, snapshot) == C.decimals


def test_a_token_that_nothing_leads_to_has_no_price() -> None:
    snapshot = snapshot_of([pool_of_pair(5, 0, (A, B), dollars=50_000.0)])
    assert mid_ratio(order(A.mint, C.mint, 1), snapshot) is None
    assert mid_price(order(A.mint, C.mint, 1), snapshot) is None
    assert decimals_of(C.mint, snapshot) is None


def test_between_two_tokens_stands_all_that_a_path_can_lead_over() -> None:
    snapshot = market(3, 40, tokens=9)
    graph, mints = Graph(snapshot.by_pair), [coin.mint for coin in coins(3, 9)]
    pairs = {frozenset(pair) for pair in snapshot.by_pair}
    for source, target in permutations(mints, 2):
        others = [mint for mint in mints if mint not in (source, target)]
        one = {mint for mint in others if {frozenset((source, mint)), frozenset((mint, target))} <= pairs}
        two = {
            (first, second)
            for first, second in permutations(others, 2)
            if {frozenset((source, first)), frozenset((first, second)), frozenset((second, target))} <= pairs
        }
        between = graph.between(source, target)
        assert set(between.one) == one
        assert {(first, second) for first, seconds in between.two for second in seconds} == two
