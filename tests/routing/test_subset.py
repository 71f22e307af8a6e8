"""Leg-capped selection against trying every set."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest

from fillwright.routing.curves import merged
from fillwright.routing.subset import best_subset
from routing.cases import direct_market, sides_of


@pytest.mark.parametrize("seed", range(40))
def test_the_chosen_set_is_the_best_of_all(seed: int) -> None:
    draw = Random(seed)
    count, most = draw.randrange(2, 13), draw.randrange(1, 5)
    x = 10 ** draw.uniform(8, 13)
    curves = [side.covering(x) for side in sides_of(direct_market(seed, count))]
    costs = [10 ** draw.uniform(0, 6) for _ in curves]
    best = None
    for size in range(1, most + 1):
        for members in combinations(range(count), size):
            total = merged([curves[i] for i in members], x)
            if total.capacity >= x:
                net = total.out(x) - sum(costs[i] for i in members)
                best = net if best is None else max(best, net)
    chosen = best_subset(curves, costs, x, most)
    if best is None:
        assert chosen is None
    else:
        assert chosen is not None
        assert chosen.net == pytest.approx(best, rel=1e-11)
        assert len(chosen.members) <= most


@pytest.mark.parametrize("seed", range(20))
def test_a_set_that_does_not_fit_is_not_chosen(seed: int) -> None:
    """Weights with a limit, as bytes have one."""
    draw = Random(seed)
    x = 10 ** draw.uniform(10, 12)
    curves = [side.covering(x) for side in sides_of(direct_market(seed, 9))]
    costs = [1.0] * len(curves)
    weights = [draw.randrange(1, 10) for _ in curves]

    def fits(members: list[int]) -> bool:
        return sum(weights[i] for i in members) <= 14

    best = None
    for size in range(1, 5):
        for members in combinations(range(len(curves)), size):
            total = merged([curves[i] for i in members], x)
            if fits(list(members)) and total.capacity >= x:
                net = total.out(x) - size
                best = net if best is None else max(best, net)
    chosen = best_subset(curves, costs, x, 4, fits)
    assert (chosen is None) == (best is None)
    if chosen is not None:
        assert fits(list(chosen.members))
        assert chosen.net == pytest.approx(best, rel=1e-11)


def test_no_pool_no_set() -> None:
    assert best_subset([], [], 1.0, 3) is None
