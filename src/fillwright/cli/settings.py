"""`fillwright config`: every effective setting, where it came from, and what is wrong or missing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from fillwright.cli.output import console, errors, is_pretty

if TYPE_CHECKING:
    from fillwright.config.sources import Loaded


def show(
    json: Annotated[bool, typer.Option("--json", help="JSON lines, as when the output is not a terminal.")] = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not a default.")] = False,
) -> None:
    """Show each setting in effect and where it came from; secrets are masked."""
    from fillwright.config.sources import effective, load

    loaded = load({})
    settings = [one for one in effective(loaded) if not changed or one.source != "default"]
    if is_pretty(json):
        table = Table(box=None, pad_edge=False)
        for heading in ("SETTING", "VALUE", "SOURCE"):
            table.add_column(heading, overflow="fold")
        for one in settings:
            table.add_row(
                one.name, Text(one.value), Text(one.source, style="dim" if one.source == "default" else "bold")
            )
        console.print(table)
    else:
        for one in settings:
            sys.stdout.write(msgspec.json.encode(one).decode() + "\n")
    _warn(loaded)


def _warn(loaded: Loaded) -> None:
    for warning in loaded.warnings:
        errors.print(f"[yellow]warning[/]: {warning}", soft_wrap=True)
