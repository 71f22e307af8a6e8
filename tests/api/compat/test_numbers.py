"""Numbers between JSON text, decimals and base units: exact both ways."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fillwright.api.compat.numbers import decode_object, encode, number, ratio, units_of, whole
from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import InvalidInput

UNITS = st.integers(0, U64_MAX)
DECIMALS = st.integers(0, 12)


@given(UNITS, DECIMALS)
def test_units_survive_the_way_out_and_back(units: int, decimals: int) -> None:
    text = encode({"amount": whole(units, decimals)})
    found = number(decode_object(text)["amount"])
    assert found is not None
    assert units_of(found, decimals) == units


@given(UNITS, DECIMALS)
def test_a_decimal_is_written_as_a_number(units: int, decimals: int) -> None:
    assert isinstance(json.loads(encode(whole(units, decimals))), int | float)


@given(st.decimals(0, 1_000_000, allow_nan=False, allow_infinity=False), DECIMALS)
def test_rounding_never_spends_more_and_never_accepts_less(value: Decimal, decimals: int) -> None:
    exact = Fraction(value) * 10**decimals
    assert units_of(value, decimals) <= exact < units_of(value, decimals) + 1
    assert units_of(value, decimals, round_up=True) - 1 < exact <= units_of(value, decimals, round_up=True)


@pytest.mark.parametrize("value", [True, False, None, "1", [], {}, 1.5])
def test_only_json_numbers_are_numbers(value: object) -> None:
    assert number(value) is None


def test_magnitudes_beyond_sense_are_no_amounts() -> None:
    assert number(Decimal("1e41")) is None
    assert number(Decimal("1e-999999")) == 0
    with pytest.raises(InvalidInput) as refused:
        units_of(Decimal(10) ** 20, 9)
    assert refused.value.code == "amount_overflow"


@given(st.integers(0, 10**20), st.integers(1, 10**20))
def test_a_ratio_is_right_to_its_places(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    assert abs(Fraction(ratio(numerator, denominator, 6)) - exact) <= Fraction(1, 2 * 10**6)
    assert ratio(numerator, 0, 6) == 0
