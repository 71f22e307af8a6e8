"""What the API is given: one frozen record of ports and settings, made by the composition root."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from fillwright.config import Settings
from fillwright.domain.accounts import Address
from fillwright.execution.intake import Intake
from fillwright.execution.worker import WorkerStats
from fillwright.market.feed import MarketFeed
from fillwright.ports import Bus, Cache, Clock, Limiter, Store


class StatsProvider(Protocol):
    """Whatever runs orders in this process: a Worker."""

    def stats(self) -> WorkerStats: ...


def _nothing_quarantined(pool: Address) -> bool:
    return False


class Services(msgspec.Struct, frozen=True):
    """`wallet`: whose funds an order spends that names no wallet; on a real chain the signer's, and the only one.

    `limiter`, `cache`: None where this process counts and remembers for itself.
    `worker` is None where this process runs no worker. `parts`: by name, whether something that the process can
    do without for a while answers, or what is wrong with it; it is told, but does not make the process unready.
    `release` has a quarantined pool quoted again, and says whether it was quarantined; None: others quarantine pools.
    """

    settings: Settings
    store: Store
    bus: Bus
    intake: Intake
    market: MarketFeed
    clock: Clock
    wallet: str
    worker: StatsProvider | None = None
    limiter: Limiter | None = None
    cache: Cache | None = None
    parts: tuple[tuple[str, Callable[[], bool | str]], ...] = ()
    release: Callable[[Address], bool] | None = _nothing_quarantined

    @property
    def mode(self) -> str:
        return self.settings.mode.value
