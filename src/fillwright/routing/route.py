"""The best executable route for an order over a snapshot, in exact integers.

Every pool of the pair is asked; each answer, or the reason for having none, becomes a candidate. The best
net outcome for the wallet wins: the largest output for exact-in, the smallest input for exact-out; equal
ones go to the smaller pool address, so that the same snapshot always gives the same route.
"""

from __future__ import annotations

from fractions import Fraction

import msgspec

from fillwright.domain.amounts import SwapMode, format_quotient
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.domain.orders import OrderError, OrderSpec
from fillwright.domain.routes import Candidate, Leg, Route, limit_after_slippage
from fillwright.market.snapshot import Snapshot, venue_for
from fillwright.venues.venue import Pool, Quote, Swap

_PPM = 1_000_000
MAX_MID_POOLS = 16
_MID_DIGITS = 24


class Decision(msgspec.Struct, frozen=True):
    """`route` is None where nothing can be executed; `problem` says why then."""

    candidates: tuple[Candidate, ...]
    route: Route | None
    problem: OrderError | None
    slot: int


def decide(spec: OrderSpec, snapshot: Snapshot) -> Decision:
    """Route `spec` over `snapshot`."""
    pools = [pool for pool in snapshot.of_pair(spec.input_mint, spec.output_mint) if _allowed(spec, pool)]
    if not pools:
        problem = OrderError("no_pool", "no pool that the order allows trades this pair")
        return Decision((), None, problem, snapshot.slot)
    candidates = tuple(_ask(spec, pool, snapshot) for pool in pools)
    best = _best(spec, candidates)
    if best is None:
        return Decision(candidates, None, OrderError("no_route", _refusals(candidates)), snapshot.slot)
    route = _route(spec, best, snapshot.slot)
    if not _meets_limit(spec, route):
        problem = OrderError("limit_not_met", "no pool meets the order's limit now")
        return Decision(candidates, None, problem, snapshot.slot)
    return Decision(candidates, route, None, snapshot.slot)


def mid_price(spec: OrderSpec, snapshot: Snapshot) -> str | None:
    """The median spot of the pair's pools, output per input in whole tokens, before fees; None without pools."""
    prices: list[int] = []
    for pool in snapshot.of_pair(spec.input_mint, spec.output_mint)[:MAX_MID_POOLS]:
        try:
            spot = venue_for(pool).spot(pool, spec.input_mint, snapshot.clock)
        except QuoteRefused:
            continue
        side = pool.mints.index(spec.input_mint)
        scale = 10 ** (_MID_DIGITS + pool.decimals[side])
        prices.append(spot.numerator * scale // (spot.denominator * 10 ** pool.decimals[1 - side]))
    if not prices:
        return None
    prices.sort()
    middle = len(prices) // 2
    mid = prices[middle] if len(prices) % 2 else (prices[middle - 1] + prices[middle]) // 2
    return format_quotient(mid, 10**_MID_DIGITS)


def _allowed(spec: OrderSpec, pool: Pool) -> bool:
    if spec.venues and pool.venue not in spec.venues and venue_for(pool).dex not in spec.venues:
        return False
    if pool.venue in spec.exclude_venues or venue_for(pool).dex in spec.exclude_venues:
        return False
    return pool.address not in spec.exclude_pools and (not spec.pools or pool.address in spec.pools)


def _ask(spec: OrderSpec, pool: Pool, snapshot: Snapshot) -> Candidate:
    venue = venue_for(pool)
    try:
        quote = venue.quote(pool, Swap(spec.input_mint, spec.mode, spec.amount), snapshot.clock)
        if quote.amount_out <= 0 or quote.amount_in <= 0:
            raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "the amount is too small to receive anything")
        spot = venue.spot(pool, spec.input_mint, snapshot.clock)
    except QuoteRefused as error:
        return Candidate(venue.id, venue.dex, pool.address, refusal=error.reason, detail=error.message)
    return Candidate(
        venue=venue.id,
        dex=venue.dex,
        pool=pool.address,
        amount_in=quote.amount_in,
        amount_out=quote.amount_out,
        fees=quote.fees,
        price_impact_ppm=price_impact_ppm(quote, spec.input_mint, spot),
    )


def price_impact_ppm(quote: Quote, input_mint: str, spot: Fraction) -> int:
    """1 - A/spot in millionths, rounded up, never negative; A is the executable price with the fees put back."""
    net_in, gross_out = quote.amount_in, quote.amount_out
    for fee in quote.fees:
        if fee.mint == input_mint:
            net_in -= fee.amount
        else:
            gross_out += fee.amount
    reference = net_in * spot.numerator
    if reference <= 0:
        return 0
    return max(0, _PPM - gross_out * spot.denominator * _PPM // reference)


def _best(spec: OrderSpec, candidates: tuple[Candidate, ...]) -> Candidate | None:
    priced = [candidate for candidate in candidates if not candidate.refusal]
    if not priced:
        return None
    if spec.mode is SwapMode.EXACT_IN:
        return min(priced, key=lambda candidate: (-candidate.amount_out, candidate.pool))
    return min(priced, key=lambda candidate: (candidate.amount_in, candidate.pool))


def _route(spec: OrderSpec, best: Candidate, slot: int) -> Route:
    quoted = best.amount_out if spec.mode is SwapMode.EXACT_IN else best.amount_in
    limit = spec.limit if spec.limit is not None else limit_after_slippage(spec.mode, quoted, spec.slippage_bps)
    leg = Leg(
        best.venue, best.dex, best.pool, spec.input_mint, spec.output_mint, best.amount_in, best.amount_out, best.fees
    )
    return Route(
        mode=spec.mode,
        input_mint=spec.input_mint,
        output_mint=spec.output_mint,
        amount_in=best.amount_in,
        amount_out=best.amount_out,
        limit=limit,
        legs=(leg,),
        price_impact_ppm=best.price_impact_ppm,
        slot=slot,
    )


def _meets_limit(spec: OrderSpec, route: Route) -> bool:
    if spec.mode is SwapMode.EXACT_IN:
        return route.amount_out >= route.limit
    return route.amount_in <= route.limit


def _refusals(candidates: tuple[Candidate, ...]) -> str:
    reasons = "; ".join(f"{candidate.pool}: {candidate.detail}" for candidate in candidates[:4])
    return f"no pool can execute this order: {reasons}"
