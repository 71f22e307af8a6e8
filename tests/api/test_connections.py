"""Connections that bring no whole request: broken, endless and slow ones end, and say why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from api.sockets import post
from api.world import World, served
from fillwright import wire
from fillwright.api.connections import MAX_HEAD_BYTES
from fillwright.api.server import Server

BODY = b'{"input": "SOL", "output": "USDC", "amount": "1"}'
GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /v1/quotes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
    BODY
)


class Wire:
    """A client that writes whatever bytes it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next response."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(head[0].split()[1]), headers, body

    async def over(self) -> bytes:
        """What still came until the connection ended."""
        try:
            return await self._reader.read()
        except ConnectionResetError:
            return b""

    async def refusal(self) -> wire.Problem:
        """The problem with which the server ended the connection."""
        status, headers, body = await self.answer()
        assert headers["content-type"] == wire.PROBLEM_TYPE
        assert headers["connection"] == "close"
        assert headers["fillwright-mode"] == "paper"
        problem = wire.decode(body, wire.Problem)
        assert problem.status == status
        assert await self.over() == b""
        return problem


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def impatient(world: World) -> AsyncIterator[int]:
    """The port of a server that waits for nobody."""
    server = Server(world.api, world.settings, request_timeout_s=0.05)
    await server.start()
    try:
        yield server.port
    finally:
        await server.stop()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET /health/live HTTP/1.1\r\nHo st: x\r\n\r\n",
        b"POST /v1/orders HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /v1/orders HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/orders HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"FOO /v1/orders HTTP/1.1\r\n\r\n",
        GET[:-2] + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["TLS", "header name", "two lengths", "negative length", "length and chunks", "method", "chunk size"],
)
def test_what_is_no_http_is_refused_with_a_problem(data: bytes) -> None:
    async def test(world: World) -> None:
        async with connected(world.server.port) as client:
            client.write(data)
            problem = await client.refusal()
            assert (problem.status, problem.code) == (400, "request_invalid")

    served(test)


@pytest.mark.parametrize(
    "start",
    [b"GET /", b"GET / HTTP/1.1\r\nX-Long: ", b"GET / HTTP/1.1\r\nX-" + b"a" * 100],
    ids=["URL", "value", "name"],
)
def test_a_head_without_an_end_is_refused(start: bytes) -> None:
    async def test(world: World) -> None:
        async with connected(world.server.port) as client:
            client.write(start + b"a" * (MAX_HEAD_BYTES + 1 - len(start)))
            problem = await client.refusal()
            assert (problem.status, problem.code) == (431, "head_too_large")

    served(test)


def test_a_head_has_its_bound_whether_it_comes_at_once_or_in_parts() -> None:
    async def test(world: World) -> None:
        fits = GET[:-2] + b"X-Long: " + b"a" * 60_000 + b"\r\n\r\n"
        exceeds = GET[:-2] + b"X-Long: a\r\n" * 8_000 + b"\r\n"
        async with connected(world.server.port) as client:
            for _ in range(2):
                client.write(fits)
                assert (await client.answer())[0] == 200
            client.write(exceeds)
            assert (await client.refusal()).code == "head_too_large"
        async with connected(world.server.port) as client:
            client.write(fits[:30_000])
            client.write(fits[30_000:] + fits)
            assert [(await client.answer())[0] for _ in range(2)] == [200, 200]

    served(test)


@pytest.mark.parametrize("part", [GET[:-2], POST, POST + BODY[:-1]], ids=["head", "no body", "half a body"])
def test_a_request_that_does_not_come_to_its_end_is_given_up(part: bytes) -> None:
    async def test(world: World) -> None:
        async with impatient(world) as port, connected(port) as client:
            client.write(part)
            problem = await client.refusal()
            assert (problem.status, problem.code) == (408, "request_timeout")
        async with impatient(world) as port, connected(port) as client:
            client.write(GET + part)
            assert (await client.answer())[0] == 200
            assert (await client.refusal()).code == "request_timeout"

    served(test)


def test_a_connection_on_which_nothing_comes_is_closed() -> None:
    async def test(world: World) -> None:
        async with impatient(world) as port, connected(port) as client:
            assert await client.over() == b""

    served(test)


def test_a_refused_body_need_not_come() -> None:
    async def test(world: World) -> None:
        async with impatient(world) as port, connected(port) as client:
            client.write(POST.replace(b"Content-Length: ", b"Content-Length: 9999"))
            status, _, body = await client.answer()
            assert (status, json.loads(body)["code"]) == (413, "body_too_large")
            assert await client.over() == b""

    served(test)


def test_a_stream_outlives_the_patience_for_requests() -> None:
    """Also one behind which half a request waits: that is looked at when the stream has ended."""

    async def test(world: World) -> None:
        order_id = await post(world)
        async with impatient(world) as port, connected(port) as client, connected(port) as witness:
            client.write(b"GET /v1/orders/%b/events/stream HTTP/1.1\r\nHost: x\r\n\r\n" % order_id.encode())
            client.write(GET[:-2])
            witness.write(GET[:-2])
            assert (await witness.refusal()).code == "request_timeout"
            await world.confirm(order_id)
            told = await client.over()
            assert b"event: confirmed" in told
            assert told.index(b"0\r\n\r\n") < told.index(b"request_timeout")

    served(test)


def test_a_request_that_is_still_coming_holds_up_no_stop() -> None:
    async def test(world: World) -> None:
        server = Server(world.api, world.settings)
        await server.start()
        async with connected(server.port) as client, connected(server.port) as begun:
            begun.write(GET[:-2])
            client.write(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
            assert (await client.answer())[0] == 100
            await server.stop()
            problem = await client.refusal()
            assert (problem.status, problem.code, problem.retry_after_s) == (503, "shutting_down", 1)
            assert await begun.over() == b""

    served(test)


def test_nothing_is_added_to_an_answer_whose_body_goes_wrong_afterwards() -> None:
    async def test(world: World) -> None:
        async with connected(world.server.port) as client:
            client.write(b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            assert (await client.answer())[0] == 415
            client.write(b"zz\r\n")
            assert await client.over() == b""

    served(test)
