"""Exact-out in integers: the output is shared out, every leg quoted backwards for the input it needs.

In: a plan for about the right input, the output wanted. Out: exact legs that together give that output, for the
inputs that their pools ask; or None where they refuse. On a path the hop before must give at least what the next
one may come to need at its own bound; what it does not need is dust.
"""

from __future__ import annotations

from fillwright.domain.accounts import Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.domain.routes import limit_after_slippage
from fillwright.routing.curves import Curve, merged
from fillwright.routing.exact import ExactLeg, Finished, RefusedBySide, without_refusals
from fillwright.routing.search import Chain, Plan, Search


def finish_exact_out(search: Search, plan: Plan, amount: int, tolerance_bps: int) -> Finished | None:
    """`plan` giving `amount` of output; None where its pools refuse."""
    return without_refusals(plan, lambda left: _finished(search, left, amount, tolerance_bps))


def output_shares(curves: list[Curve], amount: int) -> list[int] | None:
    """The outputs of the cheapest split, in integers, their sum `amount`; None where the curves don't give it."""
    if len(curves) == 1:
        return [amount]
    total = merged(curves)
    x = total.input_for(float(amount))
    if x > total.capacity:
        return None
    s = total.s_at(x)
    given = [curve.out(min(curve.x_at(s), curve.capacity)) for curve in curves]
    scale = amount / sum(given) if sum(given) > 0 else 0.0
    parts = [int(part * min(scale, 1.0)) for part in given]
    largest = max(range(len(parts)), key=lambda at: (parts[at], -at))
    parts[largest] += amount - sum(parts)
    return parts if min(parts) >= 0 else None


def _finished(search: Search, plan: Plan, amount: int, tolerance_bps: int) -> Finished | None:
    parts = output_shares([search.curve(chain) for chain in plan], amount)
    if parts is None:
        return None
    legs: list[ExactLeg] = []
    dust: dict[Mint, int] = {}
    spent = 0
    for number, (chain, part) in enumerate(zip(plan, parts, strict=True)):
        needed, backwards = part, []
        for hop in range(len(chain.hops) - 1, -1, -1):
            wanted = needed
            stage = _hop(search, chain, number, hop, wanted, tolerance_bps)
            if stage is None:
                return None
            backwards.append(stage)
            asked = sum(leg.amount_in for leg in stage)
            # Each leg's own bound may be used up; the hop before provides for that.
            needed = sum(leg.bound for leg in stage)
            if hop:
                mint = chain.path[hop]
                dust[mint] = dust.get(mint, 0) + needed - asked
            else:
                spent += asked
        legs += [leg for stage in reversed(backwards) for leg in stage]
    received = sum(leg.amount_out for leg in legs if leg.hop == len(plan[leg.path].hops) - 1)
    return Finished(spent, received, tuple(legs), tuple((mint, units) for mint, units in dust.items() if units))


def _hop(search: Search, chain: Chain, number: int, hop: int, amount: int, tolerance_bps: int) -> list[ExactLeg] | None:
    sides = chain.hops[hop]
    parts = output_shares([search.side_curve(chain.path, hop, side) for side in sides], amount)
    if parts is None:
        return None
    stage = []
    for side, part in zip(sides, parts, strict=True):
        try:
            quote = side.quote_out(part)
        except QuoteRefused as error:
            raise RefusedBySide(side) from error
        most = limit_after_slippage(SwapMode.EXACT_OUT, quote.amount_in, tolerance_bps)
        stage.append(ExactLeg(number, hop, side, quote.amount_in, quote.amount_out, most))
    return stage
