"""What routes are measured against: a convex solver, exhaustive search, percent grids, every pool by itself.

Slow on purpose, and independent of the search that they judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, pairwise, product
from math import inf

import cvxpy
import msgspec

from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.domain.orders import OrderSpec
from fillwright.market.snapshot import Snapshot, venue_for
from fillwright.paper.default_market import made_up_address
from fillwright.routing.book import Book, Side
from fillwright.routing.curves import Curve, merged
from fillwright.routing.footprint import Loads, independent, leg_compute_units
from fillwright.routing.paths import Graph, Path, PathFinder
from fillwright.routing.route import Decision
from fillwright.routing.search import Chain, Limits, Plan, Search, plan_sides
from fillwright.routing.split import Splitter
from fillwright.routing.terms import RoutingTerms
from fillwright.venues.raydium_amm_v4.layout import AmmV4Pool
from fillwright.venues.venue import Swap

BP = 1e4
MAX_PATHS = 12
SINGLE_PATH_POOLS, JOINT_PATHS, JOINT_POOLS = 5, 5, 3
"""Every set of up to three pools per hop: of the best five on a path alone, of the best three on paths together."""


def convex_optimum(curves: Sequence[Curve], x: float) -> float:
    """The best split of `x`, in the form p·u - p·q·u²/(1 + q·u) per piece, by Clarabel."""
    used, total, rules = [], 0.0, []
    for curve in curves:
        for p, q, low, high in zip(curve.ps, curve.qs, curve.xs, curve.xs[1:], strict=False):
            if low >= x:
                break
            u = cvxpy.Variable(nonneg=True)
            rules.append(u <= (min(high, low + x) - low) / x)
            total += p * u - (p * q * x * cvxpy.quad_over_lin(u, 1 + q * x * u) if q else 0.0)
            used.append(u)
    problem = cvxpy.Problem(cvxpy.Maximize(total), [cvxpy.sum(cvxpy.hstack(used)) == 1, *rules])
    problem.solve(solver=cvxpy.CLARABEL)
    return float(problem.value) * x


def best_of_all_sets(curves: Sequence[Curve], costs: Sequence[float], x: float, most: int) -> float:
    """The net output of the best set of up to `most` curves, every one tried; -inf where none takes `x`."""
    best = -inf
    for size in range(1, most + 1):
        for members in combinations(range(len(curves)), size):
            total = merged([curves[i] for i in members], x)
            if total.capacity >= x:
                best = max(best, total.out(x) - sum(costs[i] for i in members))
    return best


def best_of_all_plans(spec: OrderSpec, snapshot: Snapshot, max_legs: int) -> tuple[float, int]:
    """The best gross output over every choice of paths and pools, of all pools of the market and not only those that
    a decision looks at; and how many plans were tried. Up to MAX_PATHS paths, three of them together."""
    book = Book()
    book.open(snapshot)
    source, target, x = spec.input_mint, spec.output_mint, float(spec.amount)
    finder = PathFinder(Graph(snapshot.by_pair), book.sides, lambda a, b: _first_price(book.sides(a, b)))
    paths: list[Path] = [path for _, path in finder.ranked(source, target, 3, 1.0)[:MAX_PATHS]]
    if book.sides(source, target):
        paths.insert(0, (source, target))
    limits = Limits(max_legs, lambda side: 0.0, lambda plan: True)
    search = Search(source_sides=book.sides, paths=paths, direct=(source, target), x=x, kept=1.0, limits=limits)
    best, tried, loads = 0.0, 0, Loads()
    for plan in _all_plans(book.sides, paths, max_legs, x):
        valued = search.value(plan)
        tried += 1
        if valued is not None and valued.net > best and _executable(plan, loads, snapshot):
            best = valued.net
    return best, tried


def _executable(plan: Plan, loads: Loads, snapshot: Snapshot) -> bool:
    """Whether no leg writes what another one writes: quotes of one state would not hold for both."""
    found = [loads.of(side, snapshot.clock) for side in plan_sides(plan)]
    known = [load for load in found if load is not None]
    return len(known) == len(found) and independent(known)


def _first_price(sides: Sequence[Side]) -> float:
    return sides[0].price if sides else 0.0


def _all_plans(sides: Callable[[str, str], list[Side]], paths: Sequence[Path], most: int, x: float) -> Iterator[Plan]:
    for path in paths:
        yield from _plans_over(sides, (path,), SINGLE_PATH_POOLS, most)
    for count in (2, 3):
        for chosen in combinations(paths[:JOINT_PATHS], count):
            pairs = [pair for path in chosen for pair in pairwise(path)]
            if len(set(pairs)) == len(pairs) <= most:
                yield from _plans_over(sides, chosen, JOINT_POOLS, most)


def _plans_over(
    sides: Callable[[str, str], list[Side]], chosen: Sequence[Path], pools: int, most: int
) -> Iterator[Plan]:
    options = [
        [group for size in (1, 2, 3) for group in combinations(_widest(sides(*pair), pools), size)]
        for path in chosen
        for pair in pairwise(path)
    ]
    for picked in product(*options):
        if sum(map(len, picked)) > most:
            continue
        plan, at = [], 0
        for path in chosen:
            plan.append(Chain(path, tuple(picked[at : at + len(path) - 1])))
            at += len(path) - 1
        yield tuple(plan)


def _widest(sides: Sequence[Side], count: int) -> list[Side]:
    """The best by price, and the deepest."""
    deepest = max(sides, key=lambda side: side.depth)
    return list(dict.fromkeys([*sides[: count - 1], deepest, *sides[:count]]))[:count]


def grid(sides: Sequence[Side], amount: int, steps: int) -> int:
    """The best split in `steps` equal parts: part by part to the pool that gives most for one more."""
    taken, given = [0] * len(sides), [0] * len(sides)
    for step in range(steps):
        part = amount * (step + 1) // steps - amount * step // steps
        grown = [side.exact_or_zero(taken[at] + part) - given[at] for at, side in enumerate(sides)]
        at = max(range(len(sides)), key=grown.__getitem__)
        taken[at] += part
        given[at] += grown[at]
    return sum(given)


def amount_of_impact(splitter: Splitter, impact_bp: float) -> int:
    """The input whose average price is `impact_bp` below the first price."""
    first = max(side.price for side in splitter.sides)
    low, high = 1.0, splitter.capacity()
    for _ in range(80):
        middle = (low * high) ** 0.5
        if splitter.output(middle) / middle < first * (1 - impact_bp / BP):
            high = middle
        else:
            low = middle
    return int(low)


def below_a_single_pool(spec: OrderSpec, snapshot: Snapshot, decision: Decision, terms: RoutingTerms) -> bool:
    """Whether a pool, asked by itself and charged what its own leg costs, beats the decision."""
    route = decision.route
    price = decision.lamport_price.as_integer_ratio()
    for pool in snapshot.of_pair(spec.input_mint, spec.output_mint):
        try:
            quote = venue_for(pool).quote(pool, Swap(spec.input_mint, spec.mode, spec.amount), snapshot.clock)
        except QuoteRefused:
            continue
        if quote.amount_out <= 0:
            continue
        if route is None:
            return True
        lamports = terms.signature_lamports + terms.leg_lamports(leg_compute_units(pool.venue))
        cost = -(-lamports * price[0] // price[1])
        if spec.mode is SwapMode.EXACT_IN and route.amount_out - route.cost < quote.amount_out - cost:
            return True
        if spec.mode is SwapMode.EXACT_OUT and route.amount_in + route.cost > quote.amount_in + cost:
            return True
    return False


def halves(whole: AmmV4Pool) -> list[AmmV4Pool]:
    """A constant-product pool cut in two, each with accounts of its own."""

    def half(part: int) -> AmmV4Pool:
        own = [
            made_up_address(whole.address, part, name) for name in ("pool", "market", "orders", "vault 0", "vault 1")
        ]
        return msgspec.structs.replace(
            whole,
            address=own[0],
            market=own[1],
            target_orders=own[2],
            vaults=(own[3], own[4]),
            balances=(whole.balances[0] // 2, whole.balances[1] // 2),
        )

    return [half(1), half(2)]
