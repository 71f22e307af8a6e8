"""Engines for the tests of clients: in this process, or as processes of their own that can be killed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from fillwright import app, observe
from fillwright.client import Patience
from fillwright.config import Settings

QUICK: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 0,
    "paper_slot_ms": 20,
    "paper_execution_delay_min_ms": 0,
    "paper_execution_delay_max_ms": 0,
    "paper_failure_rate": 0.0,
    "paper_raydium_quote_delay_ms": 0,
    "paper_meteora_quote_delay_ms": 0,
}
"""Nothing takes time and nothing fails."""

EAGER = Patience(tries=3, resumes=3, first_pause_s=0.001, max_pause_s=0.01)
"""Gives up at once, for tests in which there is nothing to wait for."""

START_LIMIT_S = 30.0


def settings(data_dir: Path, **changes: Any) -> Settings:
    return app.load_settings({**QUICK, "data_dir": data_dir, **changes})


@asynccontextmanager
async def engine(data_dir: Path, **changes: Any) -> AsyncIterator[app.Engine]:
    """An engine in this process."""
    observe.configure_logging("critical")
    async with app.running(settings(data_dir, **changes)) as running:
        yield running


class Server:
    """`fillwright serve` as a process of its own, always on the same port."""

    def __init__(self, data_dir: Path, **changes: Any) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        given = {**QUICK, **changes, "port": port, "data_dir": data_dir}
        self.url = f"http://127.0.0.1:{port}"
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._environment |= {f"FILLWRIGHT_{name.upper()}": str(value) for name, value in given.items()}
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fillwright", "serve", "--log-level", "error"],
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        alarm = threading.Timer(START_LIMIT_S, self._process.kill)
        alarm.start()
        try:
            assert self._process.stdout is not None
            for line in self._process.stdout:
                if line.startswith("listening on"):
                    return
            raise AssertionError(f"the server did not start: exit status {self._end()}")
        finally:
            alarm.cancel()

    def kill(self) -> None:
        """As kill -9."""
        assert self._process is not None
        self._process.kill()
        self._end()

    def stop(self) -> int:
        """Ask it to stop; its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._end()

    def _end(self) -> int:
        assert self._process is not None
        status = self._process.wait(START_LIMIT_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
        return status

    @property
    def is_running(self) -> bool:
        return self._process is not None


@contextmanager
def server(data_dir: Path, **changes: Any) -> Iterator[Server]:
    """A started server, killed in the end if it still runs."""
    one = Server(data_dir, **changes)
    one.start()
    try:
        yield one
    finally:
        if one.is_running:
            one.kill()
