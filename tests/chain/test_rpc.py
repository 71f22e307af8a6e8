"""Several endpoints: failover, limits, health, and a node's errors in the domain's words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web

from fillwright.chain.endpoint import EndpointState, RateLimit, RpcEndpoint, endpoint_from_url
from fillwright.chain.messages import RpcErrorBody
from fillwright.chain.rpc import NodeFault, Rpc, translate
from fillwright.chain.sender import NodeSender, Senders
from fillwright.domain.errors import AlreadyProcessed, BlockhashNotFound, ChainError

Answer = Callable[[dict[str, Any]], web.Response]


class FakeClock:
    """A clock that moves when somebody sleeps on it."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def now_ms(self) -> int:
        return int(self.now_s * 1_000)

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        await asyncio.sleep(0)


class FakeNode:
    """An endpoint that answers as it is told and remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.url = ""

    async def open(self) -> None:
        app = web.Application()
        app.router.add_post("/", self._handle)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/?api-key=CANARY"

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read())
        self.asked.append(body)
        return self.answer(body)


def ok(result: object) -> Answer:
    return lambda body: web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": result})


def error(code: int, message: str, data: object = None) -> Answer:
    problem = {"code": code, "message": message, "data": data}
    return lambda body: web.json_response({"jsonrpc": "2.0", "id": body["id"], "error": problem})


def status(code: int, headers: dict[str, str] | None = None) -> Answer:
    return lambda body: web.Response(status=code, text="no", headers=headers)


def with_nodes(test: Callable[..., Any], *answers: Answer, rate: float = 0.0) -> None:
    async def run() -> None:
        nodes = [FakeNode(answer) for answer in answers]
        for node in nodes:
            await node.open()
        clock = FakeClock()
        endpoints = [RpcEndpoint(f"n{i}", node.url, requests_per_s=rate, burst=1) for i, node in enumerate(nodes)]
        rpc = Rpc(endpoints, clock)
        await rpc.open()
        try:
            await test(rpc, nodes, clock)
        finally:
            await rpc.close()
            for node in nodes:
                await node.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "broken", [status(503), status(429), error(-32005, "Node is behind by 42 slots"), error(-32603, "Internal error")]
)
def test_another_endpoint_answers_where_the_first_fails(broken: Answer) -> None:
    async def test(rpc: Rpc, nodes: list[FakeNode], clock: FakeClock) -> None:
        assert await rpc.call("getSlot", [], int) == 7
        assert await rpc.call("getSlot", [], int) == 7
        # The broken one is left alone for a while, then asked again.
        assert [len(node.asked) for node in nodes] == [1, 2]
        clock.now_s += 1
        nodes[0].answer = ok(8)
        assert await rpc.call("getSlot", [], int) == 8

    with_nodes(test, broken, ok(7))


def test_an_endpoint_that_keeps_failing_is_left_alone_for_longer_each_time() -> None:
    state = EndpointState(RpcEndpoint("a", "http://127.0.0.1"))
    pauses = []
    for _ in range(8):
        state.failed(0.0)
        pauses.append(state.paused_until_s)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    state.succeeded(0.1)
    assert state.failures == 0


def test_a_refused_request_is_not_carried_to_another_endpoint() -> None:
    async def test(rpc: Rpc, nodes: list[FakeNode], clock: FakeClock) -> None:
        with pytest.raises(ChainError) as refused:
            await rpc.call("getSlot", [], int)
        assert refused.value.code == "rpc_refused"
        assert [len(node.asked) for node in nodes] == [1, 0]

    with_nodes(test, error(-32602, "Invalid params"), ok(1))


@pytest.mark.parametrize("result", ["text", None, {"a": 1}, 1.5])
def test_an_answer_of_the_wrong_shape_is_a_fault(result: object) -> None:
    async def test(rpc: Rpc, nodes: list[FakeNode], clock: FakeClock) -> None:
        with pytest.raises(NodeFault):
            await rpc.call("getSlot", [], int)

    with_nodes(test, ok(result))


def test_no_error_tells_the_address_which_may_hold_a_key() -> None:
    async def test(rpc: Rpc, nodes: list[FakeNode], clock: FakeClock) -> None:
        await nodes[0].close()
        with pytest.raises(ChainError) as fault:
            await rpc.call("getSlot", [], int)
        chain: BaseException | None = fault.value
        while chain is not None:
            assert "CANARY" not in str(chain)
            chain = chain.__cause__

    with_nodes(test, ok(1))


def test_an_endpoint_is_asked_no_faster_than_its_limit() -> None:
    async def test(rpc: Rpc, nodes: list[FakeNode], clock: FakeClock) -> None:
        before = clock.now_s
        for _ in range(5):
            await rpc.call("getSlot", [], int)
        assert clock.now_s - before >= 4 / 2

    with_nodes(test, ok(1), rate=2.0)


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    limit = RateLimit(10.0, 3)
    assert [limit.take(50.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limit.take(50.0) == pytest.approx(0.1)
    assert limit.take(50.11) == 0.0
    assert RateLimit(0.0, 1).take(0.0) == 0.0


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (RpcErrorBody(-32002, "Transaction simulation failed", {"err": "AlreadyProcessed"}), AlreadyProcessed),
        (RpcErrorBody(-32002, "Transaction simulation failed: Blockhash not found"), BlockhashNotFound),
        (RpcErrorBody(-32002, "Transaction simulation failed", {"err": "BlockhashNotFound"}), BlockhashNotFound),
        (RpcErrorBody(-32016, "Minimum context slot has not been reached"), NodeFault),
        (RpcErrorBody(-32000, "whatever"), NodeFault),
    ],
)
def test_errors_of_nodes_become_errors_of_the_domain(body: RpcErrorBody, kind: type[ChainError]) -> None:
    assert type(translate("n", body)) is kind


def test_every_endpoint_gets_the_same_bytes_and_one_acceptance_is_enough() -> None:
    async def test(rpc: Rpc, nodes: list[FakeNode], clock: FakeClock) -> None:
        senders = Senders([NodeSender(rpc, state) for state in rpc.endpoints])
        await senders.send(b"bytes")
        while not all(node.asked for node in nodes):
            await asyncio.sleep(0.001)
        await senders.close()
        assert {msgspec.json.encode(node.asked[0]["params"]) for node in nodes} == {
            msgspec.json.encode(["Ynl0ZXM=", {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}])
        }

    with_nodes(test, status(503), ok("sig"), error(-32002, "no"))


def test_already_processed_outweighs_other_problems() -> None:
    async def test(rpc: Rpc, nodes: list[FakeNode], clock: FakeClock) -> None:
        senders = Senders([NodeSender(rpc, state) for state in rpc.endpoints])
        with pytest.raises(AlreadyProcessed):
            await senders.send(b"bytes")
        nodes[1].answer = error(-32002, "Transaction simulation failed: Blockhash not found")
        clock.now_s += 60
        with pytest.raises(ChainError):
            await senders.send(b"bytes")
        await senders.close()

    with_nodes(test, status(503), error(-32002, "This transaction has already been processed"))


def test_the_websocket_stands_beside_the_endpoint() -> None:
    assert endpoint_from_url("http://127.0.0.1:8899").websocket_url == "ws://127.0.0.1:8900"
    assert endpoint_from_url("https://rpc.example/x?k=1").websocket_url == "wss://rpc.example/x?k=1"
    assert endpoint_from_url("https://rpc.example").name == "rpc.example"
