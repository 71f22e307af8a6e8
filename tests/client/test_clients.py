"""Both clients against a real engine in this process."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from client.engines import EAGER, engine
from fillwright import wire
from fillwright.app import Engine
from fillwright.client import ApiError, AsyncClient, Client, Unreachable
from fillwright.config import ApiKey, Scope

SOL_TO_USDC: dict[str, Any] = {"input": "SOL", "output": "USDC", "amount": "1"}
LIMIT_S = 30.0
NEVER = "2100-01-01T00:00:00Z"


def run(data_dir: Path, test: Callable[[Engine, AsyncClient], Awaitable[None]], **changes: Any) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(LIMIT_S),
            engine(data_dir, **changes) as running,
            AsyncClient(running.url, patience=EAGER) as client,
        ):
            await test(running, client)

    asyncio.run(main())


def test_an_order_is_submitted_watched_and_read(tmp_path: Path) -> None:
    async def test(_: Engine, client: AsyncClient) -> None:
        placed = await client.submit(input="SOL", output="USDC", amount=Decimal("1.50"), client_order_id="mine")
        seen = [event async for event in client.stream(placed.id)]
        ended = await client.get(placed.id)
        assert [event.number for event in seen] == list(range(1, ended.version + 1))
        assert seen == await client.events(placed.id)
        assert (ended.status, ended.amount, ended.client_order_id) == ("confirmed", "1.5", "mine")
        assert ended == await client.wait(placed.id)
        assert [order.id async for order in client.orders(client_order_id="mine")] == [placed.id]

    run(tmp_path, test)


def test_the_same_order_again_is_the_same_order_and_another_one_is_refused(tmp_path: Path) -> None:
    async def test(_: Engine, client: AsyncClient) -> None:
        first, again = [await client.submit(**SOL_TO_USDC, client_order_id="k") for _ in range(2)]
        assert first.id == again.id
        with pytest.raises(ApiError) as refused:
            await client.submit(input="SOL", output="USDC", amount="2", client_order_id="k")
        assert (refused.value.status, refused.value.code) == (409, "idempotency_mismatch")

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"amount": "1e3"}, "amount_format"),
        ({"amount": 1.5}, "amount_format"),
        ({"input": "NOPE"}, "token_unknown"),
        ({"colour": "red"}, "unknown_field"),
        ({"slippage_bps": 10_001}, "slippage_out_of_range"),
    ],
)
def test_a_refused_order_is_told_with_the_server_s_own_code(tmp_path: Path, fields: dict[str, Any], code: str) -> None:
    async def test(_: Engine, client: AsyncClient) -> None:
        with pytest.raises(ApiError) as refused:
            await client.submit(**{**SOL_TO_USDC, **fields})
        assert refused.value.code == code
        assert refused.value.problem is not None

    run(tmp_path, test)


def test_a_quote_has_every_pool_s_answer(tmp_path: Path) -> None:
    async def test(_: Engine, client: AsyncClient) -> None:
        quote = await client.quote(**SOL_TO_USDC, slippage_bps=10)
        assert quote.route is not None
        assert {candidate.dex for candidate in quote.candidates} == {"raydium", "meteora"}

    run(tmp_path, test)


def test_an_order_that_waits_can_be_cancelled_and_released_once(tmp_path: Path) -> None:
    async def test(_: Engine, client: AsyncClient) -> None:
        waiting = await client.submit(**SOL_TO_USDC, not_before=NEVER)
        assert (await client.cancel(waiting.id)).status == "cancelled"
        with pytest.raises(ApiError) as refused:
            await client.cancel(waiting.id)
        assert refused.value.code == "not_cancellable"
        held = await client.submit(**SOL_TO_USDC, hold=True)
        await client.release(held.id)
        assert (await client.wait(held.id)).status == "confirmed"

    run(tmp_path, test)


def test_orders_are_listed_over_pages_and_filtered(tmp_path: Path) -> None:
    async def test(_: Engine, client: AsyncClient) -> None:
        held = (client.submit(**SOL_TO_USDC, hold=True) for _ in range(wire.MAX_PAGE + 5))
        newest_first = sorted((order.id for order in await asyncio.gather(*held)), reverse=True)
        assert [order.id async for order in client.orders()] == newest_first
        assert [order.id async for order in client.orders(limit=wire.MAX_PAGE + 1)] == newest_first[: wire.MAX_PAGE + 1]
        assert [order.id async for order in client.orders(limit=2)] == newest_first[:2]
        assert [order.id async for order in client.orders(pair="USDC/SOL")] == []
        with pytest.raises(ApiError):
            [order async for order in client.orders(status="nonsense")]

    run(tmp_path, test)


def test_the_stream_of_an_order_that_has_ended_ends_wherever_it_begins(tmp_path: Path) -> None:
    async def test(_: Engine, client: AsyncClient) -> None:
        order = await client.submit(**SOL_TO_USDC)
        whole = [event async for event in client.stream(order.id)]
        for seen, event in enumerate(whole, start=1):
            rest = [later async for later in client.stream(order.id, from_seq=event.sequence)]
            assert rest == whole[seen:]

    run(tmp_path, test)


def test_a_sequence_from_the_future_and_an_unknown_order_are_refused(tmp_path: Path) -> None:
    async def test(_: Engine, client: AsyncClient) -> None:
        order = await client.submit(**SOL_TO_USDC, hold=True)
        for order_id, from_seq, code in (
            (order.id, 10**6, "sequence_unknown"),
            (order.id.replace("-7", "-8"), None, "not_found"),
            ("nonsense", None, "id_invalid"),
        ):
            with pytest.raises(ApiError) as refused:
                [event async for event in client.stream(order_id, from_seq=from_seq)]
            assert refused.value.code == code

    run(tmp_path, test)


def test_every_reader_of_everything_sees_each_event_once_and_in_order(tmp_path: Path) -> None:
    async def test(_: Engine, client: AsyncClient) -> None:
        orders = await asyncio.gather(*(client.submit(**SOL_TO_USDC, slippage_bps=5_000) for _ in range(20)))
        await asyncio.gather(*(client.wait(order.id) for order in orders))
        last = (await client.stats()).last_sequence
        seen: list[int] = []
        async with aclosing(client.stream(from_seq=0)) as events:
            async for event in events:
                seen.append(event.sequence)
                if event.sequence == last:
                    break
        assert seen == list(range(1, last + 1))

    run(tmp_path, test)


def test_a_wallet_s_stream_has_only_its_own_orders(tmp_path: Path) -> None:
    wallet = "So11111111111111111111111111111111111111112"

    async def test(_: Engine, client: AsyncClient) -> None:
        await client.submit(**SOL_TO_USDC)
        mine = await client.submit(**SOL_TO_USDC, wallet=wallet)
        async with aclosing(client.stream(wallet=wallet, from_seq=0)) as events:
            async for event in events:
                assert event.order_id == mine.id
                if event.status == "confirmed":
                    break

    run(tmp_path, test)


def test_waiting_ends_in_time(tmp_path: Path) -> None:
    async def test(_: Engine, client: AsyncClient) -> None:
        held = await client.submit(**SOL_TO_USDC, hold=True)
        with pytest.raises(TimeoutError):
            await client.wait(held.id, timeout_s=0.1)

    run(tmp_path, test)


def test_without_a_server_a_call_and_a_stream_give_up(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"

    async def test() -> None:
        async with AsyncClient(url, patience=EAGER) as client:
            with pytest.raises(Unreachable):
                await client.stats()
            with pytest.raises(Unreachable):
                [event async for event in client.stream()]

    asyncio.run(test())
    with Client(url, patience=EAGER) as blocking:
        with pytest.raises(Unreachable):
            blocking.stats()
        with pytest.raises(Unreachable):
            list(blocking.stream())


@asynccontextmanager
async def keyed(data_dir: Path) -> AsyncIterator[Engine]:
    digest = hashlib.sha256(b"reader's key").hexdigest()
    async with engine(data_dir, api_keys=(ApiKey("a", digest, (Scope.READ,)),)) as running:
        yield running


@pytest.mark.parametrize(("key", "status", "code"), [(None, 401, "key_missing"), ("wrong", 401, "key_unknown")])
def test_a_caller_without_a_valid_key_is_refused_at_once(
    tmp_path: Path, key: str | None, status: int, code: str
) -> None:
    async def test() -> None:
        async with keyed(tmp_path) as running, AsyncClient(running.url, api_key=key) as client:
            with pytest.raises(ApiError) as call:
                await client.stats()
            with pytest.raises(ApiError) as stream:
                [event async for event in client.stream()]
            for refused in (call.value, stream.value):
                assert (refused.status, refused.code) == (status, code)

    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


def test_a_key_that_may_only_read_reads_and_streams_but_does_not_trade(tmp_path: Path) -> None:
    async def test() -> None:
        async with keyed(tmp_path) as running, AsyncClient(running.url, api_key="reader's key") as client:
            assert (await client.stats()).mode == "paper"
            with pytest.raises(ApiError) as refused:
                await client.submit(**SOL_TO_USDC)
            assert (refused.value.status, refused.value.code) == (403, "scope_missing")

    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


def test_a_stream_that_the_server_ends_is_resumed_until_there_is_no_server(tmp_path: Path) -> None:
    async def test() -> None:
        async with engine(tmp_path) as running:
            client = AsyncClient(running.url, patience=EAGER)
            held = await client.submit(**SOL_TO_USDC, hold=True)
            events = client.stream(held.id)
            assert (await anext(events)).type == "accepted"
        with pytest.raises(Unreachable):
            await anext(events)
        await client.close()

    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


def test_the_blocking_client_does_the_same(tmp_path: Path) -> None:
    def use(url: str) -> None:
        with Client(url, patience=EAGER) as client:
            placed = client.submit(**SOL_TO_USDC)
            seen = list(client.stream(placed.id))
            assert seen == client.events(placed.id)
            assert list(client.stream(placed.id, from_seq=seen[-1].sequence)) == []
            assert client.wait(placed.id, timeout_s=LIMIT_S) == client.get(placed.id)
            held = client.submit(**SOL_TO_USDC, hold=True)
            with pytest.raises(TimeoutError):
                client.wait(held.id, timeout_s=0.1)
            assert client.cancel(held.id).status == "cancelled"
            again = client.submit(**SOL_TO_USDC, hold=True)
            assert client.release(again.id).status == "pending"
            assert [order.id for order in client.orders(limit=3)] == [again.id, held.id, placed.id]
            assert client.quote(**SOL_TO_USDC).route is not None
            assert {token.symbol for token in client.tokens()} >= {"SOL", "USDC"}
            assert client.pools().pools
            assert client.stats().mode == "paper"

    async def test() -> None:
        async with engine(tmp_path) as running:
            await asyncio.to_thread(use, running.url)

    asyncio.run(asyncio.wait_for(test(), LIMIT_S))
