"""The whole engine over HTTP, on SQLite, with delays and failures set to zero; the load generator runs on the same
machine. Baseline: the same server and load generator, where each request is answered with an empty 202.

Throughput is taken with many orders in flight, latencies with few, each in an engine of its own: what is in flight
shares one event loop, and waits for it. Clients that send their next order once the last was accepted keep the
engine saturated, so that its queue is measured too; clients that wait for their order's end, and a steady rate, show
what a user sees.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.system.process import EngineProcess, free_port

from benchmarks.figures import Figure, show
from fillwright.load import Load, LoadReport, generate, percentiles

ORDERS = int(os.environ.get("FILLWRIGHT_BENCH_ORDERS", "20000"))
WARM_UP = 1_000
MANY_IN_FLIGHT, FEW_IN_FLIGHT = 200, 16
STEADY_RATES, STEADY_S = (200.0, 400.0), 15
"""Orders a second; each has five events."""
MEMORY_ORDERS = int(os.environ.get("FILLWRIGHT_BENCH_MEMORY_ORDERS", "100000"))
BARE = """
import uvicorn

async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    head = [(b"content-type", b"application/json"), (b"content-length", b"10")]
    await send({"type": "http.response.start", "status": 202, "headers": head})
    await send({"type": "http.response.body", "body": b'{"id":"x"}'})

uvicorn.run(app, port=%d, http="httptools", loop="uvloop", lifespan="off", log_level="error", access_log=False)
"""


def run(load: Load) -> LoadReport:
    return asyncio.run(generate(load))


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def bare_rate(clients: int) -> float:
    """Requests a second of the empty server."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(BARE) % port]) as server:
        try:
            return asyncio.run(_bare_rate(port, clients))
        finally:
            server.terminate()


async def _bare_rate(port: int, clients: int) -> float:
    from fillwright.load.generator import _Senders

    load = Load(f"http://127.0.0.1:{port}", orders=5_000, clients=clients)
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            break
    started = time.perf_counter()
    await _Senders(load, asyncio.Event()).run()
    return load.orders / (time.perf_counter() - started)


def commit_ms(folder: Path, count: int = 300) -> tuple[float, float]:
    """p50 and p99 of a bare SQLite commit at full fsync on this disk: no event can be told sooner."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (a)")
    samples = []
    for _ in range(count):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (zeroblob(500))")
        started = time.perf_counter()
        connection.execute("COMMIT")
        samples.append((time.perf_counter() - started) * 1000)
    connection.close()
    found = percentiles(samples)
    return found.p50_ms, found.p99_ms


@contextmanager
def engine(folder: Path, concurrency: int) -> Iterator[EngineProcess]:
    """An engine without delays and failures, warmed up."""
    process = EngineProcess(
        folder / f"data-{concurrency}",
        free_port(),
        concurrency=concurrency,
        paper_raydium_quote_delay_ms=0,
        paper_meteora_quote_delay_ms=0,
        paper_execution_delay_min_ms=0,
        paper_execution_delay_max_ms=0,
        paper_failure_rate=0,
    )
    process.start()
    try:
        run(Load(process.url, reread=False, orders=WARM_UP, clients=50))
        yield process
    finally:
        process.stop()


def main() -> None:
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="fillwright-bench-") as folder:
        p50_ms, p99_ms = commit_ms(Path(folder))
        disk = f"one bare commit on this disk: p50 {p50_ms:.2f} ms, p99 {p99_ms:.2f} ms"
        with engine(Path(folder), MANY_IN_FLIGHT) as process:
            figures = _throughput(process, broken)
        with engine(Path(folder), FEW_IN_FLIGHT) as process:
            figures += _latency(process, disk, broken)
    show("engine over HTTP, SQLite, one process, load generator included", figures)
    if broken:
        raise SystemExit(f"the engine broke its promises: {broken[:5]}")


def _throughput(process: EngineProcess, broken: list[str]) -> list[Figure]:
    before = cpu_s(process.pid)
    report = run(Load(process.url, reread=False, orders=ORDERS, clients=100))
    cpu_ms = (cpu_s(process.pid) - before) / ORDERS * 1000
    broken += report.violations
    sent = WARM_UP + ORDERS
    while sent < MEMORY_ORDERS:
        batch = min(20_000, MEMORY_ORDERS - sent)
        broken += run(Load(process.url, reread=False, orders=batch, clients=100)).violations
        sent += batch
    bare = f"an empty server: {bare_rate(100):,.0f} requests/s"
    what = f"100 clients, {MANY_IN_FLIGHT} in flight"
    return [
        Figure(f"end to end, {what}", report.orders_per_s, "/s", 1_500, at_most=False, baseline=bare),
        Figure(f"accepted, {what}", report.accepted_per_s, "/s", baseline=bare),
        Figure("engine CPU per order", cpu_ms, "ms", 1),
        Figure(f"resident memory after {sent:,} orders", resident_mb(process.pid), "MB", 200),
    ]


def _latency(process: EngineProcess, disk: str, broken: list[str]) -> list[Figure]:
    full = run(Load(process.url, reread=False, orders=ORDERS // 4, clients=10))
    patient = run(Load(process.url, reread=False, orders=ORDERS // 4, clients=10, wait=True))
    steady = [
        run(Load(process.url, reread=False, orders=int(rate * STEADY_S), clients=10, rate=rate))
        for rate in STEADY_RATES
    ]
    broken += [violation for report in (full, patient, *steady) for violation in report.violations]
    each = "10 clients, each until its order has ended"
    return [
        Figure(f"end to end, 10 clients, {FEW_IN_FLIGHT} in flight", full.orders_per_s, "/s"),
        Figure("POST p50, 10 clients", full.accept.p50_ms, "ms", 7, baseline=disk),
        Figure("POST p99, 10 clients", full.accept.p99_ms, "ms", 17, baseline=disk),
        Figure("event lag p50, 10 clients, saturated", full.lag.p50_ms, "ms", 0.8, baseline=disk),
        Figure("event lag p99, 10 clients, saturated", full.lag.p99_ms, "ms", 4, baseline=disk),
        Figure(f"POST p50, {each}", patient.accept.p50_ms, "ms", 7, baseline=disk),
        Figure(f"POST p99, {each}", patient.accept.p99_ms, "ms", 17, baseline=disk),
        Figure(f"accepted → confirmed p50, {each}", patient.end.p50_ms, "ms", baseline=disk),
        Figure(f"accepted → confirmed p99, {each}", patient.end.p99_ms, "ms", baseline=disk),
        Figure(f"event lag p50, {each}", patient.lag.p50_ms, "ms", 0.8, baseline=disk),
        Figure(f"event lag p99, {each}", patient.lag.p99_ms, "ms", 4, baseline=disk),
        *(
            figure
            for rate, report in zip(STEADY_RATES, steady, strict=True)
            for figure in _steady(f"{rate:.0f} orders/s", report, disk)
        ),
    ]


def _steady(rate: str, report: LoadReport, disk: str) -> list[Figure]:
    return [
        Figure(f"event lag p50, {rate}", report.lag.p50_ms, "ms", 0.8, baseline=disk),
        Figure(f"event lag p99, {rate}", report.lag.p99_ms, "ms", 4, baseline=disk),
        Figure(f"accepted → confirmed p50, {rate}", report.end.p50_ms, "ms", baseline=disk),
        Figure(f"accepted → confirmed p99, {rate}", report.end.p99_ms, "ms", baseline=disk),
    ]


if __name__ == "__main__":
    main()
