"""The `fillwright` command as a user runs it: piped, or on a terminal of a given width."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass

LIMIT_S = 60.0
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FILLWRIGHT_", "COLUMNS"))}
    path = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    return {**kept, "PYTHONPATH": path, "TERM": "xterm-256color", **changes}


def piped(*arguments: str, **changes: str) -> Ran:
    """Run it with its output into pipes."""
    done = subprocess.run(
        [sys.executable, "-m", "fillwright", *arguments],
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def on_terminal(columns: int, *arguments: str, **changes: str) -> Ran:
    """Run it on a terminal of so many columns; `out` is all that it wrote, without colours and movements."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "fillwright", *arguments],
        env=environment(**changes),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = bytearray()
    try:
        while chunk := os.read(ours, 65_536):
            written += chunk
    except OSError:
        pass  # Linux reports the closed other end as an error
    finally:
        os.close(ours)
    status = process.wait(LIMIT_S)
    return Ran(status, _ESCAPES.sub("", written.decode(errors="replace")).replace("\r", ""), "")
