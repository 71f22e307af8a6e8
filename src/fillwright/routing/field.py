"""The field of one order: the pools and paths that its decision is taken from.

In: the order, an open book. Out: at most MAX_DIRECT pools of the pair and MAX_PER_HOP of each pair on a path worth
looking at, chosen by what they would give. A decision depends on its field, the clock and the terms alone, so the
field is what has to be kept to replay it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from math import inf
from typing import NamedTuple

from fillwright.domain.accounts import WRAPPED_SOL, Address, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.orders import OrderSpec
from fillwright.routing.book import Book, Side
from fillwright.routing.candidates import allowed
from fillwright.routing.paths import Graph, Path, PathFinder, best_single
from fillwright.routing.split import Splitter
from fillwright.routing.terms import RoutingTerms

MAX_DIRECT = 24
MAX_PER_HOP = 6
MAX_RANKED = 1_000
"""Rankings of paths remembered before all are forgotten."""
_BEST_EXACT = 4
_LAMPORT_PROBE = 10_000_000
_WIDEST = (1.0, 0.3, 0.1)
_PER_SIZE = 3
_ROOM = 1.02


class Field(NamedTuple):
    """`direct`: the pools of the pair, those included that can only refuse; `by_pair`: what a search may use, by
    pair and direction; `lamport_price` is a lamport in the token that
    costs are counted in. `x`: the input, for exact-out an estimate (0: there is none)."""

    direct: list[Side]
    by_pair: dict[tuple[Mint, Mint], list[Side]]
    paths: list[Path]
    lamport_price: float
    x: float

    def sides(self, input_mint: Mint, output_mint: Mint) -> list[Side]:
        return self.by_pair.get((input_mint, output_mint), [])

    def pools(self) -> dict[Address, Side]:
        """One side of each pool of the field."""
        found = {side.address: side for sides in self.by_pair.values() for side in sides}
        return found | {side.address: side for side in self.direct}

    def cost(self, lamports: int) -> int:
        """Lamports in the token that costs are counted in, rounded up."""
        numerator, denominator = self.lamport_price.as_integer_ratio()
        return -(-lamports * numerator // denominator)


class Survey:
    """Draws fields. Remembers the best price of each pair and direction while the book's stamp stays."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._graph: Graph | None = None
        self._prices: dict[tuple[Mint, Mint], tuple[int, float]] = {}
        self._lamports: dict[Mint, tuple[int, float]] = {}
        self._ranked: dict[tuple[Mint, Mint, int, float], tuple[int, list[tuple[float, Path]]]] = {}
        """By source, target, hops and what passes each hop; the stamp comes first."""

    def field(self, spec: OrderSpec, terms: RoutingTerms) -> Field:
        """The field of `spec` as of the book's snapshot."""
        pick = _Pick(self._book, spec)
        source, target = spec.input_mint, spec.output_mint
        everyone = pick.sides(source, target)
        listed = pick.allowed_sides(source, target)
        exact_in = spec.mode is SwapMode.EXACT_IN
        splitter = None if exact_in and len(listed) <= MAX_DIRECT else Splitter(everyone)
        x = float(spec.amount) if exact_in or splitter is None else splitter.input_for(float(spec.amount))
        direct = listed if splitter is None else _best_direct(listed, splitter, spec, x)
        paths: list[Path] = []
        if max_hops(spec, terms) > 1:
            if x == inf:
                x = self._input_through_paths(spec, terms, pick)
            if exact_in or not everyone or splitter is None or splitter.capacity() < x:
                paths = self._paths(spec, terms, pick, x)
        by_pair = {(source, target): [side for side in direct if exact_in or side.sells_exactly]}
        for path in paths:
            self._gather(path, by_pair, pick, x)
        x = x if x < inf else 0.0
        costs_in = target if exact_in else source
        return Field(direct, by_pair, paths, self.lamport_price(costs_in), x)

    def lamport_price(self, mint: Mint) -> float:
        """Base units of `mint` for a lamport, through the best pool or pair of pools; 0 where there are none."""
        if mint == WRAPPED_SOL:
            return 1.0
        found = self._lamports.get(mint)
        if found is None or found[0] != self._book.stamp:
            found = self._lamports[mint] = (self._book.stamp, self._lamport_price(mint))
        return found[1]

    def _lamport_price(self, mint: Mint) -> float:
        out, _ = best_single(self._book.sides(WRAPPED_SOL, mint), _LAMPORT_PROBE)
        if out > 0.0:
            return out / _LAMPORT_PROBE
        finder = PathFinder(self.graph(), self._book.sides, self._price)
        best = 0.0
        for path in finder.best(WRAPPED_SOL, mint, _LAMPORT_PROBE, 2, 1.0)[:1]:
            into, _ = best_single(self._book.sides(path[0], path[1]), _LAMPORT_PROBE)
            best, _ = best_single(self._book.sides(path[1], path[2]), into)
        return best / _LAMPORT_PROBE

    def graph(self) -> Graph:
        """The token graph of the book's snapshot."""
        by_pair = self._book.snapshot.by_pair
        if self._graph is None or self._graph.by_pair is not by_pair:
            self._graph = Graph(by_pair)
        return self._graph

    def _paths(self, spec: OrderSpec, terms: RoutingTerms, pick: _Pick, x: float) -> list[Path]:
        kept = 1.0 - hop_tolerance_bps(spec, terms) / 10_000
        source, target, hops = spec.input_mint, spec.output_mint, max_hops(spec, terms)
        if pick.restricted:
            finder = PathFinder(self.graph(), pick.sides, pick.price)
            return finder.best(source, target, x, hops, kept)
        finder = PathFinder(self.graph(), pick.sides, self._price)
        key, stamp = (source, target, hops, kept), self._book.stamp
        found = self._ranked.get(key)
        if found is None or found[0] != stamp:
            if len(self._ranked) >= MAX_RANKED:
                self._ranked.clear()
            found = self._ranked[key] = (stamp, finder.ranked(source, target, hops, kept))
        return finder.best_of(found[1], x, kept)

    def _input_through_paths(self, spec: OrderSpec, terms: RoutingTerms, pick: _Pick) -> float:
        """About the input for which the best path gives an exact-out's output; 0 where none does."""
        wanted, best = float(spec.amount), inf
        for path in self._paths(spec, terms, pick, 1.0):
            needed = wanted
            for source, target in reversed(list(pairwise(path))):
                needed = min((side.input_for(needed) for side in pick.sides(source, target)), default=inf)
            best = min(best, needed)
        return best * _ROOM if best < inf else 0.0

    def _price(self, source: Mint, target: Mint) -> float:
        key = (source, target)
        stamp = self._book.stamp
        found = self._prices.get(key)
        if found is not None and found[0] == stamp:
            return found[1]
        price = _best_price(self._book.sides(source, target))
        self._prices[key] = (stamp, price)
        return price

    @staticmethod
    def _gather(path: Path, by_pair: dict[tuple[Mint, Mint], list[Side]], pick: _Pick, x: float) -> None:
        for at in range(len(path) - 1):
            pair = (path[at], path[at + 1])
            sides = pick.sides(*pair)
            if pair not in by_pair:
                by_pair[pair] = _best_of_hop(sides, x)
            x = best_single(by_pair[pair], x)[0]


class _Pick:
    """The sides that an order allows."""

    def __init__(self, book: Book, spec: OrderSpec) -> None:
        self._book = book
        self._spec = spec
        self._exact_out = spec.mode is SwapMode.EXACT_OUT
        self._listed = bool(spec.venues or spec.exclude_venues or spec.pools or spec.exclude_pools)
        self.restricted = self._exact_out or self._listed
        self._known: dict[tuple[Mint, Mint], list[Side]] = {}

    def sides(self, source: Mint, target: Mint) -> list[Side]:
        if not self.restricted:
            return self._book.sides(source, target)
        key = (source, target)
        found = self._known.get(key)
        if found is None:
            found = [side for side in self.allowed_sides(source, target) if side.sells_exactly or not self._exact_out]
            self._known[key] = found
        return found

    def allowed_sides(self, source: Mint, target: Mint) -> list[Side]:
        """Those that the order's lists let in, whether or not their venue has its kind of swap."""
        sides = self._book.sides(source, target)
        return [side for side in sides if allowed(self._spec, side.pool)] if self._listed else sides

    def price(self, source: Mint, target: Mint) -> float:
        return _best_price(self.sides(source, target))


def max_hops(spec: OrderSpec, terms: RoutingTerms) -> int:
    """How many hops the order's paths may have."""
    if spec.direct_only:
        return 1
    return min(spec.max_hops if spec.max_hops is not None else terms.max_hops, terms.max_hops)


def max_legs(spec: OrderSpec, terms: RoutingTerms) -> int:
    """How many legs the order's route may have."""
    return min(spec.max_legs if spec.max_legs is not None else terms.max_legs, terms.max_legs)


def hop_tolerance_bps(spec: OrderSpec, terms: RoutingTerms) -> int:
    """How far a leg that feeds another may fall short of its quote."""
    return min(terms.hop_tolerance_bps, spec.slippage_bps)


def _best_price(sides: Iterable[Side]) -> float:
    return next((side.price for side in sides), 0.0)


def _best_direct(sides: list[Side], splitter: Splitter, spec: OrderSpec, x: float) -> list[Side]:
    """By address: the pools that gain most at the unlimited optimum, and the best alone, in exact integers."""
    if len(sides) <= MAX_DIRECT:
        return sides
    s = splitter.split(x).s
    price = 1.0 / (s * s)
    chosen = {side.address for side in _top(sides, lambda side: side.known_to(s).gain_at(price), MAX_DIRECT)}
    if spec.mode is SwapMode.EXACT_IN:
        chosen |= {side.address for side in _top(sides, lambda side: side.exact_or_zero(spec.amount), _BEST_EXACT)}
    else:
        swap_out = float(spec.amount)
        chosen |= {side.address for side in _top(sides, lambda side: -side.input_for(swap_out), _BEST_EXACT)}
    return [side for side in sides if side.address in chosen]


def _best_of_hop(sides: list[Side], x: float) -> list[Side]:
    """The best at the whole input and at shares of it, and the deepest."""
    if len(sides) <= MAX_PER_HOP:
        return sides
    chosen: dict[Address, None] = {}
    for part in _WIDEST:
        for side in _best_at(sides, x * part):
            chosen[side.address] = None
    deepest = max(sides, key=lambda side: side.depth)
    kept = {deepest.address, *list(chosen)[:MAX_PER_HOP]}
    return [side for side in sides if side.address in kept]


def _best_at(sides: list[Side], x: float) -> list[Side]:
    """The _PER_SIZE best at `x`, best first; `sides` are in order of marginal price."""
    best: list[tuple[float, Side]] = []
    for side in sides:
        if len(best) == _PER_SIZE and side.price * x <= best[-1][0]:
            break
        best.append((side.capped_out(x), side))
        best.sort(key=lambda item: -item[0])
        del best[_PER_SIZE:]
    return [side for _, side in best]


def _top(sides: list[Side], key: Callable[[Side], float], most: int) -> list[Side]:
    return sorted(sides, key=lambda side: (-key(side), side.address))[:most]
