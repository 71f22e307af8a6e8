"""The queue, for operators: how full it is, how fast it moves, and `/v1/admin/queue` to pause, resume and drain it.

In: the store's counts, and the ends of orders as the hub sees them. Out: wire shapes, and gauges at every scrape.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from fillwright import observe, wire
from fillwright.api.auth import Gate, Principal
from fillwright.api.http import caller
from fillwright.api.openapi import answers
from fillwright.api.services import Services
from fillwright.api.throughput import Throughput
from fillwright.config import Scope
from fillwright.domain.errors import FillwrightError
from fillwright.domain.queue import QueueState
from fillwright.ports import StoreStats

MAX_AGE_S = 1.0
"""How old the counts of a scrape may be."""
READ_LIMIT_S = 1.0
"""How long a scrape waits for the counts: its other metrics are worth more than these."""


class QueueMeter:
    """Reads the queue. Raises what the store raises."""

    def __init__(self, services: Services, throughput: Throughput) -> None:
        self._services = services
        self._throughput = throughput
        self._read_s = float("-inf")

    async def view(self, stored: StoreStats, now_ms: int) -> wire.QueueView:
        """`stored`, as operators want to see it."""
        state = await self._services.store.queue_state()
        oldest = None if stored.oldest_due_ms is None else max(0, now_ms - stored.oldest_due_ms)
        return wire.QueueView(
            state=state.value,
            waiting=stored.due,
            active=stored.leased,
            delayed=stored.delayed,
            completed=stored.by_status.get("confirmed", 0),
            failed=stored.by_status.get("failed", 0),
            oldest_age_ms=oldest,
            ended_per_s=self._throughput.per_s(),
            drained=not stored.due and not stored.leased,
        )

    async def read(self) -> wire.QueueView:
        """As it is now."""
        now_ms = self._services.clock.now_ms()
        return await self.view(await self._services.store.stats(now_ms), now_ms)

    async def show(self) -> None:
        """Set the gauges, unless that has just been done; without values where the store does not tell them soon."""
        now_s = self._services.clock.monotonic_s()
        if now_s - self._read_s < MAX_AGE_S:
            return
        self._read_s = now_s
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                queue = await self.read()
        except TimeoutError:
            observe.queue_unseen("store_stalled")
            return
        except FillwrightError as error:
            observe.queue_unseen(error.code)
            return
        counts = {name: getattr(queue, name) for name in ("waiting", "active", "delayed", "completed", "failed")}
        observe.queue_seen(
            counts, state=queue.state, oldest_s=(queue.oldest_age_ms or 0) / 1000, ended_per_s=queue.ended_per_s
        )


_STATES = {"pause": QueueState.PAUSED, "resume": QueueState.RUNNING, "drain": QueueState.DRAINING}


def queue_routes(services: Services, gate: Gate, meter: QueueMeter) -> APIRouter:
    """`/v1/admin/queue`, for keys with the scope `admin`."""
    router = APIRouter(tags=["operations"], default_response_class=Response)
    operator = Depends(caller(gate, Scope.ADMIN))

    @router.get("/v1/admin/queue", operation_id="getQueue", responses=answers("QueueView", 401, 403, 503))
    async def get_queue(principal: Principal = operator) -> Response:
        """Whether orders are begun and accepted, and what is in the queue."""
        return Response(wire.encode(await meter.read()), media_type="application/json")

    @router.post("/v1/admin/queue/{turn}", operation_id="turnQueue", responses=answers("QueueView", 401, 403, 422, 503))
    async def turn_queue(
        turn: Annotated[
            Literal["pause", "resume", "drain"],
            Path(description="pause: begin nothing; drain: accept nothing new; resume: both again."),
        ],
        principal: Principal = operator,
    ) -> Response:
        """Pause, drain or resume the whole engine's queue. It stays so, across restarts, until the next turn."""
        await services.intake.turn_queue(_STATES[turn])
        return Response(wire.encode(await meter.read()), media_type="application/json")

    return router
