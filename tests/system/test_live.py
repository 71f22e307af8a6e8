"""The whole engine, live: real worker, store, signer and chain adapter against the real programs under faults.

FILLWRIGHT_LIVE_ORDERS says how many orders (default 24), FILLWRIGHT_LIVE_SEED which faults.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from solders.pubkey import Pubkey
from tests.chain.world import RICH, WALLET, LocalWorld

from fillwright.bus.memory import MemoryBus
from fillwright.chain.endpoint import RpcEndpoint
from fillwright.chain.feed import FeedSettings
from fillwright.chain.live import Live, LiveConfig, open_live
from fillwright.chain.programs import marker_account
from fillwright.chain.signer.policy import Policy, Spending
from fillwright.chain.signer.secret import SecretKey
from fillwright.chain.signer.service import RpcTables, SignerServer, SignerService
from fillwright.chain.signer.spending import SpendingBook
from fillwright.clock import SystemClock, SystemIds
from fillwright.config import Mode, Settings
from fillwright.domain.accounts import WRAPPED_SOL, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import Order, OrderSpec, OrderStatus, OrderType
from fillwright.domain.tokens import MAINNET_TOKENS, TokenList
from fillwright.execution.attempt import Attempts, marker_seed
from fillwright.execution.bids import Bidding, BidPolicy
from fillwright.execution.intake import Intake
from fillwright.execution.journey import Journey
from fillwright.execution.retry import RetryPolicy
from fillwright.execution.worker import Worker
from fillwright.localnet.competitor import Competitor
from fillwright.localnet.faults import Faults
from fillwright.localnet.server import LocalNode
from fillwright.market.guards import GuardPolicy
from fillwright.store.sqlite import SqliteStore
from fillwright.trading import LiveTerms

POOLS = (
    "raydium_amm_v4/SYN_SOL-6_fee25",
    "raydium_cpmm/FRESH_SOL-SPL",
    "raydium_clmm/SYN_ts10_T22",
    "meteora_dlmm/SYN_gaps_many-arrays",
    "meteora_damm_v1/SYN_stable_6-6",
    "meteora_damm_v2/SYN_full-range_linear",
)
ORDERS = int(os.environ.get("FILLWRIGHT_LIVE_ORDERS", "24"))
SEED = int(os.environ.get("FILLWRIGHT_LIVE_SEED", "1"))
SECRET = bytes(32)
SLOT_S = 0.02
QUIET = Faults()
HOSTILE = Faults(
    drop=0.2,
    delay_slots=100,
    lost_reply=0.2,
    http_429=0.05,
    http_5xx=0.05,
    false_null=0.1,
    status_lag_slots=3,
    cut_socket=0.002,
    competitor=0.3,
)
CONGESTED = Faults(congestion=1.0, congestion_slots=50, congestion_price=25_000)
"""No block takes what the first two bids pay."""
RUSH = msgspec.structs.replace(HOSTILE, congestion=0.05, congestion_slots=80, congestion_price=15_000, competitor=0.1)
BIDS = BidPolicy(after_blocks=20, max_bids=4)
MAX_SECONDS = 60.0 + ORDERS


class LiveEngine:
    """One store, one chain, and workers that come and go."""

    def __init__(self, stack: AsyncExitStack, world: LocalWorld, live: Live, store: SqliteStore, settings: Settings):
        self.world, self.live, self.store, self.settings = world, live, store, settings
        self.clock, self.bus, self.terms = SystemClock(), MemoryBus(), LiveTerms(live)
        self.intake = Intake(
            settings=settings, store=store, bus=self.bus, clock=self.clock, ids=SystemIds(), market=live.feed,
            terms=self.terms,
        )  # fmt: skip
        self._stack = stack
        self._lives = 0
        self.bids: dict[str, int] = {}
        self.worker: Worker | None = None

    async def start_worker(self) -> None:
        attempts = Attempts(
            chain=self.live.chain, signer=self.live.signer, clock=self.clock, marker_secret=SECRET,
            rebroadcast_s=self.settings.rebroadcast_s, witness=self.live.witness,
            bidding=Bidding(self.live.chain, BIDS),
        )  # fmt: skip
        journey = Journey(
            store=self.store, clock=self.clock, market=self.live.feed, attempts=attempts,
            policy=RetryPolicy(max_retries=12, backoff_ms=50, timeout_ms=90_000), quote_timeout_s=5.0,
            terms=self.terms,
        )  # fmt: skip
        self._lives += 1
        self.worker = Worker(
            name=f"w{self._lives}", settings=self.settings, store=self.store, bus=self.bus, clock=self.clock,
            journey=journey,
        )  # fmt: skip
        await self.worker.start()

    async def kill_worker(self) -> None:
        """Stop it in the middle of everything: journeys are cut at whatever they await."""
        worker = self.worker
        assert worker is not None
        tasks = [*worker._loops, *worker._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def live_engine(
    folder: Path, faults: Faults, world: LocalWorld | None = None, tables: tuple[str, ...] = ()
) -> AsyncIterator[LiveEngine]:
    """`tables`: lookup tables that the engine may use, and the signer allows."""
    world = world or LocalWorld(*POOLS, faults=faults, seed=SEED)
    async with AsyncExitStack() as stack:
        node = LocalNode(world.local)
        await node.open()
        stack.push_async_callback(node.close)
        clock = SystemClock()
        book = SpendingBook(folder / "spending.jsonl")
        book.open()
        stack.callback(book.close)
        mints = {mint for address in world.held for mint in world.pool(address).mints}
        policy = Policy(
            mode=Mode.DEVNET, spend={mint: Spending(RICH, 2**62) for mint in mints}, max_slippage_bps=2_000,
            lookup_tables=tables, rpc_url=node.url,
        )  # fmt: skip
        own_view = RpcTables(node.url, clock)
        await own_view.open()
        stack.push_async_callback(own_view.close)
        service = SignerService(
            key=SecretKey(WALLET), policy=policy, book=book, clock=clock, halt_file=folder / "halted", tables=own_view
        )
        server = SignerServer(service, folder / "s.sock")
        await server.open()
        stack.push_async_callback(server.close)
        config = LiveConfig(
            endpoints=(RpcEndpoint("a", node.url, node.websocket_url), RpcEndpoint("b", node.url)),
            witness=None,
            pools=tuple(world.held),
            feed=FeedSettings(poll_s=0.05, stale_after_s=3.0, verify_s=5.0),
            guards=GuardPolicy(max_transfer_fee_bps=10_000),
            lookup_tables=tables,
            lookup_refresh_s=0.05,
            blockhash_life_s=0.0,  # blocks pass here much faster than seconds
        )
        world.local.dice.faults = QUIET
        live = await stack.enter_async_context(
            open_live(
                config, mode=Mode.DEVNET, clock=clock, tokens=TokenList(MAINNET_TOKENS),
                signer_socket=folder / "s.sock",
            )
        )  # fmt: skip
        store = SqliteStore(folder / "fillwright.db", clock)
        settings = Settings(
            _env_file=None, data_dir=folder, concurrency=24, rebroadcast_s=0.05, heartbeat_s=0.1, lease_ttl_s=0.5,
            sweep_s=0.05, max_slippage_bps=5_000,
        )  # fmt: skip
        engine = LiveEngine(stack, world, live, store, settings)
        await store.open(engine.bus.publish)
        stack.push_async_callback(store.close)
        ticker = asyncio.create_task(_pass_slots(world))
        world.local.dice.faults = faults
        try:
            yield engine
        finally:
            if engine.worker is not None:
                await engine.worker.stop(1.0)
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)


async def _pass_slots(world: LocalWorld) -> None:
    while True:
        world.local.advance()
        await asyncio.sleep(SLOT_S)


def order_of(world: LocalWorld, number: int, draw: random.Random) -> OrderSpec:
    address = sorted(world.held)[number % len(world.held)]
    pool = world.pool(address)
    side = draw.randrange(2)
    amount = int(10 ** (pool.decimals[side] - draw.uniform(1.5, 3)))
    mode = SwapMode.EXACT_IN if pool.venue == "meteora_damm_v1" or draw.random() < 0.7 else SwapMode.EXACT_OUT
    if mode is SwapMode.EXACT_OUT:
        amount = int(10 ** (pool.decimals[1 - side] - draw.uniform(1.5, 3)))
    return OrderSpec(
        account="test",
        wallet=world.wallet,
        type=OrderType.MARKET,
        input_mint=Mint(pool.mints[side]),
        output_mint=Mint(pool.mints[1 - side]),
        mode=mode,
        amount=max(amount, 100),
        slippage_bps=300,
        client_order_id=f"order-{number}",
    )


async def all_ended(engine: LiveEngine, orders: list[Order]) -> list[Order]:
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + MAX_SECONDS
    while loop.time() < deadline_s:
        stored = [await engine.store.get(order.id) for order in orders]
        ended = [order for order in stored if order is not None and order.status in TERMINAL]
        if len(ended) == len(orders):
            return ended
        await asyncio.sleep(0.05)
    raise AssertionError(f"I2: {len(orders) - len(ended)} orders did not end: {Counter(o.status for o in stored if o)}")


async def check(engine: LiveEngine, orders: list[Order], sol: int, tokens: dict[Mint, int]) -> Counter[OrderStatus]:
    """I1, I3, I4, I5 against the chain's own ledger."""
    world = engine.world
    faults = world.local.dice.faults
    world.local.dice.faults = QUIET
    world.local.advance(200)
    landed = [entry for entry in world.local.ledger.values() if entry.keys[0] == world.wallet]
    success: Counter[str] = Counter()
    signatures: dict[str, str] = {}
    for entry in landed:
        if entry.error is None:
            success[entry.keys[1]] += 1
            signatures[entry.signature] = entry.signature
    sol_change, token_changes = 0, Counter[Mint]()
    failed_fees = sum(entry.meta["fee"] for entry in landed if entry.error is not None)
    booked_fees = 0
    attempts = {}
    for order in orders:
        marker = str(marker_account(Pubkey.from_string(world.wallet), marker_seed(SECRET, order.id)))
        swaps = [entry for entry in landed if entry.error is None and marker in entry.keys]
        assert len(swaps) <= 1, "I1"
        assert (order.status is OrderStatus.CONFIRMED) == (len(swaps) == 1), f"I3 {order.status} {order.error}"
        events = await engine.store.events(order.id)
        assert [event.number for event in events] == list(range(1, len(events) + 1)), "I4"
        assert [event.status in TERMINAL for event in events] == [False] * (len(events) - 1) + [True], "I4"
        fills = await engine.store.fills(order.id)
        assert len(fills) == len(swaps)
        attempts[order.id] = await engine.store.attempts(order.id)
        fees = sum(attempt.fee_lamports for attempt in attempts[order.id])
        assert fees == order.failed_fee_lamports + sum(fill.fee_lamports for fill in fills), "I5"
        booked_fees += fees
        for fill in fills:
            booked_fees -= fill.fee_lamports
            assert fill.signature == swaps[0].signature
            token_changes[order.spec.input_mint] -= fill.amount_in
            token_changes[order.spec.output_mint] += fill.amount_out
            sol_change -= fill.fee_lamports + fill.rent_lamports
    # A node that now and then denies a landing can hide that an attempt has failed, and what it paid.
    assert booked_fees <= failed_fees if faults.false_null else booked_fees == failed_fees, "I5"
    sol_change -= failed_fees
    known = {signature for held in attempts.values() for attempt in held for signature in attempt.signatures}
    assert {entry.signature for entry in landed} <= known, "I6"
    sol_change += token_changes.pop(Mint(WRAPPED_SOL), 0)
    assert world.sol() - sol == sol_change, "I5"
    for mint, before in tokens.items():
        assert world.tokens(mint) - before == token_changes[mint], "I5"
    sys.stderr.write(f"{Counter(order.error.code for order in orders if order.error is not None)}\n")
    sys.stderr.write(
        f"{sum(order.bids for order in orders)} bids of {sum(order.bids > 0 for order in orders)} orders\n"
    )
    engine.bids = {order.id: order.bids for order in orders}
    return Counter(order.status for order in orders)


async def run_orders(folder: Path, faults: Faults, *, kills: bool, bids: bool = False) -> Counter[OrderStatus]:
    """`bids`: every order that was confirmed must have been bid for again."""
    draw = random.Random(SEED)
    async with live_engine(folder, faults) as engine:
        world = engine.world
        sol = world.sol()
        mints = {mint for address in world.held for mint in world.pool(address).mints if mint != WRAPPED_SOL}
        tokens = {mint: world.tokens(mint) for mint in mints}
        competitor = Competitor(world.local, world.held, SEED) if faults.competitor else None
        await engine.start_worker()
        orders = [await engine.intake.submit(order_of(world, number, draw)) for number in range(ORDERS)]
        killer = asyncio.create_task(_kill(engine, draw)) if kills else None
        try:
            ended = await all_ended(engine, orders)
        finally:
            if killer is not None:
                killer.cancel()
                await asyncio.gather(killer, return_exceptions=True)
        if competitor is not None:
            others = [each for each in world.local.ledger.values() if each.keys[0] == str(competitor.wallet)]
            assert any(each.error is None for each in others)
        outcomes = await check(engine, ended, sol, tokens)
        if bids:
            assert all(engine.bids[order.id] > 0 for order in ended if order.status is OrderStatus.CONFIRMED)
        return outcomes


async def _kill(engine: LiveEngine, draw: random.Random) -> None:
    while True:
        await asyncio.sleep(draw.uniform(0.3, 1.5))
        await engine.kill_worker()
        await engine.start_worker()


@pytest.mark.timeout(180 + 2 * ORDERS)
def test_on_a_quiet_chain_every_order_of_every_venue_is_confirmed(tmp_path: Path) -> None:
    outcomes = asyncio.run(run_orders(tmp_path, QUIET, kills=False))
    assert outcomes == {OrderStatus.CONFIRMED: ORDERS}


@pytest.mark.timeout(180 + 2 * ORDERS)
def test_under_faults_and_kills_each_order_lands_at_most_once_and_the_books_are_exact(tmp_path: Path) -> None:
    outcomes = asyncio.run(run_orders(tmp_path, HOSTILE, kills=True))
    assert set(outcomes) <= {OrderStatus.CONFIRMED, OrderStatus.FAILED}
    sys.stderr.write(f"{ORDERS} orders under faults and kills: {dict(outcomes)}\n")
    assert OrderStatus.NEEDS_REVIEW not in outcomes
    assert outcomes[OrderStatus.CONFIRMED] > 0


@pytest.mark.timeout(180 + 2 * ORDERS)
def test_on_a_congested_chain_it_is_a_higher_bid_that_lands_each_order(tmp_path: Path) -> None:
    outcomes = asyncio.run(run_orders(tmp_path, CONGESTED, kills=False, bids=True))
    assert outcomes == {OrderStatus.CONFIRMED: ORDERS}


@pytest.mark.timeout(180 + 2 * ORDERS)
def test_under_rushes_faults_and_kills_bids_land_each_order_at_most_once_and_the_books_are_exact(
    tmp_path: Path,
) -> None:
    outcomes = asyncio.run(run_orders(tmp_path, RUSH, kills=True))
    assert set(outcomes) <= {OrderStatus.CONFIRMED, OrderStatus.FAILED}
    assert outcomes[OrderStatus.CONFIRMED] > 0
    outcomes = asyncio.run(run_orders(_beside(tmp_path), msgspec.structs.replace(RUSH, false_null=0.0), kills=True))
    assert set(outcomes) <= {OrderStatus.CONFIRMED, OrderStatus.FAILED}
    assert outcomes[OrderStatus.CONFIRMED] > 0


def _beside(folder: Path) -> Path:
    made = folder / "again"
    made.mkdir()
    return made
