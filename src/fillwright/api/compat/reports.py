"""The dialects' figures: 002's and 003's queue, 003's DEX statistics, everybody's health."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fillwright.api.compat import listing
from fillwright.api.compat.access import Door
from fillwright.api.compat.answers import answering, json_response
from fillwright.api.compat.dialects import D002, D003, STEPS
from fillwright.api.compat.facts import RATE_PLACES, Facts
from fillwright.api.compat.numbers import ratio
from fillwright.api.compat.shapes import Shape
from fillwright.api.services import Services
from fillwright.api.streams import Hub
from fillwright.api.views import rfc3339
from fillwright.config import Scope
from fillwright.domain.errors import FillwrightError
from fillwright.domain.orders import OrderStatus
from fillwright.ports import StoreStats

HEALTH_TIMEOUT_S = 1.0
DEFAULT_WINDOW = 1_000
MAX_WINDOW = 10_000
_PERCENT_PLACES = 2


class Reports:
    """The handlers, each a request to a response."""

    def __init__(self, services: Services, hub: Hub, door: Door) -> None:
        self._services = services
        self._hub = hub
        self._door = door

    def routes(self) -> list[BaseRoute]:
        table = (
            ("/api/queue/metrics", self.queue_metrics),
            ("/api/queue/stats", self.queue_stats),
            ("/api/metrics", self.dex_metrics),
            ("/health", self.health),
        )
        return [Route(path, answering(handler), methods=["GET"]) for path, handler in table]

    async def queue_metrics(self, request: Request) -> Response:
        """002's queue."""
        request.state.dialect = D002
        self._admit(request)
        stats = await self._services.store.stats(self._services.clock.now_ms())
        queue = _queue(stats)
        shape = {**queue, "total": sum(queue.values()), "websocketConnections": self._hub.readers}
        return json_response(shape)

    async def queue_stats(self, request: Request) -> Response:
        """003's queue."""
        request.state.dialect = D003
        self._admit(request)
        settings, now_ms = self._services.settings, self._services.clock.now_ms()
        stats = await self._services.store.stats(now_ms)
        queue = _queue(stats)
        return json_response(
            {
                **queue,
                "waiting": queue["waiting"] - stats.delayed,
                "delayed": stats.delayed,
                "timestamp": rfc3339(now_ms),
                "config": {
                    "maxConcurrentOrders": settings.concurrency,
                    "ordersPerMinute": settings.orders_per_minute,
                    "maxRetryAttempts": settings.max_retries,
                },
            }
        )

    async def dex_metrics(self, request: Request) -> Response:
        """003's statistics over its newest orders."""
        request.state.dialect = D003
        account = self._admit(request)
        services = self._services
        text = request.query_params.get("limit", "")
        limit = (
            min(int(text) or 1, MAX_WINDOW) if text.isascii() and text.isdigit() and len(text) < 9 else DEFAULT_WINDOW
        )
        found = await listing.newest(services.store, account, limit)
        facts = [Facts(order, services.market.tokens) for order in found]
        return json_response(_dex_metrics(facts, limit, services.clock.now_ms()))

    async def health(self, request: Request) -> Response:
        """200 where orders can be accepted, 503 where not."""
        services = self._services
        database = await self._store_answers()
        ok = database and services.intake.accepting
        shape = {
            "status": "ok" if ok else "degraded",
            "timestamp": rfc3339(services.clock.now_ms()),
            "database": "connected" if database else "disconnected",
            "redis": "connected" if self._bus_answers(ok) else "disconnected",
        }
        return json_response(shape, 200 if ok else 503)

    def _bus_answers(self, engine_is_well: bool) -> bool:
        """A bus of its own says so itself; one inside the process is as well as the engine."""
        for name, connected in self._services.parts:
            if name == "bus":
                return connected() is True
        return engine_is_well

    async def _store_answers(self) -> bool:
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                await self._services.store.ready()
        except (TimeoutError, FillwrightError):
            return False
        return True

    def _admit(self, request: Request) -> str:
        return self._door.admit(request.scope["headers"], request.scope.get("client"), Scope.READ).account


def _queue(stats: StoreStats) -> dict[str, int]:
    """Orders by where they are. Those that wait for a release are in no queue."""
    ended: dict[str, int] = {"confirmed": 0, "failed": 0}
    for status, count in stats.by_status.items():
        step = STEPS[OrderStatus(status)]
        if step in ended:
            ended[step] += count
    return {
        "waiting": stats.due + stats.delayed,
        "active": stats.leased,
        "completed": ended["confirmed"],
        "failed": ended["failed"],
    }


def _dex_metrics(facts: Sequence[Facts], limit: int, now_ms: int) -> Shape:
    confirmed = sum(fact.step == "confirmed" for fact in facts)
    failed = sum(fact.step == "failed" for fact in facts)
    by_dex: dict[str, list[Facts]] = {}
    for fact in facts:
        dex = fact.dex(D003)
        if dex is not None:
            by_dex.setdefault(dex, []).append(fact)
    routed = sum(len(group) for group in by_dex.values())
    created = [fact.order.created_ms for fact in facts]
    return {
        "total": len(facts),
        "confirmed": confirmed,
        "failed": failed,
        "byDex": {dex: _one_dex(group, routed) for dex, group in sorted(by_dex.items())},
        "timeRange": {
            "oldest": rfc3339(min(created)) if created else None,
            "newest": rfc3339(max(created)) if created else None,
        },
        "overallSuccessRate": _percent(confirmed, confirmed + failed),
        "timestamp": rfc3339(now_ms),
        "analysisWindow": f"{limit} most recent orders",
    }


def _one_dex(group: Sequence[Facts], routed: int) -> Shape:
    confirmed = sum(fact.step == "confirmed" for fact in group)
    failed = sum(fact.step == "failed" for fact in group)
    slippages = [fact.realised_slippage for fact in group if fact.realised_slippage is not None]
    scale = 10**RATE_PLACES
    summed = sum(int(value * scale) for value in slippages)
    return {
        "total": len(group),
        "confirmed": confirmed,
        "failed": failed,
        "percentage": _percent(len(group), routed),
        "successRate": _percent(confirmed, confirmed + failed),
        "totalVolume": sum((fact.amount_in for fact in group if fact.step == "confirmed"), Decimal(0)),
        "averageSlippage": ratio(summed, len(slippages) * scale, RATE_PLACES),
        "averageSlippageSamples": len(slippages),
    }


def _percent(part: int, of: int) -> Decimal:
    return ratio(part * 100, of, _PERCENT_PLACES)
