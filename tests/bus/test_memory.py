"""The bus within one process: what every bus does, and what only this one can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bus.conformance import BusConformance, events
from fillwright.bus.memory import MemoryBus
from fillwright.ports import Ring

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus()
    await bus.open()
    yield bus
    await bus.close()


class TestConformance(BusConformance):
    pass


async def test_one_ring_wakes_all_who_wait(bus: MemoryBus) -> None:
    waiting = [asyncio.create_task(bus.wait_ring(30)) for _ in range(3)]
    await asyncio.sleep(0)
    bus.ring()
    assert await asyncio.gather(*waiting) == [Ring(), Ring(), Ring()]


async def test_a_reader_that_has_caught_up_takes_a_batch_of_any_size(bus: MemoryBus) -> None:
    subscription = bus.subscribe(capacity=3)
    bus.publish(events(1, 10))
    assert not subscription.overflowed
    assert list(await subscription.next()) == events(1, 10)


async def test_what_a_lost_reader_has_not_read_is_let_go(bus: MemoryBus) -> None:
    lost, closed = bus.subscribe(capacity=1), bus.subscribe()
    bus.publish(events(1, 1))
    bus.publish(events(2, 2))
    closed.close()
    assert not bus._subscriptions
    assert not lost._batches
    assert not closed._batches
