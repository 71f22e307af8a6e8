"""The bus of a single process: an event for the doorbell, bounded buffers for the fan-out.

In: rings and committed events, on the event loop. Out: the same to whoever waits. Nothing is kept for those
who come later, and a slow reader costs no one else anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from fillwright import observe
from fillwright.domain.orders import OrderEvent, OrderId
from fillwright.ports import AtOnce, Ring

MAX_NAMED = 1_000
"""Orders that wait to be named to a worker; beyond, it looks at all that is due."""
ANYTHING = Ring()


class MemorySubscription:
    """`ports.Subscription`. Holds batches as they were published, shared with all other readers.

    A reader that has caught up takes a batch of any size; one that has not overflows beyond `capacity` events.
    """

    def __init__(self, bus: MemoryBus, capacity: int, at_once: AtOnce | None) -> None:
        self.overflowed = False
        self._bus = bus
        self._capacity = capacity
        self._at_once = at_once
        self._batches: deque[Sequence[OrderEvent]] = deque()
        self._size = 0
        self._ended = False
        self._news = asyncio.Event()

    async def next(self) -> Sequence[OrderEvent]:
        """All events since the last call; waits for the first. Empty after `close` or an overflow. One reader."""
        while not self._batches:
            if self._ended:
                return ()
            self._news.clear()
            await self._news.wait()
        batches = list(self._batches)
        self._batches.clear()
        self._size = 0
        if len(batches) == 1:
            return batches[0]
        return [event for batch in batches for event in batch]

    def close(self) -> None:
        """Let go of what is unread and wake the reader."""
        self._end()
        self._bus.forget(self)

    def offer(self, events: Sequence[OrderEvent]) -> bool:
        """Take a batch; False where that overflows, and the subscription is over."""
        if not self._batches and self._at_once is not None and not self._ended and self._at_once(events):
            return True
        if self._batches and self._size + len(events) > self._capacity:
            observe.stream_fault("bus_overflowed")
            self.overflowed = True
            self._end()
            return False
        self._batches.append(events)
        self._size += len(events)
        self._news.set()
        return True

    def lose(self) -> None:
        """End as if it had overflowed: the reader may have missed something."""
        self.overflowed = True
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._batches.clear()
        self._size = 0
        self._news.set()


class MemoryBus:
    """`ports.Bus` within one event loop."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._named: list[OrderId] = []
        self._any = False
        self._closed = False
        self._subscriptions: dict[MemorySubscription, None] = {}

    async def open(self) -> None: ...

    async def close(self) -> None:
        """End every subscription and every wait."""
        self._closed = True
        self._rung.set()
        for subscription in list(self._subscriptions):
            subscription.close()

    def ring(self, order_ids: Sequence[OrderId] = ()) -> None:
        if order_ids and len(self._named) < MAX_NAMED:
            self._named.extend(order_ids)
        else:
            self._any = True
        self._rung.set()

    async def wait_ring(self, timeout_s: float, room: int = 0) -> Ring | None:
        """What has been rung since the last wait; None after `timeout_s`, and at once when closed."""
        if not self._rung.is_set():
            try:
                async with asyncio.timeout(timeout_s):
                    await self._rung.wait()
            except TimeoutError:
                return None
        if self._closed:
            return None
        self._rung.clear()
        named, self._named = self._named, []
        anything, self._any = self._any or len(named) > room, False
        return ANYTHING if anything else Ring(tuple(named))

    def publish(self, events: Sequence[OrderEvent]) -> None:
        if not events:
            return
        batch = tuple(events)
        for subscription in [s for s in self._subscriptions if not s.offer(batch)]:
            self.forget(subscription)

    def subscribe(self, capacity: int = 10_000, at_once: AtOnce | None = None) -> MemorySubscription:
        """A feed of what is published from now on. Raises ValueError where `capacity` is not positive."""
        if capacity < 1:
            raise ValueError("a subscription needs room for at least one event")
        subscription = MemorySubscription(self, capacity, at_once)
        if self._closed:
            subscription.close()
        else:
            self._subscriptions[subscription] = None
        return subscription

    def resync(self) -> None:
        """Tell every reader that it may have missed something."""
        for subscription in list(self._subscriptions):
            subscription.lose()
            self.forget(subscription)

    def forget(self, subscription: MemorySubscription) -> None:
        """Publish to it no more."""
        self._subscriptions.pop(subscription, None)
