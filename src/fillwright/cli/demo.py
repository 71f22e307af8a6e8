"""Five concurrent orders of different pairs on an engine of their own: what each one went through, where it was
routed and why, and what it got. Ends by itself; the exit status says whether every order ended as its own event
log says."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import msgspec
from rich.console import Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from fillwright import app as composition
from fillwright import observe, wire
from fillwright.cli import show
from fillwright.cli.consistency import faults
from fillwright.cli.output import EXIT_REFUSED, console, emit, errors, is_pretty
from fillwright.client import AsyncClient, OrderFields
from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import OrderStatus

ORDERS: tuple[OrderFields, ...] = (
    {"input": "SOL", "output": "USDC", "amount": "10"},
    {"input": "RAY", "output": "USDC", "amount": "200"},
    {"input": "BONK", "output": "SOL", "amount": "1000000"},
    {"input": "ETH", "output": "USDT", "amount": "0.5"},
    {"input": "USDC", "output": "SOL", "amount": "5", "swap_mode": "exact_out"},
)
TIME_LIMIT_S = 50.0
FRAMES_PER_SECOND = 12


class Seen:
    """What the stream has told about one order."""

    def __init__(self, order: wire.OrderView) -> None:
        self.order = order
        self.events: list[wire.EventView] = []
        self.started_s = time.monotonic()
        self.ended_s: float | None = None
        self._spinner = Spinner("dots", style="cyan")

    def take(self, event: wire.EventView) -> None:
        self.events.append(event)
        if event.status in TERMINAL:
            self.ended_s = time.monotonic()

    @property
    def mark(self) -> RenderableType:
        """A spinner while it runs, then how it ended."""
        if self.ended_s is None:
            return self._spinner
        confirmed = self.events[-1].status is OrderStatus.CONFIRMED
        return Text("✓", style="bold green") if confirmed else Text("✗", style="bold red")

    @property
    def seconds(self) -> float:
        return (self.ended_s or time.monotonic()) - self.started_s

    @property
    def routing(self) -> wire.RoutingData | None:
        """The newest routing decision."""
        found = [data for event in self.events if isinstance(data := wire.event_data(event), wire.RoutingData)]
        return found[-1] if found else None

    @property
    def retries(self) -> list[str]:
        """Why it was tried again."""
        found = (wire.event_data(event) for event in self.events)
        return [f"{data.error.code}: {data.error.message}" for data in found if isinstance(data, wire.RetryingData)]


class Summary(msgspec.Struct):
    """`consistent`: every order ended as its own log says."""

    mode: str
    orders: int
    confirmed: int
    other: int
    seconds: float
    consistent: bool


async def run(json: bool) -> int:
    """Run the demonstration; the exit status."""
    pretty = is_pretty(json)
    observe.configure_logging("error")
    with tempfile.TemporaryDirectory(prefix="fillwright-demo-") as folder:
        settings = composition.load_settings(
            {
                "data_dir": Path(folder),
                "port": 0,
                "host": "127.0.0.1",
                "snapshot": None,
                "mode": "paper",
                "api_keys": (),
            }
        )
        async with composition.running(settings) as engine, AsyncClient(engine.url) as client:
            if pretty:
                console.print(
                    Text.assemble(
                        ("Fillwright", "bold"),
                        f"  {len(ORDERS)} orders at once on {engine.url}, {settings.mode} mode: no real money moves\n",
                    )
                )
            return await _demonstrate(client, settings.mode, json)


async def _demonstrate(client: AsyncClient, mode: str, json: bool) -> int:
    started_s = time.monotonic()
    placed = await asyncio.gather(*(client.submit(**order) for order in ORDERS))
    seen = [Seen(order) for order in placed]
    try:
        async with asyncio.timeout(TIME_LIMIT_S):
            await _watch_all(client, seen, json)
    except TimeoutError:
        errors.print(f"not every order ended within {TIME_LIMIT_S:.0f} s", style="bold red")
        return EXIT_REFUSED
    found: list[str] = []
    for item in seen:
        item.order = await client.get(item.order.id)
        found += faults(item.order, item.events, await client.events(item.order.id))
    _tell(seen, json)
    confirmed = sum(item.order.status is OrderStatus.CONFIRMED for item in seen)
    seconds = round(time.monotonic() - started_s, 1)
    summary = Summary(mode, len(seen), confirmed, len(seen) - confirmed, seconds, not found)
    emit(summary, json, lambda: _closing(summary))
    for fault in found:
        errors.print(Text(fault, style="bold red"), soft_wrap=True)
    return EXIT_REFUSED if found else 0


async def _watch_all(client: AsyncClient, seen: list[Seen], json: bool) -> None:
    pretty = is_pretty(json)
    live = (
        Live(get_renderable=lambda: _board(seen), console=console, refresh_per_second=FRAMES_PER_SECOND)
        if pretty
        else nullcontext()
    )

    async def watch(item: Seen) -> None:
        async for event in client.stream(item.order.id):
            item.take(event)
            if not pretty:
                emit(event, json, lambda: "")

    with live:
        await asyncio.gather(*(watch(item) for item in seen))


def _tell(seen: Iterable[Seen], json: bool) -> None:
    if not is_pretty(json):
        for item in seen:
            emit(item.order, json, lambda: "")
        return
    for item in seen:
        console.print()
        console.print(_story(item))
    console.print()
    console.print(Rule("summary", align="left"))
    console.print(show.orders_table((item.order for item in seen), console.width))


def _board(seen: Iterable[Seen]) -> RenderableType:
    """All orders with the states each has gone through."""
    arrow = " › " if console.width >= show.VENUE_COLUMNS else "›"
    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column()
    for item in seen:
        states = Text()
        for event in item.events:
            label = "retry" if event.type == "retrying" else str(event.status)
            states.append(arrow if states else "", style="dim")
            states.append(label, style=show.STATUS_STYLE.get(event.status, ""))
        table.add_row(
            item.mark,
            Text(show.swap(item.order), no_wrap=True),
            Text(f"{item.seconds:4.1f} s", style="dim", no_wrap=True),
            states,
        )
    return table


def _story(item: Seen) -> RenderableType:
    """One order's routing decision and result."""
    order, routing, fill = item.order, item.routing, item.order.fill
    title = Text.assemble((show.swap(order), "bold"), "  ", show.status_text(order.status))
    parts: list[RenderableType] = [Rule(title, align="left")]
    if routing is not None and routing.candidates:
        parts.append(show.candidates_table(routing.candidates, routing.route, order, console.width))
    paid, received = show.name(order.input), show.name(order.output)
    rows: list[tuple[str, RenderableType | None]] = [
        ("routed", show.decision_line(routing.candidates, routing.route) if routing else None),
        *(("tried again", Text(reason, style="yellow")) for reason in item.retries),
        (
            "filled",
            f"{show.number(fill.amount_in)} {paid} → {show.number(fill.amount_out)} {received}" if fill else None,
        ),
        ("executed price", f"{show.number(order.executed_price)} {received} per {paid}" if fill else None),
        ("slippage", show.slippage(order.realised_slippage_bps) if fill else None),
        ("error", Text(f"{order.error.code}: {order.error.message}", style="red") if order.error else None),
        ("signature", Text(order.signature or show.NOTHING, style="dim")),
    ]
    return Group(*parts, show.facts(rows))


def _closing(summary: Summary) -> RenderableType:
    verdict = "every order ended as its own log says" if summary.consistent else "orders and their logs disagree"
    return Text.assemble(
        "\n",
        (f"{summary.confirmed} of {summary.orders} confirmed", "bold"),
        f" in {summary.seconds} s ({summary.mode}); ",
        (verdict, "green" if summary.consistent else "bold red"),
    )
