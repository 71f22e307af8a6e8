"""The whole engine over HTTP, on SQLite, with delays and failures set to zero; the load generator runs on the same
machine. Baseline: the same server and load generator, where each request is answered with an empty 202."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

from benchmarks.figures import Figure, show
from tests.system.process import EngineProcess, free_port

from fillwright.load import Load, generate, percentiles

ORDERS = int(os.environ.get("FILLWRIGHT_BENCH_ORDERS", "20000"))
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


def run(load: Load) -> object:
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
    from fillwright.load import _Senders, _Watcher

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
    await _Senders(load, _Watcher()).run()
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


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="fillwright-bench-") as folder:
        engine = EngineProcess(
            Path(folder) / "data",
            free_port(),
            concurrency=200,
            paper_raydium_quote_delay_ms=0,
            paper_meteora_quote_delay_ms=0,
            paper_execution_delay_min_ms=0,
            paper_execution_delay_max_ms=0,
            paper_failure_rate=0,
        )
        engine.start()
        try:
            _measure(engine, Path(folder))
        finally:
            engine.stop()


def _measure(engine: EngineProcess, folder: Path) -> None:
    run(Load(engine.url, orders=1_000, clients=50))
    few = run(Load(engine.url, orders=ORDERS // 4, clients=10))
    before = cpu_s(engine.pid)
    many = run(Load(engine.url, orders=ORDERS, clients=100))
    cpu_ms = (cpu_s(engine.pid) - before) / ORDERS * 1000
    p50_ms, p99_ms = commit_ms(folder)
    disk = f"one bare commit on this disk: p50 {p50_ms:.2f} ms, p99 {p99_ms:.2f} ms"
    bare = f"an empty server: {bare_rate(100):,.0f} requests/s"
    figures = [
        Figure("end to end, 100 clients", many.orders_per_s, "/s", 1_500, at_most=False, baseline=bare),
        Figure("accepted, 100 clients", many.accepted_per_s, "/s", baseline=bare),
        Figure("end to end, 10 clients", few.orders_per_s, "/s"),
        Figure("POST p50, 10 clients", few.accept.p50_ms, "ms", 7, baseline=disk),
        Figure("POST p99, 10 clients", few.accept.p99_ms, "ms", 17, baseline=disk),
        Figure("accepted → confirmed p50, 10 clients", few.end.p50_ms, "ms"),
        Figure("accepted → confirmed p99, 10 clients", few.end.p99_ms, "ms"),
        Figure("event lag p50, 10 clients", few.lag.p50_ms, "ms", 0.8, baseline=disk),
        Figure("event lag p99, 10 clients", few.lag.p99_ms, "ms", 4, baseline=disk),
        Figure("engine CPU per order", cpu_ms, "ms", 1),
    ]
    sent = 1_000 + ORDERS // 4 + ORDERS
    while sent < MEMORY_ORDERS:
        batch = min(20_000, MEMORY_ORDERS - sent)
        run(Load(engine.url, orders=batch, clients=100))
        sent += batch
    figures.append(Figure(f"resident memory after {sent:,} orders", resident_mb(engine.pid), "MB", 200))
    broken = [*few.violations, *many.violations]
    show("engine over HTTP, SQLite, one process, load generator included", figures)
    if broken:
        raise SystemExit(f"the engine broke its promises: {broken[:5]}")


if __name__ == "__main__":
    main()
