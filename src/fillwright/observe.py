"""What the engine tells its operator: one function per domain event, owning its log line and its metric.

In: ids, counts, durations in seconds, stable codes. Out: structlog lines on standard error, and Prometheus
metrics in REGISTRY. Steps of single orders are logged at debug, so that a busy engine stays quiet; starts,
stops and problems are logged above it. Never a key, a raw transaction or a request's body.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
"""This process's metrics: nothing else registers here."""

LATENCY_SAMPLES = 2_048
"""How many of the newest durations of each kind `latencies` looks at."""

QUEUE_STATES = ("running", "paused", "draining")
_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"fillwright_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"fillwright_{name}", text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"fillwright_{name}_seconds", text, labels, buckets=buckets, registry=REGISTRY)


class _QueueMetrics(Collector):
    """The whole engine's queue as this process has last read it: no values where it has not, or can't."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.counts: dict[str, int] = {}
        self.state: str | None = None
        self.oldest_s: float | None = None
        self.ended_per_s: float | None = None
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        orders = GaugeMetricFamily(
            "fillwright_queue_orders", "Orders of the whole engine by their place in the queue", labels=("place",)
        )
        for place, count in self.counts.items():
            orders.add_metric((place,), count)
        state = GaugeMetricFamily("fillwright_queue_state", "1 for the state that the queue is in", labels=("state",))
        for name in QUEUE_STATES if self.state is not None else ():
            state.add_metric((name,), float(name == self.state))
        yield from (orders, state)
        yield GaugeMetricFamily(
            "fillwright_queue_oldest_seconds", "How long the oldest waiting order has been due", self.oldest_s
        )
        yield GaugeMetricFamily(
            "fillwright_queue_ended_per_second", "Orders that ended, over the last minute", self.ended_per_s
        )


_requests = _counter("http_requests", "HTTP requests answered", "route", "status")
_request_seconds = _histogram("http_request", "From an HTTP request to its answer", _FAST, "route")
_refused = _counter("requests_refused", "Requests answered with a problem", "code")
_accepted = _counter("orders_accepted", "Orders made durable")
_repeated = _counter("orders_repeated", "Requests that named an order accepted before")
_routed = _counter("orders_routed", "Routing decisions", "outcome")
_route_seconds = _histogram("routing", "Time to a routing decision", _FAST)
_attempts = _counter("attempts", "Signed transactions, by what became of them", "outcome")
_retries = _counter("retries", "Attempts that were followed by another", "code")
_ended = _counter("orders_ended", "Orders that reached their end", "status")
_order_seconds = _histogram("order", "From acceptance to the order's end", _SLOW, "status")
_in_flight = _gauge("orders_in_flight", "Orders that this process's worker is moving")
_quotes = _counter("quotes", "Quotes served", "outcome")
_quote_seconds = _histogram("quote", "Time to a quote", _FAST)
_streams = _gauge("streams_open", "Open event streams", "kind")
_streams_opened = _counter("streams_opened", "Event streams opened", "kind")
_streams_dropped = _counter("streams_dropped", "Event streams dropped because their reader was too slow", "kind")
_flushes = _counter("store_flushes", "Durable flushes of the store")
_flushed = _counter("store_operations", "Operations that were flushed")
_flush_seconds = _histogram("store_flush", "Duration of a durable flush", _FAST)
_recovered = _counter("orders_recovered", "Orders taken over from a worker that had stopped")
_queue = _QueueMetrics(REGISTRY)
_faults = _counter("faults", "What went wrong inside the engine", "where")
_quarantined = _gauge("pools_quarantined", "Pools that do not do what they are quoted to do, and are quoted no more")
_released = _counter("pools_released", "Quarantined pools that are quoted again", "by")
_rechecks = _counter("pool_checks", "Repetitions of swaps that quarantined pools had disagreed about", "outcome")
_lookup_tables = _gauge("lookup_tables", "Address lookup tables that transactions use")
_swept = _counter("markers_swept", "Orders' marker accounts whose rent was given back")
_chain_faults = _counter("chain_faults", "Chain calls without a usable answer", "call", "code")


class Latency(msgspec.Struct, frozen=True):
    """Durations of the recent past, in milliseconds."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class _StandardError:
    """Lines to whatever standard error is at that moment."""

    def msg(self, message: str) -> None:
        sys.stderr.write(message + "\n")
        sys.stderr.flush()

    debug = info = warning = error = critical = msg


def _shared(*, json: bool) -> list[Any]:
    found: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    return [*found, structlog.processors.format_exc_info] if json else found


def _renderer(*, json: bool) -> Any:
    """Tracebacks are plain: richer ones cost seconds and print local variables, which may be secrets."""
    if json:
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _logger(level: int, *, json: bool) -> Any:
    return structlog.wrap_logger(
        _StandardError(),
        processors=[*_shared(json=json), _renderer(json=json)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    ).bind()


_recent: dict[str, deque[float]] = {}
_log = _logger(logging.INFO, json=False)
_debug = False


def configure_logging(level: str = "info", json: bool = False) -> None:
    """Log to standard error from `level` up, as JSON lines or for people. Libraries log from `warning` up."""
    global _log, _debug
    number = logging.getLevelNamesMapping()[level.upper()]
    _log = _logger(number, json=json)
    _debug = number <= logging.DEBUG
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        processor=_renderer(json=json), foreign_pre_chain=_shared(json=json)
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


def latencies() -> dict[str, Latency]:
    """Percentiles of the newest durations, by name: `accepted_to_confirmed`, `accepted_to_failed`, `routing` …"""
    return {name: _percentiles(sorted(window)) for name, window in sorted(_recent.items())}


def _percentiles(ascending: list[float]) -> Latency:
    def at(share: float) -> float:
        return round(ascending[min(len(ascending) - 1, int(share * len(ascending)))] * 1000, 3)

    return Latency(len(ascending), at(0.5), at(0.95), at(0.99), round(ascending[-1] * 1000, 3))


def _remember(name: str, seconds: float) -> None:
    window = _recent.get(name)
    if window is None:
        window = _recent[name] = deque(maxlen=LATENCY_SAMPLES)
    window.append(seconds)


@cache
def _child(counter: Counter, label: str) -> Counter:
    """The counter of one label: looking it up costs three times as much as counting. For closed sets of labels."""
    return counter.labels(label)


# --- the process ------------------------------------------------------------------------------------------


def settings_warned(warning: str) -> None:
    _log.warning("settings", warning=warning)


def engine_started(*, mode: str, address: str) -> None:
    _log.info("engine started", mode=mode, address=address)


def start_waits(*, reason: str, at_most_s: float) -> None:
    """Something that the process can't start without is not there; it tries again and again. Told once a reason."""
    _faults.labels("start").inc()
    _log.warning("waiting to start", reason=reason, at_most_s=at_most_s)


def engine_stopping(*, in_flight: int) -> None:
    _log.info("engine stopping", in_flight=in_flight)


def engine_stopped() -> None:
    _log.info("engine stopped")


def unexpected_error(where: str, error: BaseException) -> None:
    """Something that nobody foresaw. `where`: a constant, such as `http`."""
    _faults.labels(where).inc()
    _log.error("unexpected error", where=where, error=type(error).__name__, exc_info=error)


# --- requests ---------------------------------------------------------------------------------------------


@cache
def _request_metrics(route: str, status: int) -> tuple[Counter, Histogram]:
    return _requests.labels(route, status), _request_seconds.labels(route)


def request_served(route: str, status: int, seconds: float) -> None:
    """`route`: the path's template, never the path itself."""
    count, duration = _request_metrics(route, status)
    count.inc()
    duration.observe(seconds)


def request_refused(code: str, status: int) -> None:
    _refused.labels(code).inc()
    if status >= 500:
        _log.warning("request refused", code=code, status=status)


def quote_served(*, routed: bool, seconds: float) -> None:
    _quotes.labels("routed" if routed else "no_route").inc()
    _quote_seconds.observe(seconds)
    _remember("quote", seconds)


# --- orders -----------------------------------------------------------------------------------------------


def order_accepted(order_id: str) -> None:
    _accepted.inc()
    if _debug:
        _log.debug("order accepted", order_id=order_id)


def order_repeated(order_id: str) -> None:
    """A request came again and was answered with the order that it had made."""
    _repeated.inc()
    if _debug:
        _log.debug("order repeated", order_id=order_id)


def order_routed(order_id: str, candidates: int, venue: str | None, seconds: float) -> None:
    """`venue`: the first leg's; None where nothing was executable."""
    _child(_routed, "routed" if venue else "no_route").inc()
    _route_seconds.observe(seconds)
    _remember("routing", seconds)
    if _debug:
        _log.debug("order routed", order_id=order_id, candidates=candidates, venue=venue)


def order_retrying(order_id: str, code: str, delay_ms: int) -> None:
    """The order's attempt came to nothing, for the reason `code`; another follows after `delay_ms`."""
    _retries.labels(code).inc()
    if _debug:
        _log.debug("order will be tried again", order_id=order_id, code=code, delay_ms=delay_ms)


@cache
def _end_metrics(status: str) -> tuple[Counter, Histogram]:
    return _ended.labels(status), _order_seconds.labels(status)


def order_ended(order_id: str, status: str, seconds: float) -> None:
    """`seconds` from acceptance to the terminal event. `needs_review` calls for a person."""
    count, duration = _end_metrics(status)
    count.inc()
    duration.observe(seconds)
    _remember(f"accepted_to_{status}", seconds)
    if status == "needs_review":
        _log.error("order needs review", order_id=order_id)
    elif _debug:
        _log.debug("order ended", order_id=order_id, status=status, seconds=seconds)


def order_lost(order_id: str) -> None:
    """The lease ended while the order was under way; whoever leases it next goes on."""
    _log.warning("order lost with its lease", order_id=order_id)


def journey_fault(order_id: str, code: str, error: Exception | None = None) -> None:
    """An order's journey failed unexpectedly; it is run again from what is stored."""
    _faults.labels("journey").inc()
    _log.error("journey failed", order_id=order_id, code=code, exc_info=error)


# --- attempts ---------------------------------------------------------------------------------------------


def attempt_built(order_id: str, attempt: int, signature: str) -> None:
    _child(_attempts, "built").inc()
    if _debug:
        _log.debug("attempt built", order_id=order_id, attempt=attempt, signature=signature)


def attempt_sent(order_id: str, attempt: int) -> None:
    """The attempt's bytes were handed to the network, for the first time or again."""
    _child(_attempts, "sent").inc()
    if _debug:
        _log.debug("attempt sent", order_id=order_id, attempt=attempt)


def attempt_ended(order_id: str, attempt: int, outcome: str, reason: str = "") -> None:
    """`outcome`: an AttemptStatus (`landed`, `reverted`, `expired`); `reason` why, where it did not land."""
    _child(_attempts, outcome).inc()
    if _debug:
        _log.debug("attempt ended", order_id=order_id, attempt=attempt, outcome=outcome, reason=reason)


def attempt_resumed(order_id: str, attempt: int) -> None:
    """An attempt that an earlier life of the process committed is being settled."""
    _attempts.labels("resumed").inc()
    _log.info("attempt resumed", order_id=order_id, attempt=attempt)


def attempt_rolled_back(order_id: str, attempt: int) -> None:
    """A fork abandoned the block that held it; the same bytes are sent again."""
    _attempts.labels("rolled_back").inc()
    _log.warning("attempt rolled back by a fork", order_id=order_id, attempt=attempt)


def bid_built(order_id: str, attempt: int, bid: int, unit_price: int) -> None:
    """The attempt bids again, at `unit_price` micro-lamports per compute unit: nobody has seen it so far."""
    _child(_attempts, "rebid").inc()
    if _debug:
        _log.debug("bid built", order_id=order_id, attempt=attempt, bid=bid, unit_price=unit_price)


def bid_dropped(order_id: str, code: str) -> None:
    """A further bid would fail as the chain stands, or the signer refuses it: what there is goes on being sent."""
    _child(_attempts, "rebid_dropped").inc()
    if _debug:
        _log.debug("bid dropped", order_id=order_id, code=code)


def send_failed(order_id: str, code: str) -> None:
    """Handing over the bytes raised: they may have arrived all the same."""
    _chain_faults.labels("send", code).inc()
    if _debug:
        _log.debug("send failed", order_id=order_id, code=code)


def chain_unusable(order_id: str, code: str) -> None:
    """The chain gave no usable answer about an attempt under way."""
    _chain_faults.labels("ask", code).inc()
    if _debug:
        _log.debug("chain answer unusable", order_id=order_id, code=code)


def paper_chain_away(address: str, reason: str) -> None:
    """The paper chain of many processes can't be reached; it is tried again and again. Told once, when it begins."""
    _faults.labels("paper_chain").inc()
    _log.warning("paper chain can't be reached", address=address, reason=reason)


def paper_chain_back(address: str) -> None:
    _log.info("paper chain reached again", address=address)


# --- worker and store -------------------------------------------------------------------------------------


def worker_started(worker: str, *, epoch: int, concurrency: int) -> None:
    _log.info("worker started", worker=worker, epoch=epoch, concurrency=concurrency)


def worker_stopped(worker: str) -> None:
    _log.info("worker stopped", worker=worker)


def worker_fault(worker: str, code: str) -> None:
    """The store refused or did not answer; the worker tries again."""
    _faults.labels("store").inc()
    _log.warning("store fault", worker=worker, code=code)


def lease_lost(worker: str) -> None:
    """The worker's epoch was ended by others: it has stopped moving its orders."""
    _faults.labels("lease").inc()
    _log.warning("lease lost", worker=worker)


def orders_in_flight(count: int) -> None:
    _in_flight.set(count)


def orders_recovered(count: int) -> None:
    if count:
        _recovered.inc(count)
        _log.info("orders recovered", count=count)


def queue_turned(state: str) -> None:
    """An operator has paused, drained or resumed the queue."""
    _log.warning("queue turned", state=state)


def queue_seen(counts: dict[str, int], *, state: str, oldest_s: float, ended_per_s: float) -> None:
    """The whole engine's queue, as the store has it. `counts` by place: waiting, active, delayed, completed, failed."""
    _queue.counts, _queue.state = counts, state
    _queue.oldest_s, _queue.ended_per_s = oldest_s, ended_per_s


def queue_unseen(code: str) -> None:
    """The queue can't be read now: its metrics say nothing, rather than what was once so."""
    _queue.counts, _queue.state, _queue.oldest_s, _queue.ended_per_s = {}, None, None, None
    _faults.labels("queue").inc()
    _log.warning("queue can't be read", code=code)


def store_flush(*, operations: int, seconds: float) -> None:
    _flushes.inc()
    _flushed.inc(operations)
    _flush_seconds.observe(seconds)
    _remember("store_flush", seconds)


# --- streams ----------------------------------------------------------------------------------------------


def stream_opened(kind: str) -> None:
    """`kind`: `ws` or `sse`."""
    _streams.labels(kind).inc()
    _streams_opened.labels(kind).inc()


def stream_closed(kind: str) -> None:
    _streams.labels(kind).dec()


def stream_dropped(kind: str) -> None:
    """Its reader was too slow; it can resume from the last sequence that it saw."""
    _streams_dropped.labels(kind).inc()
    _log.info("slow stream dropped", kind=kind)


def stream_fault(code: str) -> None:
    """The streams' source failed or fell behind; they catch up from the store."""
    _faults.labels("streams").inc()
    _log.warning("stream fault", code=code)


def bus_failing(what: str, reason: str) -> None:
    """Redis does not answer, or refuses. `what`: `hearing` or `sending`. Told once, when it begins: nothing is lost
    meanwhile, work and events are found in the store."""
    _faults.labels("bus").inc()
    _log.warning("redis fails", what=what, reason=reason)


def bus_works(what: str) -> None:
    _log.info("redis works again", what=what)


def markers_swept(count: int, lamports: int) -> None:
    """The rent of orders' markers came back to the wallet, less the fee of the transaction."""
    _swept.inc(count)
    _log.info("markers swept", count=count, lamports=lamports)


def sweep_failed(code: str) -> None:
    """Markers could not be swept; they are tried again at the next turn."""
    _faults.labels("sweep").inc()
    _log.warning("marker sweep failed", code=code)


def feed_behind(code: str) -> None:
    """The live market could not be read; pools grow stale until it can."""
    _log.warning("market feed behind", code=code)


def lookup_tables_read(tables: int, addresses: int) -> None:
    """What the lookup tables that transactions use hold has changed."""
    _lookup_tables.set(tables)
    _log.info("lookup tables read", tables=tables, addresses=addresses)


def lookup_table_unusable(table: str, why: str) -> None:
    """A configured lookup table is not used from now on: transactions are longer without it."""
    _log.warning("lookup table not used", table=table, reason=why)


def pool_quarantined(pool: str, detail: str, count: int) -> None:
    """A pool did not do what it was quoted to do, again; it is quoted no more until it is released. `count`: how many
    are quarantined now."""
    _quarantined.set(count)
    _log.error("pool quarantined", pool=pool, detail=detail)


def pool_checked(pool: str, outcome: str) -> None:
    """The swap that a quarantined pool had disagreed about was simulated again: `agrees`, `differs` or `unknown`."""
    _rechecks.labels(outcome).inc()
    _log.info("quarantined pool checked", pool=pool, outcome=outcome)


def pool_released(pool: str, by: str, count: int) -> None:
    """A quarantined pool is quoted again, `by` checks or a `person`. `count`: how many still are quarantined."""
    _quarantined.set(count)
    _released.labels(by).inc()
    _log.warning("pool released", pool=pool, by=by)
