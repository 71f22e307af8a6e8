"""From a plan in floats to legs in integers: floor, the rest to where most room is, every leg quoted exactly.

In: a plan and its curves. Out: exact amounts per leg, what arrives, what is left over between hops; or None where no
split of this plan can be executed. Legs that their pool refuses are dropped and their share goes to the others.

A hop's input is fixed when the transaction is signed: it is the sum of the least outputs that the legs before it
are allowed to give. What those give beyond is dust, left in the wallet.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fillwright.domain.accounts import Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.domain.routes import limit_after_slippage
from fillwright.routing.book import Side
from fillwright.routing.curves import Curve, merged
from fillwright.routing.search import Chain, Plan, Search, plan_sides


class ExactLeg(NamedTuple):
    """`bound`: where another leg follows (exact-in) or comes before (exact-out), the least output or the most input
    that it counts on; elsewhere the amount itself, and the route's limit binds."""

    path: int
    hop: int
    side: Side
    amount_in: int
    amount_out: int
    bound: int


class Finished(NamedTuple):
    """Exact: `amount_in` leaves the wallet, `amount_out` arrives, `dust` stays by mint."""

    amount_in: int
    amount_out: int
    legs: tuple[ExactLeg, ...]
    dust: tuple[tuple[Mint, int], ...]


class RefusedBySide(Exception):
    """A pool refused its share of a plan."""

    def __init__(self, side: Side) -> None:
        super().__init__(side.address)
        self.side = side


def finish(search: Search, plan: Plan, amount: int, tolerance_bps: int) -> Finished | None:
    """`plan` with `amount` of input in exact integers; None where its pools refuse."""
    return without_refusals(plan, lambda left: _finished(search, left, amount, tolerance_bps))


def without_refusals(plan: Plan, finished: Callable[[Plan], Finished | None]) -> Finished | None:
    """What `finished` makes of `plan`, left without the pools for which it raises RefusedBySide; None where nothing
    is left."""
    for _ in range(len(plan_sides(plan))):
        if not plan:
            return None
        try:
            return finished(plan)
        except RefusedBySide as refused:
            plan = _without_side(plan, refused.side)
    return None


def shares(curves: Sequence[Curve], amount: int) -> list[int] | None:
    """The optimal split in integers, its sum `amount`; None where the curves do not take it."""
    if len(curves) == 1:
        return [amount]
    x = float(amount)
    total = merged(curves, x)
    if total.capacity < x:
        return None
    s = total.s_at(x)
    taken = [_before(curve, s) for curve in curves]
    left = x - sum(taken)
    for at, curve in enumerate(curves):
        flat = min(curve.x_at(s) - taken[at], left)
        if flat > 0.0:
            taken[at] += flat
            left -= flat
    # A curve's end is known to a unit per piece; beyond it the pool refuses the whole leg.
    ends = [int(curve.capacity) - len(curve.ps) - 1 for curve in curves]
    parts = [max(min(int(part), end), 0) for part, end in zip(taken, ends, strict=True)]
    roomiest = max(range(len(parts)), key=lambda at: (parts[at] > 0, ends[at] - parts[at], -at))
    parts[roomiest] += amount - sum(parts)
    return parts if parts[roomiest] >= 0 else None


def _before(curve: Curve, s: float) -> float:
    """The input that is taken at marginal prices above 1/s², pieces of exactly that price left out."""
    i = bisect_left(curve.es, s)
    x = curve.xs[i]
    if i < len(curve.ss) and s > curve.ss[i]:
        x += (s / curve.ss[i] - 1.0) / curve.qs[i]
    return x


def _finished(search: Search, plan: Plan, amount: int, tolerance_bps: int) -> Finished | None:
    parts = shares([search.curve(chain) for chain in plan], amount)
    if parts is None:
        return None
    legs: list[ExactLeg] = []
    dust: dict[Mint, int] = {}
    received = 0
    for number, (chain, part) in enumerate(zip(plan, parts, strict=True)):
        if part == 0:
            raise RefusedBySide(chain.hops[0][0])
        fed = part
        for hop, sides in enumerate(chain.hops):
            last = hop == len(chain.hops) - 1
            stage = _hop(search, chain, hop, fed)
            if stage is None:
                raise RefusedBySide(sides[-1])
            given = least = 0
            for side, amount_in, amount_out in stage:
                kept = amount_out if last else limit_after_slippage(SwapMode.EXACT_IN, amount_out, tolerance_bps)
                legs.append(ExactLeg(number, hop, side, amount_in, amount_out, kept))
                given, least = given + amount_out, least + kept
            if last:
                received += given
            else:
                dust[chain.path[hop + 1]] = dust.get(chain.path[hop + 1], 0) + given - least
                fed = least
    return Finished(amount, received, tuple(legs), tuple((mint, units) for mint, units in dust.items() if units))


def _hop(search: Search, chain: Chain, hop: int, amount: int) -> list[tuple[Side, int, int]] | None:
    sides = chain.hops[hop]
    parts = shares([search.side_curve(chain.path, hop, side) for side in sides], amount)
    if parts is None:
        return None
    stage = []
    for side, part in zip(sides, parts, strict=True):
        try:
            out = side.exact(part)
        except QuoteRefused as error:
            raise RefusedBySide(side) from error
        if out <= 0:
            raise RefusedBySide(side)
        stage.append((side, part, out))
    return stage


def _without_side(plan: Plan, refused: Side) -> Plan:
    """`plan` without `refused`; a chain goes with the last side of a hop."""
    kept: list[Chain] = []
    for chain in plan:
        hops = tuple(tuple(side for side in hop if side is not refused) for hop in chain.hops)
        if all(hops):
            kept.append(Chain(chain.path, hops))
    return tuple(kept)
