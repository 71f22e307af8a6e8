"""A stored routing decision, taken again: does it come out the same, and what did it cost?  Pure.

In: an order and one of its routing events. Out: the decision worked out anew from what the event holds, every way in
which it differs from what was decided then, and, for the decision that was executed, the shortfall of the fill taken
apart. Must not: look at any market but the stored one.
"""

from __future__ import annotations

from fractions import Fraction

import msgspec

from fillwright.domain.accounts import Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import NotFound, StoreError
from fillwright.domain.orders import Order, OrderSpec, Routed
from fillwright.domain.routes import Route
from fillwright.execution.report import Execution, Shortfall, route_dust, route_fees, shortfall
from fillwright.market.snapshot import Snapshot
from fillwright.routing.mid import decimals_of, mid_ratio
from fillwright.routing.replay import replay_with_market
from fillwright.routing.route import Decision


class Explanation(msgspec.Struct, frozen=True):
    """`differences` is empty where the replay equals the stored decision. `mid`: output per input in base units, of
    the stored pools. `executed`: the order was filled by this decision. `shortfall` needs prices for both."""

    decision: Decision
    differences: tuple[str, ...]
    stored_bytes: int
    mid: Fraction | None
    executed: bool
    shortfall: Shortfall | None


def explain(order: Order, routed: Routed, *, last: bool) -> Explanation:
    """Take the decision again. `last`: the order was not routed again after it.

    Raises NotFound `replay_unreadable`: another version stored it, or nothing was stored.
    """
    try:
        decision, snapshot = replay_with_market(order.spec, routed.replay)
    except StoreError as error:
        raise NotFound(error.message, code="replay_unreadable") from error
    mid = mid_ratio(order.spec, snapshot)
    executed = last and order.fill is not None and routed.route is not None
    return Explanation(
        decision=decision,
        differences=_differences(routed, decision),
        stored_bytes=len(routed.replay),
        mid=mid,
        executed=executed,
        shortfall=_shortfall(order, decision, snapshot, mid) if executed else None,
    )


def _differences(routed: Routed, decision: Decision) -> tuple[str, ...]:
    found = []
    if routed.slot != decision.slot:
        found.append(f"slot: {routed.slot} then, {decision.slot} now")
    if routed.candidates != decision.candidates:
        found.append("the pools' own answers")
    if routed.route != decision.route:
        found.append("the route")
    return tuple(found)


def _shortfall(order: Order, decision: Decision, snapshot: Snapshot, mid: Fraction | None) -> Shortfall | None:
    """None where the pair had no price at acceptance or at the decision."""
    spec, fill, route = order.spec, order.fill, decision.route
    arrival = _arrival(order, snapshot)
    if arrival is None or mid is None or not mid or fill is None or route is None or not fill.amount_in:
        return None
    worth = _worth(spec, route, snapshot, mid)
    try:
        fees, dust = route_fees(route, worth), route_dust(route, worth)
    except KeyError:
        return None
    return shortfall(
        Execution(
            mode=spec.mode,
            arrival=arrival,
            decided=mid,
            quoted_in=route.amount_in,
            quoted_out=route.amount_out,
            filled_in=fill.amount_in,
            filled_out=fill.amount_out,
            fees=fees,
            network=Fraction(decision.lamport_price)
            * (fill.fee_lamports + fill.rent_lamports + order.failed_fee_lamports),
            dust=dust,
        )
    )


def _arrival(order: Order, snapshot: Snapshot) -> Fraction | None:
    """The arrival price in base units; its record is in whole tokens."""
    source = decimals_of(order.spec.input_mint, snapshot)
    target = decimals_of(order.spec.output_mint, snapshot)
    if order.arrival_price is None or source is None or target is None:
        return None
    return Fraction(order.arrival_price) * Fraction(10**target, 10**source) or None


def _worth(spec: OrderSpec, route: Route, snapshot: Snapshot, mid: Fraction) -> dict[Mint, Fraction]:
    """A base unit of each of the route's mints in units of the output (exact-in) or the input (exact-out).

    A token that only passes through trades against the input or the output: paths have three hops at most.
    """
    exact_in = spec.mode is SwapMode.EXACT_IN
    worth = {
        spec.input_mint: mid if exact_in else Fraction(1),
        spec.output_mint: Fraction(1) if exact_in else 1 / mid,
    }
    for mint in {leg.input_mint for leg in route.legs} - set(worth):
        for known in (spec.output_mint, spec.input_mint):
            price = mid_ratio(msgspec.structs.replace(spec, input_mint=mint, output_mint=known), snapshot)
            if price is not None:
                worth[mint] = price * worth[known]
                break
    return worth
