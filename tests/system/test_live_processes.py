"""Live, as an operator runs it: local Solana, signer and engine as processes; orders over HTTP; kill -9 at random.

FILLWRIGHT_LIVE_KILLS says how often the engine is killed, FILLWRIGHT_LIVE_ORDERS how many orders there are.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import asyncpg
import httpx2
import pytest
from tests.chain.world import skip_without
from tests.system.live_world import API_KEY, POOLS, LiveWorld
from tests.venues.raydium_data import pool_accounts

from fillwright.chain.landed import parse, read_landed
from fillwright.client import AsyncClient, Unreachable
from fillwright.domain.accounts import WRAPPED_SOL
from fillwright.domain.errors import FillwrightError
from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import OrderStatus
from fillwright.store.postgres import PostgresStore
from fillwright.store.postgres_schema import migrate
from fillwright.venues.vectors import pool_in
from servers import PostgresServer, RedisServer
from system import audit
from system.process import EngineProcess, free_port

ORDERS = int(os.environ.get("FILLWRIGHT_LIVE_ORDERS", "24"))
KILLS = int(os.environ.get("FILLWRIGHT_LIVE_KILLS", "6"))
FAULTS = {
    "drop": 0.2,
    "delay_slots": 100,
    "lost_reply": 0.2,
    "http_429": 0.05,
    "http_5xx": 0.05,
    "false_null": 0.1,
    "status_lag_slots": 3,
    "cut_socket": 0.002,
    "competitor": 0.3,
}
SETTLE_LIMIT_S = 60.0 + 2 * ORDERS


def order_of(number: int, draw: random.Random) -> dict[str, object]:
    """Some order over the pool whose turn it is, large enough to be quoted."""
    accounts = pool_accounts(POOLS[number % len(POOLS)])
    venue, address = pool_in(accounts)
    pool = venue.decode(address, accounts)
    side = draw.randrange(2)
    decimals = pool.decimals[side]
    units = int(10 ** (decimals - draw.uniform(1.5, 3)))
    amount = f"{units // 10**decimals}.{units % 10**decimals:0{decimals}}"
    return {
        "input": pool.mints[side], "output": pool.mints[1 - side], "amount": amount, "slippage_bps": 300,
        "client_order_id": f"order-{number}",
    }  # fmt: skip


async def submit(client: AsyncClient, fields: dict[str, object], accepted: dict[str, str]) -> None:
    """Ask with the same key until the order is accepted."""
    for _ in range(200):
        try:
            order = await client.submit(**fields)
        except Unreachable:
            await asyncio.sleep(0.1)
        else:
            accepted[str(fields["client_order_id"])] = order.id
            return


async def all_ended(client: AsyncClient, accepted: dict[str, str]) -> None:
    async with asyncio.timeout(SETTLE_LIMIT_S):
        open_orders = set(accepted.values())
        while open_orders:
            for order_id in list(open_orders):
                try:
                    if (await client.get(order_id)).status in TERMINAL:
                        open_orders.discard(order_id)
                except FillwrightError:
                    pass
            await asyncio.sleep(0.2)


def violations(world: LiveWorld, books: audit.Books, before: Counter[str]) -> list[str]:
    """I1 to I5, against what the node itself tells of the wallet once nothing of it is on its way any more."""
    world.settle()
    found, expected = [], Counter(before)
    swapped: Counter[str] = Counter()
    owner = {
        signature: order_id
        for order_id, held in books.attempts.items()
        for attempt in held
        for signature in attempt.signatures
    }
    fees: Counter[str] = Counter()
    for signature, answer in world.ledger().items():
        assert answer.meta is not None
        if not parse(answer.transaction[0], ()).swaps():
            # A sweep of markers: their rent comes back.
            expected[WRAPPED_SOL] += answer.meta.post_balances[0] - answer.meta.pre_balances[0]
            continue
        landed = read_landed(signature, answer)
        order_id = owner.get(signature)
        if order_id is None:
            found.append(f"I6 {signature[:8]} was never committed")
            continue
        expected[WRAPPED_SOL] -= landed.fee_lamports + landed.rent_lamports
        fees[order_id] += landed.fee_lamports
        if landed.revert:
            continue
        swapped[order_id] += 1
        spec = books.orders[order_id].spec
        expected[spec.input_mint] -= landed.amount_in
        expected[spec.output_mint] += landed.amount_out
        fills = [fill for fill in books.fills[order_id] if fill.signature == signature]
        if [(fill.amount_in, fill.amount_out) for fill in fills] != [(landed.amount_in, landed.amount_out)]:
            found.append(f"I5 {order_id}: its fill is not what the chain moved")
    for order_id, order in books.orders.items():
        if swapped[order_id] > 1:
            found.append(f"I1 {order_id} landed {swapped[order_id]} times")
        if (order.status is OrderStatus.CONFIRMED) != (swapped[order_id] == 1):
            found.append(f"I3 {order_id} is {order.status} and landed {swapped[order_id]} times")
        if order.status not in TERMINAL:
            found.append(f"I2 {order_id} does not end")
        if sum(attempt.fee_lamports for attempt in books.attempts[order_id]) > fees[order_id]:
            found.append(f"I5 {order_id} has booked more fees than it paid")
        numbers = [event.number for event in books.events[order_id]]
        if numbers != list(range(1, len(numbers) + 1)):
            found.append(f"I4 {order_id} has gaps in its log")
    now = world.balances()
    found += [f"I5 {mint}: {now[mint]} held, {expected[mint]} booked" for mint in now if now[mint] != expected[mint]]
    return found


@pytest.mark.timeout(300 + 4 * ORDERS)
def test_a_live_engine_that_is_killed_again_and_again_lands_each_order_at_most_once(tmp_path: Path) -> None:
    skip_without(*{pool.partition("/")[0] for pool in POOLS})
    world = LiveWorld(tmp_path, faults=FAULTS, execution_timeout_s=120.0, marker_sweep_s=2.0, concurrency=16)
    try:
        asyncio.run(_kill_again_and_again(world))
        assert not [path for path in _files(tmp_path) if shows_key(world, path.read_bytes())]
    finally:
        world.close()


async def _kill_again_and_again(world: LiveWorld) -> None:
    draw = random.Random(6)
    world.start()
    before = world.balances()
    accepted: dict[str, str] = {}
    async with AsyncClient(world.engine.url, api_key=API_KEY, timeout_s=5.0) as client:
        assert (await client.stats()).mode == "devnet"

        async def trickle() -> None:
            tasks = []
            for number in range(ORDERS):
                tasks.append(asyncio.create_task(submit(client, order_of(number, draw), accepted)))
                await asyncio.sleep(draw.random() * KILLS * 1.5 / ORDERS)
            await asyncio.gather(*tasks)

        orders = asyncio.create_task(trickle())
        for _ in range(KILLS):
            await asyncio.sleep(draw.uniform(0.2, 2.0))
            await asyncio.to_thread(world.engine.kill)
            await asyncio.to_thread(world.engine.start)
        await orders
        assert len(accepted) == ORDERS
        await all_ended(client, accepted)
        metrics = httpx2.get(f"{world.engine.url}/metrics", headers={"X-API-Key": API_KEY}).text
        assert not shows_key(world, metrics.encode())
    assert await asyncio.to_thread(world.engine.stop) == 0
    books = await audit.read_books(world.data_dir)
    assert set(accepted.values()) == set(books.orders)
    assert violations(world, books, before) == []
    ended = Counter(str(order.status) for order in books.orders.values())
    assert ended["confirmed"] >= ORDERS // 2, ended
    assert not ended["needs_review"]
    assert sum(order.bids for order in books.orders.values()) > 0


@pytest.mark.timeout(300 + 4 * ORDERS)
def test_live_workers_that_are_killed_hand_their_orders_to_each_other(tmp_path: Path) -> None:
    skip_without(*{pool.partition("/")[0] for pool in POOLS})
    world = LiveWorld(tmp_path, faults=FAULTS, execution_timeout_s=120.0, marker_sweep_s=2.0)
    postgres, redis = PostgresServer(durable=True), RedisServer()
    given = {**world.settings, "database_url": postgres.url, "redis_url": redis.url, "lease_ttl_s": 1.5,
             "heartbeat_s": 0.3, "sweep_s": 0.2, "concurrency": 8}  # fmt: skip
    api = EngineProcess(world.data_dir, free_port(), command="api", **given)
    workers = [EngineProcess(tmp_path / f"worker-{n}", 0, command="worker", **given) for n in range(2)]
    try:
        postgres.start()
        redis.start()
        asyncio.run(_migrated(postgres.url))
        asyncio.run(_kill_workers(world, api, workers, postgres.url))
        assert not [path for path in _files(tmp_path) if shows_key(world, path.read_bytes())]
    finally:
        for process in (api, *workers):
            process.kill()
        world.close()
        redis.stop()
        postgres.stop()


async def _migrated(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await migrate(connection)
    finally:
        await connection.close()


async def _kill_workers(world: LiveWorld, api: EngineProcess, workers: list[EngineProcess], url: str) -> None:
    draw = random.Random(7)
    for process in (world.node, world.signer, api, *workers):
        await asyncio.to_thread(process.start)
    before = world.balances()
    accepted: dict[str, str] = {}
    async with AsyncClient(api.url, api_key=API_KEY, timeout_s=5.0) as client:
        assert (await client.stats()).mode == "devnet"
        for number in range(ORDERS):
            await submit(client, order_of(number, draw), accepted)
        for kill in range(KILLS):
            await asyncio.sleep(draw.uniform(0.2, 1.5))
            await asyncio.to_thread(workers[kill % 2].kill)
            await asyncio.to_thread(workers[kill % 2].start)
        await all_ended(client, accepted)
    for process in (api, *workers):
        assert await asyncio.to_thread(process.stop) == 0
    books = await audit.books_of(PostgresStore(url, connections=4))
    assert set(accepted.values()) == set(books.orders)
    assert violations(world, books, before) == []
    ended = Counter(str(order.status) for order in books.orders.values())
    assert ended["confirmed"] >= ORDERS // 2, ended
    assert not ended["needs_review"]
    assert sum(order.bids for order in books.orders.values()) > 0


def shows_key(world: LiveWorld, content: bytes) -> bool:
    """Whether the wallet's secret stands in `content`, in any spelling in which a key is kept."""
    secret = bytes(world.wallet)
    array = ",".join(map(str, secret[:32]))
    spellings = (secret[:32], secret[:32].hex().encode(), str(world.wallet).encode(), array.encode(),
                 array.replace(",", ", ").encode())  # fmt: skip
    return any(spelling in content for spelling in spellings)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
