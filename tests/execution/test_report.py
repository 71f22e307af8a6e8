"""Implementation shortfall: parts that sum to the whole without a remainder."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fillwright.domain.amounts import SwapMode
from fillwright.execution.report import Execution, route_fees, shortfall
from fillwright.routing.mid import mid_ratio
from fillwright.routing.route import Router
from routing.cases import FREE, HELD, amount_of, direct_market, order

price = st.fractions(min_value=Fraction(1, 10**9), max_value=10**9)
units = st.integers(1, 2**64 - 1)
executions = st.builds(
    Execution,
    mode=st.sampled_from(SwapMode),
    arrival=price,
    decided=price,
    quoted_in=units,
    quoted_out=units,
    filled_in=units,
    filled_out=units,
    fees=st.fractions(min_value=0, max_value=10**12),
    network=st.fractions(min_value=0, max_value=10**12),
)


@given(executions)
def test_the_parts_sum_to_the_shortfall_exactly(execution: Execution) -> None:
    parts = shortfall(execution)
    if execution.mode is SwapMode.EXACT_IN:
        whole = execution.arrival * execution.filled_in - execution.filled_out + execution.network
    else:
        whole = execution.filled_in + execution.network - execution.filled_out / execution.arrival
    assert parts.total == whole
    assert parts.bps == whole * 10_000 / parts.benchmark


def test_each_part_says_what_it_should() -> None:
    """Sold 1,000 at arrival 2, decided at 1.9; 10 of fees, quoted 1,870, received 1,860; the chain took 3."""
    parts = shortfall(
        Execution(
            SwapMode.EXACT_IN, Fraction(2), Fraction(19, 10), 1_000, 1_870, 1_000, 1_860, Fraction(10), Fraction(3)
        )
    )
    assert (parts.delay, parts.fees, parts.impact, parts.timing, parts.network) == (100, 10, 20, 10, 3)
    assert parts.total == 143
    assert parts.bps == Fraction(143 * 10_000, 2_000)


def test_an_unmoved_market_leaves_fees_and_impact() -> None:
    snapshot = direct_market(31, 6)
    spec = order(HELD[0].mint, HELD[1].mint, amount_of(HELD[0], 5_000))
    route = Router().decide(spec, snapshot, FREE).route
    mid = mid_ratio(spec, snapshot)
    assert route is not None
    assert mid is not None
    fees = route_fees(route, {spec.input_mint: mid, spec.output_mint: Fraction(1)})
    parts = shortfall(
        Execution(spec.mode, mid, mid, spec.amount, route.amount_out, spec.amount, route.amount_out, fees, Fraction(0))
    )
    assert parts.delay == parts.timing == parts.network == 0
    assert parts.fees == fees > 0


@pytest.mark.parametrize("change", [{"arrival": Fraction(0)}, {"filled_in": 0}, {"filled_out": 0}])
def test_nothing_filled_has_no_shortfall(change: dict[str, object]) -> None:
    fields: dict[str, object] = {
        "mode": SwapMode.EXACT_IN,
        "arrival": Fraction(1),
        "decided": Fraction(1),
        "quoted_in": 1,
        "quoted_out": 1,
        "filled_in": 1,
        "filled_out": 1,
        "fees": Fraction(0),
        "network": Fraction(0),
        **change,
    }
    with pytest.raises(ValueError, match="positive"):
        shortfall(Execution(**fields))  # type: ignore[arg-type]
