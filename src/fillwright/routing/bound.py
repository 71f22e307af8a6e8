"""The weak-duality bound of an order: no route over its field gives more, however many legs it has.

For any price λ of input: out <= λ·X + Σ over pools and paths of max over x of (out(x) - λ·x). In: the order and its
field. Out: the bound at the price of the unlimited direct optimum, rounded up, with a margin for the curves' own
errors. A path counts with all pools of each hop in parallel.
"""

from __future__ import annotations

from math import ceil, inf

from fillwright.domain.amounts import SwapMode
from fillwright.domain.orders import OrderSpec
from fillwright.routing.curves import Curve, composed, merged
from fillwright.routing.field import Field
from fillwright.routing.paths import Path

CURVE_ERROR = 2e-9
"""How far curves are from exact quotes, relatively; and a unit per pool for rounding."""


def output_bound(spec: OrderSpec, field: Field) -> int | None:
    """An upper bound of the output for exact-in; None for exact-out."""
    if spec.mode is not SwapMode.EXACT_IN:
        return None
    x = float(spec.amount)
    direct = merged([side.covering(x) for side in field.direct]) if field.direct else Curve()
    paths = [_whole(field, path, x) for path in field.paths]
    everything = merged([curve for curve in (direct, *paths) if curve.ps]) if direct.ps or paths else Curve()
    s = everything.s_at(min(x, everything.capacity)) if everything.ps else inf
    price = 1.0 / (s * s) if s < inf else 0.0
    bound = price * x + direct.gain_at(price) + sum(path.gain_at(price) for path in paths)
    return ceil(bound * (1.0 + CURVE_ERROR)) + len(field.pools())


def _whole(field: Field, path: Path, x: float) -> Curve:
    curve: Curve | None = None
    for source, target in zip(path, path[1:], strict=False):
        stage = merged([side.covering(x) for side in field.sides(source, target)])
        curve = stage if curve is None else composed(curve, stage)
        x = curve.ys[-1]
    return curve if curve is not None else Curve()
