"""Numbers as the API shows them: integer arithmetic gives what exact fractions give."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from fillwright.api import views
from fillwright.domain.amounts import format_quotient, format_ratio, format_units

NUMBERS = st.integers(1, 10**30)


@given(st.integers(-(10**30), 10**30), NUMBERS)
@example(1, 2 * 10**8)
@example(3, 2 * 10**8)
@example(-1, 2 * 10**8)
def test_basis_points_round_half_to_even(numerator: int, denominator: int) -> None:
    exact = round(Fraction(numerator * 10**8, denominator))
    assert views.bps(numerator, denominator) == format_units(exact, 4)


@given(NUMBERS, NUMBERS)
def test_a_quotient_is_shown_as_its_ratio_is(numerator: int, denominator: int) -> None:
    assert format_quotient(numerator, denominator) == format_ratio(Fraction(numerator, denominator))


def test_every_stored_time_can_be_shown() -> None:
    assert views.rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert views.rfc3339(views.MAX_TIME_MS) == "9999-12-31T23:59:59.999Z"
    assert views.rfc3339(views.MAX_TIME_MS + 1) == views.rfc3339(2**63 - 1) == "9999-12-31T23:59:59.999Z"
