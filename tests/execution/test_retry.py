"""What follows a failed try."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.orders import NOW_MS, new_order
from fillwright.domain.orders import OrderError
from fillwright.execution.retry import FINAL_CODES, GiveUp, Retry, RetryPolicy, next_step

POLICY = RetryPolicy(max_retries=3, backoff_ms=1_000, timeout_ms=30_000)
ERROR = OrderError("slippage_exceeded", "the market moved")
ORDER = replace(new_order(1)[0], started_ms=NOW_MS)


def test_three_tries_follow_after_one_two_and_four_seconds_and_then_it_has_failed() -> None:
    steps = [next_step(replace(ORDER, retries=tried), ERROR, NOW_MS, POLICY) for tried in range(4)]
    assert steps == [Retry(NOW_MS + 1_000), Retry(NOW_MS + 2_000), Retry(NOW_MS + 4_000), GiveUp(ERROR)]


@pytest.mark.parametrize("code", sorted(FINAL_CODES))
def test_what_waiting_does_not_mend_is_not_tried_again(code: str) -> None:
    assert next_step(ORDER, OrderError(code, "m"), NOW_MS, POLICY) == GiveUp(OrderError(code, "m"))


def test_no_try_begins_after_the_time_for_execution() -> None:
    just_in_time = NOW_MS + POLICY.timeout_ms - POLICY.backoff_ms - 1
    assert isinstance(next_step(ORDER, ERROR, just_in_time, POLICY), Retry)
    late = next_step(ORDER, ERROR, just_in_time + 1, POLICY)
    assert isinstance(late, GiveUp)
    assert late.error.code == "execution_timeout"
    assert ERROR.message in late.error.message


def test_the_time_for_execution_begins_with_the_first_try_not_with_acceptance() -> None:
    waited = replace(ORDER, started_ms=None, created_ms=NOW_MS - 10**9)
    assert next_step(waited, ERROR, NOW_MS, POLICY) == Retry(NOW_MS + 1_000)


@given(
    retries=st.integers(0, 100),
    elapsed_ms=st.integers(0, 10**6),
    policy=st.builds(RetryPolicy, st.integers(0, 20), st.integers(0, 10_000), st.integers(1, 10**6)),
)
def test_a_later_try_is_allowed_in_time_and_in_the_future(retries: int, elapsed_ms: int, policy: RetryPolicy) -> None:
    now_ms = NOW_MS + elapsed_ms
    step = next_step(replace(ORDER, retries=retries), ERROR, now_ms, policy)
    if isinstance(step, Retry):
        assert retries < policy.max_retries
        assert now_ms <= step.at_ms < NOW_MS + policy.timeout_ms
