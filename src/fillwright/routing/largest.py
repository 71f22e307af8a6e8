"""Partial fill to a limit price: the largest size whose executable price still meets it.

In: an exact-in order, a snapshot, the least output per input. Out: an amount and the decision for it. Executable
prices fall as sizes grow, so the size is found by halving over exact decisions.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import msgspec

from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import InvalidInput
from fillwright.domain.orders import OrderError, OrderSpec
from fillwright.domain.routes import limit_after_slippage
from fillwright.market.snapshot import Snapshot
from fillwright.routing.bound import CURVE_ERROR, best_rate
from fillwright.routing.route import Decision, Router
from fillwright.routing.terms import DEFAULT_TERMS, RoutingTerms

PRECISION = 1_000_000
"""Sizes are told apart down to this part of themselves; rounding makes exact prices jump about below that."""
MAX_STEPS = 96

Met = Callable[[int], Decision | None]


def sized(
    router: Router, spec: OrderSpec, snapshot: Snapshot, terms: RoutingTerms = DEFAULT_TERMS
) -> tuple[OrderSpec, bool]:
    """The order at the size that it is executed at, and whether any size gets its price.

    An order without `fill_to` is as it is. A cut one keeps no less than its price as its bound on chain.
    """
    if not spec.fill_to:
        return spec, True
    price = Fraction(spec.fill_to)
    whole = msgspec.structs.replace(spec, fill_to="")
    found = largest_fill(router, whole, snapshot, price, terms)
    if found.decision is None or found.decision.route is None:
        return whole, False
    least = -(-found.amount * price.numerator // price.denominator)
    after = limit_after_slippage(SwapMode.EXACT_IN, found.decision.route.amount_out, spec.slippage_bps)
    return msgspec.structs.replace(whole, amount=found.amount, limit=max(least, after)), True


def decide_order(router: Router, spec: OrderSpec, snapshot: Snapshot, terms: RoutingTerms = DEFAULT_TERMS) -> Decision:
    """As `Router.decide`, for an order that may be filled in part."""
    cut, met = sized(router, spec, snapshot, terms)
    decision = router.decide(cut, snapshot, terms)
    return decision if met else unmet(decision)


def unmet(decision: Decision) -> Decision:
    """The decision where no size gets the order's price."""
    problem = OrderError("limit_not_met", "no size gets the order's price now")
    return msgspec.structs.replace(decision, route=None, problem=problem, gain_ppm=0)


class LargestFill(NamedTuple):
    """`amount` 0: no size meets the price; `decision` None then."""

    amount: int
    decision: Decision | None


def largest_fill(
    router: Router, spec: OrderSpec, snapshot: Snapshot, price: Fraction, terms: RoutingTerms = DEFAULT_TERMS
) -> LargestFill:
    """The largest amount up to `spec.amount` whose route gives at least `price` output base units per input.

    Raises InvalidInput for exact-out orders, and for a price that is not positive.
    """
    if spec.mode is not SwapMode.EXACT_IN or price <= 0:
        raise InvalidInput("unsupported_mode", "a partial fill needs an exact-in order and a positive price")
    unlimited = msgspec.structs.replace(spec, limit=None)

    def met(amount: int) -> Decision | None:
        decision = router.decide(msgspec.structs.replace(unlimited, amount=amount), snapshot, terms)
        route = decision.route
        if route is None or route.amount_out * price.denominator < price.numerator * amount:
            return None
        return decision

    # The smallest size's field has the paths that are best before anything is swapped.
    first = router.field(msgspec.structs.replace(unlimited, amount=1), snapshot, terms)
    if price > Fraction(best_rate(first) * (1.0 + CURVE_ERROR)):
        return LargestFill(0, None)
    whole = met(spec.amount)
    if whole is not None:
        return LargestFill(spec.amount, whole)
    low, best = _first_met(spec.amount, met)
    if best is None:
        return LargestFill(0, None)
    high = min(low * 2, spec.amount)
    for _ in range(MAX_STEPS):
        if high - low <= max(low // PRECISION, 1):
            break
        middle = (low + high) // 2
        decision = met(middle)
        if decision is None:
            high = middle
        else:
            low, best = middle, decision
    return LargestFill(low, best)


def _first_met(amount: int, met: Met) -> tuple[int, Decision | None]:
    """The first of amount/2, amount/4, … that meets the price."""
    for _ in range(MAX_STEPS):
        amount //= 2
        if amount == 0:
            break
        decision = met(amount)
        if decision is not None:
            return amount, decision
    return 0, None
