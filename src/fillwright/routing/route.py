"""The best executable route for an order over a snapshot, in exact integers.

In: an order's spec and a snapshot. Out: a decision: the route (split over pools and over paths of at most three
hops), every direct pool's own quote or refusal, the best single pool, and a bound that no route can beat. The same
snapshot, spec and terms always give the same decision. Must not: send or sign anything.

A router remembers curves between snapshots (`book`), which makes it fast and changes no answer.
"""

from __future__ import annotations

from fractions import Fraction

import msgspec

from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.domain.orders import OrderError, OrderSpec
from fillwright.domain.routes import Candidate, Dust, Leg, Route, limit_after_slippage
from fillwright.market.snapshot import Snapshot
from fillwright.routing.book import Book
from fillwright.routing.bound import output_bound
from fillwright.routing.candidates import PPM, ask
from fillwright.routing.exact import ExactLeg
from fillwright.routing.field import Field, Survey
from fillwright.routing.footprint import Loads
from fillwright.routing.solve import Choice, Solver
from fillwright.routing.terms import DEFAULT_TERMS, RoutingTerms

MAX_REASONS = 4


class Decision(msgspec.Struct, frozen=True):
    """`route` is None where nothing can be executed; `problem` says why then.

    `candidates`: the direct pools, at most `field.MAX_DIRECT` where there are more. `best_single`: the best of
    them, None where none answers. `gain_ppm`: how much more the route gives than that pool, net of costs, in
    millionths, rounded down (0 where there is no route or nothing to compare it with). `bound`: no route over
    the pools and paths looked at gives more output than this (exact-in only); it is drawn from the curves, exact
    to about a part in 10⁹ and a unit per leg. `field`: the pools that the decision depends on. `terms`: those that
    it was taken under; of the lookup tables' addresses, those that had a part in it.
    """

    candidates: tuple[Candidate, ...]
    route: Route | None
    problem: OrderError | None
    slot: int
    best_single: Candidate | None = None
    gain_ppm: int = 0
    bound: int | None = None
    terms: RoutingTerms = DEFAULT_TERMS
    lamport_price: float = 0.0
    field: tuple[str, ...] = ()


class Router:
    """Decides over successive snapshots. Not for use from several threads at once."""

    def __init__(self) -> None:
        self._book = Book()
        self._survey = Survey(self._book)
        self._solver = Solver(Loads())

    def decide(self, spec: OrderSpec, snapshot: Snapshot, terms: RoutingTerms = DEFAULT_TERMS) -> Decision:
        """Route `spec` over `snapshot`."""
        return self.decide_on(spec, self.field(spec, snapshot, terms), snapshot, terms)

    def field(self, spec: OrderSpec, snapshot: Snapshot, terms: RoutingTerms = DEFAULT_TERMS) -> Field:
        """What a decision on `spec` is taken from."""
        self._book.open(snapshot)
        return self._survey.field(spec, terms)

    def decide_on(self, spec: OrderSpec, field: Field, snapshot: Snapshot, terms: RoutingTerms) -> Decision:
        """Route `spec` over a field of `snapshot`."""
        candidates = tuple(ask(side, spec.amount, spec.mode, snapshot.clock) for side in field.direct)
        choices, price, used = self._solver.choose(spec, field, candidates, snapshot.clock, terms)
        route, problem, gain = self._executable(spec, choices, snapshot, candidates)
        return Decision(
            candidates,
            route,
            problem if problem is not None or route is not None else _no_route(candidates, field),
            snapshot.slot,
            best_single=_best_single(choices, candidates),
            gain_ppm=gain,
            bound=output_bound(spec, field, price, terms.max_legs),
            terms=used,
            lamport_price=field.lamport_price,
            field=tuple(sorted(field.pools())),
        )

    @staticmethod
    def _executable(
        spec: OrderSpec, choices: list[Choice], snapshot: Snapshot, candidates: tuple[Candidate, ...]
    ) -> tuple[Route | None, OrderError | None, int]:
        """The best choice that its pools still answer as of this clock, with its gain; or what is wrong with it."""
        for choice in choices:
            try:
                route = _route(spec, choice, snapshot, candidates)
            except QuoteRefused:
                # A remembered quoter answered what the pool refuses as of this clock: the next best choice.
                continue
            if not _meets_limit(spec, route):
                return None, OrderError("limit_not_met", "no route meets the order's limit now"), 0
            return route, None, _gain_ppm(spec, choice, choices)
        return None, None, 0


def decide(spec: OrderSpec, snapshot: Snapshot, terms: RoutingTerms = DEFAULT_TERMS) -> Decision:
    """Route `spec` over `snapshot` with a router of its own; who routes often keeps one."""
    return Router().decide(spec, snapshot, terms)


def _best_single(choices: list[Choice], candidates: tuple[Candidate, ...]) -> Candidate | None:
    """The direct pool that is best net of costs."""
    single = next((choice.finished.legs[0] for choice in choices if len(choice.finished.legs) == 1), None)
    if single is None:
        return None
    return next((candidate for candidate in candidates if candidate.pool == single.side.address), None)


def _route(spec: OrderSpec, choice: Choice, snapshot: Snapshot, candidates: tuple[Candidate, ...]) -> Route:
    """The choice as a route, each leg quoted with all its fees. Raises QuoteRefused."""
    finished = choice.finished
    exact_in = spec.mode is SwapMode.EXACT_IN
    quoted = finished.amount_out if exact_in else finished.amount_in
    limit = spec.limit if spec.limit is not None else limit_after_slippage(spec.mode, quoted, spec.slippage_bps)
    hops: dict[int, int] = {}
    for exact in finished.legs:
        hops[exact.path] = max(hops.get(exact.path, 0), exact.hop)
    legs = []
    for exact in finished.legs:
        bounded = exact.hop == hops[exact.path] if exact_in else exact.hop == 0
        leg_limit = _leg_limit(spec, exact, limit, quoted) if bounded else exact.bound
        whole = next((one for one in candidates if _answers(one, exact)), None) if len(finished.legs) == 1 else None
        legs.append(_leg(exact, leg_limit, whole or _quoted(spec, exact, snapshot)))
    size = choice.size
    return Route(
        mode=spec.mode,
        input_mint=spec.input_mint,
        output_mint=spec.output_mint,
        amount_in=finished.amount_in,
        amount_out=finished.amount_out,
        limit=limit,
        legs=tuple(legs),
        price_impact_ppm=_impact_ppm(legs),
        slot=snapshot.slot,
        dust=tuple(Dust(mint, units) for mint, units in finished.dust),
        cost=choice.cost,
        size_bytes=size.size_bytes if size else 0,
        locks=size.locks if size else 0,
        compute_units=size.compute_units if size else 0,
    )


def _leg_limit(spec: OrderSpec, exact: ExactLeg, limit: int, quoted: int) -> int:
    """The leg's part of the route's limit: together the legs enforce no less than the whole."""
    if spec.mode is SwapMode.EXACT_IN:
        return -(-limit * exact.amount_out // quoted)
    return limit * exact.amount_in // quoted


def _answers(candidate: Candidate, exact: ExactLeg) -> bool:
    """Whether the leg is this candidate: the same pool, asked for the same swap as of the same clock."""
    amounts = (candidate.amount_in, candidate.amount_out)
    return candidate.pool == exact.side.address and amounts == (exact.amount_in, exact.amount_out)


def _quoted(spec: OrderSpec, exact: ExactLeg, snapshot: Snapshot) -> Candidate:
    """The leg's pool asked once more. Raises QuoteRefused where it answers something else now."""
    side = exact.side
    amount = exact.amount_in if spec.mode is SwapMode.EXACT_IN else exact.amount_out
    candidate = ask(side, amount, spec.mode, snapshot.clock)
    if candidate.refusal or not _answers(candidate, exact):
        raise QuoteRefused(Refusal.STALE, "the pool's quote has changed since it was compared")
    return candidate


def _leg(exact: ExactLeg, limit: int, quoted: Candidate) -> Leg:
    side = exact.side
    return Leg(
        venue=quoted.venue,
        dex=quoted.dex,
        pool=quoted.pool,
        input_mint=side.input_mint,
        output_mint=side.output_mint,
        amount_in=quoted.amount_in,
        amount_out=quoted.amount_out,
        fees=quoted.fees,
        path=exact.path,
        hop=exact.hop,
        limit=limit,
        price_impact_ppm=quoted.price_impact_ppm,
    )


def _impact_ppm(legs: list[Leg]) -> int:
    """Of a route: per hop the legs' mean by input, compounded along a path; the paths' mean by input. Rounded up."""
    if not any(leg.hop for leg in legs):  # the same without fractions
        into = sum(leg.amount_in for leg in legs)
        return -(-sum(leg.price_impact_ppm * leg.amount_in for leg in legs) // into) if into else 0
    total, weighted = 0, Fraction(0)
    for path in sorted({leg.path for leg in legs}):
        kept, entered = Fraction(1), 0
        for hop in range(max(leg.hop for leg in legs if leg.path == path) + 1):
            stage = [leg for leg in legs if (leg.path, leg.hop) == (path, hop)]
            into = sum(leg.amount_in for leg in stage)
            entered = into if hop == 0 else entered
            kept *= 1 - Fraction(sum(leg.price_impact_ppm * leg.amount_in for leg in stage), PPM * into)
        total += entered
        weighted += (1 - kept) * entered
    return int(-(-weighted * PPM // total)) if total else 0


def _gain_ppm(spec: OrderSpec, choice: Choice, choices: list[Choice]) -> int:
    """The gain over the best single pool, both net of costs."""
    singles = [other for other in choices if len(other.finished.legs) == 1]
    if not singles:
        return 0
    reference = abs(singles[0].net)
    return (choice.net - singles[0].net) * PPM // reference if reference else 0


def _meets_limit(spec: OrderSpec, route: Route) -> bool:
    if spec.mode is SwapMode.EXACT_IN:
        return route.amount_out >= route.limit
    return route.amount_in <= route.limit


def _no_route(candidates: tuple[Candidate, ...], field: Field) -> OrderError:
    if not candidates and not field.paths:
        return OrderError("no_pool", "no pool that the order allows trades this pair")
    reasons = "; ".join(f"{candidate.pool}: {candidate.detail}" for candidate in candidates[:MAX_REASONS])
    return OrderError(
        "no_route", f"no pool can execute this order: {reasons or 'no path takes it whole in one transaction'}"
    )
