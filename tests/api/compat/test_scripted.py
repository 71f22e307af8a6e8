"""The dialects over orders whose every event is scripted: nothing missing, nothing twice, faults included."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from api.world import World, served
from fillwright.domain.orders import Built, Failed, OrderError, Rebid, Retrying, RolledBack, Submitted

BODY = {"userWallet": "alice-wallet", "inputToken": "SOL", "outputToken": "USDC", "inputAmount": 1.5}
MAX_RETRIES = 1_000
SLIPPED = OrderError("slippage_exceeded", "the price moved")


async def _placed(world: World) -> str:
    async with world.client() as client:
        answer = (await client.post("/api/orders/execute", json=BODY)).json()
    return str(answer["data"]["orderId"])


def _url(world: World, path: str) -> str:
    return world.url.replace("http", "ws", 1) + path


async def _next(socket: Any) -> dict[str, Any]:
    return dict(json.loads(await socket.recv()))


async def _all(socket: Any) -> list[str]:
    return [str(message) async for message in socket]


def test_a_socket_shows_each_step_of_a_long_life_once() -> None:
    async def test(world: World) -> None:
        order_id = await _placed(world)
        async with (
            connect(_url(world, f"/ws/orders/{order_id}")) as watch,
            connect(_url(world, f"/api/orders/upgrade/{order_id}")) as upgrade,
            connect(_url(world, f"/api/orders/{order_id}/ws")) as shared,
            connect(_url(world, "/api/orders/ws")) as asked,
        ):
            await asked.send(json.dumps({"orderId": order_id}))
            assert (await _next(watch))["status"] == "pending"
            assert (await _next(upgrade))["status"] == "pending"
            assert [(await _next(shared))["status"] for _ in range(2)] == ["pending", "pending"]
            assert (await _next(asked))["status"] == "PENDING"
            order = await world.services.store.get(order_id)  # type: ignore[arg-type]
            assert order is not None
            routed, *_ = world.happy_path(order)
            first = [Built(1, "first", 100, 1), Submitted(1, "first"), Retrying(1, SLIPPED, world.clock.now_ms())]
            await world.step(order_id, Retrying(0, SLIPPED, world.clock.now_ms()), routed, *first)
            _, _, submitted, landed, confirmed = world.happy_path(order)
            rebid = Rebid(2, 2, "of the second bid", 15_000)
            second = [Built(2, "second", 100, 1), submitted, rebid, landed, RolledBack(2, "second"), landed, confirmed]
            await world.step(order_id, routed, *second)
            tries = ["routing", "building", "submitted"]
            seen = [await _next(watch) for _ in range(8)]
            assert [one["status"] for one in seen] == [*tries, "pending", *tries, "confirmed"]
            assert all(one["data"]["error"] is None for one in seen)
            flat = [await _next(upgrade) for _ in range(9)]
            assert [one["status"] for one in flat] == ["pending", *tries, "pending", *tries, "confirmed"]
            assert flat[0]["lastError"] == flat[4]["lastError"] == "Slippage tolerance exceeded"
            assert flat[-1]["lastError"] is None
            both = ["routing", *tries]
            merged = [await _next(shared) for _ in range(10)]
            assert [one["status"] for one in merged] == [*both, "pending", *both, "confirmed"]
            upper = [await _next(asked) for _ in range(8)]
            assert [one["status"] for one in upper] == [one["status"].upper() for one in seen]
            await asyncio.gather(watch.wait_closed(), shared.wait_closed())
            assert (watch.close_code, shared.close_code) == (1000, 1000)
            assert upgrade.close_code is None

    served(test, compat_default_dialect="002")


def test_a_reader_that_comes_at_any_moment_misses_nothing() -> None:
    async def test(world: World) -> None:
        order_id = await _placed(world)
        order = await world.services.store.get(order_id)  # type: ignore[arg-type]
        assert order is not None
        steps = ["pending", "routing", "building", "submitted", "confirmed"]

        async def read() -> list[str]:
            async with connect(_url(world, f"/api/orders/{order_id}/ws"), additional_headers={
                "X-Compat-Dialect": "003"
            }) as socket:  # fmt: skip
                return [json.loads(message)["status"] async for message in socket]

        readers = []
        for body in world.happy_path(order):
            readers += [asyncio.create_task(read()) for _ in range(5)]
            await asyncio.sleep(0)
            await world.step(order_id, body)
        readers.append(asyncio.create_task(read()))
        for reader in readers:
            assert await reader == steps

    served(test)


def test_health_is_503_while_the_store_is_away() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            assert (await client.get("/health")).status_code == 200
            world.store.down = True
            response = await client.get("/health")
            assert response.status_code == 503
            answer = response.json()
            assert (answer["status"], answer["database"], answer["redis"]) == (
                "degraded", "disconnected", "disconnected",
            )  # fmt: skip

    served(test)


def test_a_store_that_is_away_is_a_503_in_the_dialects_shape() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            world.store.down = True
            response = await client.post("/api/orders/execute", json=BODY)
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) >= 1
            assert response.json()["success"] is False
            body = {"type": "market", "tokenIn": "SOL", "tokenOut": "USDC", "amountIn": 1}
            answer = (await client.post("/api/orders/execute", json=body)).json()
            assert set(answer) == {"error", "message"}

    served(test)


def test_queue_figures_follow_the_orders() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            ids = [await _placed(world) for _ in range(3)]
            await client.post("/api/orders", json=BODY)
            await world.confirm(ids[0])
            await world.step(ids[1], Failed(SLIPPED))
            metrics = (await client.get("/api/queue/metrics")).json()
            assert metrics == {
                "waiting": 1, "active": 0, "completed": 1, "failed": 1, "total": 3, "websocketConnections": 0,
            }  # fmt: skip
            found = (await client.get("/api/metrics?limit=10")).json()
            assert (found["total"], found["confirmed"], found["failed"]) == (4, 1, 1)
            assert found["overallSuccessRate"] == 50
            (group,) = found["byDex"].values()
            assert (group["total"], group["totalVolume"], group["successRate"]) == (1, 1.5, 100)
            assert group["averageSlippage"] == 0.0001

    served(test)


def test_a_synchronous_execution_reports_the_failure() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            order_id = (await client.post("/api/orders", json=BODY)).json()["data"]["id"]
            running = asyncio.create_task(client.post(f"/api/orders/{order_id}/execute"))
            while (await world.services.store.get(order_id)).status != "pending":  # type: ignore[arg-type, union-attr]
                await asyncio.sleep(0.005)
            loser = await client.post(f"/api/orders/{order_id}/execute")
            assert loser.json() == {
                "success": False, "error": f"Order {order_id} is not in pending status (current: routing)",
            }  # fmt: skip
            await world.step(order_id, Failed(SLIPPED))
            answer = (await running).json()
            assert answer["data"]["status"] == "failed"
            assert answer["data"]["error"] == "Slippage tolerance exceeded"

    served(test)


def test_a_quote_that_takes_too_long_is_a_503() -> None:
    async def test(world: World) -> None:
        world.market.fetched = asyncio.Event()
        async with world.client() as client:
            body = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": 1}
            response = await client.post("/api/orders/quote", json=body)
            assert response.status_code == 503
            assert response.json() == {"error": "the venues did not answer in time"}

    served(test, quote_timeout_s=0.05)


def test_a_socket_that_opens_while_the_store_is_away_is_told_to_come_again() -> None:
    async def test(world: World) -> None:
        order_id = await _placed(world)
        world.store.down = True
        for path in (f"/ws/orders/{order_id}", f"/api/orders/{order_id}/ws", f"/api/orders/upgrade/{order_id}"):
            async with connect(_url(world, path)) as socket:
                await socket.wait_closed()
                assert socket.close_code == 1013

    served(test)


def test_a_reader_that_does_not_read_is_given_up_and_nobody_else_notices() -> None:
    async def test(world: World) -> None:
        order_id = await _placed(world)
        error = OrderError("x", "y" * 50_000)
        path = f"/api/orders/upgrade/{order_id}"
        async with connect(_url(world, path), max_queue=1) as stuck, connect(_url(world, path)) as other:
            assert (await _next(stuck))["status"] == (await _next(other))["status"] == "pending"
            for _ in range(MAX_RETRIES):
                await world.step(order_id, Retrying(0, error, world.clock.now_ms()))
                assert (await _next(other))["lastError"] == error.message
                if world.api.hub.dropped:
                    break
            assert world.api.hub.dropped == 1
            with pytest.raises(ConnectionClosedError) as closed:
                await _all(stuck)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013

    served(test, stream_buffer_events=10)
