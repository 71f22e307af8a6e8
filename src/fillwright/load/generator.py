"""A load generator for a running engine: sends orders from many clients, watches every event, checks every outcome.

In: where the engine listens and what to send. Out: rates, latencies, and each broken promise (an order lost, an
event out of order, missing or twice). Closed loop: each client sends its next order once the last was accepted;
open loop: orders are sent at a fixed rate, and latency counts from when an order was due.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import msgspec

from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import OrderStatus
from fillwright.load.outcomes import compare
from fillwright.load.report import LoadReport, histogram, percentiles
from fillwright.load.wire import LoadError, response

if TYPE_CHECKING:
    from fillwright.load.socket import TimedSocket

MAX_ORDERS = 1_000_000
MAX_CLIENTS = 10_000
MAX_BATCH = 100
SETTLE_LIMIT_S = 120.0
"""How long accepted orders may take to end after the last was sent."""
MAX_SOCKETS = 10_000
MAX_TOLD = 20
"""Violations that a report names."""


class Load(msgspec.Struct, frozen=True):
    """What to send. `rate` orders a second makes it an open loop; None a closed one, in which each client sends its
    next orders once the last were accepted or, with `wait`, have ended. `batch` orders a request.
    `sockets`: how many WebSockets follow all events meanwhile, each checked by itself. `reread`: compare each order's
    outcome, as the engine tells it afterwards, with its events."""

    url: str
    orders: int = 10_000
    clients: int = 100
    rate: float | None = None
    batch: int = 1
    input: str = "SOL"
    output: str = "USDC"
    amount: str = "0.001"
    both_ways: bool = True
    slippage_bps: int = 1_000
    api_key: str | None = None
    sockets: int = 1
    reread: bool = True
    wait: bool = False


class _Event(msgspec.Struct):
    """The part of an event that is checked."""

    order_id: str
    status: OrderStatus
    number: int
    sequence: int
    at: str


class _Frame(msgspec.Struct):
    op: str
    event: _Event | None = None


class _Accepted(msgspec.Struct):
    id: str


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_order = msgspec.json.Decoder(_Accepted).decode


async def generate(load: Load) -> LoadReport:
    """Run the load to its end. Raises LoadError, OSError, TimeoutError."""
    _check(load)
    async with AsyncExitStack() as opened:
        watchers = [await opened.enter_async_context(_watching(load)) for _ in range(load.sockets)]
        senders = _Senders(load, watchers[0] if load.wait else None)
        started = time.perf_counter()
        await senders.run()
        sent = time.perf_counter()
        found = list(senders.violations)
        try:
            async with asyncio.timeout(SETTLE_LIMIT_S):
                for watcher in watchers:
                    await watcher.ended(senders.accepted)
        except TimeoutError:
            found += [f"{len(senders.accepted - watcher.done)} accepted orders did not end" for watcher in watchers]
        seconds = time.perf_counter() - started
        watcher = watchers[0]
        checked, wrong = 0, list[str]()
        if load.reread:
            told = {order_id: watcher.statuses.get(order_id) for order_id in senders.accepted}
            checked, wrong = await compare(load, told)
    return _report(senders, watchers, (seconds, sent - started), checked, [*found, *wrong])


def _report(
    senders: _Senders, watchers: list[_Watcher], took_s: tuple[float, float], checked: int, found: list[str]
) -> LoadReport:
    """`took_s`: until all had ended, and until all had been sent."""
    count, first = len(senders.accepted), watchers[0]
    ends = [first.end_ms[order_id] for order_id in senders.accepted if order_id in first.end_ms]
    lags = [lag for watcher in watchers for lag in watcher.lag_ms]
    return LoadReport(
        orders=count,
        seconds=round(took_s[0], 3),
        orders_per_s=round(count / took_s[0], 1),
        accepted_per_s=round(count / took_s[1], 1),
        accept=percentiles(senders.accept_ms),
        end=percentiles(ends),
        lag=percentiles(lags),
        histograms={"accept": histogram(senders.accept_ms), "end": histogram(ends), "lag": histogram(lags)},
        statuses=dict(Counter(first.statuses[order_id] for order_id in senders.accepted & first.done)),
        events=first.events,
        sockets=len(watchers),
        checked=checked,
        rejected=dict(senders.rejected),
        violations=[*found, *(violation for watcher in watchers for violation in watcher.violations)][:MAX_TOLD],
    )


@asynccontextmanager
async def _watching(load: Load) -> AsyncIterator[_Watcher]:
    """A WebSocket that follows all events, until the block ends."""
    from websockets.asyncio.client import connect

    from fillwright.load.socket import TimedSocket

    watcher = _Watcher()
    headers = {} if load.api_key is None else {"Authorization": f"Bearer {load.api_key}"}
    url = f"ws://{urlsplit(load.url).netloc}/v1/stream"
    async with connect(
        url, additional_headers=headers, compression=None, max_size=None, max_queue=None, proxy=None,
        create_connection=TimedSocket,
    ) as opened:  # fmt: skip
        socket = cast("TimedSocket", opened)
        await socket.send('{"op":"subscribe","all":true}')
        messages = socket.messages()
        await anext(messages)
        reading = asyncio.create_task(watcher.read(messages))
        try:
            yield watcher
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


def _check(load: Load) -> None:
    if not 0 < load.orders <= MAX_ORDERS or not 0 < load.clients <= MAX_CLIENTS or not 0 < load.batch <= MAX_BATCH:
        raise LoadError(f"at most {MAX_ORDERS} orders, {MAX_CLIENTS} clients, batches of {MAX_BATCH}")
    if not 0 < load.sockets <= MAX_SOCKETS:
        raise LoadError(f"from 1 to {MAX_SOCKETS} sockets")
    if urlsplit(load.url).scheme != "http":
        raise LoadError("the load generator speaks plain http")


class _Watcher:
    """Reads the stream of all orders and checks its order as it goes."""

    def __init__(self) -> None:
        self.events = 0
        self.done: set[str] = set()
        self.statuses: dict[str, str] = {}
        self.end_ms: dict[str, float] = {}
        self.lag_ms: list[float] = []
        self.violations: list[str] = []
        self._first_ms: dict[str, float] = {}
        self._numbers: dict[str, int] = {}
        self._sequence: int | None = None
        self._moved = asyncio.Event()
        self._awaited: dict[str, asyncio.Future[None]] = {}

    async def read(self, messages: AsyncIterator[tuple[str | bytes, float]]) -> None:
        """Take each message, with when it arrived in milliseconds since the epoch."""
        async for text, arrived_ms in messages:
            frame = _decode_frame(text)
            if frame.event is not None:
                self._take(frame.event, arrived_ms)

    def _take(self, event: _Event, now_ms: float) -> None:
        at_ms = _epoch_ms(event.at)
        self.events += 1
        self.lag_ms.append(max(0.0, now_ms - at_ms))
        if self._sequence is not None and event.sequence != self._sequence + 1:
            self.violations.append(f"sequence {event.sequence} after {self._sequence}")
        self._sequence = event.sequence
        if event.number != self._numbers.get(event.order_id, 0) + 1:
            self.violations.append(f"{event.order_id}: event {event.number} out of turn")
        self._numbers[event.order_id] = event.number
        if event.number == 1:
            self._first_ms[event.order_id] = at_ms
        if event.status in TERMINAL:
            self.done.add(event.order_id)
            self.statuses[event.order_id] = str(event.status)
            self.end_ms[event.order_id] = at_ms - self._first_ms.get(event.order_id, at_ms)
            self._moved.set()
            awaited = self._awaited.pop(event.order_id, None)
            if awaited is not None:
                awaited.set_result(None)

    async def end_of(self, order_id: str) -> None:
        """Wait for one order, for a bounded time. One caller an order."""
        if order_id not in self.done:
            self._awaited[order_id] = asyncio.get_running_loop().create_future()
            await asyncio.wait({self._awaited[order_id]}, timeout=SETTLE_LIMIT_S)

    async def ended(self, orders: set[str]) -> None:
        while not orders <= self.done:
            self._moved.clear()
            await self._moved.wait()


def _epoch_ms(at: str) -> float:
    """Milliseconds since the epoch of `YYYY-MM-DDTHH:MM:SS.mmmZ`."""
    day = _DAYS.get(at[:10])
    if day is None:
        day = _DAYS[at[:10]] = time.mktime(time.strptime(at[:10], "%Y-%m-%d")) - time.timezone
    return (day + int(at[11:13]) * 3600 + int(at[14:16]) * 60 + int(at[17:19])) * 1000 + int(at[20:23])


_DAYS: dict[str, float] = {}


class _Senders:
    """The clients: one keep-alive connection each. With a `watcher`, each waits for what it has sent to end."""

    def __init__(self, load: Load, watcher: _Watcher | None = None) -> None:
        self._load = load
        self._watcher = watcher
        self.violations: list[str] = []
        self._next = 0
        self._started = 0.0
        self.accepted: set[str] = set()
        self.accept_ms: list[float] = []
        self.rejected: Counter[str] = Counter()

    async def run(self) -> None:
        self._started = time.perf_counter()
        await asyncio.gather(*(self._client() for _ in range(self._load.clients)))

    async def _client(self) -> None:
        parts = urlsplit(self._load.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80, limit=1 << 20)
        try:
            while self._next < self._load.orders:
                number = self._next
                self._next += self._load.batch
                accepted = await self._send(reader, writer, number)
                if self._watcher is not None:
                    for order_id in accepted:
                        await self._watcher.end_of(order_id)
        finally:
            writer.close()

    async def _send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> list[str]:
        """The orders that were accepted."""
        due = await self._due(number)
        writer.write(self._request(number))
        status, body = await response(reader)
        self.accept_ms.append((time.perf_counter() - due) * 1000)
        answers = [(status, msgspec.json.decode(body))]
        if self._load.batch > 1 and status in (200, 202, 207):
            answers = [(one["status"], one.get("order") or one) for one in answers[0][1]["results"]]
        return [answer["id"] for outcome, answer in answers if self._count(outcome, answer)]

    async def _due(self, number: int) -> float:
        """When the order is to be sent: now in a closed loop."""
        if self._load.rate is None:
            return time.perf_counter()
        due = self._started + number / self._load.rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        return due

    def _count(self, status: int, answer: dict[str, str]) -> bool:
        """Whether it was accepted."""
        if status in (200, 202):
            if answer["id"] in self.accepted:
                self.violations.append(f"{answer['id']} was given to two orders")
            self.accepted.add(answer["id"])
        else:
            self.rejected[str(answer.get("code", status))] += 1
        return status in (200, 202)

    def _request(self, number: int) -> bytes:
        load = self._load
        orders = [self._order(number + i) for i in range(min(load.batch, load.orders - number))]
        path, body = ("/v1/orders/batch", {"orders": orders}) if load.batch > 1 else ("/v1/orders", orders[0])
        content = msgspec.json.encode(body)
        key = "" if load.api_key is None else f"authorization: Bearer {load.api_key}\r\n"
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {urlsplit(load.url).netloc}\r\n{key}"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    def _order(self, number: int) -> dict[str, object]:
        load = self._load
        source, target = (load.input, load.output)
        if load.both_ways and number % 2:
            source, target = target, source
        return {"input": source, "output": target, "amount": load.amount, "slippage_bps": load.slippage_bps}
