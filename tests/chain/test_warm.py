"""What is held ready for transactions: never older than allowed, asked for by nobody who can go without."""

from __future__ import annotations

import asyncio
from typing import Any

from solders.hash import Hash

from fakes.clock import ManualClock
from fillwright.chain.messages import BlockhashJson, Context, FeeSample, InContext
from fillwright.chain.warm import FEES_FRESH_S, FEES_USABLE_S, RecentBlockhash, RecentFees
from fillwright.domain.errors import ChainError


def hash_of(number: int) -> str:
    return str(Hash.hash(bytes([number])))


class FakeRpc:
    """Answers with a count; `down`: with nothing."""

    def __init__(self) -> None:
        self.calls = 0
        self.down = False

    async def call(self, method: str, params: Any, kind: Any) -> Any:
        await asyncio.sleep(0)
        self.calls += 1
        if self.down:
            raise ChainError("away")
        if method == "getLatestBlockhash":
            return InContext(Context(1), BlockhashJson(hash_of(self.calls), 100 + self.calls))
        assert method == "getRecentPrioritizationFees"
        return [FeeSample(1, self.calls)]


def test_a_blockhash_is_held_for_its_life_and_comes_with_its_own_height() -> None:
    async def run() -> None:
        rpc, clock = FakeRpc(), ManualClock()
        held = RecentBlockhash(rpc, clock, 2.0)  # type: ignore[arg-type]
        first = await held.get()
        await clock.advance(1.9)
        assert await held.get() == first
        await clock.advance(0.2)
        second = await held.get()
        assert (second.value, second.last_valid_block_height) == (hash_of(2), 102)
        held.forget()
        assert (await held.get()).value == hash_of(3)
        asked = RecentBlockhash(rpc, clock)  # type: ignore[arg-type]
        assert await asked.get() != await asked.get()

    asyncio.run(run())


def test_who_keeps_a_blockhash_renews_it_before_anybody_needs_it() -> None:
    async def run() -> None:
        rpc, clock = FakeRpc(), ManualClock()
        held = RecentBlockhash(rpc, clock, 2.0)  # type: ignore[arg-type]
        keeping = asyncio.create_task(held.keep())
        await clock.advance(10.0)
        calls = rpc.calls
        assert calls == 11
        assert (await held.get()).value == hash_of(calls)
        assert rpc.calls == calls
        rpc.down = True
        await clock.advance(5.0)
        rpc.down = False
        assert (await held.get()).last_valid_block_height == 100 + rpc.calls
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(run())


def test_fees_are_known_by_account_and_asked_for_while_older_ones_serve() -> None:
    async def run() -> None:
        rpc, clock = FakeRpc(), ManualClock()
        fees = RecentFees(rpc, clock)  # type: ignore[arg-type]
        assert await fees.of(["a"]) == (1,)
        assert await fees.of(["b", "a"]) == (2,)
        assert await fees.of(["a", "b"]) == (2,)
        await clock.advance(FEES_FRESH_S + 1)
        assert await fees.of(["a"]) == (1,)
        await clock.advance(0.1)
        assert await fees.of(["a"]) == (3,)
        await clock.advance(FEES_USABLE_S + 1)
        assert await fees.of(["a"]) == (4,)
        rpc.down = True
        assert await fees.of(["c"]) == ()
        await fees.close()

    asyncio.run(run())
