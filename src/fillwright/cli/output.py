"""Where a command's output goes: rich on a terminal, JSON lines anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec
from rich.console import Console, RenderableType

from fillwright import wire
from fillwright.domain.errors import FillwrightError

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

EXIT_REFUSED = 1
EXIT_USAGE = 2


def is_pretty(json: bool) -> bool:
    """Whether to draw: on a terminal, unless JSON was asked for."""
    return console.is_terminal and not json


def emit(value: msgspec.Struct, json: bool, draw: Callable[[], RenderableType]) -> None:
    """Show `value`: drawn, or as one line of JSON."""
    if is_pretty(json):
        console.print(draw())
    else:
        sys.stdout.write(wire.encode(value).decode() + "\n")
        sys.stdout.flush()


def fail(error: FillwrightError) -> int:
    """Say what went wrong, with its stable code; the exit status."""
    errors.print(f"[bold red]{error.code}[/]: {error.message}", soft_wrap=True)
    return EXIT_REFUSED
