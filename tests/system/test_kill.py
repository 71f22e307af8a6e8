"""kill -9 at random moments: no accepted order is lost, none is executed twice, the books balance."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from fillwright.client import AsyncClient, Unreachable
from fillwright.domain.errors import FillwrightError
from fillwright.domain.lifecycle import TERMINAL
from system import audit
from system.process import EngineProcess, free_port

KILLS = int(os.environ.get("FILLWRIGHT_KILLS", "50"))
ORDERS = 200
PAIRS = (("SOL", "USDC", "0.5"), ("USDC", "SOL", "60"), ("RAY", "USDC", "10"), ("BONK", "SOL", "50000"))
SETTLE_LIMIT_S = 120.0


async def _submit(client: AsyncClient, number: int, accepted: dict[str, str]) -> None:
    """One order, asked for with the same key until it is accepted."""
    source, target, amount = PAIRS[number % len(PAIRS)]
    key = f"kill-{number}"
    for _ in range(100):
        try:
            order = await client.submit(
                input=source, output=target, amount=amount, slippage_bps=500, client_order_id=key
            )  # fmt: skip
        except Unreachable:
            await asyncio.sleep(0.1)
        else:
            accepted[key] = order.id
            return


async def _all_ended(client: AsyncClient, accepted: dict[str, str]) -> bool:
    for order_id in accepted.values():
        try:
            order = await client.get(order_id)
        except FillwrightError:
            return False
        if order.status not in TERMINAL:
            return False
    return True


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_when_the_engine_is_killed_again_and_again(tmp_path: Path) -> None:
    asyncio.run(_kill_again_and_again(tmp_path))


async def _kill_again_and_again(tmp_path: Path) -> None:
    rng = random.Random(20)
    data_dir = tmp_path / "data"
    engine = EngineProcess(
        data_dir,
        free_port(),
        concurrency=20,
        backoff_s=0.2,
        rebroadcast_s=0.2,
        paper_slot_ms=100,
        paper_raydium_quote_delay_ms=20,
        paper_meteora_quote_delay_ms=20,
        paper_execution_delay_min_ms=50,
        paper_execution_delay_max_ms=500,
        paper_failure_rate=0.1,
        paper_drop_rate=0.1,
    )
    accepted: dict[str, str] = {}
    engine.start()
    try:
        async with AsyncClient(engine.url, timeout_s=5.0) as client:

            async def trickle() -> None:
                tasks = []
                for number in range(ORDERS):
                    tasks.append(asyncio.create_task(_submit(client, number, accepted)))
                    await asyncio.sleep(rng.random() * KILLS * 0.01)
                await asyncio.gather(*tasks)

            orders = asyncio.create_task(trickle())
            for _ in range(KILLS):
                await asyncio.sleep(rng.random())
                await asyncio.to_thread(engine.kill)
                await asyncio.to_thread(engine.start)
            await orders
            assert len(accepted) == ORDERS
            async with asyncio.timeout(SETTLE_LIMIT_S):
                while not await _all_ended(client, accepted):
                    await asyncio.sleep(0.25)
        assert await asyncio.to_thread(engine.stop) == 0
    finally:
        engine.kill()
    books = await audit.read_books(data_dir)
    assert audit.is_sound_file(data_dir / "fillwright.db")
    assert audit.is_sound_file(data_dir / "paper-chain.db")
    assert len(books.orders) == ORDERS
    assert audit.violations(books, data_dir / "paper-chain.db", set(accepted.values())) == []
