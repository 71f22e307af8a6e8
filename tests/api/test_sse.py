"""Server-sent events of one order: snapshot, past, future, and an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import httpx2

from api.world import World, served
from fillwright import wire

BODY = {"input": "SOL", "output": "USDC", "amount": "1"}


class Message(NamedTuple):
    id: str | None
    event: str
    data: str


async def messages(response: httpx2.Response) -> AsyncIterator[Message]:
    """Parsed as the HTML standard says; comments are left out."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line == "" and fields:
            yield Message(fields.get("id"), fields["event"], fields["data"])
            fields = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


async def post(client: httpx2.AsyncClient) -> str:
    return str((await client.post("/v1/orders", json=BODY)).json()["id"])


def test_a_stream_ends_after_the_orders_last_event() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            order_id = await post(client)
            seen: list[Message] = []
            async with client.stream("GET", f"/v1/orders/{order_id}/events/stream") as response:
                assert response.status_code == 200
                assert response.headers["content-type"].startswith("text/event-stream")
                assert response.headers["fillwright-mode"] == "paper"
                async for message in messages(response):
                    if not seen:
                        await world.confirm(order_id)
                    seen.append(message)
            snapshot = wire.decode(seen[0].data, wire.OrderView)
            assert (seen[0].id, seen[0].event, snapshot.status) == (None, "snapshot", "pending")
            names = ["accepted", "routing", "building", "submitted", "landed", "confirmed"]
            assert [message.event for message in seen[1:]] == names
            views = [wire.decode(message.data, wire.EventView) for message in seen[1:]]
            assert [message.id for message in seen[1:]] == [str(view.sequence) for view in views]
            page = wire.decode((await client.get(f"/v1/orders/{order_id}/events")).content, wire.EventPage)
            assert views == page.events

    served(test)


def test_a_stream_resumes_after_the_last_event_seen() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            other, order_id = await post(client), await post(client)
            await world.confirm(other)
            await world.confirm(order_id)
            path = f"/v1/orders/{order_id}/events/stream"
            ids = [message.id for message in await whole(client, path)]
            for resume in (
                {"headers": {"Last-Event-ID": ids[3]}},
                {"params": {"from_seq": ids[3]}},
                {"headers": {"Last-Event-ID": ids[3]}, "params": {"from_seq": "0"}},
            ):
                assert [message.id for message in await whole(client, path, **resume)] == [None, *ids[4:]]
            assert [message.event for message in await whole(client, path, params={"from_seq": ids[-1]})] == [
                "snapshot"
            ]

    async def whole(client: httpx2.AsyncClient, path: str, **options: object) -> list[Message]:
        async with client.stream("GET", path, **options) as response:
            assert response.status_code == 200
            return [message async for message in messages(response)]

    served(test)


def test_a_browser_that_has_seen_all_is_told_not_to_come_again() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            order_id = await post(client)
            await world.confirm(order_id)
            path = f"/v1/orders/{order_id}/events/stream"
            assert (await client.get(path, headers={"Last-Event-ID": "6"})).status_code == 204

    served(test)


def test_an_idle_stream_carries_comments() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            order_id = await post(client)
            async with client.stream("GET", f"/v1/orders/{order_id}/events/stream") as response:
                comments = 0
                async for line in response.aiter_lines():
                    comments += line == ": heartbeat"
                    if comments == 3:
                        break
            while world.api.hub.readers:
                await asyncio.sleep(0)

    served(test, stream_heartbeat_s=0.02)


def test_bad_positions_are_refused() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            path = f"/v1/orders/{await post(client)}/events/stream"
            for text in ("x", "-1", "1.5", "", "1" * 19, "١"):
                answer = await client.get(path, params={"from_seq": text})
                assert (answer.status_code, answer.json()["code"], answer.json()["parameter"]) == (
                    422, "field_type", "from_seq",
                )  # fmt: skip
            late = await client.get(path, headers={"Last-Event-ID": "99"})
            assert (late.status_code, late.json()["code"]) == (422, "sequence_unknown")
            assert late.json()["parameter"] == "Last-Event-ID"

    served(test)


def test_a_stopping_engine_ends_its_streams() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            path = f"/v1/orders/{await post(client)}/events/stream"
            async with client.stream("GET", path) as response:
                lines = response.aiter_lines()
                assert await anext(lines) == "event: snapshot"
                stopping = asyncio.create_task(world.server.stop())
                async for _ in lines:
                    pass
                await stopping

    served(test)


def test_a_hundred_streams_of_one_order_all_see_everything() -> None:
    async def test(world: World) -> None:
        async with world.client(limits=httpx2.Limits(max_connections=200)) as client:
            order_id = await post(client)

            async def follow() -> list[str]:
                async with client.stream("GET", f"/v1/orders/{order_id}/events/stream") as response:
                    return [message.event async for message in messages(response) if message.event != "snapshot"]

            readers = [asyncio.create_task(follow()) for _ in range(100)]
            await world.confirm(order_id)
            logs = await asyncio.gather(*readers)
            assert {tuple(log) for log in logs} == {
                ("accepted", "routing", "building", "submitted", "landed", "confirmed")
            }

    served(test)


def test_head_of_a_stream_ends_at_once() -> None:
    """What follows on the same connection is answered, and no stream is left open."""

    async def test(world: World) -> None:
        async with world.client(limits=httpx2.Limits(max_connections=1)) as client:
            order_id = await post(client)
            head = await client.head(f"/v1/orders/{order_id}/events/stream")
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-type"].startswith("text/event-stream")
            assert (await client.get(f"/v1/orders/{order_id}")).status_code == 200
            while world.api.hub.readers:
                await asyncio.sleep(0)

    served(test)
