"""The hub: one bus subscription for the process, shared by every event stream.

Events come in over the bus in the order of their sequence; where it leaves a hole (events lost, a hub that
fell behind) the hub fills it from the store before it goes on, so that what it hands out has none. The
newest events stay in a ring. A reader catches up from the store until the ring covers what it lacks, takes
the rest from the ring and is live, with nothing awaited in between: no gap and no duplicate. Each event is
encoded at most once; a reader that does not read is dropped by its own outbox and stalls nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import takewhile
from typing import Protocol

from fillwright import observe
from fillwright.api.events import Context, Encoded, Target, context_of
from fillwright.api.services import Services
from fillwright.api.throughput import Throughput
from fillwright.domain.errors import FillwrightError, Unavailable
from fillwright.domain.orders import Accepted, OrderEvent, OrderId
from fillwright.ports import Subscription

RING_EVENTS = 4_096
MAX_CONTEXTS = 50_000
"""Open orders whose context is remembered; that of any other is read from the store again."""
REPLAY_BATCH = 500
READER_BATCH = 50
"""As many events of the past does a reader hold at once: one that stops reading keeps them for as long."""
FAULT_PAUSE_S = 0.25


class Reader(Protocol):
    """An open stream. No method may wait or raise."""

    def deliver(self, batch: Sequence[Encoded]) -> None: ...

    def heartbeat(self) -> None: ...

    def end(self) -> None:
        """The engine is going down: close, so that the reader resumes elsewhere."""


class Hub:
    """`last` is the sequence of the newest event handed out."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ring: deque[Encoded] = deque()
        self._floor = 0
        self.last = 0
        self._contexts: dict[OrderId, Context] = {}
        self._index: dict[Target, set[Reader]] = {}
        self._readers: set[Reader] = set()
        self._busy = False
        """Whether `_follow` is in the middle of a batch."""
        self._opened = False
        self._subscription: Subscription | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.throughput = Throughput(services.clock)
        self.opened = 0
        self.dropped = 0

    @property
    def readers(self) -> int:
        """How many streams are open."""
        return len(self._readers)

    async def open(self) -> None:
        """Subscribe and start. Raises what the store raises."""
        self._subscription = self._services.bus.subscribe(at_once=self._take_at_once)
        self.last = self._floor = await self._services.store.last_sequence()
        self._opened = True
        self._tasks = [
            asyncio.create_task(self._follow(), name="hub"),
            asyncio.create_task(self._beat(), name="hub-heartbeat"),
        ]

    async def close(self) -> None:
        """End every stream and stop."""
        for reader in tuple(self._readers):
            reader.end()
        if self._subscription is not None:
            self._subscription.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def enter(self, reader: Reader, kind: str) -> None:
        """Count a new stream (`ws` or `sse`) and send it heartbeats. Raises Unavailable `too_many_streams`."""
        if len(self._readers) >= self._services.settings.max_streams:
            raise Unavailable("too many event streams are open", code="too_many_streams", retry_after_s=5.0)
        self._readers.add(reader)
        self.opened += 1
        observe.stream_opened(kind)

    def leave(self, reader: Reader, kind: str, targets: Sequence[Target]) -> None:
        """Forget a stream."""
        self._readers.discard(reader)
        observe.stream_closed(kind)
        for target in targets:
            self.unfollow(reader, target)

    def note_dropped(self, kind: str) -> None:
        """Count a stream whose reader was too slow."""
        self.dropped += 1
        observe.stream_dropped(kind)

    def follow(self, reader: Reader, target: Target) -> None:
        """From now on `reader` is given each event of `target`."""
        self._index.setdefault(target, set()).add(reader)

    def unfollow(self, reader: Reader, target: Target) -> None:
        readers = self._index.get(target)
        if readers is not None:
            readers.discard(reader)
            if not readers:
                del self._index[target]

    def covers(self, sequence: int) -> bool:
        """Whether `since(sequence)` is complete."""
        return sequence >= self._floor

    def since(self, sequence: int) -> list[Encoded]:
        """The ring's events after `sequence`, ascending."""
        newer = list(takewhile(lambda encoded: encoded.sequence > sequence, reversed(self._ring)))
        newer.reverse()
        return newer

    async def stored(self, target: Target, after: int) -> tuple[list[Encoded], int]:
        """Events of `target` after sequence `after` from the store, ascending, and the sequence up to which
        they are complete."""
        handed_out = self.last
        if target.kind == "order":
            events = await self._order_events(OrderId(target.value))
            reached = max(handed_out, events[-1].sequence if events else 0)
        else:
            events = await self._services.store.events_since(after, READER_BATCH)
            reached = events[-1].sequence if events else max(after, handed_out)
        encoded = await self._encoded([event for event in events if event.sequence > after])
        return [one for one in encoded if target in one.targets], max(after, reached)

    async def _order_events(self, order_id: OrderId) -> list[OrderEvent]:
        found: list[OrderEvent] = []
        while batch := await self._services.store.events(order_id, found[-1].number if found else 0, REPLAY_BATCH):
            found += batch
            if len(batch) < REPLAY_BATCH:
                break
        return found

    async def _encoded(self, events: Sequence[OrderEvent]) -> list[Encoded]:
        """Events with their orders' contexts, read from the store where they are not known."""
        known = self._known(events)
        for order_id, context in known.items():
            if context is None:
                known[order_id] = await self._read_context(order_id)
        return self._with(events, known)

    def _known(self, events: Sequence[OrderEvent]) -> dict[OrderId, Context | None]:
        """The contexts of the events' orders; None for one that must be read."""
        tokens = self._services.market.tokens
        known: dict[OrderId, Context | None] = {}
        for event in events:
            if isinstance(event.body, Accepted):
                known[event.order_id] = context_of(event.order_id, event.body.spec, tokens)
            elif event.order_id not in known:
                known[event.order_id] = self._contexts.get(event.order_id)
        return known

    def _with(self, events: Sequence[OrderEvent], known: dict[OrderId, Context | None]) -> list[Encoded]:
        services = self._services
        mode, tokens = services.mode, services.market.tokens
        found = [(event, known[event.order_id]) for event in events]
        return [Encoded(event, context, mode, tokens) for event, context in found if context is not None]

    async def _read_context(self, order_id: OrderId) -> Context | None:
        order = await self._services.store.get(order_id)
        if order is None:
            observe.stream_fault("order_missing")
            return None
        return context_of(order.id, order.spec, self._services.market.tokens)

    async def _follow(self) -> None:
        while (subscription := self._subscription) is not None:
            events = await subscription.next()
            if not events and not subscription.overflowed:
                return
            self._busy = True
            try:
                if subscription.overflowed:
                    observe.stream_fault("bus_overflowed")
                    subscription.close()
                    self._subscription = self._services.bus.subscribe(at_once=self._take_at_once)
                    await self._fill(None)
                await self._take(events)
            except FillwrightError as error:
                observe.stream_fault(error.code)
                await self._recover()
            finally:
                self._busy = False

    def _take_at_once(self, events: Sequence[OrderEvent]) -> bool:
        """Hand out a batch that follows the last one without a hole, within the call that publishes it: in a busy
        process, its readers would otherwise wait for whatever else is due to run."""
        if self._busy or not self._opened or events[0].sequence != self.last + 1:
            return False
        if events[-1].sequence != self.last + len(events):
            return False
        known = self._known(events)
        if any(context is None for context in known.values()):
            return False
        self._give(events, self._with(events, known))
        return True

    async def _recover(self) -> None:
        """Hand out what a failing store has kept back, as soon as it answers again."""
        while True:
            await self._services.clock.sleep(FAULT_PAUSE_S)
            try:
                await self._fill(None)
            except FillwrightError as error:
                observe.stream_fault(error.code)
            else:
                return

    async def _take(self, events: Sequence[OrderEvent]) -> None:
        fresh: list[OrderEvent] = []
        for event in events:
            reached = fresh[-1].sequence if fresh else self.last
            if event.sequence <= reached:
                continue
            if event.sequence > reached + 1:
                await self._hand_out(fresh)
                fresh = []
                await self._fill(event.sequence)
                if event.sequence <= self.last:
                    continue
            fresh.append(event)
        await self._hand_out(fresh)

    async def _fill(self, until: int | None) -> None:
        """Hand out from the store what the bus has left out, up to sequence `until` or all there is."""
        while until is None or self.last < until:
            events = await self._services.store.events_since(self.last, REPLAY_BATCH)
            if not events:
                return
            await self._hand_out(events)

    async def _hand_out(self, events: Sequence[OrderEvent]) -> None:
        self._give(events, await self._encoded(events))

    def _give(self, events: Sequence[OrderEvent], fresh: Sequence[Encoded]) -> None:
        for encoded in fresh:
            self._remember(encoded)
        self._ring.extend(fresh)
        while len(self._ring) > RING_EVENTS:
            self._floor = self._ring.popleft().sequence
        if events:
            self.last = events[-1].sequence
        ended = sum(encoded.terminal for encoded in fresh)
        if ended:
            self.throughput.note(ended)
        self._deliver(fresh)

    def _remember(self, encoded: Encoded) -> None:
        order_id = encoded.event.order_id
        if encoded.terminal:
            self._contexts.pop(order_id, None)
        elif order_id not in self._contexts:
            if len(self._contexts) >= MAX_CONTEXTS:
                self._contexts.pop(next(iter(self._contexts)))
            self._contexts[order_id] = encoded.context

    def _deliver(self, batch: Sequence[Encoded]) -> None:
        """Give each reader all that it follows of `batch` at once."""
        index = self._index
        if not index:
            return
        waiting: dict[Reader, list[Encoded]] = {}
        for encoded in batch:
            followed = [index[target] for target in encoded.targets if target in index]
            for reader in followed[0] if len(followed) == 1 else set[Reader]().union(*followed):
                if reader in waiting:
                    waiting[reader].append(encoded)
                else:
                    waiting[reader] = [encoded]
        for reader, theirs in waiting.items():
            reader.deliver(theirs)

    async def _beat(self) -> None:
        while True:
            await self._services.clock.sleep(self._services.settings.stream_heartbeat_s)
            for reader in tuple(self._readers):
                reader.heartbeat()
