"""A served API for tests: real store, bus, intake and HTTP server on loopback; only the worker is scripted."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from fakes.stores import BreakableStore
from fillwright.api.app import Api, create_api
from fillwright.api.server import Server
from fillwright.api.services import Services
from fillwright.bus.memory import MemoryBus
from fillwright.clock import SystemClock, SystemIds
from fillwright.config import Settings
from fillwright.domain.accounts import Address, ChainClock, Mint
from fillwright.domain.lifecycle import TERMINAL, advance
from fillwright.domain.orders import (
    Built,
    Confirmed,
    EventBody,
    Failed,
    Fill,
    Landed,
    Order,
    OrderError,
    OrderEvent,
    OrderId,
    Retrying,
    Routed,
    Submitted,
)
from fillwright.domain.tokens import MAINNET_TOKENS, Token, TokenList
from fillwright.execution.intake import Intake
from fillwright.market.snapshot import Snapshot, Unpriced, index_pairs
from fillwright.paper.default_market import cpmm_pool, damm_v2_pool, made_up_address
from fillwright.ports import Change
from fillwright.routing.replay import decide_recorded
from fillwright.routing.route import Router
from fillwright.store.sqlite import SqliteStore

WALLET = "7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU"
OTHER_WALLET = "9WzDXwBbmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM"
SOL, USDC, RAY, BONK = (
    next(token for token in MAINNET_TOKENS if token.symbol == symbol) for symbol in ("SOL", "USDC", "RAY", "BONK")
)
NAMELESS = Token("", Mint(made_up_address("mint", "nameless")), 3)


class FixedMarket:
    """A market that stands still: SOL/USDC in two pools, RAY/USDC in one, one account that can't be priced."""

    def __init__(self) -> None:
        self.tokens = TokenList((*MAINNET_TOKENS, NAMELESS))
        pools = [
            cpmm_pool(made_up_address("a"), (SOL, USDC), (10_000 * 10**9, 1_500_000 * 10**6), 25),
            damm_v2_pool(made_up_address("b"), (SOL, USDC), (20_000 * 10**9, 3_000_000 * 10**6), 20),
            cpmm_pool(made_up_address("c"), (RAY, USDC), (500_000 * 10**6, 1_000_000 * 10**6), 25),
        ]
        unpriced = (Unpriced(Address(made_up_address("d")), "raydium_clmm", "paused", "swaps are paused"),)
        clock = ChainClock(1_000, 2, 1_700_000_000)
        self._snapshot = Snapshot(clock, {pool.address: pool for pool in pools}, index_pairs(pools), unpriced)
        self.fetched: asyncio.Event | None = None
        """Where set, `fetch` waits for it."""

    def current(self) -> Snapshot:
        return self._snapshot

    async def fetch(self, input_mint: Mint, output_mint: Mint) -> Snapshot:
        if self.fetched is not None:
            await self.fetched.wait()
        return self._snapshot


class World:
    """Everything that a test may want to reach."""

    def __init__(
        self, settings: Settings, store: BreakableStore, bus: MemoryBus, market: FixedMarket, api: Api, server: Server
    ) -> None:
        self.settings = settings
        self.store = store
        self.bus = bus
        self.market = market
        self.api = api
        self.server = server
        self.clock = SystemClock()
        self.services = api.services
        self.intake = api.services.intake

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def stream_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/v1/stream"

    def client(self, **options: Any) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, timeout=20, **options)

    async def step(self, order_id: str, *bodies: EventBody) -> Order:
        """Apply events to an order, each in a change of its own, as a worker would."""
        order = await self.store.get(OrderId(order_id))
        assert order is not None
        for body in bodies:
            before = order.version
            order, event = advance(order, body, self.clock.now_ms())
            fill = body.fill if isinstance(body, Confirmed) else None
            over = order.status in TERMINAL
            await self.store.change(Change(order, (event,), before, None, fill=fill, release=over))
        return order

    def routed(self, order: Order) -> Routed:
        decision, replay = decide_recorded(Router(), order.spec, self.market.current())
        return Routed(decision.candidates, decision.route, decision.slot, replay)

    async def confirm(self, order_id: str) -> Order:
        """Take an order from pending to confirmed; it fills one basis point below its quote."""
        order = await self.store.get(OrderId(order_id))
        assert order is not None
        return await self.step(order_id, *self.happy_path(order))

    def happy_path(self, order: Order) -> Sequence[EventBody]:
        routed = self.routed(order)
        assert routed.route is not None
        signature = f"signature-of-{order.id}"
        fill = Fill(
            signature=signature,
            order_id=order.id,
            attempt=1,
            amount_in=routed.route.amount_in,
            amount_out=routed.route.amount_out - routed.route.amount_out // 10_000,
            fee_lamports=5_000,
            rent_lamports=890_880,
            slot=1_002,
            at_ms=self.clock.now_ms(),
        )
        return (
            routed,
            Built(1, signature, 1_150, routed.route.limit),
            Submitted(1, signature),
            Landed(1, signature, 1_002),
            Confirmed(fill),
        )

    async def fail(self, order_id: str) -> Order:
        """One attempt that is retried, and then the end."""
        error = OrderError("slippage_exceeded", "the price moved")
        return await self.step(order_id, Retrying(0, error, self.clock.now_ms()), Failed(error, 0))


@asynccontextmanager
async def serving(
    market: FixedMarket | None = None,
    *,
    release: Callable[[Address], bool] | None = lambda pool: False,
    **overrides: Any,
) -> AsyncIterator[World]:
    """A world that serves until the block ends. `release`: as the services'. `overrides`: settings."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, data_dir=Path(folder), port=0, **overrides)  # type: ignore[call-arg]
        clock, bus, market = SystemClock(), MemoryBus(), market or FixedMarket()
        store = BreakableStore(SqliteStore(settings.store_path, clock))
        await store.open(bus.publish)
        await bus.open()
        intake = Intake(settings=settings, store=store, bus=bus, clock=clock, ids=SystemIds(), market=market)
        services = Services(
            settings=settings, store=store, bus=bus, intake=intake, market=market, clock=clock, wallet=WALLET,
            release=release,
        )  # fmt: skip
        api = create_api(services)
        server = Server(api, settings)
        await server.start()
        try:
            yield World(settings, store, bus, market, api, server)
        finally:
            await server.stop()
            await bus.close()
            await store.close()


def served(test: Callable[[World], Awaitable[None]], **overrides: Any) -> None:
    """Run `test` against a served world."""

    async def run() -> None:
        async with serving(**overrides) as world, asyncio.timeout(60):
            await test(world)

    asyncio.run(run())


async def together(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    return list(await asyncio.gather(*calls))


__all__ = ["NAMELESS", "OTHER_WALLET", "WALLET", "FixedMarket", "OrderEvent", "World", "served", "serving", "together"]
