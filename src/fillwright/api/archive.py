"""The log's past for streams that catch up: whole pages of it, read and encoded once for all who want them.

In: a sequence. Out: the page of events that goes on after it. Events are numbered in the order of their commits
and never change, so a full page stays true; it is kept until newer ones push it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from fillwright.api.encoder import Encoder
from fillwright.api.events import Encoded
from fillwright.domain.orders import OrderEvent, OrderId
from fillwright.ports import Store

PAGE_EVENTS = 64
MAX_PAGES = 64
"""Kept, of about 100 KB each."""
ORDER_BATCH = 500


class Page(NamedTuple):
    """`reached`: the sequence up to which `events` are complete; `after`'s own where the log ends before."""

    events: Sequence[Encoded]
    reached: int
    full: bool


class Archive:
    """Encoded events by page: page n holds what follows sequence n * PAGE_EVENTS."""

    def __init__(self, store: Store, encoder: Encoder) -> None:
        self._store = store
        self._encoder = encoder
        self._pages: dict[int, Page] = {}
        self._reading: dict[int, asyncio.Task[Page]] = {}

    async def close(self) -> None:
        """Give up what is being read."""
        for task in (under_way := tuple(self._reading.values())):
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def page(self, after: int) -> Page:
        """Some events after `after`, ascending, without a hole; none at the log's end. Raises what the store raises."""
        number = after // PAGE_EVENTS
        page = self._pages.get(number)
        if page is None:
            page = await self._read_once(number)
        else:
            self._keep(number, page)
        if after == number * PAGE_EVENTS:
            return page
        return Page([one for one in page.events if one.sequence > after], max(after, page.reached), page.full)

    async def order(self, order_id: OrderId, after: int) -> Sequence[Encoded]:
        """All events of an order after sequence `after`, ascending. Raises what the store raises."""
        found: list[OrderEvent] = []
        while batch := await self._store.events(order_id, found[-1].number if found else 0, ORDER_BATCH):
            found += batch
            if len(batch) < ORDER_BATCH:
                break
        return await self._encoder.encode([event for event in found if event.sequence > after])

    async def _read_once(self, number: int) -> Page:
        """The page from the store; those who want it at the same time share one look."""
        reading = self._reading.get(number)
        if reading is None:
            reading = self._reading[number] = asyncio.create_task(self._read(number), name="archive")
            reading.add_done_callback(lambda _: self._reading.pop(number, None))
        return await asyncio.shield(reading)

    async def _read(self, number: int) -> Page:
        start = number * PAGE_EVENTS
        events = await self._store.events_since(start, PAGE_EVENTS)
        reached = events[-1].sequence if events else start
        page = Page(await self._encoder.encode(events), reached, len(events) == PAGE_EVENTS)
        if page.full:
            # Here, not where it was waited for: nobody may look again before the first who waited goes on.
            self._keep(number, page)
        return page

    def _keep(self, number: int, page: Page) -> None:
        """Remember a page as the one wanted last."""
        self._pages.pop(number, None)
        self._pages[number] = page
        if len(self._pages) > MAX_PAGES:
            self._pages.pop(next(iter(self._pages)))
