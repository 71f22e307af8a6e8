"""An event loop of virtual time: it never waits, and runs ready callbacks in a seeded order."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import deque
from collections.abc import Coroutine, Mapping
from heapq import heappop
from typing import Any, TypeVar

T = TypeVar("T")

MAX_STEPS = 5_000_000


class NoSelector(selectors.BaseSelector):
    """Nothing is ever read or written: the simulation has no files, and asking the kernel would cost half its time."""

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` jumps to the next timer whenever nothing is ready."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, seed: int) -> None:
        super().__init__(NoSelector())
        self._virtual_s = 0.0
        self._shuffle = random.Random(seed).shuffle
        self._steps = 0

    def time(self) -> float:
        return self._virtual_s

    def _run_once(self) -> None:
        """As asyncio's own, without input and output: what is ready, and every timer that is due, in a seeded order."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise RuntimeError("the simulation does not end")
        ready, scheduled = self._ready, self._scheduled
        while scheduled:
            first = scheduled[0]
            if not first.cancelled():
                if first.when() > self._virtual_s:
                    if ready:
                        break
                    self._virtual_s = first.when()
                ready.append(first)
            heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]
        if not ready:
            raise RuntimeError("the simulation waits for something that nobody will do")
        batch = list(ready)
        ready.clear()
        if len(batch) > 1:
            self._shuffle(batch)
        for handle in batch:
            if not handle.cancelled():
                handle._run()


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
