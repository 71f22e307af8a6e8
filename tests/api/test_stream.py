"""The WebSocket: every event once and in order, whatever happens to the connection."""

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
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.world import OTHER_WALLET, WALLET, World, served
from fillwright import observe, wire
from fillwright.api import outbox, streams
from fillwright.api.orders import parse_order

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
    monkeypatch.setattr(streams, "REPLAY_BATCH", 100)
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
    monkeypatch.setattr(streams, "REPLAY_BATCH", 3)

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


def test_heartbeats_say_how_far_the_stream_is() -> None:
    async def test(world: World) -> None:
        await world.confirm(await post(world))
        async with socket(world) as connection:
            frame = await receive(connection)
            assert isinstance(frame, wire.Heartbeat)
            assert (frame.mode, frame.sequence) == ("paper", 6)
            await post(world)
            while (frame := await receive(connection)).sequence < 7:
                assert isinstance(frame, wire.Heartbeat)

    served(test, stream_heartbeat_s=0.02)


def test_a_ping_is_answered() -> None:
    async def test(world: World) -> None:
        async with socket(world) as connection:
            await send(connection, op="ping")
            assert isinstance(await receive(connection), wire.Heartbeat)

    served(test)


MISSING = "01900000-0000-7000-8000-000000000000"
SENSELESS: list[tuple[str | bytes, str]] = [
    ("", "json_invalid"),
    ("hello", "json_invalid"),
    ("{", "json_invalid"),
    ('{"op": NaN}', "json_invalid"),
    ('{"op": "ping", "op": "ping"}', "json_invalid"),
    ("[" * 1_000, "json_invalid"),
    (b'{"op": "ping"}', "binary_frame"),
    (b"", "binary_frame"),
    ("[]", "unknown_op"),
    ("null", "unknown_op"),
    ("{}", "unknown_op"),
    ('{"op": 1}', "unknown_op"),
    ('{"op": "SUBSCRIBE"}', "unknown_op"),
    ('{"op": "ping", "x": 1}', "unknown_field"),
    ('{"op": "subscribe"}', "target_invalid"),
    ('{"op": "subscribe", "all": false}', "target_invalid"),
    ('{"op": "subscribe", "all": 1}', "field_type"),
    (f'{{"op": "subscribe", "all": true, "wallet": "{WALLET}"}}', "target_invalid"),
    ('{"op": "subscribe", "wallet": "x"}', "wallet_invalid"),
    ('{"op": "subscribe", "order_id": "x"}', "id_invalid"),
    ('{"op": "subscribe", "order_id": 1}', "id_invalid"),
    ('{"op": "subscribe", "all": true, "from_seq": "1"}', "field_type"),
    ('{"op": "subscribe", "all": true, "from_seq": -1}', "field_range"),
    ('{"op": "subscribe", "all": true, "from_seq": 1.5}', "field_type"),
    ('{"op": "subscribe", "all": true, "from_seq": 7}', "sequence_unknown"),
]


def test_every_senseless_frame_gets_an_error_frame_and_the_fifth_closes() -> None:
    async def test(world: World) -> None:
        for start in range(0, len(SENSELESS), 5):
            async with socket(world) as connection:
                for frame, code in SENSELESS[start : start + 5]:
                    await connection.send(frame)
                    error = await receive(connection)
                    assert isinstance(error, wire.StreamError), frame
                    assert (error.code, error.mode) == (code, "paper"), frame
                with pytest.raises(ConnectionClosed) as closed:
                    await connection.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1008

    served(test)


def test_an_order_that_is_not_there_does_not_count_as_senseless() -> None:
    async def test(world: World) -> None:
        async with socket(world) as connection:
            for _ in range(6):
                await send(connection, op="subscribe", order_id=MISSING)
                error = await receive(connection)
                assert isinstance(error, wire.StreamError)
                assert error.code == "not_found"
            await send(connection, op="unsubscribe", all=True)
            error = await receive(connection)
            assert isinstance(error, wire.StreamError)
            assert error.code == "not_subscribed"
            await send(connection, op="subscribe", all=True)
            assert isinstance(await receive(connection), wire.Subscribed)

    served(test)


def test_a_frame_over_16_kib_closes_with_1009() -> None:
    async def test(world: World) -> None:
        async with socket(world) as connection:
            await connection.send('{"op": "ping"}'.ljust(16_384))
            assert isinstance(await receive(connection), wire.Heartbeat)
            await connection.send('{"op": "ping"}'.ljust(16_385))
            with pytest.raises(ConnectionClosed) as closed:
                await connection.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009

    served(test)


def test_a_page_of_another_site_may_not_open_a_stream() -> None:
    async def test(world: World) -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with socket(world, origin="https://evil.example"):
                pass
        response = refused.value.response
        assert response.status_code == 403
        assert response.headers["Fillwright-Mode"] == "paper"
        assert wire.decode(bytes(response.body), wire.Problem).code == "origin_not_allowed"
        for origin in (world.url, "https://desk.example"):
            async with socket(world, origin=origin) as connection:
                await send(connection, op="ping")
                assert isinstance(await receive(connection), wire.Heartbeat)

    served(test, cors_origins="https://desk.example")


def test_too_many_streams_are_refused_and_leaving_makes_room() -> None:
    async def test(world: World) -> None:
        async with socket(world), socket(world) as second:
            with pytest.raises(InvalidStatus) as refused:
                async with socket(world):
                    pass
            assert refused.value.response.status_code == 503
            assert "Retry-After" in refused.value.response.headers
            await second.close()
            while world.api.hub.readers > 1:
                await asyncio.sleep(0)
            async with socket(world) as third:
                await send(third, op="ping")
                assert isinstance(await receive(third), wire.Heartbeat)

    served(test, max_streams=2)


def test_a_stopping_engine_closes_its_streams() -> None:
    async def test(world: World) -> None:
        async with socket(world) as connection:
            await send(connection, op="subscribe", all=True)
            assert isinstance(await receive(connection), wire.Subscribed)
            await world.server.stop()
            with pytest.raises(ConnectionClosed) as closed:
                await connection.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        assert world.api.hub.readers == 0

    served(test)


def test_a_dropped_reader_that_never_reads_again_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "CLOSE_TIMEOUT_S", 0.05)

    async def test(world: World) -> None:
        async with stuck_socket(world) as stuck:
            await flood_until_dropped(world)
            while world.api.hub.readers:
                await asyncio.sleep(0.01)
            stuck.transport.abort()

    served(test, stream_buffer_events=10)
