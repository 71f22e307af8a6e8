"""Token paths of at most three hops over the pairs that have pools.

In: the sides of every pair, an input. Out: the paths that are worth looking at, best first. Paths are ranked by
marginal price, then valued through the best single pool of each hop at the whole input and at a quarter of it:
out(x) <= (marginal price)·x, so nothing that is left out by the first ranking could beat what is kept, up to
MAX_VALUED. Must not: split anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from heapq import nlargest
from typing import NamedTuple

from fillwright.domain.accounts import Address, Mint
from fillwright.market.snapshot import Pair
from fillwright.routing.book import LEVELS, Side

MAX_VALUED = 120
MAX_BETWEEN = 1_000
"""Pairs of tokens remembered before all are forgotten."""
MAX_KEPT = 6
"""Paths kept per size of input."""

Path = tuple[Mint, ...]
Sides = Callable[[Mint, Mint], list[Side]]


class Between(NamedTuple):
    """The tokens of the paths of two hops; of those of three, each first one with the second ones that may follow."""

    one: tuple[Mint, ...]
    two: tuple[tuple[Mint, tuple[Mint, ...]], ...]


class Graph:
    """Which tokens trade against which. Made anew when pools come or go."""

    def __init__(self, by_pair: Mapping[Pair, tuple[Address, ...]]) -> None:
        self.by_pair = by_pair
        found: defaultdict[Mint, list[Mint]] = defaultdict(list)
        for first, second in by_pair:
            found[first].append(second)
            found[second].append(first)
        self._between: dict[tuple[Mint, Mint], Between] = {}
        self.neighbours: dict[Mint, tuple[Mint, ...]] = {mint: tuple(sorted(near)) for mint, near in found.items()}

    def of(self, mint: Mint) -> tuple[Mint, ...]:
        return self.neighbours.get(mint, ())

    def between(self, source: Mint, target: Mint) -> Between:
        """What can stand between the two: prices have no part in it, so it is worked out once."""
        key = (source, target)
        found = self._between.get(key)
        if found is None:
            if len(self._between) >= MAX_BETWEEN:
                self._between.clear()
            ends = {mint for mint in self.of(target) if mint != source}
            starts = [mint for mint in self.of(source) if mint != target]
            middles = tuple(mint for mint in starts if mint in ends)
            pairs = ((mint, tuple(one for one in self.of(mint) if one in ends and one != mint)) for mint in starts)
            found = self._between[key] = Between(middles, tuple(pair for pair in pairs if pair[1]))
        return found


def best_single(sides: Iterable[Side], x: float) -> tuple[float, Side | None]:
    """The largest output that one pool gives for `x`, and which; (0, None) where none takes that much.

    `sides` are in order of marginal price, so the search ends where no price can reach what was found.
    """
    best, chosen = 0.0, None
    for side in sides:
        if side.price * x <= best:
            break
        out = _out(side, x, best)
        if out > best:
            best, chosen = out, side
    return best, chosen


def _out(side: Side, x: float, at_least: float) -> float:
    """The side's output for `x`, worked out no further than needed to see that it is below `at_least`."""
    for level in range(len(LEVELS)):
        curve = side.curve(level)
        if curve.ended or curve.xs[-1] >= x:
            return curve.out(x)
        last = curve.es[-1]
        if curve.ys[-1] + (x - curve.xs[-1]) / (last * last) <= at_least:
            return 0.0
    return 0.0


class PathFinder:
    """Finds paths for one order: `sides` are those that the order allows, `price` their best marginal price."""

    def __init__(self, graph: Graph, sides: Sides, price: Callable[[Mint, Mint], float]) -> None:
        self._graph = graph
        self._sides = sides
        self._price = price

    def best(self, source: Mint, target: Mint, x: float, max_hops: int, kept: float) -> list[Path]:
        """The indirect paths of the highest value at `x`, and at a quarter of it; `kept` passes each hop."""
        return self.best_of(self.ranked(source, target, max_hops, kept), x, kept)

    def best_of(self, ranked: list[tuple[float, Path]], x: float, kept: float) -> list[Path]:
        """As `best`, of paths that `ranked` has given."""
        if not ranked:
            return []
        found: dict[Path, None] = {}
        for size in (x, x / 4):
            best: list[tuple[float, Path]] = []
            values: dict[tuple[Mint, Mint, float], float] = {}
            for rate, path in ranked:
                if len(best) == MAX_KEPT and rate * size <= best[-1][0]:
                    break
                value = self._value(path, size, kept, values)
                if value > 0.0:
                    best.append((value, path))
                    best.sort(key=lambda item: (-item[0], item[1]))
                    del best[MAX_KEPT:]
            found.update(dict.fromkeys(path for _, path in best))
        return list(found)

    def _value(self, path: Path, x: float, kept: float, values: dict[tuple[Mint, Mint, float], float]) -> float:
        for at in range(len(path) - 1):
            key = (path[at], path[at + 1], x)
            out = values.get(key)
            if out is None:
                out = values[key] = best_single(self._sides(path[at], path[at + 1]), x)[0]
            if out <= 0.0:
                return 0.0
            x = out if at == len(path) - 2 else out * kept
        return x

    def ranked(self, source: Mint, target: Mint, max_hops: int, kept: float) -> list[tuple[float, Path]]:
        """(marginal rate, path), best first, at most MAX_VALUED."""
        if max_hops < 2:
            return []
        price = self._price
        one, two = self._graph.between(source, target)
        last: dict[Mint, float] = {}
        found: list[tuple[float, Path]] = []
        for mint in one:
            rate = price(source, mint)
            if rate > 0.0:
                after = last[mint] = price(mint, target)
                if after > 0.0:
                    found.append((rate * kept * after, (source, mint, target)))
        for mint, seconds in two if max_hops >= 3 else ():
            rate = price(source, mint)
            if rate <= 0.0:
                continue
            for middle in seconds:
                after = last.get(middle, -1.0)
                if after < 0.0:
                    after = last[middle] = price(middle, target)
                if after > 0.0:
                    through = price(mint, middle)
                    if through > 0.0:
                        found.append((rate * kept * through * kept * after, (source, mint, middle, target)))
        return nlargest(MAX_VALUED, found)
