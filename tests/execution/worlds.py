"""One faultless engine without adapters: the simulation's store, chain and market on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from fillwright.bus.memory import MemoryBus
from fillwright.config import Settings
from fillwright.domain.amounts import SwapMode
from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import Order, OrderEvent, OrderId, OrderSpec, OrderType
from fillwright.execution.attempt import Attempts
from fillwright.execution.intake import Intake
from fillwright.execution.journey import Journey
from fillwright.execution.retry import RetryPolicy
from fillwright.execution.worker import Worker
from fillwright.ports import Lease
from simulation import loop
from simulation.market import POOL, OnePoolFeed
from simulation.ports import (
    ChainView,
    CountingIds,
    Faults,
    LoopClock,
    Process,
    SimChain,
    SimSigner,
    SimStore,
    StoreView,
)

NO_FAULTS = Faults(
    send_dropped=0, send_lost_reply=0, rpc_error=0, false_null=0, liar=0, fork=0, revert=0, landing_delay_blocks=0,
    max_pause_s=0,
)  # fmt: skip
LIMIT_S = 3_600.0


class Runs(Protocol):
    async def run(self, order: Order, lease: Lease) -> Order: ...


class World:
    """`journey` may be replaced before `start`."""

    def __init__(self, faults: Faults = NO_FAULTS, **settings: Any) -> None:
        rng = random.Random(1)
        given = {"heartbeat_s": 1.0, "lease_ttl_s": 6.0, **settings}
        self.settings = Settings(_env_file=None, **given)
        self.clock = LoopClock()
        self.process = Process(rng, 0.0)
        self.truth = SimStore(rng, faults)
        self.store = StoreView(self.truth, self.process)
        self.chain = SimChain(rng, faults)
        self.feed = OnePoolFeed(self.process)
        node = ChainView(self.chain, self.truth, self.process, rng, faults, honest=True)
        attempts = Attempts(
            chain=node, signer=SimSigner(self.process), clock=self.clock, marker_secret=b"s", rebroadcast_s=1.0
        )
        self.journey: Runs = Journey(
            store=self.store,
            clock=self.clock,
            market=self.feed,
            attempts=attempts,
            policy=RetryPolicy(self.settings.max_retries, int(self.settings.backoff_s * 1_000), int(LIMIT_S * 1_000)),
            quote_timeout_s=self.settings.quote_timeout_s,
        )
        self.bus = MemoryBus()
        self.intake = Intake(
            settings=self.settings,
            store=self.store,
            bus=self.bus,
            clock=self.clock,
            ids=CountingIds(),
            market=self.feed,
        )
        self.worker: Worker | None = None
        self._blocks: asyncio.Task[None] | None = None

    async def start(self) -> Worker:
        """Blocks grow and the worker works."""
        self._blocks = asyncio.create_task(self.chain.grow())
        self.worker = Worker(
            name="w", settings=self.settings, store=self.store, bus=self.bus, clock=self.clock, journey=self.journey,  # type: ignore[arg-type]
        )  # fmt: skip
        await self.worker.start()
        return self.worker

    async def submit(self, count: int = 1, **spec: Any) -> list[OrderId]:
        fields = {
            "account": "default", "wallet": "w", "type": OrderType.MARKET, "input_mint": POOL.mints[0],
            "output_mint": POOL.mints[1], "mode": SwapMode.EXACT_IN, "amount": 1_000_000, "slippage_bps": 100, **spec,
        }  # fmt: skip
        return [(await self.intake.submit(OrderSpec(**fields))).id for _ in range(count)]

    async def ended(self, *order_ids: OrderId) -> list[Order]:
        """These orders, or all, once they have ended."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                found = [self.truth.orders[order_id] for order_id in order_ids or self.truth.orders]
                if all(order.status in TERMINAL for order in found):
                    return found
                await asyncio.sleep(0.05)

    def log(self, order_id: OrderId) -> list[OrderEvent]:
        return [event for event in self.truth.log if event.order_id == order_id]


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test on virtual time."""
    loop.run(test(), seed=1)
