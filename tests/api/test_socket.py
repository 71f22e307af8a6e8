"""The WebSocket itself: heartbeats, senseless frames, limits, origins, the end."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.sockets import post, receive, send, socket
from api.world import WALLET, World, served
from fillwright import wire


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
        for theirs in ("https://evil.example", "http://["):
            with pytest.raises(InvalidStatus) as refused:
                async with socket(world, origin=theirs):
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


def test_a_socket_at_another_path_is_a_404_problem() -> None:
    async def test(world: World) -> None:
        for path in ("/v1/streams", "/v1/orders", "/"):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(world.stream_url.replace("/v1/stream", path), proxy=None):
                    pass
            response = refused.value.response
            assert response.status_code == 404
            assert response.headers["content-type"] == wire.PROBLEM_TYPE
            assert wire.decode(bytes(response.body), wire.Problem).code == "not_found"

    served(test)


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
