"""`/v1/admin/pools/{address}/release`, for operators: quote a quarantined pool again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from fillwright import wire
from fillwright.api.auth import Gate, Principal
from fillwright.api.http import caller
from fillwright.api.openapi import answers
from fillwright.api.services import Services
from fillwright.config import Scope
from fillwright.domain.accounts import Address
from fillwright.domain.errors import Conflict, NotFound

MAX_ADDRESS_CHARS = 44


def quarantine_routes(services: Services, gate: Gate) -> APIRouter:
    """For keys with the scope `admin`."""
    router = APIRouter(tags=["operations"], default_response_class=Response)
    operator = Depends(caller(gate, Scope.ADMIN))

    @router.post(
        "/v1/admin/pools/{address}/release",
        operation_id="releasePool",
        responses=answers("PoolReleased", 401, 403, 404, 409, 422),
    )
    async def release_pool(
        address: Annotated[str, Path(max_length=MAX_ADDRESS_CHARS, description="The pool's address.")],
        principal: Principal = operator,
    ) -> Response:
        """Quote a quarantined pool again, with a clean record. It is quarantined anew if it drifts again."""
        if services.release is None:
            text = "each worker quarantines pools by itself, and releases them once its checks agree, or when restarted"
            raise Conflict(text, code="quarantine_elsewhere")
        if not services.release(Address(address)):
            raise NotFound("no such pool is quarantined", code="pool_not_quarantined")
        return Response(wire.encode(wire.PoolReleased(services.mode, address)), media_type="application/json")

    return router
