"""The metrics of this process: each declared once, with its text for the operator.

In: counts and durations in seconds, from the events beside this module. Out: the Prometheus format, over REGISTRY.
Must not: be used from elsewhere; what happened is told to `observe` itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
"""This process's metrics: nothing else registers here."""

QUEUE_STATES = ("running", "paused", "draining")
_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"fillwright_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"fillwright_{name}", text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"fillwright_{name}_seconds", text, labels, buckets=buckets, registry=REGISTRY)


class QueueMetrics(Collector):
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


requests = _counter("http_requests", "HTTP requests answered", "route", "status")
request_seconds = _histogram("http_request", "From an HTTP request to its answer", _FAST, "route")
refused = _counter("requests_refused", "Requests answered with a problem", "code")
accepted = _counter("orders_accepted", "Orders made durable")
repeated = _counter("orders_repeated", "Requests that named an order accepted before")
routed = _counter("orders_routed", "Routing decisions", "outcome")
route_seconds = _histogram("routing", "Time to a routing decision", _FAST)
attempts = _counter("attempts", "Signed transactions, by what became of them", "outcome")
retries = _counter("retries", "Attempts that were followed by another", "code")
ended = _counter("orders_ended", "Orders that reached their end", "status")
order_seconds = _histogram("order", "From acceptance to the order's end", _SLOW, "status")
in_flight = _gauge("orders_in_flight", "Orders that this process's worker is moving")
quotes = _counter("quotes", "Quotes served", "outcome")
quote_seconds = _histogram("quote", "Time to a quote", _FAST)
streams = _gauge("streams_open", "Open event streams", "kind")
streams_opened = _counter("streams_opened", "Event streams opened", "kind")
streams_dropped = _counter("streams_dropped", "Event streams dropped because their reader was too slow", "kind")
flushes = _counter("store_flushes", "Durable flushes of the store")
flushed = _counter("store_operations", "Operations that were flushed")
flush_seconds = _histogram("store_flush", "Duration of a durable flush", _FAST)
recovered = _counter("orders_recovered", "Orders taken over from a worker that had stopped")
queue = QueueMetrics(REGISTRY)
faults = _counter("faults", "What went wrong inside the engine", "where")
quarantined = _gauge("pools_quarantined", "Pools that do not do what they are quoted to do, and are quoted no more")
released = _counter("pools_released", "Quarantined pools that are quoted again", "by")
rechecks = _counter("pool_checks", "Repetitions of swaps that quarantined pools had disagreed about", "outcome")
lookup_tables = _gauge("lookup_tables", "Address lookup tables that transactions use")
swept = _counter("markers_swept", "Orders' marker accounts whose rent was given back")
chain_faults = _counter("chain_faults", "Chain calls without a usable answer", "call", "code")


@cache
def child(counter: Counter, label: str) -> Counter:
    """The counter of one label: looking it up costs three times as much as counting. For closed sets of labels."""
    return counter.labels(label)


@cache
def of_request(route: str, status: int) -> tuple[Counter, Histogram]:
    """How many, and how long: of a route's answers with this status."""
    return requests.labels(route, status), request_seconds.labels(route)


@cache
def of_end(status: str) -> tuple[Counter, Histogram]:
    """How many, and how long: of the orders that ended so."""
    return ended.labels(status), order_seconds.labels(status)
