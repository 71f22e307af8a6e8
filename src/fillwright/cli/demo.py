"""Five concurrent orders of different pairs on an engine of their own: what each one went through, where it was
routed and why, and what it got. Ends by itself; the exit status says whether every order ended as its own event
log says."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import msgspec
from rich.console import Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from fillwright import app as composition
from fillwright import observe, wire
from fillwright.cli import show
from fillwright.cli.output import console, emit, is_pretty
from fillwright.client import AsyncClient
from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import OrderStatus

ORDERS = (
    {"input": "SOL", "output": "USDC", "amount": "10"},
    {"input": "RAY", "output": "USDC", "amount": "200"},
    {"input": "BONK", "output": "SOL", "amount": "1000000"},
    {"input": "ETH", "output": "USDT", "amount": "0.5"},
    {"input": "USDC", "output": "SOL", "amount": "5", "swap_mode": "exact_out"},
)
TIME_LIMIT_S = 55.0


class Seen(msgspec.Struct):
    """What the stream has told about one order."""

    order: wire.OrderView
    events: list[wire.EventView] = []

    @property
    def status(self) -> OrderStatus:
        return self.events[-1].status if self.events else self.order.status

    @property
    def routing(self) -> wire.RoutingData | None:
        """The newest routing decision."""
        for event in reversed(self.events):
            data = wire.event_data(event)
            if isinstance(data, wire.RoutingData):
                return data
        return None


class Summary(msgspec.Struct):
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
                console.print(f"[bold]Fillwright[/] {settings.mode} mode on {engine.url}")
            return await _demonstrate(client, settings.mode, json, pretty)


async def _demonstrate(client: AsyncClient, mode: str, json: bool, pretty: bool) -> int:
    started = time.monotonic()
    placed = await asyncio.gather(*(client.submit(**order) for order in ORDERS))
    seen = {order.id: Seen(order) for order in placed}
    live = Live(_board(seen), console=console, refresh_per_second=10) if pretty else nullcontext()
    try:
        async with asyncio.timeout(TIME_LIMIT_S):
            with live:
                watchers = (_watch(client, item, seen, live, json) for item in seen.values())
                await asyncio.gather(*watchers)
    except TimeoutError:
        console.print(f"not every order ended within {TIME_LIMIT_S:.0f} s", style="bold red")
        return 1
    ended = [await client.get(order_id) for order_id in seen]
    faults = [fault for order in ended for fault in _faults(order, seen[order.id].events)]
    confirmed = sum(order.status is OrderStatus.CONFIRMED for order in ended)
    seconds = round(time.monotonic() - started, 1)
    summary = Summary(mode, len(ended), confirmed, len(ended) - confirmed, seconds, not faults)
    if pretty:
        for order in ended:
            console.print(_story(order, seen[order.id]))
        console.print(Rule())
        console.print(show.orders_table(ended))
    else:
        for order in ended:
            emit(order, json, lambda: "")
    emit(summary, json, lambda: _closing(summary, faults))
    return 1 if faults else 0


async def _watch(
    client: AsyncClient, item: Seen, seen: dict[str, Seen], live: Live | nullcontext[None], json: bool
) -> None:
    async for event in client.stream(item.order.id):
        item.events.append(event)
        if isinstance(live, Live):
            live.update(_board(seen))
        else:
            emit(event, json, lambda: "")


def _faults(order: wire.OrderView, events: list[wire.EventView]) -> list[str]:
    """Where an order and its own event log disagree."""
    faults = []
    if [event.number for event in events] != list(range(1, len(events) + 1)):
        faults.append(f"{order.id}: its events are not numbered 1 to {len(events)}")
    ends = [event for event in events if event.status in TERMINAL]
    if len(ends) != 1 or ends[0] is not events[-1]:
        faults.append(f"{order.id}: its log has {len(ends)} terminal events")
    elif ends[0].status is not order.status:
        faults.append(f"{order.id}: is {order.status}, but its log ends {ends[0].status}")
    if (order.status is OrderStatus.CONFIRMED) != (order.fill is not None):
        faults.append(f"{order.id}: is {order.status} and has {'a' if order.fill else 'no'} fill")
    return faults


def _board(seen: dict[str, Seen]) -> RenderableType:
    """All orders with the states each has gone through."""
    table = Table(header_style="bold", pad_edge=False, min_width=90)
    for column in ("order", "pair", "amount", "states"):
        table.add_column(column)
    for item in seen.values():
        states = Text()
        for event in item.events:
            if states:
                states.append(" → ", style="dim")
            label = "retry" if event.type == "retrying" else str(event.status)
            states.append(label, style=show.STATUS_STYLE.get(event.status, ""))
        table.add_row(show.short(item.order.id, 13), show.pair(item.order), show.side(item.order), states)
    return table


def _story(order: wire.OrderView, item: Seen) -> RenderableType:
    """One order's routing decision and result."""
    parts: list[RenderableType] = [Rule(f"{show.side(order)}  {show.pair(order)}", align="left")]
    routing = item.routing
    if routing is not None:
        parts.append(show.candidates_table(routing.candidates, routing.route, show.name(order.output)))
        parts.append(Text(show.decision_line(routing.candidates, routing.route)))
    parts.append(Text.assemble("signature       ", (order.signature or "–", "dim")))
    if order.fill is not None:
        parts.append(Text(f"executed price  {show.number(order.executed_price)}   "
                          f"slippage {order.realised_slippage_bps} bp against the quote   "
                          f"{order.attempts} attempt{'s' if order.attempts != 1 else ''}"))  # fmt: skip
    elif order.error is not None:
        parts.append(Text(f"{order.status}: {order.error.message}", style="red"))
    return Group(*parts)


def _closing(summary: Summary, faults: list[str]) -> RenderableType:
    lines = [Text(fault, style="bold red") for fault in faults]
    verdict = "every order ended as its own log says" if summary.consistent else "orders and their logs disagree"
    lines.append(
        Text(f"{summary.confirmed} of {summary.orders} confirmed in {summary.seconds} s ({summary.mode}); {verdict}")
    )
    return Group(*lines)
