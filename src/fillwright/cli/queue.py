"""`fillwright queue`: look at a running engine's queue, pause, resume and drain it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fillwright.cli.output import EXIT_REFUSED, emit
from fillwright.cli.remote import DEFAULT_URL, ApiKey, Json, Url

if TYPE_CHECKING:
    from fillwright import wire

app = typer.Typer(no_args_is_help=True, help="A running engine's queue; its keys need the scope admin.")

POLL_S = 0.5


@app.command()
def status(url: Url = DEFAULT_URL, api_key: ApiKey = None, json: Json = False) -> None:
    """What is waiting, active and delayed, how old the oldest is, and how fast orders end."""
    _show(asyncio.run(_turned(url, api_key, None, 0.0)), json)


@app.command()
def pause(url: Url = DEFAULT_URL, api_key: ApiKey = None, json: Json = False) -> None:
    """Begin no order more. New ones are accepted and wait; those under way go on."""
    _show(asyncio.run(_turned(url, api_key, "pause", 0.0)), json)


@app.command()
def resume(url: Url = DEFAULT_URL, api_key: ApiKey = None, json: Json = False) -> None:
    """Begin and accept orders again."""
    _show(asyncio.run(_turned(url, api_key, "resume", 0.0)), json)


@app.command()
def drain(
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    wait: Annotated[float, typer.Option(min=0, max=86_400, help="Seconds to wait until all is worked off.")] = 0.0,
    json: Json = False,
) -> None:
    """Accept no new order (503), and work off what is due. With --wait: exit status 0 only once that is done."""
    queue = asyncio.run(_turned(url, api_key, "drain", wait))
    _show(queue, json)
    if wait and not queue.drained:
        raise typer.Exit(EXIT_REFUSED)


async def _turned(url: str, api_key: str | None, turn: str | None, wait_s: float) -> wire.QueueView:
    """The queue after `turn`, if any, and once it is drained, or after `wait_s`."""
    from fillwright.client import AsyncClient

    async with AsyncClient(url, api_key=api_key) as client:
        queue = await (client.queue() if turn is None else client.turn_queue(turn))
        until_s = asyncio.get_running_loop().time() + wait_s
        while not queue.drained and asyncio.get_running_loop().time() < until_s:
            await asyncio.sleep(POLL_S)
            queue = await client.queue()
        return queue


def _show(queue: wire.QueueView, json: bool) -> None:
    emit(queue, json, lambda: _table(queue))


def _table(queue: wire.QueueView) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("state", queue.state + (", all is worked off" if queue.state == "draining" and queue.drained else ""))
    for name in ("waiting", "active", "delayed", "completed", "failed"):
        table.add_row(name, f"{getattr(queue, name):,}")
    table.add_row("oldest waiting", "none" if queue.oldest_age_ms is None else f"{queue.oldest_age_ms / 1000:,.1f} s")
    table.add_row("ended", f"{queue.ended_per_s:,.1f} /s over the last minute")
    return table
