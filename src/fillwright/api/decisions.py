"""Routing decisions -> wire shapes: the route as a tree, what it is measured against, and replays laid out.

Pure: decisions and a token list in, shapes out.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from fillwright import wire
from fillwright.api import views
from fillwright.domain.amounts import SwapMode, format_ratio, format_units
from fillwright.domain.orders import Order, OrderEvent
from fillwright.domain.routes import Leg, Route
from fillwright.domain.tokens import TokenList
from fillwright.execution.explain import Explanation
from fillwright.execution.report import Shortfall
from fillwright.routing.route import Decision

_PPM = 1_000_000
_SHORTFALL_DIGITS = 24


def decided(decision: Decision, sides: views.Sides, tokens: TokenList, mid_price: str | None) -> dict[str, Any]:
    """The fields of wire.Decided."""
    route, bound = decision.route, decision.bound
    shown = views.candidate_views(decision.candidates, sides, tokens)
    best = decision.best_single
    single = next((one for one in shown if best is not None and one.pool == best.pool and not one.refusal), None)
    compared = route is not None and single is not None
    return {
        "route": views.route_view(route, sides, tokens) if route else None,
        "paths": path_views(route, sides, tokens) if route else [],
        "candidates": shown,
        "best_single": single,
        "gain_bps": views.bps(decision.gain_ppm, _PPM) if compared else None,
        "bound": None if bound is None else format_units(bound, sides.output.decimals),
        "bound_units": None if bound is None else str(bound),
        "behind_bound_bps": views.bps(bound - route.amount_out, bound) if route and bound else None,
        "error": views.error_view(decision.problem) if decision.problem else None,
        "mid_price": mid_price,
    }


def path_views(route: Route, sides: views.Sides, tokens: TokenList) -> list[wire.PathView]:
    """The route as a tree: paths, their hops, and in each the legs by their position."""
    found = []
    for path in sorted({leg.path for leg in route.legs}):
        stages: dict[int, list[tuple[int, Leg]]] = {}
        for at, leg in enumerate(route.legs):
            if leg.path == path:
                stages.setdefault(leg.hop, []).append((at, leg))
        hops = [stages[hop] for hop in sorted(stages)]
        taken = sum(leg.amount_in for _, leg in hops[0])
        given = sum(leg.amount_out for _, leg in hops[-1])
        found.append(
            wire.PathView(
                share_bps=views.bps(taken, route.amount_in),
                amount_in=format_units(taken, sides.input.decimals),
                amount_in_units=str(taken),
                amount_out=format_units(given, sides.output.decimals),
                amount_out_units=str(given),
                hops=[_hop_view(hops, at, tokens) for at in range(len(hops))],
            )
        )
    return found


def _hop_view(hops: list[list[tuple[int, Leg]]], at: int, tokens: TokenList) -> wire.HopView:
    legs = hops[at]
    first = legs[0][1]
    target = views.token_ref(first.output_mint, tokens)
    into = sum(leg.amount_in for _, leg in legs)
    left = None
    if at + 1 < len(hops):
        left = sum(leg.amount_out for _, leg in legs) - sum(leg.amount_in for _, leg in hops[at + 1])
    return wire.HopView(
        input=views.token_ref(first.input_mint, tokens),
        output=target,
        legs=[position for position, _ in legs],
        shares_bps=[views.bps(leg.amount_in, into) for _, leg in legs],
        dust=None if left is None else format_units(left, target.decimals),
        dust_units=None if left is None else str(left),
    )


def explain_view(
    order: Order, event: OrderEvent, explanation: Explanation, mode: str, tokens: TokenList
) -> wire.ExplainView:
    """A decision taken again."""
    spec, decision, fill = order.spec, explanation.decision, order.fill
    sides = views.sides_of(spec, tokens)
    terms = views.terms(spec, sides)
    mid = explanation.mid
    whole = Fraction(10**sides.input.decimals, 10**sides.output.decimals)
    return wire.ExplainView(
        **decided(decision, sides, tokens, None if mid is None else format_ratio(mid * whole)),
        mode=mode,
        order_id=order.id,
        status=order.status,
        number=event.number,
        at=views.rfc3339(event.at_ms),
        slot=decision.slot,
        input=sides.input,
        output=sides.output,
        swap_mode=spec.mode,
        amount=terms["amount"],
        amount_units=terms["amount_units"],
        same=not explanation.differences,
        differences=list(explanation.differences),
        pools=len(decision.field),
        stored_bytes=explanation.stored_bytes,
        terms=_terms_view(decision),
        arrival_price=order.arrival_price,
        fill=views.fill_view(fill, sides) if fill is not None and explanation.executed else None,
        shortfall=_shortfall_view(explanation.shortfall, sides) if explanation.shortfall else None,
    )


def _terms_view(decision: Decision) -> wire.TermsView:
    terms = decision.terms
    tables: list[str] = [table.address for table in terms.lookup_tables]
    return wire.TermsView(
        max_legs=terms.max_legs,
        max_hops=terms.max_hops,
        lookup_tables=bool(tables),
        tables=tables,
        max_bytes=terms.max_bytes,
        max_locks=terms.max_locks,
        max_compute=terms.max_compute,
        signature_lamports=terms.signature_lamports,
        priority_micro_lamports=terms.priority_micro_lamports,
        hop_tolerance_bps=terms.hop_tolerance_bps,
    )


def _shortfall_view(shortfall: Shortfall, sides: views.Sides) -> wire.ShortfallView:
    token = sides.output if sides.mode is SwapMode.EXACT_IN else sides.input

    def shown(units: Fraction) -> str:
        return _signed(units / 10**token.decimals)

    return wire.ShortfallView(
        token=token,
        benchmark=shown(shortfall.benchmark),
        delay=shown(shortfall.delay),
        fees=shown(shortfall.fees),
        impact=shown(shortfall.impact),
        dust=shown(shortfall.dust),
        timing=shown(shortfall.timing),
        network=shown(shortfall.network),
        total=shown(shortfall.total),
        total_bps=_signed(shortfall.bps),
    )


def _signed(value: Fraction) -> str:
    text = format_ratio(abs(value), _SHORTFALL_DIGITS)
    return f"-{text}" if value < 0 else text
