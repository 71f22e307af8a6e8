"""Many orders in one request."""

from __future__ import annotations

from msgspec import Struct

from fillwright.wire.base import Problem
from fillwright.wire.orders import OrderView

MAX_BATCH = 100


class BatchResult(Struct, frozen=True, kw_only=True):
    """What became of one order of a batch: `status` as if it had been sent alone, with the order or the problem."""

    status: int
    order: OrderView | None = None
    problem: Problem | None = None


class BatchView(Struct, frozen=True):
    """In the order of the request."""

    mode: str
    results: list[BatchResult]
