"""The engine as an operator runs it: a process of its own, started, killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

START_LIMIT_S = 30.0
SOURCE = Path(__file__).parents[2] / "src"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class EngineProcess:
    """`fillwright serve`, or another command, on a data folder. Settings are given as environment variables without
    their prefix. `port` 0: the command takes none. `arguments`: all that follows the command, instead of a log level.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int,
        *,
        command: str = "serve",
        arguments: Sequence[str] = ("--log-level", "error"),
        **settings: object,
    ) -> None:
        self._command = [sys.executable, "-m", "fillwright", command, *arguments]
        if port:
            self._command += ["--port", str(port)]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("FILLWRIGHT_")}
        given = {f"FILLWRIGHT_{name.upper()}": str(value) for name, value in settings.items()}
        self._environment = {**inherited, **given, "FILLWRIGHT_DATA_DIR": str(data_dir), "PYTHONPATH": str(SOURCE)}
        self._log = data_dir.parent / f"{command}.log"
        self._cwd = data_dir.parent
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{port}"

    def set_environment(self, name: str, value: str) -> None:
        """A variable of its own, without a prefix, from the next start on."""
        self._environment[name] = value

    @property
    def log(self) -> Path:
        """Where its standard error goes."""
        return self._log

    def start(self) -> None:
        """Return once it answers requests. Raises AssertionError with its output if it ends instead."""
        ready = threading.Event()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, cwd=self._cwd, stdout=subprocess.PIPE, stderr=log
            )
        threading.Thread(target=self._read, args=(self._process, ready), daemon=True).start()
        if not ready.wait(START_LIMIT_S) or self._process.poll() is not None:
            self.kill()
            raise AssertionError(f"the engine did not start: {self._log.read_text()[-2000:]}")

    @staticmethod
    def _read(process: subprocess.Popen[bytes], ready: threading.Event) -> None:
        if process.stdout is None:
            return
        with process.stdout as lines:
            for line in lines:
                if any(word in line for word in (b"listening on", b"working as", b"signing for")):
                    ready.set()
        ready.set()

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
        status = process.wait(START_LIMIT_S)
        self._process = None
        return status
