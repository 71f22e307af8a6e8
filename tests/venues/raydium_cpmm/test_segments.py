"""The float segments follow the exact quote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.raydium_cpmm.pools import CLOCK, U64_MAX, pool_with, pools, sides, with_transfer_fees

from fillwright.domain.errors import QuoteRefused
from fillwright.venues.raydium_cpmm import VENUE
from fillwright.venues.raydium_cpmm.layout import CpmmPool
from fillwright.venues.token_program import TransferFee
from fillwright.venues.venue import CurveSegment

NO_FEE = TransferFee(0, 0, 0)


def walk(segments: list[CurveSegment], amount: float) -> float:
    total = 0.0
    for segment in segments:
        step = min(amount, segment.cap)
        total += segment.p * step / (1 + segment.q * step)
        amount -= step
        if amount <= 0:
            break
    return total


def test_a_plain_pool_is_one_segment() -> None:
    pool = pool_with()
    (segment,) = VENUE.curve(pool, pool.mints[0], CLOCK)
    assert segment.p == pytest.approx(0.9975 * 2)
    assert segment.q == pytest.approx(0.9975 / 10**12)
    assert segment.cap == float(U64_MAX - 10**12)


def test_capped_transfer_fees_cut_the_curve() -> None:
    pool = with_transfer_fees(pool_with(), TransferFee(0, 10**6, 100), TransferFee(0, 10**7, 100))
    segments = list(VENUE.curve(pool, pool.mints[0], CLOCK))
    assert len(segments) == 3
    assert segments[0].cap == pytest.approx(10**8)


@pytest.mark.parametrize("balances", [(0, 10**9), (10**9, 0)])
def test_an_empty_pool_has_no_curve(balances: tuple[int, int]) -> None:
    pool = pool_with(balances=balances)
    assert list(VENUE.curve(pool, pool.mints[0], CLOCK)) == []


def test_a_fee_of_everything_has_no_curve() -> None:
    pool = with_transfer_fees(pool_with(), TransferFee(0, 10**6, 10_000), NO_FEE)
    assert list(VENUE.curve(pool, pool.mints[0], CLOCK)) == []
    assert list(VENUE.curve(pool, pool.mints[1], CLOCK)) == []


@given(pool=pools(), side=sides, exponent=st.floats(-9, 2))
def test_the_segments_follow_the_exact_quote(pool: CpmmPool, side: int, exponent: float) -> None:
    amount = max(int(pool.balances[side] * 10**exponent), 1)
    segments = list(VENUE.curve(pool, pool.mints[side], CLOCK))
    try:
        exact = VENUE.quoter(pool, pool.mints[side], CLOCK)(amount)
    except QuoteRefused:
        exact = 0
    if not segments or amount > sum(segment.cap for segment in segments):
        return
    # The input loses a unit to each of two roundings, each worth the spot price; the output as many of its own.
    few = 4 * float(VENUE.spot(pool, pool.mints[side], CLOCK)) + 4
    assert walk(segments, float(amount)) == pytest.approx(exact, rel=1e-9, abs=few)
