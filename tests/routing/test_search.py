"""The search against trying everything, and against itself without its shortcut."""

from __future__ import annotations

from random import Random

import pytest
from benchmarks.routing_oracles import best_of_all_plans

from fillwright.domain.amounts import SwapMode
from fillwright.paper.generator import coins, market
from fillwright.routing.route import Router
from fillwright.routing.search import Search
from fillwright.routing.terms import RoutingTerms
from routing.cases import FREE, HELD, amount_of, direct_market, order, tabled

UNLIMITED = RoutingTerms(
    max_bytes=10**6,
    max_locks=10**6,
    max_compute=10**9,
    signature_lamports=0,
    priority_micro_lamports=0,
    hop_tolerance_bps=0,
)
TERMS = (FREE, RoutingTerms(), None, RoutingTerms(priority_micro_lamports=10**8))
"""None: with lookup tables."""


def test_no_choice_of_paths_and_pools_of_the_whole_market_is_much_better() -> None:
    snapshot, held = market(8, 300), coins(8, 30)
    draw, router, gaps = Random(1), Router(), []
    for _ in range(12):
        source, target = draw.sample(held[:14], 2)
        spec = order(source.mint, target.mint, amount_of(source, 10 ** draw.uniform(0, 3)), max_legs=3)
        route = router.decide(spec, snapshot, UNLIMITED).route
        best, _ = best_of_all_plans(spec, snapshot, 3)
        if route is None:
            assert best == 0.0
        elif route.price_impact_ppm <= 5_000:
            gaps.append((best - route.amount_out) / best * 1e4)
    gaps.sort()
    assert len(gaps) >= 6
    assert gaps[int(len(gaps) * 0.9)] <= 0.2
    assert gaps[-1] <= 5.0


@pytest.mark.parametrize("seed", range(40))
def test_where_one_pool_is_proven_enough_the_whole_search_decides_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Random(seed)
    cases = []
    for case in range(6):
        snapshot = direct_market(seed * 10 + case, draw.randrange(1, 7), noise=draw.choice((0.0, 0.002, 0.02)))
        mode = draw.choice(tuple(SwapMode))
        source, target = draw.sample(HELD[:2], 2)
        fixed = source if mode is SwapMode.EXACT_IN else target
        spec = order(source.mint, target.mint, amount_of(fixed, 10 ** draw.uniform(-4, 4)), mode)
        terms = draw.choice(TERMS) or tabled(snapshot)
        cases.append((spec, snapshot, terms, Router().decide(spec, snapshot, terms)))
    big, held, router = market(2, 120), coins(2, 12), Router()
    big_tabled = tabled(big)
    for _ in range(6):
        source, target = draw.sample(held, 2)
        spec = order(source.mint, target.mint, amount_of(source, 10 ** draw.uniform(-2, 3)))
        terms = draw.choice(TERMS) or big_tabled
        cases.append((spec, big, terms, router.decide(spec, big, terms)))
    monkeypatch.setattr(Search, "_alone", lambda self: None)
    for spec, snapshot, terms, decision in cases:
        assert Router().decide(spec, snapshot, terms) == decision
