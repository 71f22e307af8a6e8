"""What every bus must do. A test module subclasses `BusConformance` and provides the fixture `bus`, opened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import pytest

from fakes.orders import new_order, order_id
from fillwright.domain.orders import OrderEvent
from fillwright.ports import Bus, Ring, Subscription

SOON_S = 0.01
LONG_S = 30.0


def events(first: int, last: int) -> list[OrderEvent]:
    """Events with these sequence numbers."""
    return [
        OrderEvent(event.order_id, event.number, event.at_ms, event.status, event.body, sequence)
        for sequence in range(first, last + 1)
        for event in [new_order(sequence)[1]]
    ]


async def receive(subscription: Subscription, count: int) -> list[OrderEvent]:
    """The next `count` events, in however many pieces they come."""
    received: list[OrderEvent] = []
    while len(received) < count:
        piece = await asyncio.wait_for(subscription.next(), LONG_S)
        assert piece, "the subscription ended"
        received += piece
    return received


class Ringing:
    async def test_a_ring_wakes_who_waits(self, bus: Bus) -> None:
        waiting = asyncio.create_task(bus.wait_ring(LONG_S))
        await asyncio.sleep(0)
        bus.ring()
        assert await waiting == Ring()

    async def test_a_ring_is_heard_by_who_comes_later(self, bus: Bus) -> None:
        bus.ring()
        assert await bus.wait_ring(LONG_S) == Ring()

    async def test_rings_that_nobody_waits_for_merge_into_one(self, bus: Bus) -> None:
        for _ in range(5):
            bus.ring()
        assert await bus.wait_ring(LONG_S) == Ring()
        assert await bus.wait_ring(SOON_S) is None

    @pytest.mark.parametrize("timeout_s", [0.0, SOON_S])
    async def test_without_a_ring_the_wait_ends(self, bus: Bus, timeout_s: float) -> None:
        assert await bus.wait_ring(timeout_s) is None

    async def test_a_wait_that_is_given_up_takes_no_ring(self, bus: Bus) -> None:
        waiting = asyncio.create_task(bus.wait_ring(LONG_S))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        bus.ring()
        assert await bus.wait_ring(LONG_S) == Ring()


class Naming:
    async def test_due_orders_are_named_to_who_has_room_for_them(self, bus: Bus) -> None:
        ids = [order_id(number) for number in range(1, 11)]
        waiting = asyncio.create_task(bus.wait_ring(LONG_S, 10))
        await asyncio.sleep(0)
        bus.ring(ids)
        named = list((await named_by(waiting)).order_ids)
        while len(named) < len(ids):
            named += (await named_by(bus.wait_ring(LONG_S, 10))).order_ids
        assert named == ids

    async def test_where_more_wait_than_there_is_room_for_none_is_named(self, bus: Bus) -> None:
        bus.ring([order_id(number) for number in range(1, 11)])
        assert await named_by(bus.wait_ring(LONG_S, 3)) == Ring()

    async def test_a_ring_for_all_names_none(self, bus: Bus) -> None:
        bus.ring([order_id(1)])
        bus.ring()
        assert await named_by(bus.wait_ring(LONG_S, 0)) == Ring()


async def named_by(waiting: Awaitable[Ring | None]) -> Ring:
    ring = await asyncio.wait_for(waiting, LONG_S)
    assert ring is not None
    return ring


class FanningOut:
    async def test_every_subscription_gets_every_event_in_order(self, bus: Bus) -> None:
        first, second = bus.subscribe(), bus.subscribe()
        bus.publish(events(1, 3))
        bus.publish([])
        bus.publish(events(4, 4))
        for subscription in (first, second):
            assert await receive(subscription, 4) == events(1, 4)

    async def test_a_waiting_reader_is_woken(self, bus: Bus) -> None:
        subscription = bus.subscribe()
        reading = asyncio.create_task(receive(subscription, 2))
        await asyncio.sleep(0)
        bus.publish(events(1, 2))
        assert await reading == events(1, 2)

    async def test_a_subscription_begins_when_it_is_made(self, bus: Bus) -> None:
        witness = bus.subscribe()
        bus.publish(events(1, 1))
        await receive(witness, 1)
        late = bus.subscribe()
        bus.publish(events(2, 2))
        assert await receive(late, 1) == events(2, 2)

    async def test_a_reader_that_gives_up_waiting_loses_nothing(self, bus: Bus) -> None:
        subscription = bus.subscribe()
        reading = asyncio.ensure_future(subscription.next())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        bus.publish(events(1, 2))
        assert await receive(subscription, 2) == events(1, 2)

    async def test_what_is_published_can_not_be_changed_afterwards(self, bus: Bus) -> None:
        subscription = bus.subscribe()
        batch = events(1, 2)
        bus.publish(batch)
        batch.clear()
        assert await receive(subscription, 2) == events(1, 2)


class TakingAtOnce:
    async def test_what_is_taken_at_once_is_not_read_again_and_what_is_left_keeps_its_order(self, bus: Bus) -> None:
        taken: list[OrderEvent] = []
        willing = True

        def take(batch: Sequence[OrderEvent]) -> bool:
            if willing:
                taken.extend(batch)
            return willing

        subscription, other = bus.subscribe(at_once=take), bus.subscribe()
        bus.publish(events(1, 2))
        assert await receive(other, 2) == events(1, 2)
        assert taken == events(1, 2)
        willing = False
        bus.publish(events(3, 3))
        assert await receive(other, 1) == events(3, 3)
        willing = True
        bus.publish(events(4, 5))
        assert await receive(other, 2) == events(4, 5)
        assert taken == events(1, 2), "nothing may overtake what waits to be read"
        assert await receive(subscription, 3) == events(3, 5)
        bus.publish(events(6, 6))
        assert await receive(other, 1) == events(6, 6)
        assert taken == [*events(1, 2), *events(6, 6)]

    async def test_a_closed_subscription_takes_nothing(self, bus: Bus) -> None:
        taken: list[OrderEvent] = []

        def take(batch: Sequence[OrderEvent]) -> bool:
            taken.extend(batch)
            return True

        subscription, other = bus.subscribe(at_once=take), bus.subscribe()
        subscription.close()
        bus.publish(events(1, 1))
        assert await receive(other, 1) == events(1, 1)
        assert taken == []


class FallingBehind:
    async def test_a_reader_that_falls_behind_is_told_and_costs_no_other_anything(self, bus: Bus) -> None:
        slow, quick = bus.subscribe(capacity=3), bus.subscribe(capacity=3)
        for sequence in range(1, 6):
            bus.publish(events(sequence, sequence))
            assert await receive(quick, 1) == events(sequence, sequence)
        assert slow.overflowed
        assert not quick.overflowed
        assert list(await slow.next()) == []
        bus.publish(events(6, 6))
        assert list(await slow.next()) == []

    async def test_it_may_fall_behind_by_its_capacity(self, bus: Bus) -> None:
        subscription, witness = bus.subscribe(capacity=3), bus.subscribe()
        for sequence in range(1, 4):
            bus.publish(events(sequence, sequence))
        await receive(witness, 3)
        assert not subscription.overflowed
        assert await receive(subscription, 3) == events(1, 3)

    async def test_a_subscription_without_room_is_refused(self, bus: Bus) -> None:
        with pytest.raises(ValueError, match="room"):
            bus.subscribe(capacity=0)


class Ending:
    async def test_a_closed_subscription_gives_nothing_more(self, bus: Bus) -> None:
        subscription, other = bus.subscribe(), bus.subscribe()
        bus.publish(events(1, 1))
        await receive(other, 1)
        subscription.close()
        bus.publish(events(2, 2))
        assert list(await subscription.next()) == []
        assert await receive(other, 1) == events(2, 2)
        assert not subscription.overflowed
        subscription.close()

    async def test_closing_wakes_the_reader(self, bus: Bus) -> None:
        subscription = bus.subscribe()
        reading = asyncio.ensure_future(subscription.next())
        await asyncio.sleep(0)
        subscription.close()
        assert list(await asyncio.wait_for(reading, LONG_S)) == []

    async def test_closing_the_bus_wakes_everyone(self, bus: Bus) -> None:
        subscription = bus.subscribe()
        reading = asyncio.ensure_future(subscription.next())
        waiting = asyncio.create_task(bus.wait_ring(LONG_S))
        await asyncio.sleep(0)
        await bus.close()
        ended: Sequence[OrderEvent] = await asyncio.wait_for(reading, LONG_S)
        assert list(ended) == []
        assert await waiting is None
        assert await bus.wait_ring(LONG_S) is None
        assert list(await bus.subscribe().next()) == []
        await bus.close()


class BusConformance(Ringing, Naming, FanningOut, TakingAtOnce, FallingBehind, Ending):
    """All of it."""
