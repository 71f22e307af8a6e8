"""Subscriptions survive cuts: each is made again, and its owner told that something may have been missed."""

from __future__ import annotations

import asyncio

import msgspec
from tests.chain.world import until

from fillwright.chain.stream import Stream
from fillwright.clock import SystemClock
from fillwright.localnet.chain import LocalChain
from fillwright.localnet.server import LocalNode

KEY = "FAe4sisG95oZ42w7buUn5qEE4TAnfTTFPiguZUHmhiF"


def test_a_cut_socket_is_replaced_and_every_subscription_made_again() -> None:
    async def run() -> None:
        chain = LocalChain()
        node = LocalNode(chain)
        await node.open()
        stream = Stream(node.websocket_url, SystemClock())
        await stream.open()
        slots: list[int] = []
        gaps: list[int] = []

        def on_slot(raw: msgspec.Raw) -> None:
            slots.append(msgspec.json.decode(raw)["slot"])

        try:
            subscription = stream.subscribe("slotSubscribe", [], on_slot, lambda: gaps.append(stream.connections))
            await until(lambda: gaps == [1])
            chain.advance(2)
            await until(lambda: len(slots) == 2)
            node.cut_sockets()
            await until(lambda: gaps == [1, 2])
            chain.advance(1)
            await until(lambda: len(slots) == 3)
            subscription.close()
            last = stream.subscribe("slotSubscribe", [], lambda _: None, lambda: gaps.append(0))
            await until(lambda: gaps[-1] == 0)
            chain.advance(1)
            await asyncio.sleep(0.01)
            assert len(slots) == 3
            last.close()
        finally:
            await stream.close()
            await node.close()

    asyncio.run(run())


def test_a_stream_waits_for_its_node_to_come_up() -> None:
    async def run() -> None:
        chain = LocalChain()
        node = LocalNode(chain)
        await node.open()
        port = node.port
        await node.close()
        stream = Stream(f"ws://127.0.0.1:{port}", SystemClock())
        await stream.open()
        gaps: list[int] = []
        stream.subscribe("accountSubscribe", [KEY, {"commitment": "processed"}], lambda _: None, lambda: gaps.append(1))
        await asyncio.sleep(0.01)
        assert not stream.is_connected
        again = LocalNode(chain)
        await again.open(port)
        try:
            await until(lambda: gaps == [1])
        finally:
            await stream.close()
            await again.close()

    asyncio.run(run())
