"""What the signer's process gives up before it reads a key: core dumps, being traced, files that others read."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import MutableMapping

_PR_SET_DUMPABLE = 4


def dump_no_core() -> None:
    """For this process and its children."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def harden() -> None:
    """No core dumps; on Linux no tracing by other processes of the user either; new files for the owner only."""
    dump_no_core()
    os.umask(0o077)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def take_variable(environment: MutableMapping[str, str], name: str) -> str | None:
    """The variable's value, which is unset by this; on Linux it is overwritten in this process' own environment, where
    `/proc` shows it for as long as the process lives."""
    value = environment.pop(name, None) if environment is not os.environ else os.environ.get(name)
    if value is None or environment is not os.environ:
        return value
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        library.getenv.restype = ctypes.c_void_p
        at = library.getenv(name.encode())
        if at is not None:
            ctypes.memset(at, 0, len(os.fsencode(value)))
    del os.environ[name]
    return value
