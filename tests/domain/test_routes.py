"""The bound around a quote: never further than the tolerance, rounded for the wallet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.routes import limit_after_slippage

quotes = st.integers(1, U64_MAX)
tolerances = st.integers(0, 10_000)


@pytest.mark.parametrize(
    ("mode", "quoted", "bps", "limit"),
    [
        (SwapMode.EXACT_IN, 10_000, 50, 9_950),
        (SwapMode.EXACT_IN, 10_001, 50, 9_951),
        (SwapMode.EXACT_IN, 1, 9_999, 1),
        (SwapMode.EXACT_IN, 10_001, 10_000, 0),
        (SwapMode.EXACT_OUT, 10_000, 50, 10_050),
        (SwapMode.EXACT_OUT, 10_001, 50, 10_051),
        (SwapMode.EXACT_OUT, 1, 9_999, 1),
    ],
)
def test_examples(mode: SwapMode, quoted: int, bps: int, limit: int) -> None:
    assert limit_after_slippage(mode, quoted, bps) == limit


@given(quoted=quotes, bps=tolerances)
def test_the_least_output_is_the_smallest_integer_within_the_tolerance(quoted: int, bps: int) -> None:
    limit = limit_after_slippage(SwapMode.EXACT_IN, quoted, bps)
    assert limit * 10_000 >= quoted * (10_000 - bps) > (limit - 1) * 10_000


@given(quoted=quotes, bps=tolerances)
def test_the_most_input_is_the_largest_integer_within_the_tolerance(quoted: int, bps: int) -> None:
    limit = limit_after_slippage(SwapMode.EXACT_OUT, quoted, bps)
    assert limit * 10_000 <= quoted * (10_000 + bps) < (limit + 1) * 10_000


@given(quoted=quotes, mode=st.sampled_from(SwapMode))
def test_without_tolerance_the_quote_is_the_bound(quoted: int, mode: SwapMode) -> None:
    assert limit_after_slippage(mode, quoted, 0) == quoted
