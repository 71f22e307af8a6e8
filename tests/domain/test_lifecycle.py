"""The two state machines: only tabled moves happen, the log rebuilds the order, the diagram is the tables."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.orders import NOW_MS, ROUTED, attempt_of, built, fill_of, new_order, order_id
from fillwright.domain import lifecycle
from fillwright.domain.errors import IllegalTransition
from fillwright.domain.lifecycle import ATTEMPT_TABLE, CANCELLABLE, OPEN_ATTEMPTS, ORDER_TABLE, TERMINAL
from fillwright.domain.orders import (
    Accepted,
    AttemptStatus,
    Cancelled,
    Confirmed,
    EventBody,
    Expired,
    Failed,
    Landed,
    NeedsReview,
    Order,
    OrderError,
    OrderEvent,
    OrderStatus,
    Rebid,
    Retrying,
    RolledBack,
    Submitted,
    Triggered,
)

ERROR = OrderError("program_error", "made up")
ATTEMPT = attempt_of(new_order(1)[0])
BODIES: tuple[EventBody, ...] = (
    Triggered("released"),
    ROUTED,
    built(ATTEMPT),
    Submitted(1, ATTEMPT.signature),
    Rebid(1, 2, "of the second bid", 15_000),
    Landed(1, ATTEMPT.signature, 7),
    RolledBack(1, ATTEMPT.signature),
    Retrying(1, ERROR, NOW_MS + 5, 7_000),
    Confirmed(fill_of(ATTEMPT), 8_000),
    Failed(ERROR, 1, 9_000),
    Cancelled("requested"),
    Expired(ERROR),
    NeedsReview(ERROR, 1),
)
"""One event of every kind but the first."""


def walked(bodies: list[EventBody], *, hold: bool) -> tuple[Order, list[OrderEvent]]:
    """The order after those of `bodies` that its status allows, and its log."""
    order, event = new_order(1, hold=hold)
    log = [event]
    for body in bodies:
        before = order
        try:
            order, event = lifecycle.advance(order, body, NOW_MS + len(log))
        except IllegalTransition:
            assert (before.status, type(body)) not in ORDER_TABLE
            continue
        assert order.status is ORDER_TABLE[before.status, type(body)]
        log.append(event)
    return order, log


@given(bodies=st.lists(st.sampled_from(BODIES), max_size=40), hold=st.booleans())
def test_any_sequence_of_events_reaches_only_tabled_states(bodies: list[EventBody], hold: bool) -> None:
    order, log = walked(bodies, hold=hold)
    assert [event.number for event in log] == list(range(1, order.version + 1))
    ends = [event for event in log if event.status in TERMINAL]
    assert ends in ([], [log[-1]])
    if order.status in TERMINAL:
        assert order.ready_at_ms is None


@given(bodies=st.lists(st.sampled_from(BODIES), max_size=40), hold=st.booleans())
def test_replaying_the_log_rebuilds_the_order(bodies: list[EventBody], hold: bool) -> None:
    order, log = walked(bodies, hold=hold)
    assert lifecycle.replay(log) == order
    stored = msgspec.json.decode(msgspec.json.encode(log), type=list[OrderEvent])
    assert lifecycle.replay(stored) == order


@given(bodies=st.lists(st.sampled_from(BODIES), min_size=3, max_size=40), data=st.data())
def test_a_log_with_a_hole_or_out_of_turn_is_refused(bodies: list[EventBody], data: st.DataObject) -> None:
    _, log = walked(bodies, hold=False)
    if len(log) < 3:
        return
    missing = data.draw(st.integers(0, len(log) - 2))
    with pytest.raises(IllegalTransition):
        lifecycle.replay(log[:missing] + log[missing + 1 :])


def test_every_kind_of_event_is_tried() -> None:
    assert {type(body) for body in BODIES} | {Accepted} == set(EventBody.__args__)
    assert {kind for _, kind in ORDER_TABLE} == {type(body) for body in BODIES}


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_nothing_follows_the_end(status: OrderStatus) -> None:
    assert not [pair for pair in ORDER_TABLE if pair[0] is status]


def test_every_status_can_be_reached_and_left_for_an_end() -> None:
    reached = {OrderStatus.WAITING, OrderStatus.PENDING} | set(ORDER_TABLE.values())
    assert reached == set(OrderStatus)
    for status in set(OrderStatus) - TERMINAL:
        found, frontier = {status}, {status}
        while frontier:
            frontier = {to for (at, _), to in ORDER_TABLE.items() if at in frontier} - found
            found |= frontier
        assert found & TERMINAL


def test_an_order_can_be_cancelled_exactly_while_no_bytes_can_be_under_way() -> None:
    assert {status for status, body in ORDER_TABLE if body is Cancelled} == CANCELLABLE
    assert not CANCELLABLE & {OrderStatus.BUILDING, OrderStatus.SUBMITTED}


def test_an_order_begins_with_accepted_only() -> None:
    with pytest.raises(IllegalTransition):
        lifecycle.begin(OrderEvent(order_id(1), 1, NOW_MS, OrderStatus.CONFIRMED, Confirmed(fill_of(ATTEMPT))))


def test_an_event_that_names_another_status_is_refused() -> None:
    order, _ = new_order(1)
    with pytest.raises(IllegalTransition):
        lifecycle.apply(order, OrderEvent(order.id, 2, NOW_MS, OrderStatus.CONFIRMED, Cancelled("requested")))


@given(moves=st.lists(st.sampled_from(AttemptStatus), max_size=12))
def test_an_attempt_moves_only_as_tabled(moves: list[AttemptStatus]) -> None:
    status = AttemptStatus.BUILT
    for to in moves:
        if to in ATTEMPT_TABLE[status]:
            status = lifecycle.advance_attempt(status, to)
        else:
            with pytest.raises(IllegalTransition):
                lifecycle.advance_attempt(status, to)


def test_an_attempt_whose_end_is_proven_never_opens_again() -> None:
    for status in set(AttemptStatus) - OPEN_ATTEMPTS:
        assert not ATTEMPT_TABLE[status]


def test_the_documented_diagram_is_generated_from_the_tables() -> None:
    documented = Path(__file__).parents[2] / "docs" / "lifecycle.md"
    assert documented.read_text() == lifecycle.diagram()


def test_fees_of_failed_transactions_add_up_over_attempts_and_bids() -> None:
    attempt = [ROUTED, built(ATTEMPT), Submitted(1, ATTEMPT.signature)]
    rebid = Rebid(1, 2, "of the second bid", 15_000)
    begun = [*attempt, rebid, Retrying(1, ERROR, NOW_MS, 7_000), *attempt, rebid]
    for end, fees in ((Confirmed(fill_of(ATTEMPT), 8_000), 15_000), (Failed(ERROR, 2, 9_000), 16_000)):
        order, log = walked([*begun, end], hold=False)
        assert (order.failed_fee_lamports, order.bids) == (fees, 2)
        assert lifecycle.replay(log) == order
