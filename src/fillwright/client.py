"""The Python SDK: submit, wait, stream, quote, list. `AsyncClient` and `Client` offer the same calls.

In: plain arguments. Out: the structs of `fillwright.wire`. A call that the server refuses raises ApiError with
its stable code. `submit` may be repeated after a lost reply without ever ordering twice: an order that names no
client order id is given one. Streams resume by themselves from the last event seen: no gap, no duplicate.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx2
import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect as connect_sync

from fillwright import wire
from fillwright.domain.errors import FillwrightError
from fillwright.domain.lifecycle import TERMINAL

DEFAULT_URL = "http://127.0.0.1:3000"
MAX_TRIES = 6
"""Tries of one call that fails for want of a reply or with 429/503, before ApiError or Unreachable."""
MAX_RESUMES = 20
"""Consecutive reconnections of a stream without a single event in between."""
FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 5.0
HEARTBEAT_GRACE_S = 60.0
"""A stream that is silent for so long, heartbeats included, is taken for dead and resumed."""

T = TypeVar("T")


class ApiError(FillwrightError):
    """The server answered with a problem. `code` is the server's stable code; `status` its HTTP status."""

    def __init__(self, status: int, problem: wire.Problem | None, body: str) -> None:
        super().__init__(problem.detail if problem else body[:200], code=problem.code if problem else "http_error")
        self.status = status
        self.problem = problem


class Unreachable(FillwrightError):
    """No usable answer came. What was asked may or may not have happened; the same call may be repeated."""

    code = "unreachable"
    retryable = True


class _Call(msgspec.Struct, Generic[T]):
    """One HTTP request and the shape of its answer."""

    method: str
    path: str
    shape: type[T]
    body: msgspec.Struct | None = None
    params: dict[str, str] = {}


class _Calls:
    """Every call of the API as a value, shared by both clients."""

    @staticmethod
    def submit(request: wire.OrderRequest) -> _Call[wire.OrderView]:
        if request.client_order_id is None:
            request = msgspec.structs.replace(request, client_order_id=str(uuid.uuid4()))
        return _Call("POST", "/v1/orders", wire.OrderView, request)

    @staticmethod
    def quote(request: wire.QuoteRequest) -> _Call[wire.QuoteView]:
        return _Call("POST", "/v1/quotes", wire.QuoteView, request)

    @staticmethod
    def order(order_id: str) -> _Call[wire.OrderView]:
        return _Call("GET", f"/v1/orders/{order_id}", wire.OrderView)

    @staticmethod
    def verb(order_id: str, verb: str) -> _Call[wire.OrderView]:
        return _Call("POST", f"/v1/orders/{order_id}/{verb}", wire.OrderView)

    @staticmethod
    def events(order_id: str, after: int) -> _Call[wire.EventPage]:
        return _Call("GET", f"/v1/orders/{order_id}/events", wire.EventPage, params={"after": str(after)})

    @staticmethod
    def orders(where: Mapping[str, str], cursor: str | None) -> _Call[wire.OrderPage]:
        params = dict(where) if cursor is None else {**where, "cursor": cursor}
        return _Call("GET", "/v1/orders", wire.OrderPage, params=params)

    tokens = _Call("GET", "/v1/tokens", wire.TokenPage)
    pools = _Call("GET", "/v1/pools", wire.PoolPage)
    stats = _Call("GET", "/v1/stats", wire.StatsView)


def _decode(response: httpx2.Response, shape: type[T]) -> T:
    if response.status_code >= 400:
        try:
            problem = msgspec.json.decode(response.content, type=wire.Problem)
        except msgspec.MsgspecError:
            problem = None
        raise ApiError(response.status_code, problem, response.text)
    try:
        return msgspec.json.decode(response.content, type=shape)
    except msgspec.MsgspecError as error:
        raise Unreachable(f"the answer is not understood: {error}") from error


def _pause_s(attempt: int, response: httpx2.Response | None) -> float:
    """How long to wait before try `attempt` + 1: what the server asks for, else a growing, jittered pause."""
    if response is not None and (asked := response.headers.get("retry-after", "")).isdigit():
        return min(float(asked), MAX_PAUSE_S)
    return float(min(FIRST_PAUSE_S * 2**attempt, MAX_PAUSE_S) * random.uniform(0.5, 1.0))


def _is_busy(response: httpx2.Response) -> bool:
    return response.status_code in (429, 503)


def _stream_url(base_url: str) -> str:
    parts = urlsplit(base_url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/v1/stream", "", ""))


class _Feed:
    """What a stream has seen: where to resume, and what to leave out after a resumption."""

    def __init__(self, order_id: str | None, wallet: str | None, from_seq: int | None) -> None:
        self._order_id = order_id
        self._wallet = wallet
        self._seen = from_seq
        self.resumes = 0
        self.ended = False

    def subscribe(self) -> str:
        everything = self._order_id is None and self._wallet is None
        frame = wire.Subscribe(
            order_id=self._order_id, wallet=self._wallet, all=everything, from_seq=self._seen
        )  # fmt: skip
        return wire.encode(frame).decode()

    def take(self, text: str | bytes) -> wire.EventView | None:
        """The event that a frame brings, if it brings a new one. Raises ApiError for an error frame."""
        frame = msgspec.json.decode(text, type=wire.ServerFrame)
        if isinstance(frame, wire.StreamError):
            raise ApiError(400, None, f"{frame.code}: {frame.message}")
        if isinstance(frame, wire.Subscribed) and self._seen is None:
            self._seen = frame.from_seq
        if not isinstance(frame, wire.EventFrame):
            return None
        event = frame.event
        if self._seen is not None and event.sequence <= self._seen:
            return None
        self._seen = event.sequence
        self.resumes = 0
        self.ended = self._order_id is not None and event.status in TERMINAL
        return event

    def resume_pause_s(self, error: Exception) -> float:
        """How long to wait before reconnecting. Raises Unreachable after too many tries without an event."""
        self.resumes += 1
        if self.resumes > MAX_RESUMES:
            raise Unreachable(f"the stream can't be resumed: {error}") from error
        return _pause_s(self.resumes - 1, None)


_BROKEN = (ConnectionClosed, InvalidHandshake, OSError, TimeoutError)


class AsyncClient:
    """For asyncio programs. `async with AsyncClient(url) as client: …`"""

    def __init__(self, url: str = DEFAULT_URL, *, api_key: str | None = None, timeout_s: float = 30.0) -> None:
        self._url = url.rstrip("/")
        self._headers = _headers(api_key)
        self._http = httpx2.AsyncClient(base_url=self._url, headers=self._headers, timeout=timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def submit(self, **order: Any) -> wire.OrderView:
        """Order. Arguments are the fields of `wire.OrderRequest`, such as input="SOL", output="USDC", amount="1.5".

        Raises ApiError (`idempotency_mismatch`, `amount_format`, …) and Unreachable.
        """
        return await self._send(_Calls.submit(_request(order, wire.OrderRequest)))

    async def quote(self, **order: Any) -> wire.QuoteView:
        """What an order with these fields (`wire.QuoteRequest`) would get now."""
        return await self._send(_Calls.quote(_request(order, wire.QuoteRequest)))

    async def get(self, order_id: str) -> wire.OrderView:
        return await self._send(_Calls.order(order_id))

    async def cancel(self, order_id: str) -> wire.OrderView:
        """Cancel before anything is sent. Raises ApiError `not_cancellable` afterwards."""
        return await self._send(_Calls.verb(order_id, "cancel"))

    async def release(self, order_id: str) -> wire.OrderView:
        """Let a held order go."""
        return await self._send(_Calls.verb(order_id, "release"))

    async def events(self, order_id: str) -> list[wire.EventView]:
        """The order's whole log so far."""
        found: list[wire.EventView] = []
        after: int | None = 0
        while after is not None:
            page = await self._send(_Calls.events(order_id, after))
            found += page.events
            after = page.next_after
        return found

    async def orders(self, *, limit: int | None = None, **where: str) -> AsyncIterator[wire.OrderView]:
        """Orders, newest first, `limit` at most; filters: status, pair, input, output, wallet, client_order_id."""
        cursor, left = None, limit
        while left is None or left > 0:
            page = await self._send(_Calls.orders(where, cursor))
            for order in page.orders[:left]:
                yield order
            left = None if left is None else left - len(page.orders)
            cursor = page.next_cursor
            if cursor is None:
                return

    async def tokens(self) -> list[wire.TokenView]:
        return (await self._send(_Calls.tokens)).tokens

    async def pools(self) -> wire.PoolPage:
        return await self._send(_Calls.pools)

    async def stats(self) -> wire.StatsView:
        return await self._send(_Calls.stats)

    async def wait(self, order_id: str, *, timeout_s: float | None = None) -> wire.OrderView:
        """The order once it has ended. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            async for _ in self.stream(order_id):
                pass
            return await self.get(order_id)

    async def stream(
        self, order_id: str | None = None, *, wallet: str | None = None, from_seq: int | None = None
    ) -> AsyncIterator[wire.EventView]:
        """Events of one order (ends after its terminal event), of a wallet, or of all orders; resumes by itself.

        `from_seq`: the sequence of the last event already seen. Raises ApiError, Unreachable.
        """
        feed = _Feed(order_id, wallet, from_seq)
        while not feed.ended:
            try:
                async with connect(_stream_url(self._url), additional_headers=self._headers, compression=None) as ws:
                    await ws.send(feed.subscribe())
                    while not feed.ended:
                        async with asyncio.timeout(HEARTBEAT_GRACE_S):
                            text = await ws.recv()
                        event = feed.take(text)
                        if event is not None:
                            yield event
            except _BROKEN as error:
                await asyncio.sleep(feed.resume_pause_s(error))

    async def _send(self, call: _Call[T]) -> T:
        for attempt in range(MAX_TRIES):
            response = None
            try:
                response = await self._http.request(
                    call.method, call.path, params=call.params, content=_content(call), headers=_content_type(call)
                )
            except httpx2.TransportError as error:
                if attempt == MAX_TRIES - 1:
                    raise Unreachable(f"{self._url} does not answer: {error}") from error
            if response is not None and (not _is_busy(response) or attempt == MAX_TRIES - 1):
                return _decode(response, call.shape)
            await asyncio.sleep(_pause_s(attempt, response))
        raise Unreachable(f"{self._url} does not answer")


class Client:
    """For programs without asyncio: the same calls, blocking."""

    def __init__(self, url: str = DEFAULT_URL, *, api_key: str | None = None, timeout_s: float = 30.0) -> None:
        self._url = url.rstrip("/")
        self._headers = _headers(api_key)
        self._http = httpx2.Client(base_url=self._url, headers=self._headers, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def submit(self, **order: Any) -> wire.OrderView:
        """See `AsyncClient.submit`."""
        return self._send(_Calls.submit(_request(order, wire.OrderRequest)))

    def quote(self, **order: Any) -> wire.QuoteView:
        """See `AsyncClient.quote`."""
        return self._send(_Calls.quote(_request(order, wire.QuoteRequest)))

    def get(self, order_id: str) -> wire.OrderView:
        return self._send(_Calls.order(order_id))

    def cancel(self, order_id: str) -> wire.OrderView:
        """See `AsyncClient.cancel`."""
        return self._send(_Calls.verb(order_id, "cancel"))

    def release(self, order_id: str) -> wire.OrderView:
        """See `AsyncClient.release`."""
        return self._send(_Calls.verb(order_id, "release"))

    def events(self, order_id: str) -> list[wire.EventView]:
        """See `AsyncClient.events`."""
        found: list[wire.EventView] = []
        after: int | None = 0
        while after is not None:
            page = self._send(_Calls.events(order_id, after))
            found += page.events
            after = page.next_after
        return found

    def orders(self, *, limit: int | None = None, **where: str) -> Iterator[wire.OrderView]:
        """See `AsyncClient.orders`."""
        cursor, left = None, limit
        while left is None or left > 0:
            page = self._send(_Calls.orders(where, cursor))
            yield from page.orders[:left]
            left = None if left is None else left - len(page.orders)
            cursor = page.next_cursor
            if cursor is None:
                return

    def tokens(self) -> list[wire.TokenView]:
        return self._send(_Calls.tokens).tokens

    def pools(self) -> wire.PoolPage:
        return self._send(_Calls.pools)

    def stats(self) -> wire.StatsView:
        return self._send(_Calls.stats)

    def wait(self, order_id: str, *, timeout_s: float | None = None) -> wire.OrderView:
        """See `AsyncClient.wait`."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        for _ in self._stream(_Feed(order_id, None, None), until):
            pass
        return self.get(order_id)

    def stream(
        self, order_id: str | None = None, *, wallet: str | None = None, from_seq: int | None = None
    ) -> Iterator[wire.EventView]:
        """See `AsyncClient.stream`."""
        return self._stream(_Feed(order_id, wallet, from_seq), None)

    def _stream(self, feed: _Feed, until: float | None) -> Iterator[wire.EventView]:
        while not feed.ended:
            try:
                with connect_sync(_stream_url(self._url), additional_headers=self._headers, compression=None) as ws:
                    ws.send(feed.subscribe())
                    while not feed.ended:
                        event = feed.take(ws.recv(timeout=_left_s(until, HEARTBEAT_GRACE_S)))
                        if event is not None:
                            yield event
            except _BROKEN as error:
                _left_s(until, 0.0)
                time.sleep(feed.resume_pause_s(error))

    def _send(self, call: _Call[T]) -> T:
        for attempt in range(MAX_TRIES):
            response = None
            try:
                response = self._http.request(
                    call.method, call.path, params=call.params, content=_content(call), headers=_content_type(call)
                )
            except httpx2.TransportError as error:
                if attempt == MAX_TRIES - 1:
                    raise Unreachable(f"{self._url} does not answer: {error}") from error
            if response is not None and (not _is_busy(response) or attempt == MAX_TRIES - 1):
                return _decode(response, call.shape)
            time.sleep(_pause_s(attempt, response))
        raise Unreachable(f"{self._url} does not answer")


class _OutOfTime(TimeoutError):
    """The caller's own limit, as opposed to a silent stream."""


def _left_s(until: float | None, at_most: float) -> float:
    if until is None:
        return at_most
    left = until - time.monotonic()
    if left <= 0:
        raise _OutOfTime("the order has not ended in time")
    return min(left, at_most)


def _headers(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}


def _content(call: _Call[Any]) -> bytes | None:
    return None if call.body is None else wire.encode(call.body)


def _content_type(call: _Call[Any]) -> dict[str, str]:
    return {} if call.body is None else {"Content-Type": "application/json"}


def _request(fields: Mapping[str, Any], shape: type[T]) -> T:
    """The request struct, checked here as the server would. Raises ApiError `field_invalid`."""
    try:
        return msgspec.convert(dict(fields), shape)
    except msgspec.ValidationError as error:
        raise ApiError(422, None, str(error)) from error
