"""The composition root of an engine in many processes: API, workers, and the paper chain that they share.

In: settings that name PostgreSQL and, if there is one, Redis. Out: processes that open everything in order and
close it in order. Each waits for the store when it starts, and goes on by itself when a part comes back.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

from prometheus_client import start_http_server

from fillwright import observe
from fillwright.api.app import Api, create_api
from fillwright.api.server import Server
from fillwright.api.services import Services
from fillwright.app import queue_rules, sweeping_markers
from fillwright.bus.cache import RedisCache
from fillwright.bus.limits import RedisLimiter
from fillwright.bus.memory import MemoryBus
from fillwright.bus.redis import RedisBus
from fillwright.clock import SystemClock, SystemIds
from fillwright.config import Mode, Settings
from fillwright.domain.errors import ConfigError, StoreError, Unavailable
from fillwright.domain.tokens import MAINNET_TOKENS, TokenList
from fillwright.execution.attempt import Attempts
from fillwright.execution.intake import Intake
from fillwright.execution.journey import Journey
from fillwright.execution.rate import LocalLimiter
from fillwright.execution.retry import RetryPolicy
from fillwright.execution.worker import Worker
from fillwright.market.feed import MarketFeed
from fillwright.market.pools import load_pools
from fillwright.paper.chain import PaperChain
from fillwright.paper.feed import PaperMarketFeed
from fillwright.paper.origin import Origin
from fillwright.paper.remote import RemoteChain, RemoteMarket
from fillwright.paper.server import PaperServer
from fillwright.paper.signer import PaperSigner
from fillwright.ports import Cache, Clock, Limiter, Store
from fillwright.store.postgres import PostgresStore
from fillwright.trading import Parts, Trading, follows_live_pools, open_live_paper, open_live_trading

START_LIMIT_S = 60.0
"""How long a process waits for a store that is away when it starts."""
START_RETRY_S = 0.25
LOG_SWEEP_S = 0.5
"""How often the API compares what its streams have with the log."""


class Shared:
    """What API and workers have in common, open."""

    def __init__(
        self, *, settings: Settings, clock: Clock, store: PostgresStore, bus: MemoryBus | RedisBus,
        trading: Trading, prefix: str,
    ) -> None:  # fmt: skip
        """`prefix`: of all that the engine keeps in Redis."""
        self.prefix = prefix
        self.settings = settings
        self.clock = clock
        self.store = store
        self.bus = bus
        self.trading = trading


@asynccontextmanager
async def serving_paper(settings: Settings) -> AsyncIterator[str]:
    """The paper chain of an engine in many processes. Yields its address. Raises ConfigError in a live mode."""
    if settings.mode is not Mode.PAPER:
        raise ConfigError(f"mode {settings.mode} needs no paper chain: start `fillwright api` and `worker` alone")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    clock = SystemClock()
    async with AsyncExitStack() as opened:
        signer = PaperSigner.from_seed(settings.paper_seed)
        follows = follows_live_pools(settings)
        chain, market = await (_live_world if follows else _own_world)(settings, clock, signer, opened)
        server = PaperServer(chain, market, settings.paper_link, wallet=signer.wallet, follows=follows)
        await server.start()
        opened.push_async_callback(server.close)
        yield settings.paper_link


async def _own_world(
    settings: Settings, clock: Clock, signer: PaperSigner, opened: AsyncExitStack
) -> tuple[PaperChain, MarketFeed]:
    """The simulated market, or account dumps. What waits for a venue's answer is whoever asks, not this process."""
    loaded = load_pools(settings.snapshot) if settings.snapshot is not None else None
    origin = Origin(tokens=TokenList(MAINNET_TOKENS), loaded=loaded)
    chain = PaperChain(settings=settings, clock=clock, wallet=signer.wallet, origin=origin)
    await chain.open()
    opened.push_async_callback(chain.close)
    unpriced = loaded.unpriced if loaded is not None else ()
    feed = PaperMarketFeed(settings=settings, clock=clock, chain=chain, tokens=origin.tokens, unpriced=unpriced)
    return chain, feed


async def _live_world(
    settings: Settings, clock: Clock, signer: PaperSigner, opened: AsyncExitStack
) -> tuple[PaperChain, MarketFeed]:
    """The pools of a real chain, followed. Raises ConfigError, ChainError."""
    world = await open_live_paper(settings, clock, signer, opened)
    return world.chain, world.market


@asynccontextmanager
async def serving_api(settings: Settings) -> AsyncIterator[str]:
    """An API without a worker. Yields its URL. On leaving: accept no more, end streams, finish requests."""
    async with AsyncExitStack() as opened:
        shared = await _open_shared(settings, opened, hears=True)
        intake = Intake(
            settings=settings, store=shared.store, bus=shared.bus, clock=shared.clock, ids=SystemIds(),
            market=shared.trading.market, terms=shared.trading.terms,
        )  # fmt: skip
        limiter: Limiter = LocalLimiter(shared.clock)
        if settings.redis_url is not None:
            limiter = RedisLimiter(settings.redis_url.get_secret_value(), limiter, prefix=shared.prefix)
        opened.push_async_callback(limiter.close)
        cache: Cache | None = None
        if settings.redis_url is not None:
            cache = RedisCache(settings.redis_url.get_secret_value(), prefix=shared.prefix)
            opened.push_async_callback(cache.close)
        parts = [*shared.trading.parts]
        if isinstance(shared.bus, RedisBus):
            bus = shared.bus
            parts.append(("bus", lambda: bus.standing))
        services = Services(
            settings=settings, store=shared.store, bus=shared.bus, intake=intake, market=shared.trading.market,
            clock=shared.clock, wallet=shared.trading.signer.wallet, limiter=limiter, cache=cache, parts=tuple(parts),
            release=shared.trading.release if settings.mode is Mode.PAPER else None,
        )  # fmt: skip
        api = create_api(services)
        await intake.refresh()
        server = Server(api, settings)
        await server.start()
        opened.push_async_callback(server.stop)
        sweep = asyncio.create_task(_sweep_log(api, intake, shared.store, shared.bus), name="log-sweep")
        opened.push_async_callback(_cancel, sweep)
        observe.engine_started(mode=settings.mode, address=server.url)
        try:
            yield server.url
        finally:
            intake.stop_accepting()
    observe.engine_stopped()


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[str]:
    """A worker without an API. Yields its name. On leaving: claim no more, finish what is in flight, retire."""
    async with AsyncExitStack() as opened:
        shared = await _open_shared(settings, opened, hears=False)
        trading = shared.trading
        attempts = Attempts(
            chain=trading.chain,
            signer=trading.signer,
            clock=shared.clock,
            marker_secret=trading.marker_secret,
            rebroadcast_s=settings.rebroadcast_s,
            witness=trading.witness,
            prompt=trading.prompt,
            bidding=trading.bidding,
        )
        policy = RetryPolicy(
            settings.max_retries, int(settings.backoff_s * 1000), int(settings.execution_timeout_s * 1000)
        )
        journey = Journey(
            store=shared.store, clock=shared.clock, market=trading.market, attempts=attempts, policy=policy,
            quote_timeout_s=settings.quote_timeout_s, terms=trading.terms,
        )  # fmt: skip
        name = f"{socket.gethostname()}-{os.getpid()}"
        worker = Worker(
            name=name, settings=settings, store=shared.store, bus=shared.bus, clock=shared.clock, journey=journey
        )
        if settings.metrics_port:
            show_metrics(settings, opened)
        await worker.start()
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        opened.push_async_callback(sweeping_markers(settings, shared.store, shared.clock, trading))
        try:
            yield name
        finally:
            observe.engine_stopping(in_flight=worker.stats().in_flight)
            await worker.stop(settings.shutdown_timeout_s)
    observe.engine_stopped()


def show_metrics(settings: Settings, opened: ExitStack | AsyncExitStack) -> None:
    """This process's metrics, on a port of their own until `opened` closes. Raises ConfigError where it is taken."""
    try:
        server, thread = start_http_server(settings.metrics_port, settings.host, observe.REGISTRY)
    except OSError as error:
        raise ConfigError(
            f"can't show metrics on {settings.host}:{settings.metrics_port}: {error.strerror or error}"
        ) from error
    opened.callback(thread.join)
    opened.callback(server.server_close)
    opened.callback(server.shutdown)


async def _open_shared(settings: Settings, opened: AsyncExitStack, *, hears: bool) -> Shared:
    """`hears`: the process has readers of events. Raises ConfigError, and Unavailable where the store or the chain
    stays away."""
    if settings.database_url is None:
        raise ConfigError("many processes share a PostgreSQL store: set FILLWRIGHT_DATABASE_URL")
    clock = SystemClock()
    bus: MemoryBus | RedisBus = MemoryBus()
    if settings.redis_url is not None:
        bus = RedisBus(settings.redis_url.get_secret_value(), hears=hears)
    else:
        observe.settings_warned("redis_url is not set: processes find each other's work by sweeping the store")
    store = PostgresStore(
        settings.database_url.get_secret_value(),
        connections=settings.database_pool_max,
        rules=queue_rules(settings),
    )
    await _open_store(store, bus)
    opened.push_async_callback(store.close)
    await store.bind(settings.mode)
    # Several engines may use one Redis, each with a database of its own.
    prefix = f"fillwright:{await store.identity()}"
    if isinstance(bus, RedisBus):
        bus.under(prefix)
    await bus.open()
    opened.push_async_callback(bus.close)
    if settings.mode is Mode.PAPER:
        trading = await _paper_world(settings, clock, opened)
    else:
        trading = await opened.enter_async_context(open_live_trading(settings, clock))
    return Shared(settings=settings, clock=clock, store=store, bus=bus, trading=trading, prefix=prefix)


async def _paper_world(settings: Settings, clock: Clock, opened: AsyncExitStack) -> Trading:
    """The world that `fillwright paper` serves. Raises ConfigError where it is another one."""
    chain = RemoteChain(settings.paper_link)
    await chain.open()
    opened.push_async_callback(chain.close)
    signer = PaperSigner.from_seed(settings.paper_seed)
    if signer.wallet != chain.wallet:
        raise ConfigError("the paper chain is another world's: its FILLWRIGHT_PAPER_SEED is not this one")
    market = RemoteMarket(settings=settings, clock=clock, chain=chain)
    parts: Parts = (("chain", lambda: chain.connected),)
    return Trading(chain, market, signer, _paper_marker_secret(settings), parts=parts)


async def _open_store(store: PostgresStore, bus: MemoryBus | RedisBus) -> None:
    """Open, waiting for a server that is away. Raises ConfigError, Unavailable."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + START_LIMIT_S
    told = ""
    while True:
        try:
            await store.open(bus.publish)
        except Unavailable as error:
            if loop.time() > until_s:
                raise
            if error.message != told:
                told = error.message
                observe.start_waits(reason=told, at_most_s=START_LIMIT_S)
            await asyncio.sleep(START_RETRY_S)
        else:
            return


async def _sweep_log(api: Api, intake: Intake, store: Store, bus: MemoryBus | RedisBus) -> None:
    """Have the streams look into the store where they have not got what was there one look ago: what no bus has
    announced, since it was away or its publisher died between commit and publication. And learn whether the queue
    is being drained."""
    known = 0
    while True:
        await asyncio.sleep(LOG_SWEEP_S)
        if api.hub.last < known:
            bus.resync()
        try:
            known = await store.last_sequence()
            await intake.refresh()
        except (StoreError, Unavailable):
            continue


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _paper_marker_secret(settings: Settings) -> bytes:
    """The key of the marker seeds, the same in every worker. On paper nobody gains by guessing it."""
    return hashlib.blake2b(f"fillwright paper markers {settings.paper_seed}".encode(), digest_size=32).digest()
