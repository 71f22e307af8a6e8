"""What every bus must do. A test module subclasses `BusConformance` and provides the fixture `bus`, open."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from fakes.orders import ROUTED, new_order, step
from fillwright.domain.orders import OrderEvent
from fillwright.ports import Bus, Subscription

SOON_S = 5.0
"""A limit for what happens; nothing waits this long."""


def batch(first: int, last: int) -> list[OrderEvent]:
    """Committed events with these sequence numbers."""
    order, accepted = new_order(first)
    routed = step(order, ROUTED).events[0]
    return [replace(accepted if n % 2 else routed, sequence=n) for n in range(first, last + 1)]


async def read(subscription: Subscription, count: int) -> list[OrderEvent]:
    """The next `count` events."""
    found: list[OrderEvent] = []
    async with asyncio.timeout(SOON_S):
        while len(found) < count:
            news: Sequence[OrderEvent] = await subscription.next()
            assert news
            found += news
    return found


class BusConformance:
    async def test_every_subscription_gets_every_event_in_order(self, bus: Bus) -> None:
        readers = [bus.subscribe() for _ in range(3)]
        events = batch(1, 30)
        for at in range(0, 30, 5):
            bus.publish(events[at : at + 5])
        for reader in readers:
            assert await read(reader, 30) == events

    async def test_a_subscription_gets_nothing_from_before_it(self, bus: Bus) -> None:
        events = batch(1, 4)
        bus.publish(events[:2])
        reader = bus.subscribe()
        bus.publish(events[2:])
        assert await read(reader, 2) == events[2:]

    async def test_publishing_nothing_wakes_nobody(self, bus: Bus) -> None:
        reader = bus.subscribe()
        bus.publish([])
        events = batch(1, 1)
        bus.publish(events)
        assert await read(reader, 1) == events

    async def test_a_reader_that_falls_behind_is_told_and_holds_up_no_other(self, bus: Bus) -> None:
        slow, quick = bus.subscribe(capacity=4), bus.subscribe()
        events = batch(1, 12)
        for at in range(0, 12, 2):
            bus.publish(events[at : at + 2])
        assert await read(quick, 12) == events
        assert slow.overflowed
        assert await slow.next() == ()
        assert not quick.overflowed

    async def test_closing_a_subscription_ends_its_wait(self, bus: Bus) -> None:
        reader = bus.subscribe()
        waiting = asyncio.create_task(_next(reader))
        await asyncio.sleep(0)
        reader.close()
        assert await waiting == ()
        assert not reader.overflowed
        bus.publish(batch(1, 1))

    async def test_a_ring_is_heard_by_who_waits_and_by_who_comes_next(self, bus: Bus) -> None:
        waiting = asyncio.create_task(bus.wait_ring(SOON_S))
        await asyncio.sleep(0)
        bus.ring()
        assert await waiting
        bus.ring()
        assert await bus.wait_ring(SOON_S)

    async def test_rings_merge_and_silence_ends(self, bus: Bus) -> None:
        for _ in range(5):
            bus.ring()
        assert await bus.wait_ring(SOON_S)
        assert not await bus.wait_ring(0.0)

    async def test_closing_the_bus_ends_every_wait(self, bus: Bus) -> None:
        reader = bus.subscribe()
        waits = [asyncio.create_task(_next(reader)), asyncio.create_task(bus.wait_ring(SOON_S))]
        await asyncio.sleep(0)
        await bus.close()
        assert await waits[0] == ()
        assert await waits[1] is False
        assert await bus.subscribe().next() == ()

    @pytest.mark.parametrize("capacity", [0, -1])
    async def test_a_subscription_without_room_is_refused(self, bus: Bus, capacity: int) -> None:
        with pytest.raises(ValueError, match="room"):
            bus.subscribe(capacity)


async def _next(subscription: Subscription) -> Sequence[OrderEvent]:
    async with asyncio.timeout(SOON_S):
        return await subscription.next()
