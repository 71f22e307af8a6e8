"""Answers about single orders, cached with the version that they show.

In: an order's id and the caller's account. Out: the encoded answer. The store is always asked for the version that
the order has now, and a cached answer of any other one is not given: so none is ever older than the store, and a
cache that loses everything loses nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from fillwright import __version__, wire
from fillwright.api import views
from fillwright.api.services import Services
from fillwright.domain.errors import NotFound
from fillwright.domain.orders import OrderId

MAX_CACHED = 5_000
TTL_S = 60.0


class LocalCache:
    """`ports.Cache` of a single process: what was put last."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, bytes] = OrderedDict()

    async def get(self, key: str) -> bytes | None:
        return self._values.get(key)

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > MAX_CACHED:
            self._values.popitem(last=False)

    async def close(self) -> None: ...


class OrderAnswers:
    """`services.cache` where processes share one."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._cache = services.cache or LocalCache()
        self._made_by = f"{__version__}/{services.mode}"

    async def get(self, order_id: OrderId, account: str) -> bytes:
        """The encoded `wire.OrderView`. Raises NotFound, the same for someone else's order, and what the store
        raises."""
        key = f"order:{account}:{order_id}"
        version, cached = await asyncio.gather(self._services.store.version(order_id), self._cache.get(key))
        if version is None:
            raise NotFound("no such order")
        head = f"{self._made_by}/{version}\n".encode()
        if cached is not None and cached.startswith(head):
            return cached[len(head) :]
        return await self._made(order_id, account, key)

    async def _made(self, order_id: OrderId, account: str, key: str) -> bytes:
        services = self._services
        order = await services.store.get(order_id)
        if order is None or order.spec.account != account:
            raise NotFound("no such order")
        body = wire.encode(views.order_view(order, services.mode, services.market.tokens))
        self._cache.put(key, f"{self._made_by}/{order.version}\n".encode() + body, TTL_S)
        return body
