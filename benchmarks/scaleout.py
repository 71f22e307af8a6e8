"""The engine in many processes over HTTP: PostgreSQL at full fsync, Redis, a paper chain, an API and two workers,
delays and failures at zero; the load generator runs on the same machine.

`python -m benchmarks.scaleout [orders]`. Baseline: the same orders on the embedded engine (`benchmarks.engine`).
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.system.cluster import Cluster

from benchmarks.engine import cpu_s
from benchmarks.figures import Figure, show
from fillwright.load import Load, LoadReport, generate

DEFAULT_ORDERS = 10_000
WORKERS = 2
AT_ONCE = {
    "concurrency": 100,
    "paper_raydium_quote_delay_ms": 0,
    "paper_meteora_quote_delay_ms": 0,
    "paper_execution_delay_min_ms": 0,
    "paper_execution_delay_max_ms": 0,
    "paper_failure_rate": 0,
}


def main() -> None:
    orders = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ORDERS
    with tempfile.TemporaryDirectory(prefix="fillwright-bench-") as folder:
        cluster = Cluster(Path(folder) / "cluster", workers=WORKERS, **AT_ONCE)
        try:
            cluster.start()
            measure(cluster, orders)
        finally:
            cluster.close()


def measure(cluster: Cluster, orders: int) -> None:
    """Few clients for latencies, many for throughput, batches of 50."""
    run(Load(cluster.url, orders=500, clients=20))
    few = run(Load(cluster.url, orders=orders // 4, clients=10))
    patient = run(Load(cluster.url, orders=orders // 4, clients=10, wait=True))
    before = [cpu_s(pid) for pid in cluster.pids]
    many = run(Load(cluster.url, orders=orders, clients=100))
    cpu_ms = [(cpu_s(pid) - at) / orders * 1000 for pid, at in zip(cluster.pids, before, strict=True)]
    batches = run(Load(cluster.url, orders=orders, clients=10, batch=50))
    figures = [
        Figure("end to end, 100 clients", many.orders_per_s, "/s", 3_000, at_most=False),
        Figure("accepted, 100 clients", many.accepted_per_s, "/s"),
        Figure("end to end, 10 clients in batches of 50", batches.orders_per_s, "/s", 6_000, at_most=False),
        Figure("accepted, 10 clients in batches of 50", batches.accepted_per_s, "/s"),
        Figure("POST p50, 10 clients", few.accept.p50_ms, "ms", 5),
        Figure("POST p99, 10 clients", few.accept.p99_ms, "ms", 12),
        Figure("accepted → confirmed p50, 10 clients", few.end.p50_ms, "ms", 15),
        Figure("accepted → confirmed p99, 10 clients", few.end.p99_ms, "ms", 30),
        Figure("event lag p50, 10 clients", few.lag.p50_ms, "ms", 0.8),
        Figure("event lag p99, 10 clients", few.lag.p99_ms, "ms", 4),
        *_waiting(patient),
        Figure("CPU of the engine's processes per order", sum(cpu_ms), "ms", 0.6),
        Figure("  of them the paper chain", cpu_ms[0], "ms"),
        Figure("  the API", cpu_ms[1], "ms"),
        Figure("  the workers", sum(cpu_ms[2:]), "ms"),
    ]
    show(f"engine over HTTP, PostgreSQL + Redis, one API, {WORKERS} workers, load generator included", figures)
    broken = [*few.violations, *patient.violations, *many.violations, *batches.violations]
    if broken:
        raise SystemExit(f"the engine broke its promises: {broken[:5]}")


def _waiting(report: LoadReport) -> list[Figure]:
    """Of clients that each wait until their order has ended."""
    each = "10 clients, each until its order has ended"
    return [
        Figure(f"POST p50, {each}", report.accept.p50_ms, "ms", 5),
        Figure(f"POST p99, {each}", report.accept.p99_ms, "ms", 12),
        Figure(f"accepted → confirmed p50, {each}", report.end.p50_ms, "ms", 15),
        Figure(f"accepted → confirmed p99, {each}", report.end.p99_ms, "ms", 30),
        Figure(f"event lag p50, {each}", report.lag.p50_ms, "ms", 0.8),
        Figure(f"event lag p99, {each}", report.lag.p99_ms, "ms", 4),
    ]


def run(load: Load) -> LoadReport:
    return asyncio.run(generate(load))


if __name__ == "__main__":
    main()
