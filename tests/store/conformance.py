"""What every store must do. A test module subclasses `StoreConformance` and provides the fixture `stage`.

The suite asks for nothing but the port; what only one store can do is tested beside that store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from fakes.orders import NOW_MS, ROUTED, SOL, USDC, attempt_of, bid_of, built, fill_of, new_order, order_id, step
from fillwright.domain.errors import (
    IdempotencyMismatch,
    StaleLease,
    StoreError,
    Unavailable,
    VersionConflict,
)
from fillwright.domain.lifecycle import replay
from fillwright.domain.orders import (
    Attempt,
    AttemptStatus,
    Bid,
    Cancelled,
    Confirmed,
    Failed,
    Landed,
    Order,
    OrderError,
    OrderEvent,
    OrderStatus,
    Rebid,
    Retrying,
    Submitted,
    Triggered,
)
from fillwright.domain.queue import PRIORITY_STEP_MS, QueueState
from fillwright.ports import Change, Lease, OrderFilter, Store

LATER_MS = NOW_MS + 60_000
A_LONG_TIME_MS = 3_600_000
ERROR = OrderError("slippage_exceeded", "the pool moved: 1 < 2 “quoted” ✓")


class Stage:
    """An open store and everything it has announced."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.heard: list[OrderEvent] = []

    def listen(self, events: Sequence[OrderEvent]) -> None:
        self.heard.extend(events)

    async def insert(self, number: int, **spec: object) -> Order:
        return await self.store.insert(*new_order(number, **spec))

    async def take(self, worker: str = "w1", limit: int = 100) -> tuple[Lease, list[Order]]:
        """All due orders, in the hands of a new worker."""
        lease = await self.store.register(worker)
        return lease, await self.store.claim(lease, NOW_MS, limit)

    async def held(self, number: int = 1) -> tuple[Lease, Order]:
        """A new order in the hands of a new worker."""
        await self.insert(number)
        lease, orders = await self.take()
        return lease, orders[0]

    async def change(self, change: Change) -> Order:
        await self.store.change(change)
        return change.order

    async def everything(self, found: Order) -> tuple[object, ...]:
        """All that the store says about an order."""
        store = self.store
        return (
            await store.get(found.id),
            await store.events(found.id),
            await store.attempts(found.id),
            await store.fills(found.id),
            await store.last_sequence(),
            await store.stats(NOW_MS),
        )


async def run_to_built(stage: Stage, order: Order, lease: Lease, number: int = 1) -> Order:
    routed = await stage.change(step(order, ROUTED, lease))
    attempt = attempt_of(order, number)
    return await stage.change(step(routed, built(attempt), lease, attempt=attempt))


class Inserting:
    async def test_a_new_order_is_found_by_its_id_and_by_its_accounts_own(self, stage: Stage) -> None:
        order = await stage.insert(1, client_order_id="mine", dialect="v0", dialect_fields={"naïve": "“x”"})
        assert await stage.store.get(order.id) == order
        assert await stage.store.find("alice", "mine") == order
        assert await stage.store.find("bob", "mine") is None
        assert await stage.store.get(order_id(2)) is None
        assert await stage.store.version(order_id(2)) is None
        assert await stage.store.version(order.id) == 1
        await stage.change(step(order, ROUTED))
        assert await stage.store.version(order.id) == 2

    async def test_its_event_is_the_first_of_the_log(self, stage: Stage) -> None:
        order, event = new_order(1)
        await stage.store.insert(order, event)
        assert await stage.store.events(order.id) == [replace(event, sequence=1)] == stage.heard
        assert await stage.store.last_sequence() == 1

    async def test_the_same_request_again_is_answered_with_the_stored_order(self, stage: Stage) -> None:
        first = await stage.insert(1, client_order_id="mine")
        assert await stage.insert(2, client_order_id="mine") == first
        assert await stage.store.get(order_id(2)) is None
        assert await stage.store.last_sequence() == 1

    async def test_the_stored_order_comes_as_it_is_now(self, stage: Stage) -> None:
        first = await stage.insert(1, client_order_id="mine")
        moved = await stage.change(step(first, ROUTED))
        assert await stage.insert(2, client_order_id="mine") == moved

    async def test_another_request_under_the_same_key_is_refused(self, stage: Stage) -> None:
        first = await stage.insert(1, client_order_id="mine")
        with pytest.raises(IdempotencyMismatch):
            await stage.insert(2, client_order_id="mine", amount=2)
        assert await stage.store.get(first.id) == first
        assert len(stage.heard) == 1

    async def test_accounts_do_not_share_keys(self, stage: Stage) -> None:
        await stage.insert(1, client_order_id="mine")
        assert (await stage.insert(2, client_order_id="mine", account="bob")).id == order_id(2)

    async def test_orders_without_a_key_are_all_different(self, stage: Stage) -> None:
        assert {(await stage.insert(n)).id for n in (1, 2, 3)} == {order_id(n) for n in (1, 2, 3)}

    async def test_of_many_at_once_with_one_key_one_is_stored(self, stage: Stage) -> None:
        found = await asyncio.gather(*(stage.insert(n, client_order_id="mine") for n in range(1, 21)))
        assert len({order.id for order in found}) == 1
        assert len(stage.heard) == 1

    async def test_an_insert_that_is_repeated_changes_nothing(self, stage: Stage) -> None:
        order = await stage.insert(1)
        assert await stage.insert(1) == order
        assert len(stage.heard) == 1
        with pytest.raises(StoreError):
            await stage.insert(1, amount=2)

    async def test_each_of_many_has_its_own_outcome(self, stage: Stage) -> None:
        await stage.insert(1, client_order_id="old")
        outcomes = await stage.store.insert_many(
            [
                new_order(2, client_order_id="new"),
                new_order(3, client_order_id="old"),
                new_order(4, client_order_id="old", amount=2),
                new_order(5, client_order_id="new"),
                new_order(1, amount=3),
                new_order(6),
            ]
        )
        ids = [outcome.id if isinstance(outcome, Order) else type(outcome) for outcome in outcomes]
        assert ids == [order_id(2), order_id(1), IdempotencyMismatch, order_id(2), StoreError, order_id(6)]
        assert [event.order_id for event in stage.heard] == [order_id(n) for n in (1, 2, 6)]
        assert await stage.store.insert_many([]) == []


class Changing:
    async def test_a_whole_life_reads_back_as_it_was_written(self, stage: Stage) -> None:
        lease, order = await stage.held()
        order = await run_to_built(stage, order, lease)
        attempt = attempt_of(order)
        fill = fill_of(attempt)
        assert await stage.store.attempts(order.id) == [attempt]
        attempt = replace(attempt, status=AttemptStatus.SENT)
        order = await stage.change(step(order, Submitted(1, attempt.signature), lease, attempt=attempt))
        attempt = replace(attempt, status=AttemptStatus.LANDED, slot=7, fee_lamports=5_000, error=ERROR)
        order = await stage.change(step(order, Landed(1, attempt.signature, 7), lease, attempt=attempt))
        assert await stage.store.get(order.id) == order
        order = await stage.change(step(order, Confirmed(fill), lease, fill=fill, release=True))
        events = await stage.store.events(order.id)
        assert await stage.store.get(order.id) == order == replay(events)
        assert [event.number for event in events] == [1, 2, 3, 4, 5, 6]
        assert await stage.store.attempts(order.id) == [attempt]
        assert await stage.store.fills(order.id) == [fill]

    async def test_a_later_route_replaces_the_one_before(self, stage: Stage) -> None:
        order = await stage.change(step(await stage.insert(1), ROUTED))
        other = replace(ROUTED, route=replace(ROUTED.route, limit=1))  # type: ignore[type-var]
        order = await stage.change(step(order, other))
        assert await stage.store.get(order.id) == order
        order = await stage.change(step(order, replace(ROUTED, route=None)))
        assert order.route is None
        assert await stage.store.get(order.id) == order

    async def test_several_events_of_one_step_are_written_together(self, stage: Stage) -> None:
        order = await stage.insert(1)
        first = step(order, ROUTED)
        second = step(first.order, Failed(ERROR))
        await stage.store.change(Change(second.order, first.events + second.events, 1, None))
        assert await stage.store.get(order.id) == second.order
        assert replay(await stage.store.events(order.id)) == second.order

    async def test_an_attempt_can_change_without_an_event(self, stage: Stage) -> None:
        lease, order = await stage.held()
        order = await run_to_built(stage, order, lease)
        sent = replace(attempt_of(order), status=AttemptStatus.SENT)
        await stage.store.change(Change(order, (), order.version, lease, attempt=sent))
        assert await stage.store.attempts(order.id) == [sent]
        assert await stage.store.get(order.id) == order

    async def test_a_change_of_an_older_version_is_refused_and_writes_nothing(self, stage: Stage) -> None:
        lease, order = await stage.held()
        await run_to_built(stage, order, lease)
        before = await stage.everything(order)
        attempt = attempt_of(order, 2)
        with pytest.raises(VersionConflict):
            await stage.store.change(step(order, ROUTED, lease, attempt=attempt, fill=fill_of(attempt), release=True))
        assert await stage.everything(order) == before

    async def test_of_many_changes_at_once_one_succeeds(self, stage: Stage) -> None:
        order = await stage.insert(1)
        outcomes = await asyncio.gather(
            *(stage.store.change(step(order, Cancelled(str(n)))) for n in range(20)), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if outcome is not None]
        assert [type(outcome) for outcome in refused] == [VersionConflict] * 19
        assert len(await stage.store.events(order.id)) == 2

    async def test_an_order_that_does_not_exist_can_not_change(self, stage: Stage) -> None:
        with pytest.raises(StoreError):
            await stage.store.change(step(new_order(1)[0], ROUTED))
        assert await stage.store.last_sequence() == 0

    async def test_a_change_without_a_lease_takes_an_order_out_of_a_workers_hands(self, stage: Stage) -> None:
        lease, order = await stage.held()
        await stage.change(step(order, Cancelled("requested"), release=True))
        with pytest.raises(StaleLease):
            await stage.store.change(step(order, ROUTED, lease))
        assert (await stage.store.stats(NOW_MS)).leased == 0

    async def test_an_order_that_is_moved_without_release_stays_in_its_workers_hands(self, stage: Stage) -> None:
        lease, order = await stage.held()
        moved = await stage.change(step(order, ROUTED))
        with pytest.raises(VersionConflict):
            await stage.store.change(step(order, ROUTED, lease))
        await stage.change(step(moved, ROUTED, lease))


class Attempting:
    async def test_a_second_open_attempt_is_refused_and_writes_nothing(self, stage: Stage) -> None:
        lease, order = await stage.held()
        order = await run_to_built(stage, order, lease)
        before = await stage.everything(order)
        second = attempt_of(order, 2)
        with pytest.raises(StoreError) as refusal:
            await stage.store.change(step(order, Submitted(2, second.signature), lease, attempt=second))
        assert type(refusal.value) is StoreError
        assert await stage.everything(order) == before

    async def test_another_attempt_follows_one_that_has_ended(self, stage: Stage) -> None:
        lease, order = await stage.held()
        order = await run_to_built(stage, order, lease)
        first = replace(attempt_of(order), status=AttemptStatus.EXPIRED, error=ERROR)
        order = await stage.change(step(order, Retrying(1, ERROR, NOW_MS), lease, attempt=first))
        await run_to_built(stage, order, lease, number=2)
        assert await stage.store.attempts(order.id) == [first, attempt_of(order, 2)]

    async def test_an_attempts_signed_bytes_never_change(self, stage: Stage) -> None:
        lease, order = await stage.held()
        order = await run_to_built(stage, order, lease)
        before = await stage.everything(order)
        for other in (replace(attempt_of(order), signature="other"), replace(attempt_of(order), raw=b"other")):
            with pytest.raises(StoreError):
                await stage.store.change(step(order, Submitted(1, "other"), lease, attempt=other))
        assert await stage.everything(order) == before

    async def test_a_signature_belongs_to_one_attempt(self, stage: Stage) -> None:
        lease, order = await stage.held(1)
        await run_to_built(stage, order, lease)
        await stage.insert(2)
        (other,) = await stage.store.claim(lease, NOW_MS, 1)
        routed = await stage.change(step(other, ROUTED, lease))
        stolen = attempt_of(other, signature=attempt_of(order).signature)
        with pytest.raises(StoreError):
            await stage.store.change(step(routed, built(stolen), lease, attempt=stolen))
        assert await stage.store.attempts(other.id) == []
        assert await stage.store.get(other.id) == routed

    async def test_a_signature_fills_once(self, stage: Stage) -> None:
        lease, order = await stage.held()
        order = await run_to_built(stage, order, lease)
        fill = fill_of(attempt_of(order))
        order = await stage.change(step(order, Submitted(1, fill.signature), lease, fill=fill))
        before = await stage.everything(order)
        with pytest.raises(StoreError):
            await stage.store.change(step(order, Confirmed(fill), lease, fill=fill, release=True))
        assert await stage.everything(order) == before

    async def test_one_bad_write_takes_no_other_along(self, stage: Stage) -> None:
        lease, bad = await stage.held()
        bad = await run_to_built(stage, bad, lease)
        second = attempt_of(bad, 2)
        good = [stage.insert(number) for number in range(10, 30)]
        refused = stage.store.change(step(bad, Submitted(2, "s"), lease, attempt=second))
        also = [stage.insert(number) for number in range(30, 50)]
        outcomes = await asyncio.gather(*good, refused, *also, return_exceptions=True)
        assert [index for index, outcome in enumerate(outcomes) if isinstance(outcome, Exception)] == [20]
        log = await stage.store.events_since(0)
        assert [event.sequence for event in log] == list(range(1, 44))
        assert stage.heard == log
        assert (await stage.store.stats(NOW_MS)).by_status == {"building": 1, "pending": 40}


def rebid(order: Order, bid: Bid, lease: Lease | None) -> Change:
    return step(order, Rebid(order.attempt, bid.number, bid.signature, bid.unit_price), lease, bid=bid)


async def run_to_sent(stage: Stage, order: Order, lease: Lease, **fields: object) -> tuple[Order, Attempt]:
    """The order with an attempt that has been sent."""
    attempt = replace(attempt_of(order, order.attempt + 1), **fields)
    order = await stage.change(step(order, ROUTED, lease))
    order = await stage.change(step(order, built(attempt), lease, attempt=attempt))
    attempt = replace(attempt, status=AttemptStatus.SENT)
    return await stage.change(
        step(order, Submitted(attempt.number, attempt.signature), lease, attempt=attempt)
    ), attempt


class Bidding:
    async def test_an_attempt_reads_back_with_its_bids(self, stage: Stage) -> None:
        lease, order = await stage.held()
        order, attempt = await run_to_sent(stage, order, lease)
        for number in (2, 3):
            bid = bid_of(attempt, number)
            order = await stage.change(rebid(order, bid, lease))
            attempt = replace(attempt, bids=(*attempt.bids, bid))
            assert await stage.store.attempts(order.id) == [attempt]
        assert (order.bids, order.signature) == (2, attempt.signatures[-1])
        assert await stage.store.get(order.id) == order == replay(await stage.store.events(order.id))
        assert stage.heard[-1].body == Rebid(1, 3, attempt.bids[-1].signature, attempt.bids[-1].unit_price)

    async def test_what_an_attempt_comes_to_leaves_its_bids_as_they_are(self, stage: Stage) -> None:
        lease, order = await stage.held()
        order, attempt = await run_to_sent(stage, order, lease)
        bid = bid_of(attempt)
        order = await stage.change(rebid(order, bid, lease))
        closed = replace(attempt, status=AttemptStatus.REVERTED, error=ERROR, fee_lamports=12_345, slot=7)
        order = await stage.change(step(order, Retrying(1, ERROR, NOW_MS), lease, attempt=closed))
        order, second = await run_to_sent(stage, order, lease)
        other = bid_of(second)
        await stage.change(rebid(order, other, lease))
        assert await stage.store.attempts(order.id) == [replace(closed, bids=(bid,)), replace(second, bids=(other,))]

    async def test_a_bid_needs_an_open_attempt(self, stage: Stage) -> None:
        lease, order = await stage.held()
        order, attempt = await run_to_sent(stage, order, lease)
        closed = replace(attempt, status=AttemptStatus.EXPIRED, error=ERROR)
        await stage.store.change(Change(order, (), order.version, lease, attempt=closed))
        await self._is_refused(stage, rebid(order, bid_of(attempt), lease))

    async def test_a_bid_needs_a_marker(self, stage: Stage) -> None:
        lease, order = await stage.held()
        order, attempt = await run_to_sent(stage, order, lease, marker_seed="")
        await self._is_refused(stage, rebid(order, bid_of(attempt), lease))

    @pytest.mark.parametrize("same", [{"number": 2}, {"signature": "of the attempt"}, {"signature": "sig-bid-2"}])
    async def test_no_two_transactions_of_an_attempt_share_a_number_or_a_signature(
        self, stage: Stage, same: dict[str, object]
    ) -> None:
        lease, order = await stage.held()
        order, attempt = await run_to_sent(stage, order, lease, signature="of the attempt")
        order = await stage.change(rebid(order, replace(bid_of(attempt), signature="sig-bid-2"), lease))
        await self._is_refused(stage, rebid(order, replace(bid_of(attempt, 3), **same), lease))

    async def test_a_bid_that_comes_too_late_is_refused(self, stage: Stage) -> None:
        lease, order = await stage.held()
        order, attempt = await run_to_sent(stage, order, lease)
        late = rebid(order, bid_of(attempt), lease)
        await stage.change(rebid(order, bid_of(attempt), lease))
        before = await stage.everything(order)
        with pytest.raises(VersionConflict):
            await stage.store.change(late)
        with pytest.raises(StaleLease):
            await stage.store.change(rebid(late.order, bid_of(attempt, 3), Lease("another", lease.epoch + 1)))
        assert await stage.everything(order) == before

    async def test_a_bid_comes_without_a_change_of_the_attempt(self, stage: Stage) -> None:
        lease, order = await stage.held()
        order, attempt = await run_to_sent(stage, order, lease)
        change = rebid(order, bid_of(attempt), lease)
        await self._is_refused(stage, replace(change, attempt=replace(attempt, status=AttemptStatus.LANDED)))

    async def test_bids_are_written_beside_everything_else(self, stage: Stage) -> None:
        await asyncio.gather(*(stage.insert(number) for number in range(1, 21)))
        lease, orders = await stage.take()
        sent = [await run_to_sent(stage, order, lease) for order in orders]
        bids = [stage.change(rebid(order, bid_of(attempt), lease)) for order, attempt in sent]
        stolen = stage.change(rebid(sent[0][0], replace(bid_of(sent[1][1]), number=9), lease))
        new = [stage.insert(number) for number in range(30, 50)]
        outcomes = await asyncio.gather(*bids[1:], *new, stolen, bids[0], return_exceptions=True)
        assert [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)] == [StoreError]
        for order, attempt in sent:
            assert await stage.store.attempts(order.id) == [replace(attempt, bids=(bid_of(attempt),))]
        log = await stage.store.events_since(0)
        assert [event.sequence for event in log] == list(range(1, len(log) + 1))
        assert stage.heard == log

    async def test_bids_are_written_where_orders_of_a_wallet_stand_in_line(self, lined: Stage) -> None:
        lease, order = await lined.held()
        order, attempt = await run_to_sent(lined, order, lease)
        outcomes = lined.change(rebid(order, bid_of(attempt), lease)), lined.insert(2), lined.insert(3)
        order, *_ = await asyncio.gather(*outcomes)
        assert await lined.store.attempts(order.id) == [replace(attempt, bids=(bid_of(attempt),))]
        await lined.change(step(order, Confirmed(fill_of(attempt)), lease, release=True))
        assert [each.id for each in await lined.store.claim(lease, NOW_MS, 5)] == [order_id(2)]

    async def _is_refused(self, stage: Stage, change: Change) -> None:
        before = await stage.everything(change.order)
        with pytest.raises(StoreError) as refusal:
            await stage.store.change(change)
        assert type(refusal.value) is StoreError
        assert await stage.everything(change.order) == before


class Queueing:
    """The queue's rules: `stage` has the default ones, `lined` orders of a wallet one after another."""

    async def test_orders_are_claimed_by_name_where_they_are_due_and_free(self, stage: Stage) -> None:
        for number in (1, 2, 3):
            await stage.insert(number)
        await stage.insert(4, ready_at_ms=LATER_MS)
        await stage.insert(5, hold=True)
        ended = await stage.insert(6)
        await stage.change(step(ended, Cancelled()))
        lease, other = await stage.store.register("w1"), await stage.store.register("w2")
        wanted = [order_id(n) for n in (3, 4, 5, 6, 7, 1)]
        claimed = await stage.store.claim(lease, NOW_MS, 10, wanted)
        assert {order.id for order in claimed} == {order_id(3), order_id(1)}
        for order in claimed:
            assert await stage.store.get(order.id) == order
        assert await stage.store.claim(other, NOW_MS, 10, wanted) == []
        assert await stage.store.claim(other, NOW_MS, 10, []) == []
        assert [order.id for order in await stage.store.claim(other, NOW_MS, 10)] == [order_id(2)]
        assert len(await stage.store.claim(other, LATER_MS, 1, [order_id(4), order_id(1)])) == 1
        stats = await stage.store.stats(NOW_MS)
        assert (stats.leased, stats.due, stats.delayed) == (4, 0, 0)

    async def test_an_ended_epoch_claims_nothing_by_name(self, stage: Stage) -> None:
        await stage.insert(1)
        lease = await stage.store.register("w1")
        await stage.store.retire(lease)
        with pytest.raises(StaleLease):
            await stage.store.claim(lease, NOW_MS, 1, [order_id(1)])

    async def test_no_order_that_is_named_to_many_is_in_two_hands(self, stage: Stage) -> None:
        for number in range(1, 41):
            await stage.insert(number)
        leases = [await stage.store.register(f"w{n}") for n in range(4)]
        wanted = [order_id(n) for n in range(1, 41)]
        claims = await asyncio.gather(*(stage.store.claim(lease, NOW_MS, 40, wanted) for lease in leases * 3))
        ids = [order.id for claim in claims for order in claim]
        assert len(ids) == len(set(ids)) <= 40
        rest = await stage.store.claim(leases[0], NOW_MS, 40)
        assert len(ids) + len(rest) == 40

    async def test_a_step_of_priority_counts_as_time_and_no_more(self, stage: Stage) -> None:
        old = 3 * PRIORITY_STEP_MS
        await stage.insert(1, ready_at_ms=NOW_MS - old - 1)
        await stage.insert(2, ready_at_ms=NOW_MS - old + 1)
        await stage.insert(3, ready_at_ms=NOW_MS, priority=3)
        await stage.insert(4, ready_at_ms=NOW_MS - PRIORITY_STEP_MS, priority=-2)
        await stage.insert(5, ready_at_ms=NOW_MS, priority=-3)
        lease = await stage.store.register("w1")
        first = await stage.store.claim(lease, NOW_MS, 2)
        second = await stage.store.claim(lease, NOW_MS, 9)
        assert [order.id for order in first + second] == [order_id(n) for n in (1, 3, 2, 4, 5)]

    async def test_while_paused_nothing_is_begun_and_nothing_is_lost(self, stage: Stage) -> None:
        lease, order = await stage.held(1)
        assert await stage.store.queue_state() is QueueState.RUNNING
        await stage.store.set_queue_state(QueueState.PAUSED)
        assert await stage.store.queue_state() is QueueState.PAUSED
        await stage.insert(2)
        assert await stage.store.claim(lease, NOW_MS, 9) == []
        assert await stage.store.claim(lease, NOW_MS, 9, [order_id(2)]) == []
        await stage.change(step(order, ROUTED, lease))
        await stage.store.set_queue_state(QueueState.DRAINING)
        assert [found.id for found in await stage.store.claim(lease, NOW_MS, 9)] == [order_id(2)]
        await stage.store.set_queue_state(QueueState.RUNNING)

    async def test_orders_of_a_wallet_go_one_after_another(self, lined: Stage) -> None:
        for number in (1, 2, 3):
            await lined.insert(number, priority=number)
        await lined.insert(4, wallet="another")
        lease, orders = await lined.take()
        assert {order.id for order in orders} == {order_id(1), order_id(4)}
        assert await lined.store.claim(lease, LATER_MS, 9) == []
        assert await lined.store.claim(lease, LATER_MS, 9, [order_id(2), order_id(3)]) == []
        first = next(order for order in orders if order.id == order_id(1))
        retried = await lined.change(step(first, Retrying(0, ERROR, LATER_MS), lease, release=True))
        assert await lined.store.claim(lease, LATER_MS - 1, 9) == []
        (first,) = await lined.store.claim(lease, LATER_MS, 9)
        assert first == retried
        await lined.change(step(first, Failed(ERROR), lease, release=True))
        assert [order.id for order in await lined.store.claim(lease, LATER_MS, 9)] == [order_id(2)]

    async def test_what_its_client_holds_back_holds_back_no_other(self, lined: Stage) -> None:
        held = await lined.insert(1, hold=True)
        await lined.insert(2, ready_at_ms=LATER_MS)
        await lined.insert(3)
        ended = await lined.insert(4)
        await lined.insert(5)
        await lined.change(step(ended, Cancelled()))
        lease, (order,) = await lined.take()
        assert order.id == order_id(3)
        await lined.change(step(held, Triggered("released")))
        assert await lined.store.claim(lease, LATER_MS, 9) == []
        await lined.change(step(order, Failed(ERROR), lease, release=True))
        for number in (1, 2, 5):
            (order,) = await lined.store.claim(lease, LATER_MS, 9)
            assert order.id == order_id(number)
            await lined.change(step(order, Failed(ERROR), lease, release=True))
        assert await lined.store.claim(lease, LATER_MS, 9) == []

    async def test_many_workers_never_have_two_orders_of_a_wallet(self, lined: Stage) -> None:
        wallets = ("a", "b", "c")
        for number in range(1, 25):
            await lined.insert(number, wallet=wallets[number % 3])
        leases = [await lined.store.register(f"w{n}") for n in range(4)]
        done: dict[str, list[str]] = {wallet: [] for wallet in wallets}
        for _ in range(8):
            claims = await asyncio.gather(*(lined.store.claim(lease, NOW_MS, 9) for lease in leases))
            mine = [(lease, order) for lease, orders in zip(leases, claims, strict=True) for order in orders]
            assert sorted(order.spec.wallet for _, order in mine) == list(wallets)
            for lease, order in mine:
                done[order.spec.wallet].append(order.id)
                await lined.change(step(order, Failed(ERROR), lease, release=True))
        assert all(ids == sorted(ids) and len(ids) == 8 for ids in done.values())


class Leasing:
    async def test_orders_are_claimed_by_priority_then_by_how_long_they_are_due(self, stage: Stage) -> None:
        await stage.insert(1, ready_at_ms=NOW_MS - 1)
        await stage.insert(2, ready_at_ms=NOW_MS - 2)
        await stage.insert(3, ready_at_ms=NOW_MS, priority=7)
        await stage.insert(4, ready_at_ms=NOW_MS - 9, priority=-7)
        await stage.insert(5, ready_at_ms=NOW_MS + 1, priority=9)
        lease, orders = await stage.take(limit=3)
        assert [order.id for order in orders] == [order_id(n) for n in (3, 2, 1)]
        assert [order.id for order in await stage.store.claim(lease, NOW_MS, 3)] == [order_id(4)]
        assert await stage.store.claim(lease, NOW_MS, 3) == []
        assert [order.id for order in await stage.store.claim(lease, NOW_MS + 1, 3)] == [order_id(5)]

    async def test_a_claimed_order_is_as_it_was_left(self, stage: Stage) -> None:
        lease, order = await stage.held()
        routed = await stage.change(step(order, ROUTED, lease))
        retried = await stage.change(step(routed, Retrying(0, ERROR, LATER_MS), lease, release=True))
        assert await stage.store.claim(lease, LATER_MS - 1, 10) == []
        assert await stage.store.claim(lease, LATER_MS, 10) == [retried]

    async def test_no_order_is_in_two_hands(self, stage: Stage) -> None:
        for number in range(1, 41):
            await stage.insert(number)
        leases = [await stage.store.register(f"w{n}") for n in range(8)]
        assert len({lease.epoch for lease in leases}) == 8
        claims = await asyncio.gather(*(stage.store.claim(lease, NOW_MS, 7) for lease in leases))
        ids = [order.id for claim in claims for order in claim]
        assert len(ids) == len(set(ids)) == 40

    async def test_a_lease_knows_what_it_holds(self, stage: Stage) -> None:
        for number in (1, 2, 3):
            await stage.insert(number)
        lease, orders = await stage.take(limit=2)
        other, _ = await stage.take("w2")
        routed = await stage.change(step(orders[0], ROUTED, lease))
        await stage.change(step(orders[1], Retrying(0, ERROR, LATER_MS), lease, release=True))
        assert await stage.store.held(lease) == [routed]
        assert [order.id for order in await stage.store.held(other)] == [order_id(3)]
        await stage.store.retire(lease)
        assert await stage.store.held(lease) == []

    async def test_what_waits_or_has_ended_is_not_claimed(self, stage: Stage) -> None:
        held = await stage.insert(1, hold=True)
        ended = await stage.insert(2)
        await stage.change(step(ended, Cancelled()))
        lease, orders = await stage.take()
        assert orders == []
        await stage.change(step(held, Triggered("released")))
        (claimed,) = await stage.store.claim(lease, LATER_MS, 10)
        assert claimed.id == held.id
        assert claimed.status is OrderStatus.PENDING

    async def test_only_the_holder_writes(self, stage: Stage) -> None:
        _, order = await stage.held()
        other = await stage.store.register("w2")
        free = await stage.insert(2, ready_at_ms=LATER_MS)
        before = await stage.everything(order)
        for target in (order, free):
            with pytest.raises(StaleLease):
                await stage.store.change(step(target, ROUTED, other))
        assert await stage.everything(order) == before

    async def test_a_stale_lease_is_said_before_a_stale_version(self, stage: Stage) -> None:
        lease, order = await stage.held()
        await stage.change(step(order, ROUTED, lease))
        await stage.store.retire(lease)
        with pytest.raises(StaleLease):
            await stage.store.change(step(order, ROUTED, lease))

    async def test_a_retired_worker_gives_everything_back_and_never_returns(self, stage: Stage) -> None:
        lease, order = await stage.held()
        await stage.store.retire(lease)
        with pytest.raises(StaleLease):
            await stage.store.change(step(order, ROUTED, lease))
        with pytest.raises(StaleLease):
            await stage.store.heartbeat(lease)
        with pytest.raises(StaleLease):
            await stage.store.claim(lease, NOW_MS, 1)
        again, orders = await stage.take("w1")
        assert again.epoch != lease.epoch
        assert orders == [order]

    async def test_reaping_ends_the_silent_and_spares_the_others(self, stage: Stage) -> None:
        lease, order = await stage.held()
        assert await stage.store.reap(A_LONG_TIME_MS) == 0
        await stage.store.heartbeat(lease)
        await stage.change(step(order, ROUTED, lease))
        assert await stage.store.reap(-A_LONG_TIME_MS) == 1
        with pytest.raises(StaleLease):
            await stage.store.heartbeat(lease)
        assert await stage.store.reap(-A_LONG_TIME_MS) == 0
        _, orders = await stage.take("w2")
        assert [found.id for found in orders] == [order.id]

    async def test_a_released_order_is_due_when_it_says(self, stage: Stage) -> None:
        assert await stage.store.next_ready_ms() is None
        await stage.insert(1, ready_at_ms=NOW_MS + 5, priority=3)
        await stage.insert(2, ready_at_ms=NOW_MS + 3)
        await stage.insert(3, hold=True)
        assert await stage.store.next_ready_ms() == NOW_MS + 3
        lease = await stage.store.register("w1")
        (order,) = await stage.store.claim(lease, NOW_MS + 3, 9)
        assert await stage.store.next_ready_ms() == NOW_MS + 5
        await stage.change(step(order, Retrying(0, ERROR, NOW_MS + 4), lease, release=True))
        assert await stage.store.next_ready_ms() == NOW_MS + 4


class Reading:
    async def test_an_orders_events_come_in_pieces(self, stage: Stage) -> None:
        order = await stage.insert(1)
        await stage.insert(2)
        for _ in range(4):
            order = await stage.change(step(order, ROUTED))
        events = await stage.store.events(order.id)
        assert [event.number for event in events] == [1, 2, 3, 4, 5]
        assert await stage.store.events(order.id, 2) == events[2:]
        assert await stage.store.events(order.id, 1, 2) == events[1:3]
        assert await stage.store.events(order.id, 5) == []
        assert await stage.store.events(order_id(9)) == []

    async def test_the_log_has_no_gap_and_is_announced_in_its_order(self, stage: Stage) -> None:
        async def live(number: int) -> None:
            order = await stage.insert(number)
            for _ in range(3):
                order = await stage.change(step(order, ROUTED))
            with pytest.raises(VersionConflict):
                await stage.store.change(step(new_order(number)[0], ROUTED))

        await asyncio.gather(*(live(number) for number in range(1, 31)))
        log = await stage.store.events_since(0)
        assert [event.sequence for event in log] == list(range(1, 121))
        assert stage.heard == log
        assert await stage.store.last_sequence() == 120
        assert await stage.store.events_since(100, 5) == log[100:105]
        assert await stage.store.events_since(120) == []

    async def test_events_are_announced_before_the_write_is_answered(self, stage: Stage) -> None:
        order = await stage.insert(1)
        assert [event.number for event in stage.heard] == [1]
        await stage.store.change(step(order, ROUTED))
        assert [event.number for event in stage.heard] == [1, 2]

    async def test_a_write_that_was_answered_is_seen(self, stage: Stage) -> None:
        async def write_and_look(number: int) -> bool:
            order = await stage.insert(number)
            moved = await stage.change(step(order, ROUTED))
            return await stage.store.get(order.id) == moved and await stage.store.last_sequence() >= 2

        assert all(await asyncio.gather(*(write_and_look(number) for number in range(1, 51))))

    async def test_pages_go_from_new_to_old(self, stage: Stage) -> None:
        for number in (3, 1, 5, 2, 4):
            await stage.insert(number)
        first = await stage.store.page(OrderFilter(), None, 2)
        assert [order.id for order in first] == [order_id(5), order_id(4)]
        second = await stage.store.page(OrderFilter(), first[-1].id, 10)
        assert [order.id for order in second] == [order_id(3), order_id(2), order_id(1)]
        assert await stage.store.page(OrderFilter(), order_id(1), 10) == []

    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            (OrderFilter(account="alice"), (6, 4, 3, 2, 1)),
            (OrderFilter(account="bob"), (5,)),
            (OrderFilter(wallet="w2"), (5, 2)),
            (OrderFilter(account="alice", wallet="w2"), (2,)),
            (OrderFilter(input_mint=USDC), (3,)),
            (OrderFilter(input_mint=SOL, output_mint=USDC, account="alice"), (6, 4, 2, 1)),
            (OrderFilter(dialect="v0"), (4,)),
            (OrderFilter(status=OrderStatus.PENDING), (5, 4, 3, 2)),
            (OrderFilter(status=OrderStatus.ROUTING, account="alice"), (6,)),
            (OrderFilter(status=OrderStatus.CANCELLED), (1,)),
            (OrderFilter(status=OrderStatus.CANCELLED, account="alice"), (1,)),
            (OrderFilter(status=OrderStatus.CANCELLED, account="bob"), ()),
            (OrderFilter(status=OrderStatus.FAILED), ()),
        ],
        ids=str,
    )
    async def test_a_page_holds_what_was_asked_for(
        self, stage: Stage, where: OrderFilter, expected: tuple[int, ...]
    ) -> None:
        first = await stage.insert(1)
        await stage.insert(2, wallet="w2")
        await stage.insert(3, input_mint=USDC, output_mint=SOL)
        await stage.insert(4, dialect="v0")
        await stage.insert(5, account="bob", wallet="w2")
        last = await stage.insert(6)
        await stage.change(step(first, Cancelled()))
        await stage.change(step(last, ROUTED))
        found = await stage.store.page(where, None, 10)
        assert [order.id for order in found] == [order_id(n) for n in expected]
        assert await stage.store.page(where, order_id(3), 10) == [order for order in found if order.id < order_id(3)]

    async def test_statistics_count_every_order_where_it_stands(self, stage: Stage) -> None:
        empty = await stage.store.stats(NOW_MS)
        assert (empty.by_status, empty.leased, empty.due, empty.delayed) == ({}, 0, 0, 0)
        assert (empty.oldest_due_ms, empty.last_sequence) == (None, 0)
        await stage.insert(1, ready_at_ms=NOW_MS - 5)
        await stage.insert(2, ready_at_ms=NOW_MS + 5)
        await stage.insert(3, ready_at_ms=NOW_MS - 3, priority=2)
        await stage.insert(4, hold=True)
        ended = await stage.insert(5)
        await stage.change(step(ended, Cancelled()))
        stats = await stage.store.stats(NOW_MS)
        assert stats.by_status == {"pending": 3, "waiting": 1, "cancelled": 1}
        assert (stats.leased, stats.due, stats.delayed) == (0, 2, 1)
        assert (stats.oldest_due_ms, stats.last_sequence) == (NOW_MS - 5, 6)
        lease = await stage.store.register("w1")
        await stage.store.claim(lease, NOW_MS, 1)
        stats = await stage.store.stats(NOW_MS)
        assert (stats.leased, stats.due, stats.delayed, stats.oldest_due_ms) == (1, 1, 1, NOW_MS - 5)
        stats = await stage.store.stats(NOW_MS + 5)
        assert (stats.leased, stats.due, stats.delayed) == (1, 2, 0)
        stats = await stage.store.stats(NOW_MS - 4)
        assert (stats.leased, stats.due, stats.delayed) == (1, 1, 1)
        stats = await stage.store.stats(NOW_MS - 6)
        assert (stats.due, stats.delayed, stats.oldest_due_ms) == (0, 2, None)


class Closing:
    async def test_a_caller_that_gives_up_does_no_harm(self, stage: Stage) -> None:
        tasks = [asyncio.create_task(stage.insert(number)) for number in range(1, 11)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(outcome, Order) for outcome in outcomes) == 5
        await stage.insert(11)
        log = await stage.store.events_since(0)
        assert [event.sequence for event in log] == list(range(1, len(log) + 1))
        assert stage.heard == log

    async def test_closing_finishes_what_is_under_way_and_refuses_the_rest(self, stage: Stage) -> None:
        writes = [asyncio.create_task(stage.insert(number)) for number in range(1, 21)]
        await asyncio.sleep(0)
        await stage.store.close()
        assert all(isinstance(order, Order) for order in await asyncio.gather(*writes))
        with pytest.raises(Unavailable):
            await stage.insert(30)
        with pytest.raises(Unavailable):
            await stage.store.insert_many([new_order(31)])
        with pytest.raises(Unavailable):
            await stage.store.get(order_id(1))
        await stage.store.close()


class StoreConformance(Inserting, Changing, Attempting, Bidding, Leasing, Queueing, Reading, Closing):
    """All of it."""
