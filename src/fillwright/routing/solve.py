"""The decision on a field: the best of every plan and of every single pool, in exact integers, net of cost.

In: an order, its field, the clock, the terms. Out: a finished choice, or None where nothing can be executed. The
same arguments give the same choice. Must not: look at pools outside the field.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import NamedTuple

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.domain.orders import OrderSpec
from fillwright.routing.book import Side
from fillwright.routing.exact import ExactLeg, Finished, finish
from fillwright.routing.exact_out import finish_exact_out
from fillwright.routing.field import Field, hop_tolerance_bps, max_legs
from fillwright.routing.footprint import (
    Footprint,
    LegLoad,
    Loads,
    footprint,
    independent,
    leg_compute_units,
    leg_load,
)
from fillwright.routing.search import Limits, Plan, Search, plan_sides
from fillwright.routing.terms import RoutingTerms


class Choice(NamedTuple):
    """`net` is what routes are compared by: output less cost for exact-in, -(input + cost) for exact-out."""

    finished: Finished
    cost: int
    net: int
    size: Footprint | None


class Solver:
    """Solves fields; remembers what instructions weigh."""

    def __init__(self, loads: Loads) -> None:
        self._loads = loads

    def choose(
        self, spec: OrderSpec, field: Field, clock: ChainClock, terms: RoutingTerms
    ) -> tuple[list[Choice], float]:
        """Everything executable that was found, best first (of equals, the one with fewer legs); and the marginal
        price of the best plan, 0 where there is none."""
        job = _Job(spec, field, clock, terms, self._loads)
        choices = [*job.singles(), *job.plans()]
        choices.sort(key=lambda choice: (-choice.net, len(choice.finished.legs), _addresses(choice.finished)))
        return choices, job.price


def _addresses(finished: Finished) -> tuple[str, ...]:
    return tuple(leg.side.address for leg in finished.legs)


class _Job:
    def __init__(self, spec: OrderSpec, field: Field, clock: ChainClock, terms: RoutingTerms, loads: Loads) -> None:
        self.spec = spec
        self.field = field
        self.clock = clock
        self.terms = terms
        self.loads = loads
        self.price = 0.0
        self.exact_in = spec.mode is SwapMode.EXACT_IN
        self.tolerance_bps = hop_tolerance_bps(spec, terms)

    def singles(self) -> list[Choice]:
        """Every single pool of the pair that answers."""
        found = []
        for side in self.field.direct:
            leg = self._single(side)
            if leg is not None:
                found.append(self._choice(Finished(leg.amount_in, leg.amount_out, (leg,), ()), None))
        return found

    def _single(self, side: Side) -> ExactLeg | None:
        amount = self.spec.amount
        try:
            if self.exact_in:
                out = side.exact(amount)
                return ExactLeg(0, 0, side, amount, out, out) if out > 0 else None
            quoted = side.quote_out(amount)
        except QuoteRefused:
            return None
        return ExactLeg(0, 0, side, quoted.amount_in, quoted.amount_out, quoted.amount_out)

    def plans(self) -> list[Choice]:
        """The best plans of several legs or hops that fit one transaction."""
        most = max_legs(self.spec, self.terms)
        if not 0.0 < self.field.x < inf:
            return []
        fitting: list[Choice] = []
        for legs in range(most, 0, -1):
            search = self._search(legs)
            plans = search.plans()
            if plans and not self.price:
                self.price = 1.0 / (plans[0].s * plans[0].s)
            found = [choice for valued in plans for choice in self._finished(search, valued.plan)]
            fitting += [choice for choice in found if self._within(choice)]
            # Search weighs small swaps; where the best plan turns out too heavy, there may be a better lighter one.
            if not found or self._within(max(found, key=lambda choice: choice.net)):
                break
        return fitting

    def _within(self, choice: Choice) -> bool:
        return choice.size is not None and choice.size.fits(self.terms)

    def _search(self, legs: int) -> Search:
        return Search(
            source_sides=self.field.sides,
            paths=self.field.paths,
            direct=(self.spec.input_mint, self.spec.output_mint),
            x=self.field.x,
            kept=1.0 - self.tolerance_bps / 10_000,
            limits=Limits(legs, self._leg_cost, self._fits),
        )

    def _finished(self, search: Search, plan: Plan) -> list[Choice]:
        if len(plan_sides(plan)) < 2:  # it is among the singles
            return []
        if self.exact_in:
            finished = finish(search, plan, self.spec.amount, self.tolerance_bps)
        else:
            finished = finish_exact_out(search, plan, self.spec.amount, self.tolerance_bps)
        if finished is None or len(finished.legs) < 2:
            return []
        return [self._choice(finished, self.size(finished))]

    def _choice(self, finished: Finished, size: Footprint | None) -> Choice:
        cost = self.field.cost(self._lamports(leg.side for leg in finished.legs))
        net = finished.amount_out - cost if self.exact_in else -finished.amount_in - cost
        return Choice(finished, cost, net, size)

    def _lamports(self, sides: Iterable[Side]) -> int:
        """What the transaction costs: its signature and each leg's share of the priority fee."""
        legs = sum(self.terms.leg_lamports(leg_compute_units(side.pool.venue)) for side in sides)
        return self.terms.signature_lamports + legs

    def _leg_cost(self, side: Side) -> float:
        """In output units; an exact-out's costs are in input units and are counted at the end only."""
        if not self.exact_in:
            return 0.0
        return self.terms.leg_lamports(leg_compute_units(side.pool.venue)) * self.field.lamport_price

    def _fits(self, plan: Plan) -> bool:
        loads = [self.loads.of(side, self.clock) for side in plan_sides(plan)]
        known = [load for load in loads if load is not None]
        if len(known) < len(loads) or not independent(known):
            return False
        between = {mint for chain in plan for mint in chain.path[1:-1]}
        return self._footprint(known, between).fits(self.terms)

    def size(self, finished: Finished) -> Footprint | None:
        """Of the transaction as it would be built; None where a venue can't build its leg."""
        try:
            loads = [leg_load(leg.side, max(leg.amount_in, 1), self.clock) for leg in finished.legs]
        except QuoteRefused:
            return None
        between = {leg.side.input_mint for leg in finished.legs} - {self.spec.input_mint}
        return self._footprint(loads, between)

    def _footprint(self, loads: list[LegLoad], between: set[Mint]) -> Footprint:
        mints = (self.spec.input_mint, self.spec.output_mint, *sorted(between))
        return footprint(loads, mints, self.terms, marker=self.spec.marker)
