"""What can be traded: `GET /v1/tokens` and `GET /v1/pools`."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from fillwright import wire
from fillwright.api import query, views
from fillwright.api.auth import Gate, Principal
from fillwright.api.http import caller, token_parameter
from fillwright.api.openapi import answers
from fillwright.api.problems import InvalidParameter
from fillwright.api.services import Services
from fillwright.config import Scope
from fillwright.domain.amounts import format_ratio
from fillwright.domain.errors import QuoteRefused
from fillwright.market.snapshot import Snapshot, venue_for
from fillwright.venues.registry import VENUES
from fillwright.venues.venue import Pool


def market_routes(services: Services, gate: Gate) -> APIRouter:
    """Tokens and pools."""
    router = APIRouter(tags=["market"], default_response_class=Response)
    reads = Depends(caller(gate, Scope.READ))

    @router.get("/v1/tokens", operation_id="listTokens", responses=answers("TokenPage", 401, 403))
    async def list_tokens(principal: Principal = reads) -> Response:
        """The pinned tokens, and every mint that a loaded pool trades."""
        tokens = [
            wire.TokenView(token.mint, token.symbol, token.decimals, token.name)
            for token in services.market.tokens.all()
        ]
        return Response(wire.encode(wire.TokenPage(services.mode, tokens)), media_type="application/json")

    @router.get(
        "/v1/pools",
        operation_id="listPools",
        responses=answers("PoolPage", 401, 403, 422),
        dependencies=[Depends(query.known)],
    )
    async def list_pools(
        venue: Annotated[str | None, Query(max_length=64, description="A venue or a DEX.")] = None,
        token: Annotated[str | None, Query(max_length=64, description="A mint or a symbol.")] = None,
        principal: Principal = reads,
    ) -> Response:
        """The pools of the newest snapshot, and the accounts of known programs that can't be priced."""
        if venue is not None and not _dex_of(venue):
            raise InvalidParameter("venue_unknown", "no such venue or DEX", "venue")
        mint = token_parameter(token, "token", services.market.tokens)
        snapshot = services.market.current()
        pools = [
            _pool_view(pool, snapshot, services)
            for pool in snapshot.pools.values()
            if (mint is None or mint in pool.mints) and venue in (None, pool.venue, venue_for(pool).dex)
        ]
        unpriced = [
            wire.UnpricedView(one.address, one.venue, one.reason, one.detail)
            for one in snapshot.unpriced
            if mint is None and venue in (None, one.venue, _dex_of(one.venue))
        ]
        page = wire.PoolPage(services.mode, snapshot.slot, pools, unpriced)
        return Response(wire.encode(page), media_type="application/json")

    return router


def _dex_of(name: str) -> str | None:
    """The DEX that a venue belongs to, or that is named itself; None where there is no such."""
    found = VENUES.get(name)
    if found is not None:
        return found.dex
    return name if any(one.dex == name for one in VENUES.values()) else None


def _pool_view(pool: Pool, snapshot: Snapshot, services: Services) -> wire.PoolView:
    venue = venue_for(pool)
    first, second = pool.mints
    price, refusal = None, None
    try:
        spot = venue.spot(pool, first, snapshot.clock)
        price = format_ratio(spot * Fraction(10) ** (pool.decimals[0] - pool.decimals[1]))
    except QuoteRefused as error:
        refusal = error.reason.value
    tokens = services.market.tokens
    return wire.PoolView(
        address=pool.address,
        venue=venue.id,
        dex=venue.dex,
        tokens=(views.token_ref(first, tokens), views.token_ref(second, tokens)),
        price=price,
        refusal=refusal,
        warnings=list(snapshot.warnings.get(pool.address, ())),
    )
