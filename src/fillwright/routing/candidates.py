"""Single pools: which ones an order allows, what each answers, how far its own size moves the price.

In: an order's spec, pools, a clock. Out: exact quotes with fees and impact, or the reasons for having none.
"""

from __future__ import annotations

from fractions import Fraction

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.domain.orders import OrderSpec
from fillwright.domain.routes import Candidate
from fillwright.market.snapshot import venue_for
from fillwright.routing.book import Side
from fillwright.venues.venue import Pool, Quote, Swap

PPM = 1_000_000


def allowed(spec: OrderSpec, pool: Pool) -> bool:
    """Whether the order's venue and pool lists let this pool in. Venues go by id or by DEX."""
    if not (spec.venues or spec.exclude_venues or spec.pools or spec.exclude_pools):
        return True
    venue = venue_for(pool)
    if spec.venues and pool.venue not in spec.venues and venue.dex not in spec.venues:
        return False
    if pool.venue in spec.exclude_venues or venue.dex in spec.exclude_venues:
        return False
    return pool.address not in spec.exclude_pools and (not spec.pools or pool.address in spec.pools)


def ask(side: Side, amount: int, mode: SwapMode, clock: ChainClock) -> Candidate:
    """The pool's exact answer to a swap in this direction, or its refusal."""
    pool, venue = side.pool, side.venue
    try:
        quote = venue.quote(pool, Swap(side.input_mint, mode, amount), clock)
        if quote.amount_out <= 0 or quote.amount_in <= 0:
            raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "the amount is too small to receive anything")
        spot = side.spot()
    except QuoteRefused as error:
        return Candidate(venue.id, venue.dex, pool.address, refusal=error.reason, detail=error.message)
    return Candidate(
        venue=venue.id,
        dex=venue.dex,
        pool=pool.address,
        amount_in=quote.amount_in,
        amount_out=quote.amount_out,
        fees=quote.fees,
        price_impact_ppm=price_impact_ppm(quote, side.input_mint, spot),
    )


def price_impact_ppm(quote: Quote, input_mint: Mint, spot: Fraction) -> int:
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
    return max(0, PPM - gross_out * spot.denominator * PPM // reference)
