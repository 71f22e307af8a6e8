"""The leg-capped route in floats: which pools and paths, and the optimal split over them.

In: the sides that may be used, by pair, and the paths between the two mints; an input; what each leg costs; what
fits one transaction. Out: plans, best first. Must not: quote in integers.

A plan is a set of chains (token paths), each hop of which is a set of parallel pools; no pool is used twice. Merging
and composing collapse it to one curve, so its value at any input is closed form. The direct pools alone are solved
to the optimum (`subset`). From the best single-pool paths, what gains most is added leg by leg: the prices at the
optimum so far give an upper bound on what any addition can gain (weak duality), so few are tried out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import inf
from typing import NamedTuple

from fillwright.domain.accounts import Address
from fillwright.routing.book import Side
from fillwright.routing.curves import Curve, composed, merged
from fillwright.routing.paths import Path, Sides, best_single
from fillwright.routing.subset import best_subset

BELOW_SINGLE = 1.02
"""Curves are drawn this much further in s than the best single pool would go."""
MAX_TRIES = 6
"""Additions tried out per leg."""
MAX_PLANS = 6
MAX_STARTS = 2
MAX_HOP_POOLS = 12
"""Pools of one hop that are looked at for an addition."""
_TINY = 1e-12


class Chain(NamedTuple):
    """Parallel pools per hop of `path`."""

    path: Path
    hops: tuple[tuple[Side, ...], ...]

    def legs(self) -> int:
        return sum(map(len, self.hops))

    def with_side(self, hop: int, side: Side) -> Chain:
        hops = list(self.hops)
        hops[hop] = (*hops[hop], side)
        return Chain(self.path, tuple(hops))


Plan = tuple[Chain, ...]


def plan_sides(plan: Plan) -> list[Side]:
    """Every leg's side, in execution order."""
    return [side for chain in plan for hop in chain.hops for side in hop]


class Valued(NamedTuple):
    """`net` of leg costs, in output units; s = 1/√(the marginal price)."""

    net: float
    plan: Plan
    s: float


class Limits(NamedTuple):
    """`leg_cost` in output units. `fits` must stay true for every part of a plan for which it is true."""

    max_legs: int
    leg_cost: Callable[[Side], float]
    fits: Callable[[Plan], bool]


class Search:
    """One order's search. `kept` is the share of a hop's output that the next hop is fed with."""

    def __init__(
        self, *, source_sides: Sides, paths: Sequence[Path], direct: Path, x: float, kept: float, limits: Limits
    ) -> None:
        self._sides = source_sides
        self._paths = paths
        self._direct = direct
        self._x = x
        self._kept = kept
        self._limits = limits
        self._floors: dict[Path, float] = {}
        self._curves: dict[tuple[tuple[Side, ...], ...], Curve] = {}
        self._nominal: dict[tuple[Path, int], float] = {}

    def plans(self) -> list[Valued]:
        """The best plans that take the whole input, best first; empty where none was found."""
        alone = self._alone()
        if alone is not None:
            return [alone]
        found: dict[Plan, Valued] = {}
        direct = self._direct_subset()
        if direct is not None:
            found[direct.plan] = direct
        chains = self._single_chains()
        if direct is None or any(self._chain_gain(chain, direct.s) > 0.0 for chain in chains):
            for start in self._starts(chains):
                grown = self._grow(start, chains)
                found[start.plan] = start
                found[grown.plan] = grown
            best = max(found.values(), key=lambda valued: valued.net, default=None)
            if best is not None and sum(chain.legs() for chain in best.plan) > 1:
                exchanged = self._exchange(best, chains)
                found[exchanged.plan] = exchanged
        return sorted(found.values(), key=lambda valued: -valued.net)[:MAX_PLANS]

    def curve(self, chain: Chain) -> Curve:
        """The whole chain as one curve."""
        curve = self._curves.get(chain.hops)
        if curve is None:
            for hop in range(len(chain.hops)):
                stage = self.hop_curve(chain, hop)
                curve = stage if curve is None else composed(curve, stage, self._kept, limit=self._x)
            if curve is None:
                raise ValueError("a chain without hops")
            self._curves[chain.hops] = curve
        return curve

    def hop_curve(self, chain: Chain, hop: int) -> Curve:
        """The pools of one hop in parallel."""
        sides = chain.hops[hop]
        key = (sides,)
        curve = self._curves.get(key)
        if curve is None:
            limit = self._into(chain.path, hop)
            curve = merged([self.side_curve(chain.path, hop, side) for side in sides], limit)
            self._curves[key] = curve
        return curve

    def side_curve(self, path: Path, hop: int, side: Side) -> Curve:
        """One pool's curve, as far down as an optimal route through this hop could go."""
        return side.known_to(self._floor(path, hop))

    def value(self, plan: Plan) -> Valued | None:
        """The plan with its optimal split; None where it does not take the whole input."""
        total = merged([self.curve(chain) for chain in plan], self._x)
        if total.capacity < self._x:
            return None
        cost = sum(self._limits.leg_cost(side) for side in plan_sides(plan))
        return Valued(total.out(self._x) - cost, plan, total.s_at(self._x))

    def _floor(self, path: Path, hop: int) -> float:
        pair = path[hop : hop + 2]
        floor = self._floors.get(pair)
        if floor is None:
            x = self._into(path, hop)
            _, side = best_single(self._sides(*pair), x)
            floor = inf if side is None else side.covering(x).s_at(x) * BELOW_SINGLE
            self._floors[pair] = floor
        return floor

    def _into(self, path: Path, hop: int) -> float:
        """More than the input of a hop if the whole order went this way, at the best price of each hop before."""
        into = self._x
        for at in range(hop):
            into *= self._sides(path[at], path[at + 1])[0].price * self._kept
        return into

    def _alone(self) -> Valued | None:
        """The one direct pool beside which nothing gains at its own marginal price: the search would end there too.

        For any set of legs: output <= price·x + what each is worth to whoever pays that price (weak duality). So
        where every other leg is worth no more than its cost, and less than this one is net of its own, no set gives
        more. Most orders are small beside their pools and end here.
        """
        x, leg_cost = self._x, self._limits.leg_cost
        sides = self._sides(*self._direct)
        _, best = best_single(sides, x)
        if best is None:
            return None
        self._floors[self._direct] = best.covering(x).s_at(x) * BELOW_SINGLE
        curve = self.side_curve(self._direct, 0, best)
        if curve.capacity < x:
            return None
        s = curve.s_at(x)
        price = 1.0 / (s * s)
        cost = leg_cost(best)
        most = min(curve.gain_at(price) - cost, 0.0)
        for side in sides:
            if side is not best:
                gain = self.side_curve(self._direct, 0, side).gain_at(price) if side.price > price else 0.0
                if gain - leg_cost(side) > most:
                    return None
        if any(self._path_rate(path) > price for path in self._paths):
            return None
        return Valued(curve.out(x) - cost, (Chain(self._direct, ((best,),)),), s)

    def _path_rate(self, path: Path) -> float:
        """The best marginal price over the path before anything is swapped."""
        rate = 1.0 / self._kept
        for pair in pairwise(path):
            sides = self._sides(*pair)
            rate *= sides[0].price * self._kept if sides else 0.0
        return rate

    def _direct_subset(self) -> Valued | None:
        """The best direct pools, as many as may be: exact for the curves."""
        sides = self._sides(*self._direct)
        if not sides:
            return None
        curves = [self.side_curve(self._direct, 0, side) for side in sides]
        costs = [self._limits.leg_cost(side) for side in sides]

        def fits(members: list[int]) -> bool:
            return len(members) == 1 or self._limits.fits((Chain(self._direct, (tuple(sides[i] for i in members),)),))

        best = best_subset(curves, costs, self._x, self._limits.max_legs, fits)
        if best is None:
            return None
        return self.value((Chain(self._direct, (tuple(sides[i] for i in best.members),)),))

    def _single_chains(self) -> list[Chain]:
        """Every path through single pools: the best at the whole input, and at a share of it."""
        found: dict[Chain, None] = {}
        for path in self._paths:
            if len(path) - 1 > self._limits.max_legs:
                continue
            for part in (1.0, 0.3, 0.1):
                chain = self._through_best(path, part)
                if chain is not None:
                    found[chain] = None
        return list(found)

    def _through_best(self, path: Path, part: float) -> Chain | None:
        x, hops = self._x * part, []
        for at in range(len(path) - 1):
            out, side = best_single(self._sides(path[at], path[at + 1]), x)
            if side is None:
                return None
            hops.append((side,))
            x = out * self._kept
        return Chain(path, tuple(hops))

    def _chain_gain(self, chain: Chain, s: float) -> float:
        """An upper bound on what adding the chain gains where the marginal price is 1/s²."""
        price = 0.0 if s == inf else 1.0 / (s * s)
        if self._rate(chain) <= price:
            return 0.0
        return self.curve(chain).gain_at(price) - sum(self._limits.leg_cost(side) for side in plan_sides((chain,)))

    def _rate(self, chain: Chain) -> float:
        """The chain's marginal price before anything is swapped."""
        rate = 1.0 / self._kept
        for hop in chain.hops:
            rate *= max(side.price for side in hop) * self._kept
        return rate

    def _single_out(self, chain: Chain) -> float:
        """What single pools give, net of their cost; nothing where one of them does not take it all."""
        x = self._x / self._kept
        for hop, (side,) in enumerate(chain.hops):
            x = self.side_curve(chain.path, hop, side).out(x * self._kept)
        return x - sum(map(self._limits.leg_cost, plan_sides((chain,)))) if x > 0.0 else 0.0

    def _starts(self, chains: Sequence[Chain]) -> list[Valued]:
        """The best plans of one path through single pools."""
        singles = [*chains, *(Chain(self._direct, ((side,),)) for side in self._sides(*self._direct))]
        ranked = sorted(((self._single_out(chain), -at) for at, chain in enumerate(singles)), reverse=True)
        found: list[Valued] = []
        for _, at in ranked:
            plan = (singles[-at],)
            valued = self.value(plan) if self._limits.fits(plan) else None
            if valued is not None:
                found.append(valued)
                if len(found) == MAX_STARTS:
                    break
        return found

    def _grow(self, start: Valued, chains: Sequence[Chain]) -> Valued:
        best = start
        for _ in range(self._limits.max_legs):
            wider = self._best_addition(best, chains)
            if wider is None:
                return best
            best = wider
        return best

    def _exchange(self, best: Valued, chains: Sequence[Chain]) -> Valued:
        """`best`, or what is better with one leg (or chain of single legs) taken out and others put in."""
        for smaller in _without_one(best.plan):
            valued = self.value(smaller)
            if valued is not None:
                grown = self._grow(valued, chains)
                if grown.net > best.net * (1 + _TINY):
                    best = grown
        return best

    def _best_addition(self, now: Valued, chains: Sequence[Chain]) -> Valued | None:
        """The plan with the leg or path that gains most, if any gains."""
        bounds = sorted(self._additions(now, chains), key=lambda item: -item[0])
        best, tries = None, 0
        for gain, plan in bounds:
            if gain <= 0.0 or tries == MAX_TRIES or (best is not None and now.net + gain <= best.net):
                break
            if not self._limits.fits(plan):
                continue
            tries += 1
            valued = self.value(plan)
            if valued is not None and valued.net > (best or now).net * (1 + _TINY):
                best = valued
        return best

    def _additions(self, now: Valued, chains: Sequence[Chain]) -> Iterable[tuple[float, Plan]]:
        """Every plan that is one leg or one path wider, with an upper bound on its gain."""
        used = {side.address for side in plan_sides(now.plan)}
        room = self._limits.max_legs - len(used)
        if room < 1:
            return
        held = {chain.path for chain in now.plan}
        for at, chain in enumerate(now.plan):
            for hop, side, gain in self._wider_hops(chain, now.s, used):
                plan = (*now.plan[:at], chain.with_side(hop, side), *now.plan[at + 1 :])
                yield gain, plan
        for chain in chains:
            legs = plan_sides((chain,))
            if chain.path not in held and len(legs) <= room and not any(side.address in used for side in legs):
                yield self._chain_gain(chain, now.s), (*now.plan, chain)
        if self._direct not in held:
            price = 1.0 / (now.s * now.s)
            for side in self._sides(*self._direct):
                if side.price > price and side.address not in used:
                    gain = self.side_curve(self._direct, 0, side).gain_at(price) - self._limits.leg_cost(side)
                    yield gain, (*now.plan, Chain(self._direct, ((side,),)))

    def _wider_hops(self, chain: Chain, s: float, used: set[Address]) -> list[tuple[int, Side, float]]:
        """(hop, side, upper bound of its gain), from the prices of the tokens on the chain's path."""
        curves = [self.hop_curve(chain, hop) for hop in range(len(chain.hops))]
        fed, marginals = self.curve(chain).x_at(s), []
        for curve in curves:
            end = min(curve.s_at(fed), curve.es[-1])
            marginals.append(1.0 / (end * end))
            fed = curve.out(min(fed, curve.capacity)) * self._kept
        found: list[tuple[int, Side, float]] = []
        worth = 1.0
        for hop in range(len(curves) - 1, -1, -1):
            price = marginals[hop]
            gains = []
            for side in self._sides(chain.path[hop], chain.path[hop + 1]):
                if side.price > price and side.address not in used:
                    gain = worth * self.side_curve(chain.path, hop, side).gain_at(price)
                    gains.append((gain - self._limits.leg_cost(side), side))
            gains.sort(key=lambda item: -item[0])
            found += [(hop, side, gain) for gain, side in gains[:MAX_HOP_POOLS] if gain > 0.0]
            worth *= price * self._kept
        return found


def _without_one(plan: Plan) -> Iterable[Plan]:
    """Every plan with a leg less; a leg that is alone in its hop takes its chain along."""
    for at, chain in enumerate(plan):
        rest = (*plan[:at], *plan[at + 1 :])
        if rest:
            yield rest
        for hop, sides in enumerate(chain.hops):
            for side in sides if len(sides) > 1 else ():
                hops = list(chain.hops)
                hops[hop] = tuple(other for other in sides if other is not side)
                yield (*plan[:at], Chain(chain.path, tuple(hops)), *plan[at + 1 :])
