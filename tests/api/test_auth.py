"""API keys: who may do what, how often, and what is refused without one."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from api.world import World, served
from fillwright import wire
from fillwright.api.auth import Gate
from fillwright.config import Scope, Settings
from fillwright.domain.errors import RateLimited, Unauthorized

BODY = {"input": "SOL", "output": "USDC", "amount": "1"}


def keys(*held: dict[str, object]) -> str:
    return json.dumps([{**key, "sha256": sha256(str(key["sha256"]).encode()).hexdigest()} for key in held])


THREE = keys(
    {"account": "a", "sha256": "reader", "scopes": ["read"]},
    {"account": "a", "sha256": "trader", "scopes": ["trade"]},
    {"account": "a", "sha256": "chief", "scopes": ["admin"]},
)


def test_keys_open_what_their_scopes_allow() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            for headers, status, code in (
                ({}, 401, "key_missing"),
                ({"X-API-Key": "nobody"}, 401, "key_unknown"),
                ({"Authorization": "Basic cmVhZGVy"}, 401, "key_missing"),
                ({"X-API-Key": "x" * 600}, 401, "key_missing"),
                ({"X-API-Key": "trader"}, 403, "scope_missing"),
            ):
                answer = await client.get("/v1/orders", headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (status, code)
                assert ("www-authenticate" in answer.headers) == (status == 401)
            for headers in ({"X-API-Key": "reader"}, {"Authorization": "bearer reader"}, {"X-API-Key": "chief"}):
                assert (await client.get("/v1/orders", headers=headers)).status_code == 200
            assert (await client.post("/v1/orders", json=BODY, headers={"X-API-Key": "reader"})).status_code == 403
            assert (await client.post("/v1/quotes", json=BODY, headers={"X-API-Key": "reader"})).status_code == 200
            made = await client.post("/v1/orders", json=BODY, headers={"Authorization": "Bearer trader"})
            assert made.status_code == 202
            order = f"/v1/orders/{made.json()['id']}"
            assert (await client.post(f"{order}/cancel", headers={"X-API-Key": "reader"})).status_code == 403
            assert (await client.get(order, headers={"X-API-Key": "chief"})).status_code == 200
            for path in (
                "/v1/tokens",
                "/v1/pools",
                "/v1/stats",
                "/metrics",
                f"{order}/events",
                f"{order}/events/stream",
            ):
                assert (await client.get(path)).status_code == 401, path
            for path in ("/health/live", "/health/ready", "/openapi.json", "/docs", "/"):
                assert (await client.get(path)).status_code == 200, path

    served(test, api_keys=THREE)


def test_a_key_is_checked_before_the_body_is_read() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            answer = await client.post("/v1/orders", content=b"{", headers={"Content-Type": "text/plain"})
            assert answer.status_code == 401

    served(test, api_keys=THREE)


def test_a_socket_needs_a_key_too() -> None:
    async def test(world: World) -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(world.stream_url, proxy=None):
                pass
        response = refused.value.response
        assert (response.status_code, wire.decode(bytes(response.body), wire.Problem).code) == (401, "key_missing")
        async with connect(world.stream_url, proxy=None, additional_headers={"X-API-Key": "reader"}) as connection:
            await connection.send('{"op": "ping"}')
            assert isinstance(wire.decode(await connection.recv(), wire.ServerFrame), wire.Heartbeat)

    served(test, api_keys=THREE)


def test_streams_carry_only_the_accounts_own_orders() -> None:
    held = keys({"account": "a", "sha256": "key-a"}, {"account": "b", "sha256": "key-b"})

    async def test(world: World) -> None:
        async with world.client() as client:
            await client.post("/v1/orders", json=BODY, headers={"X-API-Key": "key-a"})
            mine = (await client.post("/v1/orders", json=BODY, headers={"X-API-Key": "key-b"})).json()["id"]
            async with connect(world.stream_url, proxy=None, additional_headers={"X-API-Key": "key-b"}) as connection:
                await connection.send('{"op": "subscribe", "all": true, "from_seq": 0}')
                await connection.recv()
                await client.post("/v1/orders", json=BODY, headers={"X-API-Key": "key-a"})
                await world.confirm(mine)
                for number in range(1, 7):
                    frame = wire.decode(await connection.recv(), wire.ServerFrame)
                    assert isinstance(frame, wire.EventFrame)
                    assert (frame.event.order_id, frame.event.number) == (mine, number)

    served(test, api_keys=held)


def test_client_order_ids_are_an_accounts_own() -> None:
    held = keys({"account": "a", "sha256": "key-a"}, {"account": "b", "sha256": "key-b"})

    async def test(world: World) -> None:
        async with world.client() as client:
            body = {**BODY, "client_order_id": "same"}
            first = await client.post("/v1/orders", json=body, headers={"X-API-Key": "key-a"})
            other = await client.post("/v1/orders", json={**body, "amount": "2"}, headers={"X-API-Key": "key-b"})
            assert (first.status_code, other.status_code) == (202, 202)
            assert first.json()["id"] != other.json()["id"]

    served(test, api_keys=held)


def test_orders_beyond_a_keys_allowance_are_429() -> None:
    held = keys({"account": "a", "sha256": "slow", "orders_per_minute": 3}, {"account": "a", "sha256": "fast"})

    async def test(world: World) -> None:
        async with world.client() as client:
            answers = [await client.post("/v1/orders", json=BODY, headers={"X-API-Key": "slow"}) for _ in range(4)]
            assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
            assert answers[3].json()["code"] == "rate_limited"
            assert 1 <= int(answers[3].headers["retry-after"]) == answers[3].json()["retry_after_s"] <= 60
            assert (await client.post("/v1/orders", json=BODY, headers={"X-API-Key": "fast"})).status_code == 202

    served(test, api_keys=held)


class HandClock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def now_ms(self) -> int:
        return int(self.now_s * 1_000)

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def gate(held: str, clock: HandClock) -> Gate:
    return Gate(Settings(_env_file=None, api_keys=held), clock)  # type: ignore[call-arg]


def test_an_allowance_is_never_exceeded_within_any_minute() -> None:
    asyncio.run(_an_allowance_is_never_exceeded_within_any_minute())


async def _an_allowance_is_never_exceeded_within_any_minute() -> None:
    clock = HandClock()
    held = gate(keys({"account": "a", "sha256": "k", "orders_per_minute": 60}), clock)
    principal = held.admit([(b"x-api-key", b"k")], None, Scope.TRADE)
    for _ in range(30):
        await held.count_order(principal)
    clock.now_s += 20
    assert await held.count_orders(principal, 25) == (25, None)
    count, refusal = await held.count_orders(principal, 25)
    assert count == 5
    assert refusal is not None
    assert refusal.retry_after_s == pytest.approx(40.0)
    with pytest.raises(RateLimited):
        await held.count_order(principal)
    clock.now_s += 40
    assert await held.count_orders(principal, 30) == (30, None)
    with pytest.raises(RateLimited) as limited:
        await held.count_order(principal)
    assert limited.value.retry_after_s == pytest.approx(20.0)


def test_all_keys_together_have_a_limit_too() -> None:
    asyncio.run(_all_keys_together_have_a_limit_too())


async def _all_keys_together_have_a_limit_too() -> None:
    clock = HandClock()
    settings = Settings(_env_file=None, accept_per_minute=3)  # type: ignore[call-arg]
    held = Gate(settings, clock)
    local = held.admit([], None, Scope.TRADE)
    assert (await held.count_orders(local, 5))[0] == 3
    with pytest.raises(RateLimited) as limited:
        await held.count_order(local)
    assert limited.value.retry_after_s == pytest.approx(60.0)


def test_without_keys_only_local_callers_are_served() -> None:
    held = gate("", HandClock())
    for host in ("127.0.0.1", "127.8.9.1", "::1"):
        assert held.admit([], (host, 1), Scope.ADMIN).account == "default"
    for host in ("10.0.0.1", "192.168.1.7", "2001:db8::1", "0.0.0.0"):  # noqa: S104 - a caller's address
        with pytest.raises(Unauthorized):
            held.admit([], (host, 1), Scope.READ)


def test_a_page_of_another_site_can_command_nothing_where_there_are_no_keys() -> None:
    """Its browser would send a request without a body of its own, and only keep the answer from it."""

    async def test(world: World) -> None:
        async with world.client() as client:
            order_id = (await client.post("/v1/orders", json={**BODY, "hold": True})).json()["id"]
            for path in (f"/v1/orders/{order_id}/cancel", f"/v1/orders/{order_id}/release", "/v1/admin/queue/pause"):
                for origin in ("https://evil.example", "null", "http://[", f"{world.url}0"):
                    refused = await client.post(path, headers={"Origin": origin, "Content-Type": "text/plain"})
                    assert (refused.status_code, refused.json()["code"]) == (403, "origin_not_allowed"), origin
            assert (await client.get(f"/v1/orders/{order_id}")).json()["status"] == "waiting"
            assert (await client.get("/v1/admin/queue")).json()["state"] == "running"
            for origin in (world.url, "https://desk.example"):
                paused = await client.post("/v1/admin/queue/pause", headers={"Origin": origin})
                assert paused.json()["state"] == "paused"

    served(test, cors_origins="https://desk.example")


def test_with_keys_an_origin_is_no_matter_for_none_is_sent_by_a_browser_itself() -> None:
    async def test(world: World) -> None:
        async with world.client(headers={"X-API-Key": "chief", "Origin": "https://elsewhere.example"}) as client:
            assert (await client.post("/v1/admin/queue/pause")).status_code == 200

    served(test, api_keys=THREE)
