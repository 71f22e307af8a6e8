"""News of a signature: told once per commitment, and never a reason to ask in circles."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from fakes.clock import ManualClock
from fillwright.chain import news
from fillwright.chain.news import SignatureNews

RAW = msgspec.Raw(b"{}")


class FakeSubscription:
    def __init__(self, stream: FakeStream, params: Any, on_message: Any) -> None:
        self.stream, self.params, self.on_message = stream, params, on_message

    def close(self) -> None:
        self.stream.open.remove(self)


class FakeStream:
    is_connected = True

    def __init__(self) -> None:
        self.open: list[FakeSubscription] = []

    def subscribe(self, method: str, params: Any, on_message: Any, on_gap: Any = None) -> FakeSubscription:
        assert method == "signatureSubscribe"
        self.open.append(FakeSubscription(self, params, on_message))
        return self.open[-1]

    def tell(self, signature: str, commitment: str) -> None:
        for each in list(self.open):
            if each.params == [signature, {"commitment": commitment}]:
                each.on_message(RAW)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_each_commitment_wakes_the_waiter_once() -> None:
    async def run() -> None:
        stream, clock = FakeStream(), ManualClock()
        told = SignatureNews(stream, clock)  # type: ignore[arg-type]
        for commitment in ("confirmed", "finalized"):
            waiting = asyncio.create_task(told.wait("s", 60.0))
            await turns()
            assert not waiting.done()
            stream.tell("s", commitment)
            await waiting
        assert stream.open == []
        waiting = asyncio.create_task(told.wait("s", 60.0))
        await turns()
        assert not waiting.done()
        assert stream.open == []
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(run())


def test_news_between_two_waits_is_not_lost() -> None:
    async def run() -> None:
        stream = FakeStream()
        told = SignatureNews(stream, ManualClock())  # type: ignore[arg-type]
        first = asyncio.create_task(told.wait("s", 60.0))
        await turns()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        stream.tell("s", "finalized")
        await asyncio.wait_for(told.wait("s", 60.0), 5.0)

    asyncio.run(run())


def test_what_is_followed_is_bounded(monkeypatch: Any) -> None:
    async def run() -> None:
        monkeypatch.setattr(news, "MAX_FOLLOWED", 3)
        stream = FakeStream()
        told = SignatureNews(stream, ManualClock())  # type: ignore[arg-type]
        waits = [asyncio.create_task(told.wait(f"s{number}", 60.0)) for number in range(10)]
        await turns()
        assert len(stream.open) == 6
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    asyncio.run(run())
