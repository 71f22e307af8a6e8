"""WebSocket clients for tests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from api.world import World
from fillwright import wire

BODY = {"input": "SOL", "output": "USDC", "amount": "1"}
CLOSE_TIMEOUT_S = 0.05
"""A client with unread frames does not see the answer to its close frame: it need not wait for it."""


@asynccontextmanager
async def socket(world: World, **options: Any) -> AsyncIterator[ClientConnection]:
    options = {"close_timeout": CLOSE_TIMEOUT_S, **options}
    async with connect(world.stream_url, compression=None, proxy=None, **options) as connection:
        yield connection


async def send(connection: ClientConnection, **frame: Any) -> None:
    await connection.send(json.dumps(frame))


async def receive(connection: ClientConnection) -> Any:
    return wire.decode(await connection.recv(), wire.ServerFrame)


async def events(connection: ClientConnection, count: int) -> list[wire.EventView]:
    found: list[wire.EventView] = []
    while len(found) < count:
        frame = await receive(connection)
        if isinstance(frame, wire.EventFrame):
            found.append(frame.event)
        else:
            assert isinstance(frame, wire.Heartbeat), frame
    return found


async def post(world: World, **fields: Any) -> str:
    async with world.client() as client:
        response = await client.post("/v1/orders", json={**BODY, **fields})
        assert response.status_code == 202
        return str(response.json()["id"])
