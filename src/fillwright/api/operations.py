"""For operators: statistics, health, metrics, and the pages for people."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import HTMLResponse, Response

from fillwright import __version__, observe, wire
from fillwright.api import pages, views
from fillwright.api.auth import Gate, Principal
from fillwright.api.http import caller
from fillwright.api.openapi import answers
from fillwright.api.queue import QueueMeter, queue_routes
from fillwright.api.services import Services
from fillwright.api.streams import Hub
from fillwright.config import Scope
from fillwright.domain.errors import FillwrightError
from fillwright.domain.queue import QueueState

READY_TIMEOUT_S = 1.0
_HTML_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}


def operation_routes(
    services: Services, gate: Gate, hub: Hub, specification: Callable[[], dict[str, Any]]
) -> APIRouter:
    """Statistics, health, metrics, pages. `specification` gives the OpenAPI document."""
    router = APIRouter(tags=["operations"], default_response_class=Response)
    reads = Depends(caller(gate, Scope.READ))
    started_s = services.clock.monotonic_s()
    meter = QueueMeter(services, hub.throughput)
    router.include_router(queue_routes(services, gate, meter))

    @router.get("/v1/stats", operation_id="getStats", responses=answers("StatsView", 401, 403, 503))
    async def get_stats(principal: Principal = reads) -> Response:
        """Orders by status, the queue, this process's worker, latencies and streams."""
        return _json(await _stats(services, hub, meter, services.clock.monotonic_s() - started_s))

    @router.get("/health/live", operation_id="isLive", responses=answers("Health"))
    async def is_live() -> Response:
        """200 as long as the process answers at all."""
        return _json(wire.Health("ok", services.mode))

    @router.get("/health/ready", operation_id="isReady", responses=_ready_answers())
    async def is_ready() -> Response:
        """Whether orders can be accepted now."""
        checks = await _checks(services)
        ok = all(check == "ok" for check in checks.values())
        status: Literal["ok", "unavailable"] = "ok" if ok else "unavailable"
        return _json(wire.Health(status, services.mode, checks | _told(services)), 200 if ok else 503)

    @router.get("/metrics", include_in_schema=False)
    async def metrics(principal: Principal = reads) -> Response:
        """This process's metrics, and the queue, in the Prometheus text format."""
        await meter.show()
        return Response(generate_latest(observe.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return _json(specification())

    @router.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(pages.docs(specification(), services.mode), headers=_HTML_HEADERS)

    @router.get("/", include_in_schema=False)
    async def landing() -> Response:
        return HTMLResponse(pages.landing(services.mode, __version__), headers=_HTML_HEADERS)

    return router


async def _stats(services: Services, hub: Hub, meter: QueueMeter, uptime_s: float) -> wire.StatsView:
    now_ms = services.clock.now_ms()
    stored = await services.store.stats(now_ms)
    worker = services.worker.stats() if services.worker is not None else None
    return wire.StatsView(
        mode=services.mode,
        version=__version__,
        at=views.rfc3339(now_ms),
        slot=services.market.current().slot,
        uptime_s=round(uptime_s, 3),
        orders=stored.by_status,
        queue=await meter.view(stored, now_ms),
        worker=wire.WorkerView(worker.in_flight, worker.concurrency, worker.completed) if worker else None,
        latency={
            name: wire.LatencyView(found.count, found.p50_ms, found.p95_ms, found.p99_ms, found.max_ms)
            for name, found in observe.latencies().items()
        },
        streams=wire.StreamsView(hub.readers, hub.opened, hub.dropped),
        last_sequence=stored.last_sequence,
    )


async def _checks(services: Services) -> dict[str, str]:
    checks = {"store": "ok", "intake": "ok" if services.intake.accepting else "shutting down"}
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            await services.store.ready()
    except TimeoutError:
        checks["store"] = "does not answer"
    except FillwrightError as error:
        checks["store"] = error.code
    if services.intake.failure and checks["store"] == "ok":
        checks["store"] = services.intake.failure
    checks["market"] = "ok" if services.market.current().pools else "no pools"
    return checks


def _told(services: Services) -> dict[str, str]:
    """Parts that orders can be accepted without; and the queue, where an operator holds it."""
    words = {True: "ok", False: "can't be reached"}
    state = services.intake.queue_state
    queue = {} if state is QueueState.RUNNING else {"queue": state.value}
    found = [(name, look()) for name, look in services.parts]
    return {name: now if isinstance(now, str) else words[now] for name, now in found} | queue


def _ready_answers() -> dict[int | str, dict[str, Any]]:
    found = answers("Health")
    return {**found, 503: {**found[200], "description": "A part is missing"}}


def _json(shape: object, status: int = 200) -> Response:
    return Response(wire.encode(shape), status, media_type="application/json")
