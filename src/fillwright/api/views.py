"""Domain records -> wire shapes. Pure: records and a token list in, shapes out.

A mint that the token list no longer knows (a market loaded without its pools) is shown with no symbol and
no decimals, so that its amounts stand in base units.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache
from typing import Any

import msgspec

from fillwright import wire
from fillwright.domain.accounts import Mint
from fillwright.domain.amounts import MAX_AMOUNT_CHARS, SwapMode, format_quotient, format_ratio, format_units
from fillwright.domain.orders import Fill, Order, OrderError, OrderSpec
from fillwright.domain.routes import Candidate, Dust, Fee, Leg, Route
from fillwright.domain.tokens import TokenList

MAX_TIME_MS = 253_402_300_799_999
"""The last millisecond of the year 9999: RFC 3339 has no later one."""
_LAMPORT_DECIMALS = 9
_BPS_DECIMALS = 4
"""Basis points are shown to this many decimals."""


class Sides(msgspec.Struct, frozen=True):
    """The two tokens of an order, and which of them is fixed: what its amounts need to be shown."""

    input: wire.TokenRef
    output: wire.TokenRef
    mode: SwapMode


def sides_of(spec: OrderSpec, tokens: TokenList) -> Sides:
    """The sides of an order."""
    return Sides(token_ref(spec.input_mint, tokens), token_ref(spec.output_mint, tokens), spec.mode)


def token_ref(mint: Mint, tokens: TokenList) -> wire.TokenRef:
    """The token of `mint`, as it is shown inside other answers."""
    token = tokens.get(mint)
    return wire.TokenRef(mint, "", 0) if token is None else wire.TokenRef(mint, token.symbol, token.decimals)


def rfc3339(ms: int) -> str:
    """Milliseconds since the epoch as RFC 3339 in UTC, such as 2030-01-31T12:00:00.000Z; the last that can be
    written for any later: what is stored can always be shown."""
    ms = min(ms, MAX_TIME_MS)
    return f"{_second(ms // 1_000)}.{ms % 1_000:03d}Z"


@lru_cache(maxsize=1_024)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")


def bps(numerator: int, denominator: int) -> str:
    """numerator/denominator in basis points, to four decimals, rounded half to even. `denominator` > 0."""
    scaled, rest = divmod(numerator * 10 ** (4 + _BPS_DECIMALS), denominator)
    if 2 * rest > denominator or (2 * rest == denominator and scaled % 2):
        scaled += 1
    return format_units(scaled, _BPS_DECIMALS)


def price(amount_in: int, amount_out: int, sides: Sides) -> str:
    """Output per input in whole tokens. `amount_in` > 0."""
    return format_quotient(amount_out * 10**sides.input.decimals, amount_in * 10**sides.output.decimals)


def order_view(order: Order, mode: str, tokens: TokenList) -> wire.OrderView:
    """An order as its events have left it."""
    spec, fill, route = order.spec, order.fill, order.route
    sides = sides_of(spec, tokens)
    path = f"/v1/orders/{order.id}"
    return wire.OrderView(
        **terms(spec, sides),
        mode=mode,
        id=order.id,
        status=order.status,
        version=order.version,
        arrival_price=order.arrival_price,
        executed_price=price(fill.amount_in, fill.amount_out, sides) if fill is not None and fill.amount_in else None,
        realised_slippage_bps=realised_slippage_bps(route, fill) if route and fill else None,
        route=route_view(route, sides, tokens) if route else None,
        fill=fill_view(fill, sides) if fill else None,
        error=error_view(order.error) if order.error else None,
        attempts=order.attempt,
        bids=order.bids,
        retries=order.retries,
        failed_fee_lamports=str(order.failed_fee_lamports),
        signature=order.signature,
        created_at=rfc3339(order.created_ms),
        updated_at=rfc3339(order.updated_ms),
        started_at=_time_or_none(order.started_ms),
        ready_at=_time_or_none(order.ready_at_ms),
        slot=fill.slot if fill else route.slot if route else None,
        links=wire.OrderLinks(path, f"{path}/events", f"{path}/events/stream"),
    )


def terms(spec: OrderSpec, sides: Sides) -> dict[str, Any]:
    """The fields of wire.OrderTerms."""
    exact_in = spec.mode is SwapMode.EXACT_IN
    fixed, bounded = (sides.input, sides.output) if exact_in else (sides.output, sides.input)
    limit = format_units(spec.limit, bounded.decimals) if spec.limit is not None else None
    return {
        "client_order_id": spec.client_order_id,
        "type": spec.type.value,
        "wallet": spec.wallet,
        "input": sides.input,
        "output": sides.output,
        "swap_mode": spec.mode,
        "amount": format_units(spec.amount, fixed.decimals),
        "amount_units": str(spec.amount),
        "slippage_bps": spec.slippage_bps if spec.limit is None else None,
        "min_out": limit if exact_in else None,
        "max_in": None if exact_in else limit,
        "venues": spec.venues,
        "exclude_venues": spec.exclude_venues,
        "pools": spec.pools,
        "exclude_pools": spec.exclude_pools,
        "max_legs": spec.max_legs,
        "max_hops": spec.max_hops,
        "direct_only": spec.direct_only,
        "fill_to_price": _fill_to_price(spec, sides) if spec.fill_to else None,
        "not_before": _time_or_none(spec.not_before_ms),
        "priority": spec.priority,
        "hold": spec.hold,
    }


def _fill_to_price(spec: OrderSpec, sides: Sides) -> str:
    """In whole tokens, as it was given."""
    whole = Fraction(spec.fill_to) * Fraction(10**sides.input.decimals, 10**sides.output.decimals)
    return format_ratio(whole, MAX_AMOUNT_CHARS)


def realised_slippage_bps(route: Route, fill: Fill) -> str:
    """How much worse than quoted the fill was: less output for exact-in, more input for exact-out."""
    if route.mode is SwapMode.EXACT_IN:
        return bps(route.amount_out - fill.amount_out, route.amount_out)
    return bps(fill.amount_in - route.amount_in, route.amount_in)


def error_view(error: OrderError) -> wire.ErrorView:
    return wire.ErrorView(error.code, error.message)


def fill_view(fill: Fill, sides: Sides) -> wire.FillView:
    """A fill. Its amounts are the wallet's balance changes."""
    return wire.FillView(
        signature=fill.signature,
        attempt=fill.attempt,
        amount_in=format_units(fill.amount_in, sides.input.decimals),
        amount_in_units=str(fill.amount_in),
        amount_out=format_units(fill.amount_out, sides.output.decimals),
        amount_out_units=str(fill.amount_out),
        price=price(fill.amount_in, fill.amount_out, sides) if fill.amount_in else "0",
        fee=format_units(fill.fee_lamports, _LAMPORT_DECIMALS),
        fee_lamports=str(fill.fee_lamports),
        rent=format_units(fill.rent_lamports, _LAMPORT_DECIMALS),
        rent_lamports=str(fill.rent_lamports),
        at=rfc3339(fill.at_ms),
        slot=fill.slot,
    )


def route_view(route: Route, sides: Sides, tokens: TokenList) -> wire.RouteView:
    """A plan with its legs."""
    bounded = sides.output if route.mode is SwapMode.EXACT_IN else sides.input
    return wire.RouteView(
        amount_in=format_units(route.amount_in, sides.input.decimals),
        amount_in_units=str(route.amount_in),
        amount_out=format_units(route.amount_out, sides.output.decimals),
        amount_out_units=str(route.amount_out),
        limit=format_units(route.limit, bounded.decimals),
        limit_units=str(route.limit),
        price=price(route.amount_in, route.amount_out, sides),
        price_impact_bps=bps(route.price_impact_ppm, 1_000_000),
        legs=[_leg_view(leg, tokens) for leg in route.legs],
        slot=route.slot,
        dust=[_dust_view(dust, tokens) for dust in route.dust],
        cost=format_units(route.cost, bounded.decimals),
        cost_units=str(route.cost),
        size_bytes=route.size_bytes or None,
        locks=route.locks or None,
        compute_units=route.compute_units or None,
    )


def _dust_view(dust: Dust, tokens: TokenList) -> wire.DustView:
    token = token_ref(dust.mint, tokens)
    return wire.DustView(token.mint, token.symbol, format_units(dust.amount, token.decimals), str(dust.amount))


def _leg_view(leg: Leg, tokens: TokenList) -> wire.LegView:
    source, target = token_ref(leg.input_mint, tokens), token_ref(leg.output_mint, tokens)
    return wire.LegView(
        venue=leg.venue,
        dex=leg.dex,
        pool=leg.pool,
        input=source,
        output=target,
        amount_in=format_units(leg.amount_in, source.decimals),
        amount_in_units=str(leg.amount_in),
        amount_out=format_units(leg.amount_out, target.decimals),
        amount_out_units=str(leg.amount_out),
        fees=_fee_views(leg.fees, tokens),
        path=leg.path,
        hop=leg.hop,
        price_impact_bps=bps(leg.price_impact_ppm, 1_000_000),
    )


def candidate_views(candidates: Sequence[Candidate], sides: Sides, tokens: TokenList) -> list[wire.CandidateView]:
    """Every pool's answer, in the order given, each measured against the best of them."""
    priced = [candidate for candidate in candidates if not candidate.refusal]
    exact_in = sides.mode is SwapMode.EXACT_IN
    best = 0
    if priced:
        best = max(c.amount_out for c in priced) if exact_in else min(c.amount_in for c in priced)
    return [_candidate_view(candidate, best, sides, tokens) for candidate in candidates]


def _candidate_view(candidate: Candidate, best: int, sides: Sides, tokens: TokenList) -> wire.CandidateView:
    if candidate.refusal:
        return wire.CandidateView(
            venue=candidate.venue,
            dex=candidate.dex,
            pool=candidate.pool,
            refusal=candidate.refusal,
            detail=candidate.detail,
        )
    behind = best - candidate.amount_out if sides.mode is SwapMode.EXACT_IN else candidate.amount_in - best
    return wire.CandidateView(
        venue=candidate.venue,
        dex=candidate.dex,
        pool=candidate.pool,
        amount_in=format_units(candidate.amount_in, sides.input.decimals),
        amount_in_units=str(candidate.amount_in),
        amount_out=format_units(candidate.amount_out, sides.output.decimals),
        amount_out_units=str(candidate.amount_out),
        price=price(candidate.amount_in, candidate.amount_out, sides),
        price_impact_bps=bps(candidate.price_impact_ppm, 1_000_000),
        behind_bps=bps(behind, best),
        fees=_fee_views(candidate.fees, tokens),
        detail=candidate.detail,
    )


def _fee_views(fees: Sequence[Fee], tokens: TokenList) -> list[wire.FeeView]:
    return [_fee_view(fee, tokens) for fee in fees]


def _fee_view(fee: Fee, tokens: TokenList) -> wire.FeeView:
    token = token_ref(fee.mint, tokens)
    return wire.FeeView(
        fee.kind.value, fee.mint, token.symbol, format_units(fee.amount, token.decimals), str(fee.amount)
    )


def _time_or_none(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)
