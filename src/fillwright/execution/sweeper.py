"""Gives back the rent of orders' marker accounts, once none of an order's transactions can land any more.

In: the log of events, the attempts of confirmed orders, the chain's finalized height. Out: sweeps, many markers in
one. A marker is what stops a second swap of its order: it goes only when every attempt of the order is closed, and
every blockhash that one of them was signed over has expired at `finalized`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fillwright import observe
from fillwright.domain.errors import FillwrightError
from fillwright.domain.orders import AttemptStatus, OrderId, OrderStatus
from fillwright.domain.transactions import Commitment
from fillwright.ports import Chain, Clock, Store

MAX_PENDING = 10_000
"""Confirmed orders that wait for their attempts to expire; the log is read on when some have gone."""
EVENTS_AT_ONCE = 1_000
MAX_READS = 1_000
MAX_SWEEPS = 100
"""Transactions of one turn."""

CLOSED = frozenset({AttemptStatus.LANDED, AttemptStatus.REVERTED, AttemptStatus.EXPIRED})
"""What a confirmed order's attempts may be: it is confirmed only at finality."""


class Rents(Protocol):
    """Markers on a chain. `batch`: how many one transaction can empty."""

    batch: int

    async def standing(self, seeds: Sequence[str]) -> list[tuple[str, int]]:
        """(seed, lamports) of those markers that stand at `finalized`. Raises ChainError."""

    async def give_back(self, markers: Sequence[tuple[str, int]]) -> bool:
        """Empty at most `batch` markers; whether that was seen to land. Raises ChainError, SignerRefused."""


class MarkerSweeper:
    """Remembers in `cursor` how far in the log every marker has been given back."""

    def __init__(self, *, store: Store, chain: Chain, rents: Rents, clock: Clock, every_s: float, cursor: Path) -> None:
        self._store = store
        self._chain = chain
        self._rents = rents
        self._clock = clock
        self._every_s = every_s
        self._cursor = cursor
        self._read = self._saved = _read_cursor(cursor)
        self._pending: dict[OrderId, int] = {}
        """Confirmed orders with markers that may stand, by the sequence of their last event."""

    async def run(self) -> None:
        """A turn every `every_s` until cancelled. What fails is tried again at the next turn."""
        while True:
            await self._clock.sleep(self._every_s)
            try:
                await self.turn()
            except FillwrightError as error:
                observe.sweep_failed(error.code)

    async def turn(self) -> int:
        """Give back what can be; how many markers. Raises StoreError, Unavailable, ChainError, SignerRefused."""
        await self._read_log()
        seeds = await self._sweepable(await self._chain.block_height(Commitment.FINALIZED))
        standing = await self._rents.standing(list(seeds)) if seeds else []
        self._forget([order_id for seed, order_id in seeds.items() if seed not in dict(standing)])
        given = 0
        size = self._rents.batch
        for at in range(0, min(len(standing), MAX_SWEEPS * size), size):
            part = standing[at : at + size]
            if await self._rents.give_back(part):
                given += len(part)
                observe.markers_swept(len(part), sum(lamports for _, lamports in part))
        return given

    async def _read_log(self) -> None:
        for _ in range(MAX_READS):
            if len(self._pending) >= MAX_PENDING:
                return
            events = await self._store.events_since(self._read, EVENTS_AT_ONCE)
            for event in events:
                if event.status is OrderStatus.CONFIRMED:
                    self._pending[event.order_id] = event.sequence
            if not events:
                self._save()
                return
            self._read = events[-1].sequence

    async def _sweepable(self, height: int) -> dict[str, OrderId]:
        """The marker seeds of pending orders of which nothing can land any more."""
        found: dict[str, OrderId] = {}
        for order_id in list(self._pending):
            attempts = await self._store.attempts(order_id)
            seeds = {attempt.marker_seed for attempt in attempts if attempt.marker_seed}
            if not seeds:
                self._forget([order_id])
            elif all(each.status in CLOSED and each.last_valid_block_height < height for each in attempts):
                found |= dict.fromkeys(seeds, order_id)
        return found

    def _forget(self, order_ids: Sequence[OrderId]) -> None:
        for order_id in order_ids:
            self._pending.pop(order_id, None)
        if order_ids:
            self._save()

    def _save(self) -> None:
        """Where to begin after a restart: before the first order that is not done with."""
        done = min(self._pending.values(), default=self._read + 1) - 1
        if done <= self._saved:
            return
        draft = self._cursor.with_name(f"{self._cursor.name}.{os.getpid()}")
        try:
            draft.write_text(f"{done}\n")
            draft.replace(self._cursor)
        except OSError:
            # After a restart the log is read from further back.
            observe.sweep_failed("os_error")
            return
        self._saved = done


def _read_cursor(path: Path) -> int:
    """The saved position; 0, from which nothing is missed, where there is none that can be read."""
    try:
        return max(0, int(path.read_text()))
    except (OSError, ValueError):
        return 0
