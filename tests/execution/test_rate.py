"""The sliding window: never more starts within it than allowed, and never fewer than possible."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fillwright.execution.rate import SlidingWindow

WINDOW_MS = 1_000


def starts(limit: int, wishes: list[tuple[int, int]]) -> list[int]:
    """The times of all starts, where each wish is (milliseconds since the last one, how many)."""
    window, now_ms, found = SlidingWindow(limit, WINDOW_MS), 0, []
    for pause_ms, wanted in wishes:
        now_ms += pause_ms
        allowed = window.available(now_ms, wanted)
        window.take(now_ms, allowed)
        found += [now_ms] * allowed
    return found


wishes = st.lists(st.tuples(st.integers(0, 700), st.integers(0, 5)), max_size=60)


@given(limit=st.integers(1, 6), wishes=wishes)
def test_no_window_holds_more_starts_than_allowed(limit: int, wishes: list[tuple[int, int]]) -> None:
    found = starts(limit, wishes)
    for first in found:
        assert sum(first <= at < first + WINDOW_MS for at in found) <= limit


@given(limit=st.integers(1, 6), wishes=wishes)
def test_the_next_start_is_possible_exactly_when_it_is_said(limit: int, wishes: list[tuple[int, int]]) -> None:
    window, now_ms = SlidingWindow(limit, WINDOW_MS), 0
    for pause_ms, wanted in wishes:
        now_ms += pause_ms
        window.take(now_ms, window.available(now_ms, wanted))
        next_ms = window.next_ms(now_ms)
        assert next_ms == now_ms or window.available(next_ms - 1, 1) == 0
        assert now_ms <= next_ms <= now_ms + WINDOW_MS
    assert window.available(window.next_ms(now_ms), 1) == 1


def test_without_a_limit_everything_may_start() -> None:
    window = SlidingWindow(0)
    window.take(0, 10_000)
    assert window.available(0, 10_000) == 10_000
    assert window.next_ms(5) == 5
