"""The weak-duality bound of an order: no route over its field gives more, however many legs it has.

For any price λ of input: out <= λ·X + Σ over pools and paths of max over x of (out(x) - λ·x). In: the order and its
field. Out: the bound at the marginal price of the best plan, rounded up, with a margin for the curves' own
errors and for integer rounding (of at most `most_legs` legs). A path counts with all pools of each hop in parallel.
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil, inf, prod, sqrt

from fillwright.domain.amounts import SwapMode
from fillwright.domain.orders import OrderSpec
from fillwright.routing.curves import Curve, composed, merged
from fillwright.routing.field import Field
from fillwright.routing.paths import Path

CURVE_ERROR = 2e-9
"""How far curves are from exact quotes, relatively, rounding apart."""
ROUNDING_UNITS = 1
"""Of output, per leg."""


def output_bound(spec: OrderSpec, field: Field, price: float, most_legs: int) -> int | None:
    """An upper bound of the output for exact-in, at marginal price `price`; None for exact-out."""
    if spec.mode is not SwapMode.EXACT_IN:
        return None
    s = 1.0 / sqrt(price) if price > 0.0 else inf
    bound = price * spec.amount
    bound += sum(side.known_to(s).gain_at(price) for side in field.direct if side.price > price)
    bound += sum(_whole(field, path, s).gain_at(price) for path in field.paths if _rate(field, path) > price)
    return ceil(bound * (1.0 + CURVE_ERROR) + most_legs * (ROUNDING_UNITS + _unit_worth(field)))


def best_rate(field: Field) -> float:
    """The best marginal price over the field before anything is swapped: no size gets more per input, but for the
    curves' own errors."""
    rates = [side.price for side in field.direct]
    rates += [_rate(field, path) for path in field.paths]
    return max(rates, default=0.0)


def _unit_worth(field: Field) -> float:
    """The most output that one unit of any token that a leg takes can be worth: what a fee rounded down can give."""
    worth = max((side.price for side in field.direct), default=0.0)
    for path in field.paths:
        onward = 1.0
        for source, target in reversed(list(pairwise(path))):
            onward *= max((side.price for side in field.sides(source, target)), default=0.0)
            worth = max(worth, onward)
    return worth


def _rate(field: Field, path: Path) -> float:
    rate = 1.0
    for source, target in pairwise(path):
        rate *= max((side.price for side in field.sides(source, target)), default=0.0)
    return rate


def _whole(field: Field, path: Path, s: float) -> Curve:
    """The path with all pools of each hop, down to the marginal price 1/s²: no hop is used below its share of it."""
    hops = list(pairwise(path))
    best = [max(side.price for side in field.sides(*hop)) for hop in hops]
    rate = prod(best)
    curve: Curve | None = None
    for hop, price in zip(hops, best, strict=True):
        # The other hops pay their best price at most.
        floor = s * sqrt(rate / price)
        stage = merged([side.known_to(floor) for side in field.sides(*hop) if side.price * floor * floor > 1.0])
        curve = stage if curve is None else composed(curve, stage, until=s if hop == hops[-1] else inf)
    return curve if curve is not None else Curve()
