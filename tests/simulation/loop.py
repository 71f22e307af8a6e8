"""An event loop of virtual time: it never waits, and runs ready callbacks in a seeded order."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

MAX_STEPS = 5_000_000


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` jumps to the next timer whenever nothing is ready."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._virtual_s = 0.0
        self._order = random.Random(seed)
        self._steps = 0

    def time(self) -> float:
        return self._virtual_s

    def _run_once(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise RuntimeError("the simulation does not end")
        ready: deque[Any] = self._ready  # type: ignore[has-type]
        if len(ready) > 1:
            shuffled = list(ready)
            self._order.shuffle(shuffled)
            ready.clear()
            ready.extend(shuffled)
        elif not ready and self._scheduled:  # type: ignore[attr-defined]
            self._virtual_s = max(self._virtual_s, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def run(main: Coroutine[Any, Any, T], seed: int) -> T:
    """Run `main` to its end on a fresh virtual loop."""
    loop = VirtualLoop(seed)
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main)
    finally:
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
