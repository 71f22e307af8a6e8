"""The closed-form split against a convex solver, a step loop, and its own rebuilt self."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import cvxpy
import msgspec
import pytest

from fillwright.market.snapshot import Snapshot
from fillwright.routing.book import Book, Side
from fillwright.routing.curves import Curve
from fillwright.routing.split import Splitter
from routing.cases import HELD, amount_of, direct_market, sides_of


def solved(curves: Sequence[Curve], x: float) -> float:
    """The convex optimum: every piece p·u - p·q·u²/(1 + q·u) is concave, and together they take x."""
    scale = x
    used, total, rules = [], 0.0, []
    for curve in curves:
        for p, q, low, high in zip(curve.ps, curve.qs, curve.xs, curve.xs[1:], strict=False):
            u = cvxpy.Variable(nonneg=True)
            rules.append(u <= (min(high, low + x) - low) / scale)
            loss = p * q * scale * cvxpy.quad_over_lin(u, 1 + q * scale * u) if q else 0.0
            used.append(u)
            total += p * u - loss
    problem = cvxpy.Problem(cvxpy.Maximize(total), [cvxpy.sum(cvxpy.hstack(used)) == 1, *rules])
    problem.solve(solver=cvxpy.CLARABEL)
    return float(problem.value) * scale


@pytest.mark.parametrize("seed", range(8))
def test_the_split_is_the_convex_optimum(seed: int) -> None:
    draw = Random(seed)
    sides = sides_of(direct_market(seed, draw.choice((2, 5, 10))))
    x = float(amount_of(HELD[0], 10 ** draw.uniform(3, 5)))
    shares = Splitter(sides).split(x)
    best = solved([side.known_to(shares.s * 1.5) for side in sides], x)
    assert sum(shares.inputs) == pytest.approx(x, rel=1e-9)
    assert shares.output >= best * (1 - 1e-8)


@pytest.mark.parametrize("seed", range(12))
def test_no_step_loop_finds_more(seed: int) -> None:
    """Two hundred equal parts, each to the pool whose exact quote grows most; at breakpoints and beside them."""
    draw = Random(seed)
    sides = sides_of(direct_market(seed + 100, draw.randrange(2, 7)))
    splitter = Splitter(sides)
    edges = [edge for side in sides for edge in side.curve(0).xs[1:] if edge < splitter.capacity()]
    x = int(draw.choice(edges)) + draw.randrange(-3, 4) if edges else amount_of(HELD[0], 5_000)
    x = max(min(x, amount_of(HELD[0], 10**6)), 1_000)
    part, taken, given = x // 200, [0] * len(sides), [0] * len(sides)
    for _ in range(200):
        grown = [side.exact_or_zero(taken[at] + part) - given[at] for at, side in enumerate(sides)]
        at = max(range(len(sides)), key=grown.__getitem__)
        if grown[at] <= 0:
            break
        taken[at] += part
        given[at] += grown[at]
    assert splitter.output(float(sum(taken))) >= sum(given) * (1 - 1e-8) - 2 * len(sides)


def test_flat_bins_of_one_price_share_what_is_left() -> None:
    sides = sides_of(direct_market(4, 6, venue="meteora_dlmm", noise=0.0))
    x = float(amount_of(HELD[0], 20_000))
    shares = Splitter(sides).split(x)
    assert sum(shares.inputs) == pytest.approx(x, rel=1e-12)
    assert all(
        0 <= taken <= side.covering(taken).capacity * (1 + 1e-12)
        for taken, side in zip(shares.inputs, sides, strict=False)
    )


def test_more_than_all_pools_take_is_left_over() -> None:
    sides = sides_of(direct_market(4, 3, venue="raydium_clmm"))
    splitter = Splitter(sides)
    capacity = splitter.capacity()
    shares = splitter.split(capacity * 2)
    assert shares.rest == pytest.approx(capacity, rel=1e-9)
    assert sum(shares.inputs) == pytest.approx(capacity, rel=1e-9)


def test_the_inverse_gives_the_input_back() -> None:
    splitter = Splitter(sides_of(direct_market(9, 8)))
    for dollars in (10, 1_000, 50_000):
        x = float(amount_of(HELD[0], dollars))
        assert splitter.input_for(splitter.output(x)) == pytest.approx(x, rel=1e-6)


@pytest.mark.parametrize(("count", "venue", "noise"), [(8, "", 0.002), (50, "", 0.002), (6, "meteora_dlmm", 0.0)])
def test_a_changed_pool_changes_the_split_as_if_built_anew(count: int, venue: str, noise: float) -> None:
    market = direct_market(11, count, venue=venue, noise=noise)
    book = Book()
    book.open(market)
    splitter = Splitter(book.sides(HELD[0].mint, HELD[1].mint))
    x = float(amount_of(HELD[0], 30_000))
    splitter.split(x)
    draw = Random(5)
    for _ in range(20):
        address = draw.choice(sorted(market.pools))
        pool = market.pools[address]
        side = next(one for one in splitter.sides if one.address == address)
        moved = side.venue.apply(pool, _swap(side, int(x) // 50), market.clock)[1]
        market = Snapshot(market.clock, {**market.pools, address: moved}, market.by_pair)
        book.open(market)
        splitter = splitter.with_sides(book.sides(HELD[0].mint, HELD[1].mint))
        anew = Splitter(sides_of(market))
        assert {side.address for side in splitter.sides} == {side.address for side in anew.sides}
        if draw.random() < 0.3:
            x *= draw.uniform(0.5, 1.6)
        shares, expected = splitter.split(x), anew.split(x)
        assert shares.output == pytest.approx(expected.output, rel=1e-11)
        taken = {side.address: part for side, part in zip(splitter.sides, shares.inputs, strict=True)}
        assert min(shares.inputs) >= 0.0
        assert sum(shares.inputs) == pytest.approx(x, rel=1e-9)
        if noise:  # pools of one and the same price may share in many ways
            for side, part in zip(anew.sides, expected.inputs, strict=True):
                assert taken[side.address] == pytest.approx(part, rel=1e-7, abs=x * 1e-9)


def test_a_pool_that_stays_keeps_its_side_and_a_new_value_does_not() -> None:
    market = direct_market(11, 3)
    book = Book()
    book.open(market)
    before = book.sides(HELD[0].mint, HELD[1].mint)
    address = before[0].address
    again = Snapshot(market.clock, dict(market.pools), market.by_pair)
    book.open(again)
    assert book.sides(HELD[0].mint, HELD[1].mint) is before
    changed = {**market.pools, address: msgspec.structs.replace(market.pools[address])}
    book.open(Snapshot(market.clock, changed, market.by_pair))
    after = {side.address: side for side in book.sides(HELD[0].mint, HELD[1].mint)}
    assert after[address] is not before[0]
    assert all(after[side.address] is side for side in before[1:])


def _swap(side: Side, amount: int):
    from fillwright.domain.amounts import SwapMode
    from fillwright.venues.venue import Swap

    return Swap(side.input_mint, SwapMode.EXACT_IN, amount)
