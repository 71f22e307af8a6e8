"""Tokens and pools, statistics and health."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from fillwright.wire.base import TokenRef


class TokenView(TokenRef, frozen=True):
    name: str


class TokenPage(Struct, frozen=True):
    mode: str
    tokens: list[TokenView]


class PoolView(Struct, frozen=True, kw_only=True):
    """`price`: spot before fees, second token per first; null (and `refusal` set) where there is none now. `warnings`:
    for people, what the issuers of its tokens could do, such as freezing a balance; of a real chain's pools only."""

    address: str
    venue: str
    dex: str
    tokens: tuple[TokenRef, TokenRef]
    price: str | None
    refusal: str | None = None
    warnings: list[str] = []


class UnpricedView(Struct, frozen=True):
    """An account of a known program that can't be priced; `reason` is stable."""

    address: str
    venue: str
    reason: str
    detail: str


class PoolPage(Struct, frozen=True):
    mode: str
    slot: int
    pools: list[PoolView]
    unpriced: list[UnpricedView]


class LatencyView(Struct, frozen=True):
    """Milliseconds over the recent past."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class WorkerView(Struct, frozen=True):
    """This process's worker: orders being moved now, of at most `concurrency`; orders ended since its start."""

    in_flight: int
    concurrency: int
    completed: int


class PoolReleased(Struct, frozen=True):
    """`address` was quarantined, and is quoted again."""

    mode: str
    address: str


class QueueView(Struct, frozen=True, kw_only=True):
    """`waiting` could start now, `delayed` later, `active` are being worked on; `completed` (confirmed) and `failed`
    count all that ever did. `oldest_age_ms`: how long the oldest waiting one has been due. `ended_per_s`: orders that
    ended, over the last minute. `drained`: none is waiting or active. While `paused` none is begun, while
    `draining` no new one is accepted."""

    state: Literal["running", "paused", "draining"]
    waiting: int
    active: int
    delayed: int
    completed: int
    failed: int
    oldest_age_ms: int | None
    ended_per_s: float
    drained: bool


class StreamsView(Struct, frozen=True):
    open: int
    opened_total: int
    dropped_total: int


class StatsView(Struct, frozen=True, kw_only=True):
    """`orders` counts by status; `worker` is null where this process runs none. `latency`: this process's recent
    durations by name, such as `accepted_to_confirmed`."""

    mode: str
    version: str
    at: str
    slot: int
    uptime_s: float
    orders: dict[str, int]
    queue: QueueView
    worker: WorkerView | None
    latency: dict[str, LatencyView]
    streams: StreamsView
    last_sequence: int


class Health(Struct, frozen=True):
    """`checks`: part -> "ok" or what is wrong with it."""

    status: Literal["ok", "unavailable"]
    mode: str
    checks: dict[str, str] = {}
