"""The client for programs without asyncio: the same calls, blocking."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from types import TracebackType
from typing import Self, TypeVar, Unpack, cast

import httpx2
from websockets.sync.client import ClientConnection, connect

from fillwright import wire
from fillwright.client import calls
from fillwright.client.calls import DEFAULT_URL, Call, OrderFields, OrderWhere, QuoteFields
from fillwright.client.errors import Patience
from fillwright.client.feed import BROKEN, Feed, options

T = TypeVar("T")

OPEN_TIMEOUT_S = 10.0


class Client:
    """`with Client(url) as client: …`. Every call raises ApiError and Unreachable. May be shared by threads."""

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
        self._http = httpx2.Client(
            base_url=self._url, headers=self._headers, timeout=timeout_s, trust_env=calls.uses_proxy(url)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def submit(self, **order: Unpack[OrderFields]) -> wire.OrderView:
        """Order, such as `input="SOL", output="USDC", amount="1.5"`. The order is durable once this returns.

        To be safe across restarts of the caller too, give a `client_order_id` of your own and submit the same
        fields again: it is the same order. ApiError `idempotency_mismatch`: other fields came with this id.
        """
        return self._send(calls.submit(order))

    def quote(self, **order: Unpack[QuoteFields]) -> wire.QuoteView:
        """What an order with these fields would get now. `route` is None where nothing is executable."""
        return self._send(calls.quote(order))

    def get(self, order_id: str) -> wire.OrderView:
        return self._send(calls.order(order_id))

    def explain(self, order_id: str, *, number: int | None = None) -> wire.ExplainView:
        """The order's last routing decision, or that of event `number`, worked out again from what was stored with
        it. ApiError `not_routed`: there is none."""
        return self._send(calls.explain(order_id, number))

    def cancel(self, order_id: str) -> wire.OrderView:
        """Cancel before anything is sent. ApiError `not_cancellable`: it is too late, or has ended before."""
        return self._send(calls.cancel(order_id))

    def release(self, order_id: str) -> wire.OrderView:
        """Let a held order go. ApiError `illegal_transition`: it is not waiting."""
        return self._send(calls.release(order_id))

    def events(self, order_id: str) -> list[wire.EventView]:
        """The order's whole log so far."""
        found: list[wire.EventView] = []
        after: int | None = 0
        while after is not None:
            page = self._send(calls.events(order_id, after))
            found += page.events
            after = page.next_after
        return found

    def orders(self, *, limit: int | None = None, **where: Unpack[OrderWhere]) -> Generator[wire.OrderView, None, None]:
        """Orders, newest first, `limit` at most."""
        cursor, left = None, limit
        while left is None or left > 0:
            page = self._send(calls.orders(where, cursor, left))
            yield from page.orders[:left]
            left = None if left is None else left - len(page.orders)
            cursor = page.next_cursor
            if cursor is None:
                return

    def tokens(self) -> list[wire.TokenView]:
        return self._send(calls.TOKENS).tokens

    def pools(self) -> wire.PoolPage:
        return self._send(calls.POOLS)

    def stats(self) -> wire.StatsView:
        return self._send(calls.STATS)

    def queue(self) -> wire.QueueView:
        """The queue, for operators."""
        return self._send(calls.QUEUE)

    def turn_queue(self, turn: str) -> wire.QueueView:
        """`pause`, `resume` or `drain` the queue."""
        return self._send(calls.turn_queue(turn))

    def release_pool(self, address: str) -> wire.PoolReleased:
        """Have a quarantined pool quoted again."""
        return self._send(calls.release_pool(address))

    def wait(self, order_id: str, *, timeout_s: float | None = None) -> wire.OrderView:
        """The order once it has ended. Raises TimeoutError."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        with closing(self._follow(Feed(order_id, None, None, self._patience), until)) as events:
            for _ in events:
                pass
        return self.get(order_id)

    def stream(
        self, order_id: str | None = None, *, wallet: str | None = None, from_seq: int | None = None
    ) -> Generator[wire.EventView, None, None]:
        """Events of one order (ends after its terminal event), of a wallet, or of all orders; resumes by itself.

        `from_seq`: the sequence of the last event already seen. Without it an order's stream begins with its
        first event, the others with the next one.
        """
        return self._follow(Feed(order_id, wallet, from_seq, self._patience), None)

    def _follow(self, feed: Feed, until: float | None) -> Generator[wire.EventView, None, None]:
        where = options(self._url, self._headers)
        while not feed.ended:
            try:
                with connect(**where, open_timeout=_left_s(until, OPEN_TIMEOUT_S)) as socket:
                    for frame in feed.hello():
                        socket.send(frame)
                    while not feed.ended:
                        event = feed.take(self._receive(socket, feed, until))
                        if event is not None:
                            yield event
            except BROKEN as error:
                time.sleep(_left_s(until, feed.broken(error)))

    def _receive(self, socket: ClientConnection, feed: Feed, until: float | None) -> str | bytes:
        """The next frame. Raises what BROKEN lists."""
        while True:
            try:
                return socket.recv(timeout=_left_s(until, self._patience.quiet_s))
            except TimeoutError:
                _left_s(until, 0.0)
                socket.send(feed.quiet())

    def _send(self, call: Call[T]) -> T:
        course = calls.exchange(call, self._patience, self._url)
        reply: calls.Reply = None
        try:
            while True:
                step = course.send(reply)
                reply = None
                if isinstance(step, Call):
                    reply = self._request(step)
                else:
                    time.sleep(step)
        except StopIteration as done:
            return cast(T, done.value)

    def _request(self, call: Call[object]) -> httpx2.Response | httpx2.TransportError:
        try:
            return self._http.request(
                call.method, call.path, params=call.params, content=call.body, headers=call.headers
            )
        except httpx2.TransportError as error:
            return error


def _left_s(until: float | None, at_most: float) -> float:
    """`at_most`, or what is left until then. Raises TimeoutError where nothing is."""
    if until is None:
        return at_most
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("the order has not ended in time")
    return min(left, at_most)
