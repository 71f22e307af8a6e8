"""Where a command's output goes: rich on a terminal, JSON lines anywhere else. And how a command fails."""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec
from rich.console import Console, RenderableType
from rich.text import Text

from fillwright import wire
from fillwright.domain.errors import FillwrightError

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

EXIT_REFUSED = 1
EXIT_INTERRUPTED = 130
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
    """Say what went wrong, in one line with its stable code; the exit status."""
    message = " ".join(error.message.split())
    errors.print(Text.assemble((error.code, "bold red"), f": {message}"), soft_wrap=True)
    return EXIT_REFUSED
