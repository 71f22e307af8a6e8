"""The queue's order: higher priority first, and nobody starves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fillwright.domain.queue import QueueRules

MS = st.integers(0, 10**13)
PRIORITY = st.integers(-100, 100)


@given(ready=MS, first=PRIORITY, second=PRIORITY)
def test_of_two_that_are_due_at_once_the_higher_priority_goes_first(ready: int, first: int, second: int) -> None:
    rules = QueueRules()
    assert (rules.rank_ms(ready, first) < rules.rank_ms(ready, second)) == (first > second)


@given(ready=MS, later=st.integers(0, 10**7), priority=PRIORITY)
def test_of_one_priority_the_longest_due_goes_first(ready: int, later: int, priority: int) -> None:
    rules = QueueRules()
    assert rules.rank_ms(ready, priority) <= rules.rank_ms(ready + later, priority)


@given(ready=MS, priority=PRIORITY, urgent=PRIORITY, step_ms=st.integers(0, 60_000))
def test_an_order_is_overtaken_by_none_that_is_due_much_later(
    ready: int, priority: int, urgent: int, step_ms: int
) -> None:
    rules = QueueRules(priority_step_ms=step_ms)
    bound_ms = max(0, urgent - priority) * step_ms
    assert rules.rank_ms(ready, priority) <= rules.rank_ms(ready + bound_ms, urgent)


@given(st.lists(st.integers(1, 100), min_size=110, max_size=110))
def test_a_stream_of_urgent_orders_does_not_starve_a_patient_one(urgent: list[int]) -> None:
    """A worker that takes an order a second, while a more urgent one comes every second."""
    rules = QueueRules(priority_step_ms=1_000)
    waiting = [(rules.rank_ms(0, 0), 0)]
    for second, priority in enumerate(urgent):
        waiting.append((rules.rank_ms(second * 1_000, priority), priority))
        waiting.sort()
        if waiting.pop(0)[1] == 0:
            assert second <= 101
            return
    raise AssertionError("it starved")
