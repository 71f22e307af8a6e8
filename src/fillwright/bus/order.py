"""Batches of several writers, put back into the order of their sequence numbers.

In: batches of events as they arrive. Out: the same in sequence, each as soon as what precedes it is there. What
stays missing is waited for only for a moment: whoever reads fills holes from the store.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from fillwright.domain.orders import OrderEvent

MAX_HELD = 1_000
"""Batches that wait for one before them; beyond that they are handed out as they are."""


class InSequence:
    """`last` is the newest sequence handed out, 0 before the first."""

    def __init__(self) -> None:
        self.last = 0
        self._held: list[tuple[int, int, Sequence[OrderEvent]]] = []
        self._count = 0

    @property
    def waits(self) -> bool:
        """Whether batches are held back."""
        return bool(self._held)

    def take(self, events: Sequence[OrderEvent]) -> list[Sequence[OrderEvent]]:
        """The batches that can be handed out now that `events`, not empty, have come."""
        self._count += 1
        heapq.heappush(self._held, (events[0].sequence, self._count, events))
        return self.release() if len(self._held) > MAX_HELD else self._ready(self.last + 1 if self.last else None)

    def release(self) -> list[Sequence[OrderEvent]]:
        """Everything held, in order, whatever is missing."""
        return self._ready(None)

    def _ready(self, following: int | None) -> list[Sequence[OrderEvent]]:
        """Batches from the front: all of them, or while they begin no later than what follows the last."""
        found: list[Sequence[OrderEvent]] = []
        while self._held and (following is None or self._held[0][0] <= following):
            _, _, events = heapq.heappop(self._held)
            if events[-1].sequence > self.last:
                self.last = events[-1].sequence
                found.append(events)
            following = None if following is None else self.last + 1
        return found
