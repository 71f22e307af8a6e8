"""What holds for every route: mode, methods, paths, CORS, pages, health, metrics, statistics."""

from __future__ import annotations

import asyncio
import re

import httpx2
import pytest

from api.world import World, served
from fillwright import wire
from fillwright.api import queue
from fillwright.domain.errors import ConfigError

BODY = {"input": "SOL", "output": "USDC", "amount": "1"}
MISSING = "/v1/orders/01900000-0000-7000-8000-000000000000"


def test_methods_that_a_path_does_not_have_are_405_with_allow() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            for method, path, allow in (
                ("DELETE", "/v1/orders", {"GET", "HEAD", "POST", "OPTIONS"}),
                ("PUT", MISSING, {"GET", "HEAD", "OPTIONS"}),
                ("GET", "/v1/quotes", {"POST", "OPTIONS"}),
                ("HEAD", "/v1/quotes", {"POST", "OPTIONS"}),
                ("GET", f"{MISSING}/cancel", {"POST", "OPTIONS"}),
                ("POST", "/health/live", {"GET", "HEAD", "OPTIONS"}),
                ("PATCH", f"{MISSING}/events/stream", {"GET", "HEAD", "OPTIONS"}),
            ):
                response = await client.request(method, path)
                assert response.status_code == 405, path
                assert set(response.headers["allow"].split(", ")) == allow, path
                assert response.headers["fillwright-mode"] == "paper"
                if method != "HEAD":
                    assert response.json()["code"] == "method_not_allowed"
                options = await client.request("OPTIONS", path)
                assert options.status_code == 204
                assert set(options.headers["allow"].split(", ")) == allow

    served(test)


def test_head_is_get_without_a_body() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            for path in ("/v1/orders", "/v1/tokens", "/health/live", "/", MISSING):
                head, get = await client.head(path), await client.get(path)
                assert head.status_code == get.status_code, path
                assert head.content == b""
                assert head.headers["content-type"] == get.headers["content-type"]
                assert head.headers["content-length"] == get.headers["content-length"]

    served(test)


def test_unknown_paths_are_404_problems() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            for path in ("/nope", "/v1", "/v1/orders/", "/v2/orders", "/%00", "/v1/stream"):
                response = await client.get(path)
                assert response.status_code == 404, path
                assert wire.decode(response.content, wire.Problem).code == "not_found"
                assert response.headers["content-type"] == wire.PROBLEM_TYPE

    served(test)


def test_cors_is_closed_unless_it_is_opened() -> None:
    async def closed(world: World) -> None:
        async with world.client() as client:
            response = await client.get("/v1/tokens", headers={"Origin": "https://desk.example"})
            assert "access-control-allow-origin" not in response.headers

    async def opened(world: World) -> None:
        async with world.client() as client:
            ours = await client.get("/v1/tokens", headers={"Origin": "https://desk.example"})
            assert ours.headers["access-control-allow-origin"] == "https://desk.example"
            theirs = await client.get("/v1/tokens", headers={"Origin": "https://evil.example"})
            assert "access-control-allow-origin" not in theirs.headers
            asked = {
                "Origin": "https://desk.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type,x-api-key",
            }
            preflight = await client.request("OPTIONS", "/v1/orders", headers=asked)
            assert preflight.status_code == 200
            assert "POST" in preflight.headers["access-control-allow-methods"]

    served(closed)
    served(opened, cors_origins="https://desk.example")


def test_pages_load_nothing_from_elsewhere() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            for path in ("/", "/docs"):
                page = await client.get(path)
                assert page.headers["content-type"].startswith("text/html")
                assert "paper" in page.text
                assert not re.search(r"(src|href)=\"(https?:)?//|<script", page.text)
                assert page.headers["content-security-policy"].startswith("default-src 'none'")
            assert "/v1/orders/{order_id}/cancel" in (await client.get("/docs")).text
            landing = await client.get("/")
            for path in set(re.findall(r'href="([^"]+)"', landing.text)):
                assert (await client.get(path)).status_code == 200, path

    served(test)


def test_the_specification_names_every_route() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            found = (await client.get("/openapi.json")).json()
            operations = {(method, path) for path, methods in found["paths"].items() for method in methods}
            assert operations == {
                ("post", "/v1/orders"),
                ("get", "/v1/orders"),
                ("get", "/v1/orders/{order_id}"),
                ("get", "/v1/orders/{order_id}/events"),
                ("get", "/v1/orders/{order_id}/events/stream"),
                ("get", "/v1/orders/{order_id}/explain"),
                ("post", "/v1/orders/{order_id}/cancel"),
                ("post", "/v1/orders/{order_id}/release"),
                ("post", "/v1/orders/batch"),
                ("post", "/v1/quotes"),
                ("get", "/v1/tokens"),
                ("get", "/v1/pools"),
                ("get", "/v1/stats"),
                ("get", "/v1/admin/queue"),
                ("post", "/v1/admin/queue/{turn}"),
                ("post", "/v1/admin/pools/{address}/release"),
                ("get", "/health/live"),
                ("get", "/health/ready"),
            }
            assert len({held["operationId"] for methods in found["paths"].values() for held in methods.values()}) == 18
            request = found["components"]["schemas"]["OrderRequest"]
            assert request["additionalProperties"] is False
            assert '"null"' not in str(request)

    served(test)


def test_statistics_and_metrics_count_what_happened() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            ids = [(await client.post("/v1/orders", json=BODY)).json()["id"] for _ in range(3)]
            held = (await client.post("/v1/orders", json={**BODY, "hold": True})).json()["id"]
            later = {**BODY, "not_before": "2100-01-01T00:00:00Z"}
            await client.post("/v1/orders", json=later)
            await world.confirm(ids[0])
            await world.fail(ids[1])
            stats = wire.decode((await client.get("/v1/stats")).content, wire.StatsView)
            assert {status: count for status, count in stats.orders.items() if count} == {
                "confirmed": 1, "failed": 1, "pending": 2, "waiting": 1,
            }  # fmt: skip
            queue = stats.queue
            assert (queue.state, queue.waiting, queue.delayed, queue.active) == ("running", 1, 1, 0)
            assert (queue.completed, queue.failed, queue.drained) == (1, 1, False)
            assert queue.oldest_age_ms is not None
            assert queue.ended_per_s > 0
            assert (stats.last_sequence, stats.mode, stats.worker) == (5 + 5 + 2, "paper", None)
            assert (await client.get(f"/v1/orders/{held}")).json()["status"] == "waiting"
            metrics = (await client.get("/metrics")).text
            for place, count in (("waiting", 1), ("delayed", 1), ("active", 0), ("completed", 1), ("failed", 1)):
                assert f'fillwright_queue_orders{{place="{place}"}} {count}.0' in metrics
            assert 'fillwright_queue_state{state="running"} 1.0' in metrics
            assert 'fillwright_http_requests_total{route="/v1/orders",status="202"}' in metrics
            assert "fillwright_orders_accepted_total" in metrics
            assert held not in metrics

    served(test)


def test_metrics_without_a_store_say_nothing_of_the_queue_and_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MAX_AGE_S", 0.0)
    monkeypatch.setattr(queue, "READ_LIMIT_S", 0.01)

    async def never(_: int) -> None:
        await asyncio.Event().wait()

    async def test(world: World) -> None:
        async with world.client() as client:
            told = (await client.get("/metrics")).text
            assert 'fillwright_queue_orders{place="waiting"} 0.0' in told
            assert "\nfillwright_queue_oldest_seconds 0.0" in told
            world.store.down_for = {"stats"}
            down = (await client.get("/metrics")).text
            world.store.down_for = set()
            monkeypatch.setattr(world.store, "stats", never, raising=False)
            stalled = (await client.get("/metrics")).text
            for metrics in (down, stalled):
                values = [line for line in metrics.splitlines() if line.startswith("fillwright_queue_")]
                assert values == []
                assert "fillwright_http_requests_total{" in metrics

    served(test)


def test_an_unforeseen_error_is_a_500_problem_without_details() -> None:
    async def test(world: World) -> None:
        async def broken(*_: object) -> None:
            raise ZeroDivisionError("secret detail")

        world.store.page = broken
        async with world.client() as client:
            response = await client.get("/v1/orders")
            assert (response.status_code, response.json()["code"]) == (500, "internal_error")
            assert "secret" not in response.text
            assert response.headers["content-type"] == wire.PROBLEM_TYPE
            assert (await client.get("/v1/tokens")).status_code == 200

    served(test)


def test_a_client_that_leaves_in_the_middle_of_its_body_does_no_harm() -> None:
    async def test(world: World) -> None:
        async def body() -> object:
            yield b'{"input":'
            raise httpx2.WriteError("gone")

        async with world.client() as client:
            with pytest.raises(httpx2.WriteError):
                await client.post("/v1/orders", content=body(), headers={"Content-Type": "application/json"})
            assert (await client.post("/v1/orders", json=BODY)).status_code == 202

    served(test)


def test_an_address_in_use_is_a_clear_error() -> None:
    async def test(world: World) -> None:
        from fillwright.api.server import Server

        second = Server(world.api, world.settings.model_copy(update={"port": world.server.port}))
        with pytest.raises(ConfigError, match="can't listen on"):
            await second.start()

    served(test)


def test_the_reference_is_written_for_people() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            page = (await client.get("/docs")).text
            prose, shapes = page.split("<h2>Shapes</h2>")
            assert "`" not in prose
            assert "<code>amount_units</code> in base units" in prose
            for name in re.findall(r'href="#([^"]+)"', prose):
                assert f'<pre id="{name}">' in shapes

    served(test)
