"""A load generator for a running engine: sends orders from many clients, watches every event, checks every outcome.

In: where the engine listens and what to send. Out: rates, latencies, and each broken promise (an order lost, an
event out of order, missing or twice). Closed loop: each client sends its next order once the last was accepted;
open loop: orders are sent at a fixed rate, and latency counts from when an order was due.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from fillwright.domain.errors import FillwrightError
from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import OrderStatus

MAX_ORDERS = 1_000_000
MAX_CLIENTS = 10_000
MAX_BATCH = 100
SETTLE_LIMIT_S = 120.0
"""How long accepted orders may take to end after the last was sent."""
_READ_BYTES = 1 << 16


class LoadError(FillwrightError):
    """The engine could not be loaded as asked."""

    code = "load_failed"


class Load(msgspec.Struct, frozen=True):
    """What to send. `rate` orders a second makes it an open loop; None a closed one. `batch` orders a request."""

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


class Percentiles(msgspec.Struct, frozen=True):
    """Milliseconds."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class LoadReport(msgspec.Struct, frozen=True):
    """`accept_*`: request to answer. `end_*`: acceptance to the terminal event, by the engine's own times.
    `lag`: from an event's time to its arrival here (one machine's clock). `violations` must be empty."""

    orders: int
    seconds: float
    orders_per_s: float
    accepted_per_s: float
    accept: Percentiles
    end: Percentiles
    lag: Percentiles
    statuses: dict[str, int]
    events: int
    rejected: dict[str, int]
    violations: list[str]


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


def percentiles(samples_ms: Sequence[float]) -> Percentiles:
    """Of the samples, zeros where there are none."""
    ordered = sorted(samples_ms)
    if not ordered:
        return Percentiles(0.0, 0.0, 0.0, 0.0)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)], 3)

    return Percentiles(at(0.5), at(0.9), at(0.99), round(ordered[-1], 3))


async def generate(load: Load) -> LoadReport:
    """Run the load to its end. Raises LoadError, OSError, TimeoutError."""
    from websockets.asyncio.client import connect

    _check(load)
    watcher = _Watcher()
    senders = _Senders(load, watcher)
    headers = {} if load.api_key is None else {"Authorization": f"Bearer {load.api_key}"}
    parts = urlsplit(load.url)
    async with connect(
        f"ws://{parts.netloc}/v1/stream", additional_headers=headers, compression=None, max_size=None, max_queue=None
    ) as socket:
        await socket.send('{"op":"subscribe","all":true}')
        await socket.recv()
        reading = asyncio.create_task(watcher.read(socket))
        started = time.perf_counter()
        await senders.run()
        sent = time.perf_counter()
        try:
            async with asyncio.timeout(SETTLE_LIMIT_S):
                await watcher.ended(senders.accepted)
        except TimeoutError:
            watcher.violations.append(f"{len(senders.accepted - watcher.done)} accepted orders did not end")
        seconds = time.perf_counter() - started
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    count = len(senders.accepted)
    return LoadReport(
        orders=count,
        seconds=round(seconds, 3),
        orders_per_s=round(count / seconds, 1),
        accepted_per_s=round(count / (sent - started), 1),
        accept=percentiles(senders.accept_ms),
        end=percentiles([watcher.end_ms[order_id] for order_id in senders.accepted if order_id in watcher.end_ms]),
        lag=percentiles(watcher.lag_ms),
        statuses=dict(Counter(watcher.statuses[order_id] for order_id in senders.accepted & watcher.done)),
        events=watcher.events,
        rejected=dict(senders.rejected),
        violations=watcher.violations[:20],
    )


def _check(load: Load) -> None:
    if not 0 < load.orders <= MAX_ORDERS or not 0 < load.clients <= MAX_CLIENTS or not 0 < load.batch <= MAX_BATCH:
        raise LoadError(f"at most {MAX_ORDERS} orders, {MAX_CLIENTS} clients, batches of {MAX_BATCH}")
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

    async def read(self, socket: object) -> None:
        async for text in socket:  # type: ignore[attr-defined]
            frame = _decode_frame(text)
            if frame.event is not None:
                self._take(frame.event)

    def _take(self, event: _Event) -> None:
        now_ms = time.time() * 1000
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
    """The clients: one keep-alive connection each."""

    def __init__(self, load: Load, watcher: _Watcher) -> None:
        self._load = load
        self._watcher = watcher
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
                await self._send(reader, writer, number)
        finally:
            writer.close()

    async def _send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        due = await self._due(number)
        writer.write(self._request(number))
        status, body = await _response(reader)
        self.accept_ms.append((time.perf_counter() - due) * 1000)
        if self._load.batch > 1 and status in (200, 202, 207):
            for outcome in msgspec.json.decode(body)["results"]:
                self._count(outcome["status"], outcome.get("order") or outcome)
        else:
            self._count(status, msgspec.json.decode(body))

    async def _due(self, number: int) -> float:
        """When the order is to be sent: now in a closed loop."""
        if self._load.rate is None:
            return time.perf_counter()
        due = self._started + number / self._load.rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        return due

    def _count(self, status: int, answer: dict[str, str]) -> None:
        if status in (200, 202):
            self.accepted.add(answer["id"])
        else:
            self.rejected[str(answer.get("code", status))] += 1

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


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and body of one HTTP/1.1 answer with a content length."""
    head = await reader.readuntil(b"\r\n\r\n")
    lowered = head.lower()
    at = lowered.find(b"content-length:")
    if at < 0:
        raise LoadError("an answer without content length")
    length = int(lowered[at + 15 : lowered.index(b"\r\n", at)])
    return int(head[9:12]), await reader.readexactly(length)
