"""Log lines: where they go, from which level on, and in which form.

In: a level and a form, once at the start. Out: `log`, which writes them, and `debug`, whether it writes those of that
level: asking costs less than a line that is dropped.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


class _StandardError:
    """Lines to whatever standard error is at that moment."""

    def msg(self, message: str) -> None:
        sys.stderr.write(message + "\n")
        sys.stderr.flush()

    debug = info = warning = error = critical = msg


def _shared(*, json: bool) -> list[Any]:
    found: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    return [*found, structlog.processors.format_exc_info] if json else found


def _renderer(*, json: bool) -> Any:
    """Tracebacks are plain: richer ones cost seconds and print local variables, which may be secrets."""
    if json:
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def logger(level: int, *, json: bool) -> Any:
    """One that drops what is below `level`."""
    return structlog.wrap_logger(
        _StandardError(),
        processors=[*_shared(json=json), _renderer(json=json)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    ).bind()


log = logger(logging.INFO, json=False)
debug = False


def configure_logging(level: str = "info", json: bool = False) -> None:
    """Log to standard error from `level` up, as JSON lines or for people. Libraries log from `warning` up."""
    global log, debug
    number = logging.getLevelNamesMapping()[level.upper()]
    log = logger(number, json=json)
    debug = number <= logging.DEBUG
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        processor=_renderer(json=json), foreign_pre_chain=_shared(json=json)
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
