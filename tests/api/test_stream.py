"""The event stream: every event once and in order, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket as plain_socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from api.sockets import BODY, events, post, receive, send, socket
from api.world import OTHER_WALLET, WALLET, World, served
from fillwright import observe, wire
from fillwright.api import archive, outbox, streams
from fillwright.api.orders import parse_order
from fillwright.domain.orders import OrderEvent


def test_an_orders_stream_is_its_state_its_past_and_its_future() -> None:
    async def test(world: World) -> None:
        order_id = await post(world)
        async with socket(world) as connection:
            assert connection.response is not None
            assert connection.response.headers["Fillwright-Mode"] == "paper"
            await send(connection, op="subscribe", order_id=order_id)
            subscribed = await receive(connection)
            assert isinstance(subscribed, wire.Subscribed)
            assert (subscribed.mode, subscribed.order_id, subscribed.from_seq) == ("paper", order_id, 0)
            assert subscribed.order is not None
            assert subscribed.order.status == "pending"
            await world.confirm(order_id)
            seen = await events(connection, 6)
            assert [event.number for event in seen] == [1, 2, 3, 4, 5, 6]
            assert seen[-1].type == seen[-1].status == "confirmed"
            async with world.client() as client:
                page = wire.decode((await client.get(f"/v1/orders/{order_id}/events")).content, wire.EventPage)
            assert seen == page.events

    served(test)


def test_a_live_subscription_starts_with_the_next_event() -> None:
    async def test(world: World) -> None:
        before = await post(world)
        async with socket(world) as connection:
            await send(connection, op="subscribe", all=True)
            subscribed = await receive(connection)
            assert isinstance(subscribed, wire.Subscribed)
            assert subscribed.from_seq == 1
            after = await post(world)
            await world.confirm(before)
            seen = await events(connection, 6)
            assert seen[0].order_id == after
            assert {event.order_id for event in seen[1:]} == {before}

    served(test)


def test_a_wallets_stream_has_only_its_orders() -> None:
    async def test(world: World) -> None:
        async with socket(world) as connection:
            await send(connection, op="subscribe", wallet=OTHER_WALLET)
            assert isinstance(await receive(connection), wire.Subscribed)
            await post(world)
            theirs = await post(world, wallet=OTHER_WALLET)
            await world.confirm(theirs)
            assert {event.order_id for event in await events(connection, 6)} == {theirs}

    served(test)


def test_overlapping_subscriptions_send_an_event_once() -> None:
    async def test(world: World) -> None:
        first, second = await post(world), await post(world, wallet=OTHER_WALLET)
        await world.confirm(first)
        async with socket(world) as connection:
            await send(connection, op="subscribe", order_id=first)
            await send(connection, op="subscribe", wallet=OTHER_WALLET, from_seq=0)
            await send(connection, op="subscribe", all=True, from_seq=0)
            await world.confirm(second)
            third = await post(world)
            seen: list[tuple[str, int]] = []
            while len(seen) < 13:
                frame = await receive(connection)
                if isinstance(frame, wire.EventFrame):
                    seen.append((frame.event.order_id, frame.event.number))
            assert sorted(seen) == sorted(
                [(order_id, number) for order_id in (first, second) for number in range(1, 7)] + [(third, 1)]
            )
            await send(connection, op="unsubscribe", order_id=first)
            await send(connection, op="unsubscribe", all=True)
            assert isinstance(await receive(connection), wire.Unsubscribed)
            assert isinstance(await receive(connection), wire.Unsubscribed)
            await post(world)
            theirs = await post(world, wallet=OTHER_WALLET)
            assert [event.order_id for event in await events(connection, 1)] == [theirs]

    served(test)


ORDERS = 1_000
READ_BY = (None, None, WALLET, OTHER_WALLET)
"""Whose events each reader wants; None: all."""


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_thousand_orders_arrive_exactly_once_over_random_disconnects(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "RING_EVENTS", 300)
    monkeypatch.setattr(archive, "PAGE_EVENTS", 100)
    rng = random.Random(seed)

    async def test(world: World) -> None:
        readers = [asyncio.create_task(follow(world, rng, wallet)) for wallet in READ_BY]
        await drive(world, rng)
        logs = await asyncio.gather(*readers)
        stored = await all_stored(world)
        assert len(stored) == ORDERS * 6
        for log, wallet in zip(logs, READ_BY, strict=True):
            assert log == [sequence for sequence, owner in stored if wallet in (None, owner)]

    served(test, stream_heartbeat_s=0.05)


async def drive(world: World, rng: random.Random) -> None:
    """Make the orders and take each to its end, ten at a time, interleaved at random."""
    bodies = [json.dumps({**BODY, "wallet": wallet}).encode() for wallet in (WALLET, OTHER_WALLET)]
    specs = [parse_order(body, world.services, "default", None) for body in bodies]
    numbers = iter(range(ORDERS))

    async def lane() -> None:
        for number in numbers:
            order = await world.intake.submit(specs[number % 2])
            for body in world.happy_path(order):
                for _ in range(rng.randrange(3)):
                    await asyncio.sleep(0)
                await world.step(order.id, body)

    await asyncio.gather(*(lane() for _ in range(10)))


async def follow(world: World, rng: random.Random, wallet: str | None) -> list[int]:
    """Read until the last event, dropping the connection at random and resuming after the last event seen."""
    seen: list[int] = []
    target = {"wallet": wallet} if wallet else {"all": True}
    wanted = ORDERS * 6 // (2 if wallet else 1)
    while len(seen) < wanted:
        async with socket(world) as connection:
            await send(connection, op="subscribe", from_seq=seen[-1] if seen else 0, **target)
            for _ in range(rng.randrange(1, 900)):
                frame = await receive(connection)
                if isinstance(frame, wire.EventFrame):
                    seen.append(frame.event.sequence)
                if len(seen) == wanted:
                    break
            if rng.random() < 0.5:
                connection.transport.abort()
    return seen


async def all_stored(world: World) -> list[tuple[int, str]]:
    """Every event's sequence and wallet."""
    found: list[Any] = []
    while batch := await world.store.events_since(found[-1].sequence if found else 0, 1_000):
        found += batch
    wallets = {event.order_id: event.body.spec.wallet for event in found if event.number == 1}
    return [(event.sequence, wallets[event.order_id]) for event in found]


def test_a_resumed_stream_is_the_same_whether_it_comes_from_the_ring_or_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "RING_EVENTS", 8)
    monkeypatch.setattr(archive, "PAGE_EVENTS", 3)

    async def test(world: World) -> None:
        for _ in range(4):
            await world.confirm(await post(world))
        async with socket(world) as connection:
            await send(connection, op="subscribe", all=True, from_seq=0)
            everything = await whole(connection, 24)
        for start in range(24):
            async with socket(world) as connection:
                await send(connection, op="subscribe", all=True, from_seq=start)
                assert await whole(connection, 24 - start) == everything[start:]

    async def whole(connection: ClientConnection, count: int) -> list[wire.EventView]:
        assert isinstance(await receive(connection), wire.Subscribed)
        return await events(connection, count)

    served(test)


def test_events_that_the_bus_lost_are_read_from_the_store() -> None:
    async def test(world: World) -> None:
        async with socket(world) as connection:
            await send(connection, op="subscribe", all=True, from_seq=0)
            assert isinstance(await receive(connection), wire.Subscribed)
            publish = world.bus.publish
            world.store.on_commit = lambda _: None
            lost = await post(world)
            await world.confirm(lost)
            world.store.on_commit = publish
            await post(world)
            assert [event.sequence for event in await events(connection, 7)] == [1, 2, 3, 4, 5, 6, 7]

    served(test)


def test_streams_survive_a_store_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FAULT_PAUSE_S", 0.01)

    async def test(world: World) -> None:
        async with socket(world) as connection:
            await send(connection, op="subscribe", all=True, from_seq=0)
            assert isinstance(await receive(connection), wire.Subscribed)
            publish = world.bus.publish
            world.store.on_commit = lambda _: None
            await post(world)
            world.store.on_commit = publish
            faults = asyncio.Event()
            monkeypatch.setattr(observe, "stream_fault", lambda _: faults.set())
            world.store.down_for = {"events_since"}
            await post(world)
            await faults.wait()
            world.store.down_for = set()
            assert [event.sequence for event in await events(connection, 2)] == [1, 2]

    served(test)


def test_readers_of_the_same_past_read_it_from_the_store_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "RING_EVENTS", 4)
    monkeypatch.setattr(archive, "PAGE_EVENTS", 6)

    async def test(world: World) -> None:
        for _ in range(5):
            await world.confirm(await post(world))
        looks: list[int] = []
        events_since = world.store.events_since

        async def counted(sequence: int, limit: int = 1000) -> list[OrderEvent]:
            if limit == archive.PAGE_EVENTS:
                looks.append(sequence)
            return await events_since(sequence, limit)

        monkeypatch.setattr(world.store, "events_since", counted)

        async def reader(start: int) -> list[int]:
            async with socket(world) as connection:
                await send(connection, op="subscribe", all=True, from_seq=start)
                assert isinstance(await receive(connection), wire.Subscribed)
                return [event.sequence for event in await events(connection, 30 - start)]

        starts = [0, 0, 1, 5, 6, 13, 0, 0]
        assert await asyncio.gather(*map(reader, starts)) == [list(range(start + 1, 31)) for start in starts]
        assert sorted(looks) == [0, 6, 12, 18, 24]

    served(test)


LARGE = {**BODY, "pools": [WALLET] * 32, "exclude_pools": [OTHER_WALLET] * 32}
"""An order whose first event has several kilobytes."""


@asynccontextmanager
async def stuck_socket(world: World) -> AsyncIterator[ClientConnection]:
    """A subscriber of everything that has stopped reading; its buffers are small."""
    plain = plain_socket.socket()
    plain.setsockopt(plain_socket.SOL_SOCKET, plain_socket.SO_RCVBUF, 4_096)
    plain.connect(("127.0.0.1", world.server.port))
    async with socket(world, sock=plain, max_queue=1, ping_interval=None) as stuck:
        await send(stuck, op="subscribe", all=True, from_seq=0)
        assert isinstance(await receive(stuck), wire.Subscribed)
        stuck.transport.pause_reading()
        yield stuck


async def take(connection: ClientConnection, into: list[int]) -> None:
    while True:
        into += [event.sequence for event in await events(connection, 1)]


async def flood_until_dropped(world: World) -> int:
    """Make orders until a reader is dropped; how many."""
    made = 0
    spec = parse_order(json.dumps(LARGE).encode(), world.services, "default", None)
    while not world.api.hub.dropped:
        await asyncio.gather(*(world.intake.submit(spec) for _ in range(20)))
        made += 20
        assert made < 20_000
    return made


def test_a_stuck_reader_is_dropped_with_1013_stalls_nobody_and_can_resume() -> None:
    async def test(world: World) -> None:
        async with socket(world) as good, stuck_socket(world) as stuck:
            await send(good, op="subscribe", all=True, from_seq=0)
            assert isinstance(await receive(good), wire.Subscribed)
            taken: list[int] = []
            reading = asyncio.create_task(take(good, taken))
            made = await flood_until_dropped(world)
            while len(taken) < made:
                await asyncio.sleep(0)
            reading.cancel()
            assert taken == list(range(1, made + 1))
            stuck.transport.resume_reading()
            seen = 0
            with contextlib.suppress(ConnectionClosed):
                async for text in stuck:
                    frame = wire.decode(text, wire.ServerFrame)
                    assert isinstance(frame, wire.EventFrame)
                    assert frame.event.sequence == seen + 1
                    seen += 1
            assert stuck.close_code == 1013
            assert 0 < seen < made
        async with socket(world) as again:
            await send(again, op="subscribe", all=True, from_seq=seen)
            assert isinstance(await receive(again), wire.Subscribed)
            rest = await events(again, made - seen)
            assert [event.sequence for event in rest] == list(range(seen + 1, made + 1))
        async with world.client() as client:
            assert (await client.get("/v1/stats")).json()["streams"]["dropped_total"] == 1

    served(test, stream_buffer_events=50)


def test_a_dropped_reader_that_never_reads_again_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "CLOSE_TIMEOUT_S", 0.05)

    async def test(world: World) -> None:
        async with stuck_socket(world) as stuck:
            await flood_until_dropped(world)
            while world.api.hub.readers:
                await asyncio.sleep(0.01)
            stuck.transport.abort()

    served(test, stream_buffer_events=10)
