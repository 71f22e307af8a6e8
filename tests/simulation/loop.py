"""An event loop of virtual time: it never waits, and runs ready callbacks in a seeded order."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context
from heapq import heappop, heappush
from itertools import count
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

    def __init__(self, seed: int) -> None:
        super().__init__(NoSelector())
        self._virtual_s = 0.0
        self._shuffle = random.Random(seed).shuffle
        self._steps = 0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        """As asyncio's own, without its checks."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio's own; tuples are compared faster than handles."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._virtual_s + delay, callback, *args, context=context)

    def time(self) -> float:
        return self._virtual_s

    def _run_once(self) -> None:
        """As asyncio's own, without input and output: what is ready, and every timer that is due, in a seeded order."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise RuntimeError("the simulation does not end")
        ready, timers = self._ready, self._timers
        while timers:
            when, _, timer = timers[0]
            if not timer._cancelled:  # type: ignore[attr-defined]
                if when > self._virtual_s:
                    if ready:
                        break
                    self._virtual_s = when
                ready.append(timer)
            heappop(timers)
        if not ready:
            raise RuntimeError("the simulation waits for something that nobody will do")
        batch = list(ready)
        ready.clear()
        if len(batch) > 1:
            self._shuffle(batch)
        for handle in batch:
            if not handle._cancelled:  # type: ignore[attr-defined]
                handle._run()


_running: VirtualLoop | None = None
"""The loop of the run that is going on: asking asyncio for it costs a call of the kernel each time."""


def now_s() -> float:
    """Virtual time of the run that is going on."""
    if _running is None:
        raise RuntimeError("no simulation is running")
    return _running.time()


async def pause(seconds: float) -> None:
    """As asyncio.sleep, on the loop of the run that is going on."""
    if _running is None:
        raise RuntimeError("no simulation is running")
    woken: asyncio.Future[None] = asyncio.Future(loop=_running)
    timer = _running.call_later(max(seconds, 0.0), _wake, woken)
    try:
        await woken
    finally:
        timer.cancel()


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def run(main: Coroutine[Any, Any, T], seed: int) -> T:
    """Run `main` to its end on a fresh virtual loop."""
    global _running
    loop = _running = VirtualLoop(seed)
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
        _running = None
