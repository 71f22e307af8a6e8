"""The best few of many parallel pools: which at most K legs give the most, net of each leg's cost.

In: the pools' curves, an input, costs in output units. Out: the best subset. Floats. Must not: know pools.

For any price λ and any set S, V(S) <= λ·X + Σ gain_i(λ): weak duality. So the set of the K largest net gains at
its own marginal price is optimal; that fixed point is usually met within a few rounds. Where it is not, branch
and bound with the same inequality at several prices decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fillwright.routing.curves import Curve, merged

MAX_ROUNDS = 8
MAX_PRICES = 4
MAX_NODES = 20_000
"""Branch and bound stops here with the best set so far; `proven` is False then."""
_EPSILON = 1e-13


class Subset(NamedTuple):
    """Indices, ascending; the output net of costs; the marginal price there; whether no other set can be better."""

    members: tuple[int, ...]
    net: float
    price: float
    proven: bool


class _Problem:
    def __init__(
        self, curves: Sequence[Curve], costs: Sequence[float], x: float, most: int, fits: Callable[[list[int]], bool]
    ) -> None:
        self.curves = curves
        self.costs = costs
        self.x = x
        self.most = most
        self.fits = fits
        self.best: Subset | None = None
        self.prices: list[float] = []
        self.seen: set[tuple[int, ...]] = set()

    def value(self, members: Sequence[int]) -> float:
        """Note the set if it is the best so far; its marginal price, 0 where it does not take the whole input."""
        key = tuple(sorted(members))
        total = merged([self.curves[i] for i in key], self.x)
        unseen = key not in self.seen
        self.seen.add(key)
        if total.capacity < self.x:
            return 0.0
        s = total.s_at(self.x)
        price = 1.0 / (s * s)
        if unseen:
            net = total.out(self.x) - sum(self.costs[i] for i in key)
            if self.best is None or net > self.best.net:
                self.best = Subset(key, net, price, False)
        return price

    def top(self, price: float) -> list[int]:
        """The sets' members by net gain at `price`: as many as may be, as far as they fit together."""
        gains = [
            (curve.gain_at(price) - cost, -i)
            for i, (curve, cost) in enumerate(zip(self.curves, self.costs, strict=True))
            if curve.ps and curve.ps[0] > price
        ]
        gains.sort(reverse=True)
        chosen: list[int] = []
        for gain, at in gains:
            if len(chosen) == self.most or (gain <= 0 and chosen):
                break
            if self.fits([*chosen, -at]):
                chosen.append(-at)
        return chosen


def best_subset(
    curves: Sequence[Curve],
    costs: Sequence[float],
    x: float,
    most: int,
    fits: Callable[[list[int]], bool] = lambda members: True,
) -> Subset | None:
    """The best set of at most `most` curves that take `x` together and fit; None where none was found.

    `fits` must stay true for every part of a set for which it is true.
    """
    problem = _Problem(curves, costs, x, most, fits)
    usable = [i for i, curve in enumerate(curves) if curve.ps]
    if not usable or most < 1:
        return None
    for i in usable:
        if curves[i].capacity >= x and (problem.best is None or curves[i].out(x) - costs[i] > problem.best.net):
            problem.value([i])
    if problem.best is not None and _beats_all(problem, problem.best):
        return problem.best._replace(proven=True)
    everything = merged([curves[i] for i in usable], x)
    if everything.capacity < x:
        return _fill_up(problem, usable)
    s = everything.s_at(x)
    fixed = _fixed_point(problem, 1.0 / (s * s))
    if problem.best is None:
        return _fill_up(problem, usable)
    if fixed:
        return problem.best._replace(proven=True)
    proven = _branch_and_bound(problem, usable)
    return problem.best._replace(proven=proven)


def _beats_all(problem: _Problem, alone: Subset) -> bool:
    """Whether one curve takes everything at a price that no other one offers: then nothing gains beside it.

    The usual end for inputs that are small beside the pools; what follows would find the same.
    """
    (only,) = alone.members
    return problem.fits([only]) and all(
        i == only or not curve.ps or curve.ps[0] <= alone.price for i, curve in enumerate(problem.curves)
    )


def _fixed_point(problem: _Problem, price: float) -> bool:
    """Whether a set was found that is the best at its own marginal price, and nothing better before."""
    for _ in range(MAX_ROUNDS):
        problem.prices.append(price)
        members = problem.top(price)
        if not members:
            return False
        after = problem.value(members)
        if after <= 0.0:
            return False
        best = problem.best
        if sorted(problem.top(after)) == sorted(members):
            problem.prices.append(after)
            chosen = best is not None and best.members == tuple(sorted(members))
            return chosen and _unrestricted(problem, after, members)
        if after in problem.prices:
            return False
        price = after
    return False


def _unrestricted(problem: _Problem, price: float, members: Sequence[int]) -> bool:
    """Whether `members` are the largest net gains, not just the largest that fitted."""
    inside = set(members)
    least = min(problem.curves[i].gain_at(price) - problem.costs[i] for i in members)
    if len(members) < problem.most:
        least = min(least, 0.0)
    for i, curve in enumerate(problem.curves):
        if i not in inside and curve.ps and curve.ps[0] > price and curve.gain_at(price) - problem.costs[i] > least:
            return False
    return least >= 0.0 or len(members) == 1


def _fill_up(problem: _Problem, usable: Sequence[int]) -> Subset | None:
    """For inputs that hardly any set can take: the most capacious ones, as many as may be."""
    chosen: list[int] = []
    for i in sorted(usable, key=lambda i: -problem.curves[i].capacity):
        if len(chosen) < problem.most and problem.fits([*chosen, i]):
            chosen.append(i)
            problem.value(chosen)
    return problem.best


def _branch_and_bound(problem: _Problem, usable: Sequence[int]) -> bool:
    """Raise `problem.best` to the best of all sets; False where the nodes ran out first."""
    best = problem.best
    if best is None:
        return False
    prices = [best.price, *(price for price in problem.prices[-MAX_PRICES + 1 :] if price > 0.0)]
    nets = [[problem.curves[i].gain_at(price) - problem.costs[i] for i in usable] for price in prices]
    order = sorted(range(len(usable)), key=lambda at: -nets[0][at])
    members = [usable[at] for at in order]
    rows = [[row[at] for at in order] for row in nets]
    tops = [_suffix_tops(row, problem.most) for row in rows]
    bases = [price * problem.x for price in prices]
    nodes = 0
    stack: list[tuple[int, list[int], list[float]]] = [(0, [], bases)]
    while stack:
        nodes += 1
        if nodes > MAX_NODES:
            return False
        at, chosen, sums = stack.pop()
        left = problem.most - len(chosen)
        bound = min(total + top[at][left] for total, top in zip(sums, tops, strict=True))
        best = problem.best
        if best is not None and bound <= best.net + _EPSILON * abs(best.net):
            continue
        # The set as it is has a bound of its own; the node that excluded a pool has seen the same set before.
        if chosen and tuple(sorted(chosen)) not in problem.seen and (best is None or min(sums) > best.net):
            problem.value(chosen)
        if left == 0 or at == len(members):
            continue
        stack.append((at + 1, chosen, sums))
        wider = [*chosen, members[at]]
        if problem.fits(wider):
            stack.append((at + 1, wider, [total + row[at] for total, row in zip(sums, rows, strict=True)]))
    return True


def _suffix_tops(row: Sequence[float], most: int) -> list[list[float]]:
    """tops[i][r]: the sum of the r largest positive numbers of row[i:]."""
    tops = [[0.0] * (most + 1) for _ in range(len(row) + 1)]
    largest: list[float] = []
    for at in range(len(row) - 1, -1, -1):
        if row[at] > 0:
            largest = sorted([*largest, row[at]], reverse=True)[:most]
        total, sums = 0.0, [0.0]
        for number in largest:
            total += number
            sums.append(total)
        tops[at] = sums + [total] * (most + 1 - len(sums))
    return tops
