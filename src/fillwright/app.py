"""The composition root: builds everything once, opens and closes it in order. It alone names concrete adapters."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from fillwright import observe
from fillwright.api.app import create_api
from fillwright.api.server import Server
from fillwright.api.services import Services
from fillwright.bus.memory import MemoryBus
from fillwright.clock import SystemClock, SystemIds
from fillwright.config import Settings, sources
from fillwright.domain.queue import QueueRules
from fillwright.execution.attempt import Attempts
from fillwright.execution.intake import Intake
from fillwright.execution.journey import Journey
from fillwright.execution.retry import RetryPolicy
from fillwright.execution.sweeper import MarkerSweeper
from fillwright.execution.worker import Worker
from fillwright.market.feed import MarketFeed
from fillwright.ports import Bus, Clock, Store
from fillwright.store.sqlite import SqliteStore
from fillwright.trading import Trading, claim_data_dir, open_trading

T = TypeVar("T")

SWITCH_INTERVAL_S = 0.001
MAX_LISTED_UNPRICED = 50
"""Accounts that could not be priced, named one by one at the start; the API lists all of them."""


class Engine:
    """Everything of one process, open. `url` is where its API listens."""

    def __init__(
        self, *, settings: Settings, store: Store, bus: Bus, clock: Clock, market: MarketFeed, intake: Intake,
        worker: Worker, server: Server, notes: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.settings = settings
        self.store = store
        self.bus = bus
        self.clock = clock
        self.market = market
        self.intake = intake
        self.worker = worker
        self.server = server
        self.notes = notes

    @property
    def url(self) -> str:
        return self.server.url


def load_settings(overrides: Mapping[str, Any]) -> Settings:
    """Settings from the environment with `overrides` on top; warnings are logged. Raises ConfigError."""
    loaded = sources.load(overrides)
    for warning in loaded.warnings:
        observe.settings_warned(warning)
    return loaded.settings


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Engine]:
    """An engine that serves. On leaving: stop accepting, finish what is in flight within the limit, close."""
    for name in ("database_url", "redis_url"):
        if getattr(settings, name) is not None:
            observe.settings_warned(f"{name} is set, but serve keeps everything in {settings.data_dir}")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    claim_data_dir(settings)
    async with AsyncExitStack() as opened:
        clock, bus = SystemClock(), MemoryBus()
        store = SqliteStore(settings.store_path, clock, rules=queue_rules(settings))
        await store.open(bus.publish)
        opened.push_async_callback(store.close)
        await bus.open()
        opened.push_async_callback(bus.close)
        trading = await opened.enter_async_context(open_trading(settings, clock))
        market = trading.market
        attempts = Attempts(
            chain=trading.chain,
            signer=trading.signer,
            clock=clock,
            marker_secret=trading.marker_secret,
            rebroadcast_s=settings.rebroadcast_s,
            witness=trading.witness,
            prompt=trading.prompt,
            bidding=trading.bidding,
        )
        journey = Journey(
            store=store,
            clock=clock,
            market=market,
            attempts=attempts,
            policy=RetryPolicy(
                settings.max_retries, int(settings.backoff_s * 1000), int(settings.execution_timeout_s * 1000)
            ),
            quote_timeout_s=settings.quote_timeout_s,
            terms=trading.terms,
        )
        intake = Intake(
            settings=settings, store=store, bus=bus, clock=clock, ids=SystemIds(), market=market, terms=trading.terms
        )
        await intake.refresh()
        worker = Worker(name="embedded", settings=settings, store=store, bus=bus, clock=clock, journey=journey)
        services = Services(
            settings=settings,
            store=store,
            bus=bus,
            intake=intake,
            market=market,
            clock=clock,
            wallet=trading.signer.wallet,
            worker=worker,
            parts=trading.parts,
            release=trading.release,
        )
        server = Server(create_api(services), settings)
        await server.start()
        opened.push_async_callback(server.stop)
        await worker.start()
        opened.push_async_callback(sweeping_markers(settings, store, clock, trading))
        engine = Engine(
            settings=settings, store=store, bus=bus, clock=clock, market=market, intake=intake, worker=worker,
            server=server, notes=trading.notes,
        )  # fmt: skip
        observe.engine_started(mode=settings.mode, address=server.url)
        try:
            yield engine
        finally:
            observe.engine_stopping(in_flight=worker.stats().in_flight)
            intake.stop_accepting()
            await worker.stop(settings.shutdown_timeout_s)
    observe.engine_stopped()


def tune_interpreter() -> None:
    """For a process that serves: what was built at the start is never collected again, and a thread that has
    finished a commit gets its turn sooner."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    sys.setswitchinterval(SWITCH_INTERVAL_S)


def run(settings: Settings, *, announce: Callable[[str, list[str]], None]) -> None:
    """Serve until SIGTERM or SIGINT. `announce` is told the URL once requests are answered."""

    run_until_stopped(running(settings), lambda engine: announce(engine.url, _market_lines(engine)))


def run_until_stopped(process: AbstractAsyncContextManager[T], started: Callable[[T], None]) -> None:
    """Keep `process` open until SIGTERM or SIGINT, on uvloop where it can be had. `started` is told once it is. One
    that comes before ends the opening, whatever that waits for."""

    async def serve() -> None:
        stop, opening = asyncio.Event(), asyncio.current_task()
        loop = asyncio.get_running_loop()

        def end() -> None:
            stop.set()
            if opening is not None:
                opening.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
        try:
            async with process as opened:
                opening = None
                if not stop.is_set():
                    tune_interpreter()
                    started(opened)
                    await stop.wait()
        except asyncio.CancelledError:
            if not stop.is_set():
                raise

    try:
        import uvloop
    except ImportError:
        asyncio.run(serve())
    else:
        uvloop.run(serve())


def _market_lines(engine: Engine) -> list[str]:
    """What can be traded, and every account that can't, with its reason."""
    snapshot = engine.market.current()
    lines = [f"mode {engine.settings.mode}: {len(snapshot.pools)} pools in {len(snapshot.by_pair)} pairs"]
    lines += engine.notes[:MAX_LISTED_UNPRICED]
    for account in snapshot.unpriced[:MAX_LISTED_UNPRICED]:
        venue = account.venue or "unknown venue"
        lines.append(f"not priced: {account.address} ({venue}): {account.reason}: {account.detail}")
    if len(snapshot.unpriced) > MAX_LISTED_UNPRICED:
        lines.append(f"… and {len(snapshot.unpriced) - MAX_LISTED_UNPRICED} more: GET /v1/pools")
    return lines


def queue_rules(settings: Settings) -> QueueRules:
    """What the store is told about the queue."""
    return QueueRules(
        priority_step_ms=int(settings.priority_step_s * 1000),
        wallet_order=settings.wallet_order,
        orders_per_minute=settings.orders_per_minute,
    )


def sweeping_markers(settings: Settings, store: Store, clock: Clock, trading: Trading) -> Callable[[], Awaitable[None]]:
    """Begin to give back markers' rent, where the chain keeps any; what is returned ends it."""
    if trading.rents is None or not settings.marker_sweep_s:
        return _nothing
    sweeper = MarkerSweeper(
        store=store, chain=trading.chain, rents=trading.rents, clock=clock, every_s=settings.marker_sweep_s,
        cursor=settings.data_dir / "marker-sweep",
    )  # fmt: skip
    task = asyncio.create_task(sweeper.run(), name="marker-sweep")

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return end


async def _nothing() -> None:
    return
