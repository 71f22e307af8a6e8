"""The hub: one bus subscription for the process, shared by every event stream.

Events come in over the bus in the order of their sequence; where it leaves a hole (events lost, a hub that
fell behind) the hub fills it from the store before it goes on, so that what it hands out has none. The
newest events stay in a ring. A reader catches up from the store until the ring covers what it lacks, takes
the rest from the ring and is live, with nothing awaited in between: no gap and no duplicate. Each event is
encoded at most once; a reader that does not read is dropped by its own outbox and stalls nobody.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import islice
from operator import attrgetter
from typing import Protocol

from fillwright import observe
from fillwright.api.archive import PAGE_EVENTS, Archive
from fillwright.api.encoder import Encoder
from fillwright.api.events import Encoded, Target
from fillwright.api.services import Services
from fillwright.api.throughput import Throughput
from fillwright.domain.errors import FillwrightError, Unavailable
from fillwright.domain.orders import OrderEvent, OrderId
from fillwright.ports import Subscription

RING_EVENTS = 4_096
REPLAY_BATCH = 500
REPLAYS_AT_ONCE = 4
"""How many readers of the past are served in one turn of the loop."""
FAULT_PAUSE_S = 0.25

_sequence = attrgetter("sequence")


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
        self._encoder = Encoder(services)
        self._archive = Archive(services.store, self._encoder)
        self._turns = asyncio.Semaphore(REPLAYS_AT_ONCE)
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
        await self._archive.close()

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

    def since(self, sequence: int, limit: int) -> list[Encoded]:
        """The first `limit` of the ring's events after `sequence`, ascending."""
        start = bisect_right(self._ring, sequence, key=_sequence)
        return list(islice(self._ring, start, start + limit))

    async def past(self, target: Target, after: int) -> tuple[Sequence[Encoded], int]:
        """Events of `target` after sequence `after`, ascending, from the ring or the store, not all at once; and the
        sequence up to which they are complete. Raises what the store raises.

        Only a few readers of long pasts are served in one turn of the loop, so that those who are live never wait
        for more than that.
        """
        if target.kind == "order":
            return await self._past(target, after)
        async with self._turns:
            found = await self._past(target, after)
            await asyncio.sleep(0)
            return found

    async def _past(self, target: Target, after: int) -> tuple[Sequence[Encoded], int]:
        if self.covers(after):
            newer: Sequence[Encoded] = self.since(after, PAGE_EVENTS)
            return _of(target, newer), newer[-1].sequence if newer else after
        handed_out = self.last
        if target.kind == "order":
            newer = await self._archive.order(OrderId(target.value), after)
            return _of(target, newer), max(after, handed_out, newer[-1].sequence if newer else 0)
        page = await self._archive.page(after)
        reached = page.reached if page.reached > after else max(after, handed_out)
        return _of(target, page.events), reached

    async def _follow(self) -> None:
        while (subscription := self._subscription) is not None:
            events = await subscription.next()
            if not events and not subscription.overflowed:
                return
            self._busy = True
            try:
                if subscription.overflowed:
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
        fresh = self._encoder.encode_known(events)
        if fresh is None:
            return False
        self._give(events, fresh)
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
        self._give(events, await self._encoder.encode(events))

    def _give(self, events: Sequence[OrderEvent], fresh: Sequence[Encoded]) -> None:
        self._encoder.remember(fresh)
        self._ring.extend(fresh)
        while len(self._ring) > RING_EVENTS:
            self._floor = self._ring.popleft().sequence
        if events:
            self.last = events[-1].sequence
        ended = sum(encoded.terminal for encoded in fresh)
        if ended:
            self.throughput.note(ended)
        self._deliver(fresh)

    def _deliver(self, batch: Sequence[Encoded]) -> None:
        """Give each reader all that it follows of `batch` at once; those who follow the same share one list."""
        index = self._index
        if not index:
            return
        by_target: dict[Target, list[Encoded]] = {}
        for encoded in batch:
            for target in encoded.targets:
                if target in index:
                    by_target.setdefault(target, []).append(encoded)
        shares: dict[Reader, list[Encoded]] = {}
        for target, theirs in by_target.items():
            for reader in index[target]:
                shares[reader] = _merged(shares[reader], theirs) if reader in shares else theirs
        for reader, theirs in shares.items():
            reader.deliver(theirs)

    async def _beat(self) -> None:
        while True:
            await self._services.clock.sleep(self._services.settings.stream_heartbeat_s)
            for reader in tuple(self._readers):
                reader.heartbeat()


def _of(target: Target, events: Sequence[Encoded]) -> Sequence[Encoded]:
    """The target's events; where that is all of them, the same object, so that its message can be shared."""
    theirs = [encoded for encoded in events if target in encoded.targets]
    return events if len(theirs) == len(events) else theirs


def _merged(some: Sequence[Encoded], others: Sequence[Encoded]) -> list[Encoded]:
    """Each event once, ascending."""
    return sorted({encoded.sequence: encoded for encoded in (*some, *others)}.values(), key=_sequence)
