"""The command line. Thin: each command parses its arguments, calls the SDK or the composition root, and shows
what came back: tables and live progress on a terminal, JSON lines otherwise or with `--json`."""

from __future__ import annotations

from fillwright.cli.main import main

__all__ = ["main"]
