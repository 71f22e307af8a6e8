"""A load generator for a running engine: sends orders from many clients, watches every event, checks every outcome.

In: where the engine listens and what to send. Out: rates, latencies, and each broken promise (an order lost, an
event out of order, missing or twice). Closed loop: each client sends its next order once the last was accepted;
open loop: orders are sent at a fixed rate, and latency counts from when an order was due.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from typing import Any

import msgspec

from fillwright.load.outcomes import compare
from fillwright.load.report import LoadReport, histogram, percentiles
from fillwright.load.watcher import SETTLE_LIMIT_S, Watcher, watching
from fillwright.load.wire import LoadError, response, target

MAX_ORDERS = 1_000_000
MAX_CLIENTS = 10_000
MAX_BATCH = 100
RECONNECT_PAUSE_S = 0.1
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


async def generate(load: Load, stop: asyncio.Event | None = None) -> LoadReport:
    """Run the load to its end; once `stop` is set, send no more. Raises LoadError, OSError."""
    _check(load)
    async with AsyncExitStack() as opened:
        watchers = [await opened.enter_async_context(watching(load)) for _ in range(load.sockets)]
        senders = _Senders(load, stop or asyncio.Event(), watchers[0] if load.wait else None)
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
        found += [violation for watcher in watchers for violation in watcher.beheaded(senders.accepted)]
        watcher = watchers[0]
        checked, wrong = 0, list[str]()
        if load.reread:
            told = {order_id: watcher.statuses.get(order_id) for order_id in senders.accepted}
            checked, wrong = await compare(load, told)
    return _report(senders, watchers, (seconds, sent - started), checked, [*found, *wrong])


def _report(
    senders: _Senders, watchers: list[Watcher], took_s: tuple[float, float], checked: int, found: list[str]
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
        resumed=sum(watcher.resumed for watcher in watchers),
        checked=checked,
        rejected=dict(senders.rejected),
        violations=[*found, *(violation for watcher in watchers for violation in watcher.violations)][:MAX_TOLD],
    )


def _check(load: Load) -> None:
    if not 0 < load.orders <= MAX_ORDERS or not 0 < load.clients <= MAX_CLIENTS or not 0 < load.batch <= MAX_BATCH:
        raise LoadError(f"at most {MAX_ORDERS} orders, {MAX_CLIENTS} clients, batches of {MAX_BATCH}")
    if not 0 < load.sockets <= MAX_SOCKETS:
        raise LoadError(f"from 1 to {MAX_SOCKETS} sockets")
    target(load.url)


class _Senders:
    """The clients: one keep-alive connection each. With a `watcher`, each waits for what it has sent to end."""

    def __init__(self, load: Load, stop: asyncio.Event, watcher: Watcher | None = None) -> None:
        self._load = load
        self._target = target(load.url)
        self._stop = stop
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
        """Send until all is sent. What was under way on a connection that is lost may have been accepted or not."""
        load, streams = self._load, None
        while self._next < load.orders and not self._stop.is_set():
            number = self._next
            self._next += load.batch
            due = await self._due(number)
            if self._stop.is_set():
                break
            try:
                streams = streams or await self._target.connect()
                accepted = await self._send(*streams, number, due)
            except (OSError, EOFError):
                self.rejected["connection_lost"] += min(load.batch, load.orders - number)
                if streams is not None:
                    streams[1].close()
                    streams = None
                await asyncio.sleep(RECONNECT_PAUSE_S)
                continue
            if self._watcher is not None:
                for order_id in accepted:
                    await self._watcher.end_of(order_id)
        if streams is not None:
            streams[1].close()

    async def _send(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, due: float
    ) -> list[str]:
        """The orders that were accepted."""
        writer.write(self._request(number))
        status, body = await response(reader)
        took_ms = (time.perf_counter() - due) * 1000
        answers = [(status, _answer(body))]
        if self._load.batch > 1 and status == 200:
            answers = [(one["status"], one.get("order") or one["problem"]) for one in answers[0][1]["results"]]
        elif self._load.batch > 1:
            answers *= min(self._load.batch, self._load.orders - number)
        accepted = [answer["id"] for outcome, answer in answers if self._count(outcome, answer)]
        if accepted:
            self.accept_ms.append(took_ms)
        return accepted

    async def _due(self, number: int) -> float:
        """When the order is to be sent: now in a closed loop."""
        if self._load.rate is None:
            return time.perf_counter()
        due = self._started + number / self._load.rate
        wait_s = due - time.perf_counter()
        if wait_s > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._stop.wait()
        return due

    def _count(self, status: int, answer: dict[str, Any]) -> bool:
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
        head = (
            f"{self._target.head('POST', path, load.api_key)}"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    def _order(self, number: int) -> dict[str, object]:
        load = self._load
        source, target = (load.input, load.output)
        if load.both_ways and number % 2:
            source, target = target, source
        return {"input": source, "output": target, "amount": load.amount, "slippage_bps": load.slippage_bps}


def _answer(body: bytes) -> dict[str, Any]:
    """An answer's object; empty where it is none, as that of a proxy that has lost its engine."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
