"""Clients whose server is a process of its own, killed and started again under them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from client.engines import server
from fillwright import wire
from fillwright.client import AsyncClient, Patience
from fillwright.domain.lifecycle import TERMINAL

ORDERS = 30
KILLS = 3
LIMIT_S = 60.0
PATIENCE = Patience(tries=200, resumes=200, max_pause_s=0.2)


def test_kills_and_restarts_leave_no_gap_and_no_duplicate_in_any_stream(tmp_path: Path) -> None:
    with server(tmp_path, paper_execution_delay_max_ms=300) as process:

        async def follow(client: AsyncClient, seen: list[wire.EventView], begun: asyncio.Event) -> None:
            ended = 0
            async for event in client.stream(from_seq=0):
                seen.append(event)
                begun.set()
                ended += event.status in TERMINAL
                if ended == ORDERS:
                    return

        async def order(client: AsyncClient, number: int) -> list[wire.EventView]:
            placed = await client.submit(input="SOL", output="USDC", amount="1", client_order_id=str(number))
            return [event async for event in client.stream(placed.id)]

        async def havoc(seen: list[wire.EventView], begun: asyncio.Event, following: asyncio.Task[None]) -> None:
            await begun.wait()
            for _ in range(KILLS):
                await asyncio.to_thread(process.kill)
                known = len(seen)
                await asyncio.to_thread(process.start)
                while len(seen) == known and not following.done():
                    await asyncio.sleep(0.01)

        async def test() -> None:
            seen: list[wire.EventView] = []
            begun = asyncio.Event()
            async with AsyncClient(process.url, patience=PATIENCE) as client:
                following = asyncio.create_task(follow(client, seen, begun))
                orders = [asyncio.create_task(order(client, number)) for number in range(ORDERS)]
                await havoc(seen, begun, following)
                streams = await asyncio.gather(*orders)
                await following
                assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
                for events in streams:
                    assert [event.number for event in events] == list(range(1, len(events) + 1))
                    assert events == [event for event in seen if event.order_id == events[0].order_id]
                listed = [found async for found in client.orders()]
                assert len(listed) == ORDERS

        asyncio.run(asyncio.wait_for(test(), LIMIT_S))


def test_a_server_that_is_asked_to_stop_ends_well_and_is_found_again(tmp_path: Path) -> None:
    with server(tmp_path) as process:

        async def test() -> None:
            async with AsyncClient(process.url, patience=PATIENCE) as client:
                held = await client.submit(input="SOL", output="USDC", amount="1", hold=True)
                events = client.stream(held.id)
                assert (await anext(events)).type == "accepted"
                assert await asyncio.to_thread(process.stop) == 0
                await asyncio.to_thread(process.start)
                await client.release(held.id)
                rest = [event.number async for event in events]
                assert rest == list(range(2, len(rest) + 2))
                assert (await client.wait(held.id)).status == "confirmed"

        asyncio.run(asyncio.wait_for(test(), LIMIT_S))
