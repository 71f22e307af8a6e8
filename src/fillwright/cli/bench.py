"""`fillwright bench`: load a running engine and check every outcome."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fillwright.cli.output import EXIT_INTERRUPTED, EXIT_REFUSED, emit

if TYPE_CHECKING:
    from fillwright.load import Histogram, Load, LoadReport, Percentiles

NAMES = {"accept": "request → accepted", "end": "accepted → ended", "lag": "event → arrived"}
BAR_CHARS = 40


def bench(
    url: Annotated[str, typer.Option("--url", envvar="FILLWRIGHT_URL")] = "http://127.0.0.1:3000",
    orders: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many orders to send.")] = 1_000,
    clients: Annotated[int, typer.Option(min=1, max=10_000, help="Connections that send at the same time.")] = 10,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Orders a second (open loop).")] = None,
    batch: Annotated[int, typer.Option(min=1, max=100, help="Orders a request.")] = 1,
    sockets: Annotated[int, typer.Option(min=1, max=10_000, help="WebSockets that follow all events.")] = 1,
    wait: Annotated[bool, typer.Option("--wait", help="Each client waits for its order's end.")] = False,
    input_: Annotated[str, typer.Option("--input")] = "SOL",
    output: Annotated[str, typer.Option("--output")] = "USDC",
    amount: Annotated[str, typer.Option(help="Whole tokens of the input.")] = "0.001",
    api_key: Annotated[str | None, typer.Option("--api-key", envvar="FILLWRIGHT_API_KEY")] = None,
    json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Load the engine at URL with orders, watch their events, and check that nothing is lost, doubled or out of turn.

    Ctrl-C sends no more and reports what was sent; a second one ends at once.
    Orders are real for that engine: in paper mode they move paper balances, in live modes they move money.
    """
    from fillwright.load import Load

    load = Load(url, orders, clients, rate, batch, input_, output, amount, api_key=api_key, sockets=sockets, wait=wait)
    try:
        report, interrupted = asyncio.run(_run(load))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    emit(report, json, lambda: table(report))
    if interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if report.violations or report.rejected:
        raise typer.Exit(EXIT_REFUSED)


async def _run(load: Load) -> tuple[LoadReport, bool]:
    """The report, and whether the sending was interrupted."""
    from fillwright.load import generate

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    running = asyncio.ensure_future(generate(load, stop))

    def interrupt() -> None:
        if stop.is_set():
            running.cancel()
        stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        return await running, stop.is_set()
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def table(report: LoadReport) -> RenderableType:
    """The report for people."""
    rates = Table(show_header=False, box=None, pad_edge=False)
    rates.add_row("orders accepted", f"{report.orders:,}")
    rates.add_row("accepted", f"{report.accepted_per_s:,.0f} /s")
    rates.add_row("end to end", f"{report.orders_per_s:,.0f} /s")
    rates.add_row("outcomes", ", ".join(f"{count:,} {status}" for status, count in report.statuses.items()))
    rates.add_row("rejected", ", ".join(f"{count:,} {code}" for code, count in report.rejected.items()) or "none")
    if report.resumed:
        rates.add_row("streams resumed", f"{report.resumed:,}")
    latencies = Table("latency in ms", header_style="bold", pad_edge=False)
    for column in ("p50", "p90", "p99", "max"):
        latencies.add_column(column, justify="right")
    for key, name in NAMES.items():
        latencies.add_row(name, *_cells(getattr(report, key)))
    sockets = f"{report.sockets:,} socket{'' if report.sockets == 1 else 's'}"
    verdict = Text(
        f"every event seen once and in order on {sockets}; {report.checked:,} stored outcomes as told",
        style="yellow" if report.rejected else "green",
    )
    if report.violations:
        verdict = Text("\n".join(report.violations), style="bold red")
    drawn = [histogram(name, report.histograms[key]) for key, name in NAMES.items() if report.histograms[key].counts]
    return Group(rates, latencies, *drawn, verdict)


def histogram(name: str, found: Histogram) -> RenderableType:
    """A bar for each bucket that has samples, and for those between."""
    bars = Table(f"{name}, ms", "", "", header_style="bold", pad_edge=False, box=None)
    most, total = max(found.counts), sum(found.counts)
    for bound, count in zip(found.bounds_ms, found.counts, strict=True):
        bars.add_row(f"≤ {bound:,.2f}", Text("█" * round(count / most * BAR_CHARS) or "▏"[: count], style="cyan"),
            f"{count / total:.1%}" if count else "")  # fmt: skip
    bars.columns[0].justify = "right"
    return bars


def _cells(found: Percentiles) -> tuple[str, ...]:
    return tuple(f"{value:,.2f}" for value in (found.p50_ms, found.p90_ms, found.p99_ms, found.max_ms))
