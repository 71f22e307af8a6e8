"""The worker: bounded, paced, patient, and never the owner of what it no longer holds."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise

import pytest
from msgspec.structs import replace

from execution.worlds import NO_FAULTS, World, run
from fillwright.domain.errors import NotCancellable, StoreError, Unavailable
from fillwright.domain.lifecycle import replay
from fillwright.domain.orders import Built, Cancelled, Failed, Order, OrderError, OrderStatus, Retrying, Routed
from fillwright.domain.queue import QueueState
from fillwright.execution.held import HeldOrder
from fillwright.execution.worker import MAX_JOURNEY_FAULTS, MAX_STORE_FAULTS
from fillwright.ports import Lease


class SlowJourney:
    """Cancels each order after a while; remembers when it began, and how many ran at the same time."""

    def __init__(self, world: World, seconds: float) -> None:
        self._world = world
        self._seconds = seconds
        self.began_s: list[float] = []
        self.running = 0
        self.most = 0

    async def run(self, order: Order, lease: Lease) -> Order:
        self.began_s.append(self._world.clock.monotonic_s())
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self.running -= 1
        held = HeldOrder(order, lease, self._world.store, self._world.clock)
        await held.record(Cancelled("done"), release=True)
        return held.order


def test_no_more_orders_run_at_once_than_allowed_and_no_slot_stays_empty() -> None:
    async def test() -> None:
        world = World(concurrency=10)
        world.journey = journey = SlowJourney(world, seconds=2.0)
        worker = await world.start()
        await world.submit(45)
        began_s = world.clock.monotonic_s()
        await world.ended()
        assert journey.most == 10
        assert world.clock.monotonic_s() - began_s < 5 * 2.0 + 1.0
        assert worker.stats().completed == 45
        await worker.stop(1.0)

    run(test)


def test_a_paused_queue_begins_nothing_until_it_goes_on() -> None:
    async def test() -> None:
        world = World()
        world.journey = journey = SlowJourney(world, seconds=0.1)
        worker = await world.start()
        await world.store.set_queue_state(QueueState.PAUSED)
        await world.submit(3)
        await asyncio.sleep(3 * world.settings.sweep_s)
        assert journey.began_s == []
        await world.store.set_queue_state(QueueState.RUNNING)
        await world.ended()
        assert len(journey.began_s) == 3
        await worker.stop(1.0)

    run(test)


def test_no_minute_sees_more_starts_than_allowed() -> None:
    async def test() -> None:
        world = World(orders_per_minute=5, concurrency=100)
        world.journey = journey = SlowJourney(world, seconds=0.1)
        worker = await world.start()
        await world.submit(17)
        await world.ended()
        begun = sorted(journey.began_s)
        assert all(later - earlier >= 59.99 for earlier, later in zip(begun, begun[5:], strict=False))
        assert begun[-1] - begun[0] < 3 * 60 + 5
        await worker.stop(1.0)

    run(test)


def test_an_order_is_not_begun_before_its_time_and_not_long_after() -> None:
    async def test() -> None:
        world = World()
        world.journey = journey = SlowJourney(world, seconds=0.1)
        worker = await world.start()
        due_s = world.clock.monotonic_s() + 100
        await world.submit(not_before_ms=world.clock.now_ms() + 100_000)
        await world.ended()
        (began_s,) = journey.began_s
        assert due_s <= began_s <= due_s + world.settings.sweep_s + 0.1
        await worker.stop(1.0)

    run(test)


class LateJourney:
    """Gives its order back and does not come to its end, as when an answer of the store is late; then ends it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.running = 0

    async def run(self, order: Order, lease: Lease) -> Order:
        assert self.running == 0, "two journeys of one order at the same time"
        self.running += 1
        held = HeldOrder(order, lease, self._world.store, self._world.clock)
        try:
            if order.version == 1:
                await held.record(Retrying(0, OrderError("later", ""), self._world.clock.now_ms()), release=True)
                await asyncio.sleep(1_000)
            await held.record(Cancelled("done"), release=True)
        finally:
            self.running -= 1
        return held.order


def test_an_order_that_comes_again_has_one_journey_at_a_time() -> None:
    async def test() -> None:
        world = World()
        world.journey = LateJourney(world)
        worker = await world.start()
        began_s = world.clock.monotonic_s()
        (order_id,) = await world.submit()
        (ended,) = await world.ended(order_id)
        assert ended.status is OrderStatus.CANCELLED
        assert world.clock.monotonic_s() - began_s < 100
        await worker.stop(1.0)

    run(test)


def test_an_ended_epoch_is_renewed_once_however_many_notice() -> None:
    async def test() -> None:
        world = World()
        world.journey = journey = SlowJourney(world, seconds=30.0)
        register, leases = world.store.register, list[Lease]()

        async def slowly(worker: str) -> Lease:
            await asyncio.sleep(3 * world.settings.heartbeat_s)
            leases.append(await register(worker))
            return leases[-1]

        world.store.register = slowly  # type: ignore[method-assign]
        worker = await world.start()
        await world.submit()
        await asyncio.sleep(1.0)
        assert journey.running == 1
        await world.store.retire(leases[0])
        await world.submit()
        await asyncio.sleep(10 * world.settings.heartbeat_s)
        assert len(leases) == 2
        assert journey.running == 2
        await world.ended()
        assert journey.most == 2
        await worker.stop(1.0)

    run(test)


def test_higher_priorities_go_first() -> None:
    async def test() -> None:
        world = World(concurrency=1)
        world.journey = SlowJourney(world, seconds=0.1)
        low, high = await world.submit(priority=1), await world.submit(priority=2)
        worker = await world.start()
        await world.ended()
        assert world.log(high[0])[-1].sequence < world.log(low[0])[1].sequence
        await worker.stop(1.0)

    run(test)


def test_an_order_that_no_pool_fills_is_tried_again_after_1_2_and_4_seconds_and_fails_only_then() -> None:
    async def test() -> None:
        world = World()
        worker = await world.start()
        (order_id,) = await world.submit(limit=10**18)
        (order,) = await world.ended()
        log = world.log(order_id)
        retries = [event for event in log if isinstance(event.body, Retrying)]
        assert [event.body.retry_at_ms - event.at_ms for event in retries] == [1_000, 2_000, 4_000]  # type: ignore[union-attr]
        assert Counter(event.kind for event in log)["routing"] == 4
        assert isinstance(log[-1].body, Failed)
        assert order.error is not None
        assert order.error.code == "limit_not_met"
        for retry, again in pairwise([*retries, log[-1]]):
            assert again.at_ms >= retry.body.retry_at_ms  # type: ignore[union-attr]
        await worker.stop(1.0)

    run(test)


def test_every_reverted_swap_is_followed_by_a_new_attempt_until_the_last() -> None:
    async def test() -> None:
        world = World(replace(NO_FAULTS, revert=1.0))
        worker = await world.start()
        (order_id,) = await world.submit()
        (order,) = await world.ended()
        built = [event.body for event in world.log(order_id) if isinstance(event.body, Built)]
        assert [body.attempt for body in built] == [1, 2, 3, 4]
        assert len({body.signature for body in built}) == 4
        assert (order.status, order.fill) == (OrderStatus.FAILED, None)
        assert world.chain.final_swaps == []
        await worker.stop(1.0)

    run(test)


def test_an_order_is_filled_once_and_its_log_rebuilds_it() -> None:
    async def test() -> None:
        world = World()
        worker = await world.start()
        ids = await world.submit(20)
        for order in await world.ended():
            assert order.status is OrderStatus.CONFIRMED
            assert replay(world.log(order.id)) == order
        assert Counter(order_id for order_id, _ in world.chain.final_swaps) == dict.fromkeys(ids, 1)
        await worker.stop(1.0)

    run(test)


def test_an_order_cancelled_while_it_is_being_routed_is_never_sent() -> None:
    async def test() -> None:
        world = World()
        asked, answer = asyncio.Event(), asyncio.Event()
        fetch = world.feed.fetch

        async def slow_fetch(*pair: object) -> object:
            asked.set()
            await answer.wait()
            return await fetch(*pair)  # type: ignore[arg-type]

        world.feed.fetch = slow_fetch  # type: ignore[method-assign, assignment]
        worker = await world.start()
        (order_id,) = await world.submit()
        await asked.wait()
        cancelled = await world.intake.cancel(order_id, "default")
        answer.set()
        await asyncio.sleep(30)
        assert world.truth.orders[order_id] == cancelled
        assert cancelled.status is OrderStatus.CANCELLED
        assert world.chain.transactions == {}
        assert not any(isinstance(event.body, Routed) for event in world.log(order_id))
        assert worker.stats().in_flight == 0
        await worker.stop(1.0)

    run(test)


def test_an_order_whose_bytes_may_be_under_way_can_not_be_cancelled() -> None:
    async def test() -> None:
        world = World()
        worker = await world.start()
        (order_id,) = await world.submit()
        while world.truth.orders[order_id].status not in (OrderStatus.BUILDING, OrderStatus.SUBMITTED):
            await asyncio.sleep(0.001)
        with pytest.raises(NotCancellable):
            await world.intake.cancel(order_id, "default")
        (order,) = await world.ended()
        assert order.status is OrderStatus.CONFIRMED
        await worker.stop(1.0)

    run(test)


def test_stopping_lets_journeys_finish_and_begins_no_others() -> None:
    async def test() -> None:
        world = World(concurrency=2)
        world.journey = journey = SlowJourney(world, seconds=3.0)
        worker = await world.start()
        await world.submit(5)
        await asyncio.sleep(1.0)
        await worker.stop(10.0)
        statuses = Counter(order.status for order in world.truth.orders.values())
        assert statuses == {OrderStatus.CANCELLED: 2, OrderStatus.PENDING: 3}
        assert len(journey.began_s) == 2
        assert (world.truth.owners, world.truth.beats) == ({}, {})

    run(test)


def test_what_does_not_finish_in_time_is_given_back_for_the_next_worker() -> None:
    async def test() -> None:
        world = World()
        world.journey = journey = SlowJourney(world, seconds=100.0)
        worker = await world.start()
        (order_id,) = await world.submit()
        await asyncio.sleep(1.0)
        began_s = world.clock.monotonic_s()
        await worker.stop(5.0)
        assert world.clock.monotonic_s() - began_s == pytest.approx(5.0, abs=0.1)
        assert (journey.running, world.truth.owners) == (0, {})
        again = World()
        again.truth.orders, again.truth.log = world.truth.orders, world.truth.log
        later = await again.start()
        (order,) = await again.ended(order_id)
        assert order.status is OrderStatus.CONFIRMED
        await later.stop(1.0)

    run(test)


def test_a_worker_whose_lease_was_ended_abandons_its_journeys_and_starts_anew() -> None:
    async def test() -> None:
        world = World()
        world.journey = journey = SlowJourney(world, seconds=4.5)
        worker = await world.start()
        await world.submit(3)
        await asyncio.sleep(0.5)
        assert journey.running == 3
        world.truth.end(list(world.truth.beats))
        await asyncio.sleep(world.settings.heartbeat_s + 0.1)
        assert len(journey.began_s) == 6
        assert {order.status for order in await world.ended()} == {OrderStatus.CANCELLED}
        assert journey.most == 3
        await worker.stop(1.0)

    run(test)


class FailingJourney:
    """Fails `times` on the orders of one amount, and leaves all else to the journey inside."""

    def __init__(self, world: World, amount: int, error: Exception, times: float = float("inf")) -> None:
        self._inner = world.journey
        self._amount = amount
        self._error = error
        self._times = times
        self.tries = 0

    async def run(self, order: Order, lease: Lease) -> Order:
        if order.spec.amount == self._amount and self.tries < self._times:
            self.tries += 1
            raise self._error
        return await self._inner.run(order, lease)


@pytest.mark.parametrize(
    ("error", "limit"), [(ZeroDivisionError("a defect"), MAX_JOURNEY_FAULTS), (StoreError("lost"), MAX_STORE_FAULTS)]
)
def test_one_order_s_defect_ends_that_order_and_stops_no_other(error: Exception, limit: int) -> None:
    async def test() -> None:
        world = World()
        world.journey = journey = FailingJourney(world, 13, error)
        worker = await world.start()
        (bad,) = await world.submit(amount=13)
        good = await world.submit(5)
        assert {order.status for order in await world.ended(*good)} == {OrderStatus.CONFIRMED}
        (order,) = await world.ended(bad)
        assert order.status is OrderStatus.FAILED
        assert order.error is not None
        assert order.error.code == "internal_error"
        assert journey.tries == limit + 1
        await worker.stop(1.0)

    run(test)


def test_an_order_waits_for_a_store_that_takes_no_writes_however_long() -> None:
    async def test() -> None:
        world = World()
        away = Unavailable("the database takes no writes", code="store_read_only")
        world.journey = journey = FailingJourney(world, 13, away, times=3 * MAX_STORE_FAULTS)
        worker = await world.start()
        (order,) = await world.ended(*await world.submit(amount=13))
        assert (order.status, journey.tries) == (OrderStatus.CONFIRMED, 3 * MAX_STORE_FAULTS)
        await worker.stop(1.0)

    run(test)
