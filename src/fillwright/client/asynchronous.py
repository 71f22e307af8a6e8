"""The client for asyncio programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Self, TypeVar, Unpack, cast

import httpx2
from websockets.asyncio.client import ClientConnection, connect

from fillwright import wire
from fillwright.client import calls
from fillwright.client.calls import DEFAULT_URL, Call, OrderFields, OrderWhere, QuoteFields
from fillwright.client.errors import Patience
from fillwright.client.feed import BROKEN, Feed, options

T = TypeVar("T")


class AsyncClient:
    """`async with AsyncClient(url) as client: …`. Every call raises ApiError and Unreachable."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        patience: Patience = Patience(),  # noqa: B008 - frozen
    ) -> None:
        """`timeout_s` bounds each try of a call. Raises ConfigError for a URL that is none."""
        self._url = calls.checked_url(url)
        self._headers = calls.auth_headers(api_key)
        self._patience = patience
        self._http = httpx2.AsyncClient(
            base_url=self._url, headers=self._headers, timeout=timeout_s, trust_env=calls.uses_proxy(url)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def submit(self, **order: Unpack[OrderFields]) -> wire.OrderView:
        """Order, such as `input="SOL", output="USDC", amount="1.5"`. The order is durable once this returns.

        To be safe across restarts of the caller too, give a `client_order_id` of your own and submit the same
        fields again: it is the same order. ApiError `idempotency_mismatch`: other fields came with this id.
        """
        return await self._send(calls.submit(order))

    async def quote(self, **order: Unpack[QuoteFields]) -> wire.QuoteView:
        """What an order with these fields would get now. `route` is None where nothing is executable."""
        return await self._send(calls.quote(order))

    async def get(self, order_id: str) -> wire.OrderView:
        return await self._send(calls.order(order_id))

    async def explain(self, order_id: str, *, number: int | None = None) -> wire.ExplainView:
        """The order's last routing decision, or that of event `number`, worked out again from what was stored with
        it. ApiError `not_routed`: there is none."""
        return await self._send(calls.explain(order_id, number))

    async def cancel(self, order_id: str) -> wire.OrderView:
        """Cancel before anything is sent. ApiError `not_cancellable`: it is too late, or has ended before."""
        return await self._send(calls.cancel(order_id))

    async def release(self, order_id: str) -> wire.OrderView:
        """Let a held order go. ApiError `illegal_transition`: it is not waiting."""
        return await self._send(calls.release(order_id))

    async def events(self, order_id: str) -> list[wire.EventView]:
        """The order's whole log so far."""
        found: list[wire.EventView] = []
        after: int | None = 0
        while after is not None:
            page = await self._send(calls.events(order_id, after))
            found += page.events
            after = page.next_after
        return found

    async def orders(
        self, *, limit: int | None = None, **where: Unpack[OrderWhere]
    ) -> AsyncGenerator[wire.OrderView, None]:
        """Orders, newest first, `limit` at most."""
        cursor, left = None, limit
        while left is None or left > 0:
            page = await self._send(calls.orders(where, cursor, left))
            for order in page.orders[:left]:
                yield order
            left = None if left is None else left - len(page.orders)
            cursor = page.next_cursor
            if cursor is None:
                return

    async def tokens(self) -> list[wire.TokenView]:
        return (await self._send(calls.TOKENS)).tokens

    async def pools(self) -> wire.PoolPage:
        return await self._send(calls.POOLS)

    async def stats(self) -> wire.StatsView:
        return await self._send(calls.STATS)

    async def queue(self) -> wire.QueueView:
        """The queue, for operators."""
        return await self._send(calls.QUEUE)

    async def turn_queue(self, turn: str) -> wire.QueueView:
        """`pause`, `resume` or `drain` the queue."""
        return await self._send(calls.turn_queue(turn))

    async def release_pool(self, address: str) -> wire.PoolReleased:
        """Have a quarantined pool quoted again."""
        return await self._send(calls.release_pool(address))

    async def wait(self, order_id: str, *, timeout_s: float | None = None) -> wire.OrderView:
        """The order once it has ended. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            async with aclosing(self.stream(order_id)) as events:
                async for _ in events:
                    pass
            return await self.get(order_id)

    async def stream(
        self, order_id: str | None = None, *, wallet: str | None = None, from_seq: int | None = None
    ) -> AsyncGenerator[wire.EventView, None]:
        """Events of one order (ends after its terminal event), of a wallet, or of all orders; resumes by itself.

        `from_seq`: the sequence of the last event already seen. Without it an order's stream begins with its
        first event, the others with the next one.
        """
        feed = Feed(order_id, wallet, from_seq, self._patience)
        while not feed.ended:
            try:
                async with connect(**options(self._url, self._headers)) as socket:
                    for frame in feed.hello():
                        await socket.send(frame)
                    while not feed.ended:
                        event = feed.take(await self._receive(socket, feed))
                        if event is not None:
                            yield event
            except BROKEN as error:
                await asyncio.sleep(feed.broken(error))

    async def _receive(self, socket: ClientConnection, feed: Feed) -> str | bytes:
        """The next frame. Raises what BROKEN lists."""
        while True:
            try:
                async with asyncio.timeout(self._patience.quiet_s):
                    return await socket.recv()
            except TimeoutError:
                await socket.send(feed.quiet())

    async def _send(self, call: Call[T]) -> T:
        course = calls.exchange(call, self._patience, self._url)
        reply: calls.Reply = None
        try:
            while True:
                step = course.send(reply)
                reply = None
                if isinstance(step, Call):
                    reply = await self._request(step)
                else:
                    await asyncio.sleep(step)
        except StopIteration as done:
            return cast(T, done.value)

    async def _request(self, call: Call[object]) -> httpx2.Response | httpx2.TransportError:
        try:
            return await self._http.request(
                call.method, call.path, params=call.params, content=call.body, headers=call.headers
            )
        except httpx2.TransportError as error:
            return error
