"""The decision on a field: the best of every plan and of every single pool, in exact integers, net of cost.

In: an order, its field, the clock, the terms. Out: a finished choice, or None where nothing can be executed. The
same arguments give the same choice. Must not: look at pools outside the field.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.domain.orders import OrderSpec
from fillwright.domain.routes import Candidate
from fillwright.routing.book import Side
from fillwright.routing.exact import ExactLeg, Finished, finish
from fillwright.routing.exact_out import finish_exact_out
from fillwright.routing.field import Field, hop_tolerance_bps, max_legs
from fillwright.routing.footprint import (
    Footprint,
    LegLoad,
    Loads,
    Scale,
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
        self,
        spec: OrderSpec,
        field: Field,
        candidates: Sequence[Candidate],
        clock: ChainClock,
        terms: RoutingTerms,
    ) -> tuple[list[Choice], float, RoutingTerms]:
        """Everything executable that was found, best first (of equals, the one with fewer legs); the marginal price
        of the best plan, 0 where there is none; and the terms as far as they had a part in it. `candidates` are what
        the field's direct pools answer."""
        job = _Job(spec, field, clock, terms, self._loads)
        choices = [*job.singles(candidates), *job.plans()]
        choices.sort(key=lambda choice: (-choice.net, len(choice.finished.legs), _addresses(choice.finished)))
        return choices, job.price, job.scale.terms()


def _addresses(finished: Finished) -> tuple[str, ...]:
    return tuple(leg.side.address for leg in finished.legs)


class _Job:
    def __init__(self, spec: OrderSpec, field: Field, clock: ChainClock, terms: RoutingTerms, loads: Loads) -> None:
        self.spec = spec
        self.field = field
        self.clock = clock
        self.terms = terms
        self.loads = loads
        self.scale = Scale(terms)
        self.price = 0.0
        self.exact_in = spec.mode is SwapMode.EXACT_IN
        self.tolerance_bps = hop_tolerance_bps(spec, terms)
        self._lamports: dict[str, int] = {}

    def singles(self, candidates: Sequence[Candidate]) -> list[Choice]:
        """Every single pool of the pair that answers."""
        found = []
        for side, candidate in zip(self.field.direct, candidates, strict=True):
            spent, got = candidate.amount_in, candidate.amount_out
            if not candidate.refusal and (not self.exact_in or spent == self.spec.amount):
                found.append(self._choice(Finished(spent, got, (ExactLeg(0, 0, side, spent, got, got),), ()), None))
        return found

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
        """With what the transaction costs: its signature and each leg's share of the priority fee."""
        lamports = self.terms.signature_lamports
        for leg in finished.legs:
            lamports += self._leg_lamports(leg.side)
        cost = self.field.cost(lamports)
        net = finished.amount_out - cost if self.exact_in else -finished.amount_in - cost
        return Choice(finished, cost, net, size)

    def _leg_lamports(self, side: Side) -> int:
        venue = side.pool.venue
        lamports = self._lamports.get(venue)
        if lamports is None:
            lamports = self._lamports[venue] = self.terms.leg_lamports(leg_compute_units(venue))
        return lamports

    def _leg_cost(self, side: Side) -> float:
        """In output units; an exact-out's costs are in input units and are counted at the end only."""
        return self._leg_lamports(side) * self.field.lamport_price if self.exact_in else 0.0

    def _fits(self, plan: Plan) -> bool:
        loads = [self.loads.of(side, self.clock) for side in plan_sides(plan)]
        known = [load for load in loads if load is not None]
        if len(known) < len(loads) or not independent(known):
            return False
        between = {mint for chain in plan for mint in chain.path[1:-1]}
        return self._weighed(known, between).fits(self.terms)

    def size(self, finished: Finished) -> Footprint | None:
        """Of the transaction as it would be built; None where a venue can't build its leg."""
        mode = self.spec.mode
        try:
            loads = [
                leg_load(leg.side, max(leg.amount_in if self.exact_in else leg.amount_out, 1), self.clock, mode)
                for leg in finished.legs
            ]
        except QuoteRefused:
            return None
        between = {leg.side.input_mint for leg in finished.legs} - {self.spec.input_mint}
        return self._weighed(loads, between)

    def _weighed(self, loads: list[LegLoad], between: set[Mint]) -> Footprint:
        mints = (self.spec.input_mint, self.spec.output_mint, *sorted(between))
        return self.scale.weigh(loads, mints, marker=self.spec.marker)
