"""Amounts: strict parsing, exact formatting, and no mixing of mints."""

import contextlib
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fillwright.domain.accounts import Mint
from fillwright.domain.amounts import U64_MAX, Amount, format_units, parse_base_units, parse_decimal
from fillwright.domain.errors import InvalidInput

A, B = Mint("a"), Mint("b")


def code(text: str, decimals: int = 6) -> str:
    with pytest.raises(InvalidInput) as invalid:
        parse_decimal(text, decimals)
    return invalid.value.code


@pytest.mark.parametrize(
    ("text", "decimals", "units"),
    [
        ("1", 0, 1),
        ("1", 9, 10**9),
        ("1.5", 6, 1_500_000),
        ("0.000001", 6, 1),
        ("0.100000", 6, 100_000),
        ("18446744073709551615", 0, U64_MAX),
        ("18446744073.709551615", 9, U64_MAX),
    ],
)
def test_a_decimal_string_becomes_base_units(text: str, decimals: int, units: int) -> None:
    assert parse_decimal(text, decimals) == units


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "-1",
        "01",
        "00",
        "1.",
        ".5",
        "1e3",
        "1E3",
        "0x10",
        "1_000",
        "1,5",
        "1.2.3",
        "NaN",
        "inf",
        "١",
        "１",
        "1.0000001",
        "1" * 65,
    ],
)
def test_anything_but_a_plain_decimal_is_refused(text: str) -> None:
    assert code(text) == "amount_format"


def test_zero_and_too_much_are_refused_by_their_own_codes() -> None:
    assert code("0") == code("0.000000") == "amount_not_positive"
    assert code("18446744073709.551616") == "amount_overflow"
    assert code("9" * 64) == "amount_overflow"


def test_an_error_points_at_the_culprit() -> None:
    with pytest.raises(InvalidInput) as invalid:
        parse_base_units("1.5", pointer="/legs/0/amount")
    assert (invalid.value.pointer, invalid.value.status) == ("/legs/0/amount", 422)


@pytest.mark.parametrize(
    ("units", "decimals", "text"),
    [
        (0, 6, "0"),
        (1, 6, "0.000001"),
        (1_500_000, 6, "1.5"),
        (10**6, 6, "1"),
        (120, 0, "120"),
        (-1_500_000, 6, "-1.5"),
        (-1, 9, "-0.000000001"),
    ],
)
def test_base_units_are_formatted_without_trailing_zeros(units: int, decimals: int, text: str) -> None:
    assert format_units(units, decimals) == text


@given(units=st.integers(1, U64_MAX), decimals=st.integers(0, 30))
def test_parsing_what_was_formatted_gives_the_same_units(units: int, decimals: int) -> None:
    assert parse_decimal(format_units(units, decimals), decimals) == units


@given(text=st.text(max_size=70), decimals=st.integers(0, 255))
def test_any_text_parses_to_positive_u64_or_is_refused(text: str, decimals: int) -> None:
    with contextlib.suppress(InvalidInput):
        assert 0 < parse_decimal(text, decimals) <= U64_MAX


def test_amounts_of_one_mint_add_subtract_and_compare() -> None:
    assert Amount(A, 3) + Amount(A, 4) == Amount(A, 7)
    assert Amount(A, 3) - Amount(A, 4) == Amount(A, -1)
    assert Amount(A, 3) < Amount(A, 4) <= Amount(A, 4)
    assert Amount(A, 5) > Amount(A, 4) >= Amount(A, 4)
    assert Amount(A, 3) != Amount(B, 3)


@pytest.mark.parametrize("mix", [operator.add, operator.sub, operator.lt, operator.le, operator.gt, operator.ge])
def test_amounts_of_different_mints_do_not_mix(mix: object) -> None:
    with pytest.raises(ValueError, match="different mints"):
        mix(Amount(A, 1), Amount(B, 1))  # type: ignore[operator]
