"""What the engine tells its operator: one function per domain event, owning its log line and its metric.

In: ids, counts, durations in seconds, stable codes. Out: structlog lines on standard error, and Prometheus
metrics in REGISTRY. Steps of single orders are logged at debug, so that a busy engine stays quiet; starts,
stops and problems are logged above it. Never a key, a raw transaction or a request's body.
"""

from __future__ import annotations

from fillwright.observe import logs, metrics
from fillwright.observe.latencies import Latency as Latency
from fillwright.observe.latencies import latencies as latencies
from fillwright.observe.latencies import remember
from fillwright.observe.logs import configure_logging as configure_logging
from fillwright.observe.metrics import REGISTRY as REGISTRY

# --- the process ------------------------------------------------------------------------------------------


def settings_warned(warning: str) -> None:
    logs.log.warning("settings", warning=warning)


def engine_started(*, mode: str, address: str) -> None:
    logs.log.info("engine started", mode=mode, address=address)


def start_waits(*, reason: str, at_most_s: float) -> None:
    """Something that the process can't start without is not there; it tries again and again. Told once a reason."""
    metrics.faults.labels("start").inc()
    logs.log.warning("waiting to start", reason=reason, at_most_s=at_most_s)


def engine_stopping(*, in_flight: int) -> None:
    logs.log.info("engine stopping", in_flight=in_flight)


def engine_stopped() -> None:
    logs.log.info("engine stopped")


def unexpected_error(where: str, error: BaseException) -> None:
    """Something that nobody foresaw. `where`: a constant, such as `http`."""
    metrics.faults.labels(where).inc()
    logs.log.error("unexpected error", where=where, error=type(error).__name__, exc_info=error)


# --- requests ---------------------------------------------------------------------------------------------


def request_served(route: str, status: int, seconds: float) -> None:
    """`route`: the path's template, never the path itself."""
    count, duration = metrics.of_request(route, status)
    count.inc()
    duration.observe(seconds)


def request_refused(code: str, status: int) -> None:
    metrics.refused.labels(code).inc()
    if status >= 500:
        logs.log.warning("request refused", code=code, status=status)


def quote_served(*, routed: bool, seconds: float) -> None:
    metrics.quotes.labels("routed" if routed else "no_route").inc()
    metrics.quote_seconds.observe(seconds)
    remember("quote", seconds)


# --- orders -----------------------------------------------------------------------------------------------


def order_accepted(order_id: str) -> None:
    metrics.accepted.inc()
    if logs.debug:
        logs.log.debug("order accepted", order_id=order_id)


def order_repeated(order_id: str) -> None:
    """A request came again and was answered with the order that it had made."""
    metrics.repeated.inc()
    if logs.debug:
        logs.log.debug("order repeated", order_id=order_id)


def order_routed(order_id: str, candidates: int, venue: str | None, seconds: float) -> None:
    """`venue`: the first leg's; None where nothing was executable."""
    metrics.child(metrics.routed, "routed" if venue else "no_route").inc()
    metrics.route_seconds.observe(seconds)
    remember("routing", seconds)
    if logs.debug:
        logs.log.debug("order routed", order_id=order_id, candidates=candidates, venue=venue)


def order_retrying(order_id: str, code: str, delay_ms: int) -> None:
    """The order's attempt came to nothing, for the reason `code`; another follows after `delay_ms`."""
    metrics.retries.labels(code).inc()
    if logs.debug:
        logs.log.debug("order will be tried again", order_id=order_id, code=code, delay_ms=delay_ms)


def order_ended(order_id: str, status: str, seconds: float) -> None:
    """`seconds` from acceptance to the terminal event. `needs_review` calls for a person."""
    count, duration = metrics.of_end(status)
    count.inc()
    duration.observe(seconds)
    remember(f"accepted_to_{status}", seconds)
    if status == "needs_review":
        logs.log.error("order needs review", order_id=order_id)
    elif logs.debug:
        logs.log.debug("order ended", order_id=order_id, status=status, seconds=seconds)


def order_lost(order_id: str) -> None:
    """The lease ended while the order was under way; whoever leases it next goes on."""
    logs.log.warning("order lost with its lease", order_id=order_id)


def journey_fault(order_id: str, code: str, error: Exception | None = None) -> None:
    """An order's journey failed unexpectedly; it is run again from what is stored."""
    metrics.faults.labels("journey").inc()
    logs.log.error("journey failed", order_id=order_id, code=code, exc_info=error)


# --- attempts ---------------------------------------------------------------------------------------------


def attempt_built(order_id: str, attempt: int, signature: str) -> None:
    metrics.child(metrics.attempts, "built").inc()
    if logs.debug:
        logs.log.debug("attempt built", order_id=order_id, attempt=attempt, signature=signature)


def attempt_sent(order_id: str, attempt: int) -> None:
    """The attempt's bytes were handed to the network, for the first time or again."""
    metrics.child(metrics.attempts, "sent").inc()
    if logs.debug:
        logs.log.debug("attempt sent", order_id=order_id, attempt=attempt)


def attempt_ended(order_id: str, attempt: int, outcome: str, reason: str = "") -> None:
    """`outcome`: an AttemptStatus (`landed`, `reverted`, `expired`); `reason` why, where it did not land."""
    metrics.child(metrics.attempts, outcome).inc()
    if logs.debug:
        logs.log.debug("attempt ended", order_id=order_id, attempt=attempt, outcome=outcome, reason=reason)


def attempt_resumed(order_id: str, attempt: int) -> None:
    """An attempt that an earlier life of the process committed is being settled."""
    metrics.attempts.labels("resumed").inc()
    logs.log.info("attempt resumed", order_id=order_id, attempt=attempt)


def attempt_rolled_back(order_id: str, attempt: int) -> None:
    """A fork abandoned the block that held it; the same bytes are sent again."""
    metrics.attempts.labels("rolled_back").inc()
    logs.log.warning("attempt rolled back by a fork", order_id=order_id, attempt=attempt)


def bid_built(order_id: str, attempt: int, bid: int, unit_price: int) -> None:
    """The attempt bids again, at `unit_price` micro-lamports per compute unit: nobody has seen it so far."""
    metrics.child(metrics.attempts, "rebid").inc()
    if logs.debug:
        logs.log.debug("bid built", order_id=order_id, attempt=attempt, bid=bid, unit_price=unit_price)


def bid_dropped(order_id: str, code: str) -> None:
    """A further bid would fail as the chain stands, or the signer refuses it: what there is goes on being sent."""
    metrics.child(metrics.attempts, "rebid_dropped").inc()
    if logs.debug:
        logs.log.debug("bid dropped", order_id=order_id, code=code)


def send_failed(order_id: str, code: str) -> None:
    """Handing over the bytes raised: they may have arrived all the same."""
    metrics.chain_faults.labels("send", code).inc()
    if logs.debug:
        logs.log.debug("send failed", order_id=order_id, code=code)


def chain_unusable(order_id: str, code: str) -> None:
    """The chain gave no usable answer about an attempt under way."""
    metrics.chain_faults.labels("ask", code).inc()
    if logs.debug:
        logs.log.debug("chain answer unusable", order_id=order_id, code=code)


def paper_chain_away(address: str, reason: str) -> None:
    """The paper chain of many processes can't be reached; it is tried again and again. Told once, when it begins."""
    metrics.faults.labels("paper_chain").inc()
    logs.log.warning("paper chain can't be reached", address=address, reason=reason)


def paper_chain_back(address: str) -> None:
    logs.log.info("paper chain reached again", address=address)


# --- worker and store -------------------------------------------------------------------------------------


def worker_started(worker: str, *, epoch: int, concurrency: int) -> None:
    logs.log.info("worker started", worker=worker, epoch=epoch, concurrency=concurrency)


def worker_stopped(worker: str) -> None:
    logs.log.info("worker stopped", worker=worker)


def worker_fault(worker: str, code: str) -> None:
    """The store refused or did not answer; the worker tries again."""
    metrics.faults.labels("store").inc()
    logs.log.warning("store fault", worker=worker, code=code)


def lease_lost(worker: str) -> None:
    """The worker's epoch was ended by others: it has stopped moving its orders."""
    metrics.faults.labels("lease").inc()
    logs.log.warning("lease lost", worker=worker)


def orders_in_flight(count: int) -> None:
    metrics.in_flight.set(count)


def orders_recovered(count: int) -> None:
    if count:
        metrics.recovered.inc(count)
        logs.log.info("orders recovered", count=count)


def queue_turned(state: str) -> None:
    """An operator has paused, drained or resumed the queue."""
    logs.log.warning("queue turned", state=state)


def queue_seen(counts: dict[str, int], *, state: str, oldest_s: float, ended_per_s: float) -> None:
    """The whole engine's queue, as the store has it. `counts` by place: waiting, active, delayed, completed, failed."""
    metrics.queue.counts, metrics.queue.state = counts, state
    metrics.queue.oldest_s, metrics.queue.ended_per_s = oldest_s, ended_per_s


def queue_unseen(code: str) -> None:
    """The queue can't be read now: its metrics say nothing, rather than what was once so."""
    metrics.queue.counts, metrics.queue.state, metrics.queue.oldest_s, metrics.queue.ended_per_s = {}, None, None, None
    metrics.faults.labels("queue").inc()
    logs.log.warning("queue can't be read", code=code)


def store_flush(*, operations: int, seconds: float) -> None:
    metrics.flushes.inc()
    metrics.flushed.inc(operations)
    metrics.flush_seconds.observe(seconds)
    remember("store_flush", seconds)


# --- streams ----------------------------------------------------------------------------------------------


def stream_opened(kind: str) -> None:
    """`kind`: `ws` or `sse`."""
    metrics.streams.labels(kind).inc()
    metrics.streams_opened.labels(kind).inc()


def stream_closed(kind: str) -> None:
    metrics.streams.labels(kind).dec()


def stream_dropped(kind: str) -> None:
    """Its reader was too slow; it can resume from the last sequence that it saw."""
    metrics.streams_dropped.labels(kind).inc()
    logs.log.info("slow stream dropped", kind=kind)


def stream_fault(code: str) -> None:
    """The streams' source failed or fell behind; they catch up from the store."""
    metrics.faults.labels("streams").inc()
    logs.log.warning("stream fault", code=code)


def bus_failing(what: str, reason: str) -> None:
    """Redis does not answer, or refuses. `what`: `hearing` or `sending`. Told once, when it begins: nothing is lost
    meanwhile, work and events are found in the store."""
    metrics.faults.labels("bus").inc()
    logs.log.warning("redis fails", what=what, reason=reason)


def bus_works(what: str) -> None:
    logs.log.info("redis works again", what=what)


def markers_swept(count: int, lamports: int) -> None:
    """The rent of orders' markers came back to the wallet, less the fee of the transaction."""
    metrics.swept.inc(count)
    logs.log.info("markers swept", count=count, lamports=lamports)


def sweep_failed(code: str) -> None:
    """Markers could not be swept; they are tried again at the next turn."""
    metrics.faults.labels("sweep").inc()
    logs.log.warning("marker sweep failed", code=code)


def feed_behind(code: str) -> None:
    """The live market could not be read; pools grow stale until it can."""
    logs.log.warning("market feed behind", code=code)


def lookup_tables_read(tables: int, addresses: int) -> None:
    """What the lookup tables that transactions use hold has changed."""
    metrics.lookup_tables.set(tables)
    logs.log.info("lookup tables read", tables=tables, addresses=addresses)


def lookup_table_unusable(table: str, why: str) -> None:
    """A configured lookup table is not used from now on: transactions are longer without it."""
    logs.log.warning("lookup table not used", table=table, reason=why)


def pool_quarantined(pool: str, detail: str, count: int) -> None:
    """A pool did not do what it was quoted to do, again; it is quoted no more until it is released. `count`: how many
    are quarantined now."""
    metrics.quarantined.set(count)
    logs.log.error("pool quarantined", pool=pool, detail=detail)


def pool_checked(pool: str, outcome: str) -> None:
    """The swap that a quarantined pool had disagreed about was simulated again: `agrees`, `differs` or `unknown`."""
    metrics.rechecks.labels(outcome).inc()
    logs.log.info("quarantined pool checked", pool=pool, outcome=outcome)


def pool_released(pool: str, by: str, count: int) -> None:
    """A quarantined pool is quoted again, `by` checks or a `person`. `count`: how many still are quarantined."""
    metrics.quarantined.set(count)
    metrics.released.labels(by).inc()
    logs.log.warning("pool released", pool=pool, by=by)
