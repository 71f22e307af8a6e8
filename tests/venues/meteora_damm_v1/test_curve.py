"""The float segments follow the exact quote and are concave; the spot price is their limit without fees."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from msgspec.structs import replace
from tests.venues.meteora_damm_v1.pools import CLOCK, OWN_POOLS, THIRD_PARTY_POOL, pool_with, pools, sides, snapshot

from fillwright.domain.errors import QuoteRefused
from fillwright.venues.meteora_damm_v1 import VENUE
from fillwright.venues.meteora_damm_v1.layout import DammV1Pool, Fees
from fillwright.venues.venue import CurveSegment

_POOLS = (*OWN_POOLS, THIRD_PARTY_POOL)


def _sum(segments: list[CurveSegment], u: float) -> float:
    total = 0.0
    for segment in segments:
        part = min(u, segment.cap)
        total += segment.p * part / (1 + segment.q * part)
        u -= part
        if u <= 0:
            return total
    raise AssertionError("beyond the curve's last segment")


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("name", _POOLS)
def test_the_segments_follow_the_exact_quote(name: str, side: int) -> None:
    pool = snapshot(name)
    mint = pool.mints[side]
    segments = list(VENUE.curve(pool, mint, CLOCK))
    quoter = VENUE.quoter(pool, mint, CLOCK)
    capacity = sum(segment.cap for segment in segments)
    # A unit of fee or of rounding on the input is worth this much output.
    spot = float(VENUE.spot(pool, mint, CLOCK))
    unit = max(1.0, spot)
    for exponent in range(2, 64):
        amount = int(2**exponent * 1.37)
        if amount > capacity * 0.999:
            break
        if amount * spot < 10:
            continue
        exact = quoter(amount)
        assert abs(_sum(segments, amount) - exact) <= 5 * unit + 5 + 1e-9 * exact


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("name", _POOLS)
def test_the_segments_are_concave(name: str, side: int) -> None:
    pool = snapshot(name)
    segments = list(VENUE.curve(pool, pool.mints[side], CLOCK))
    assert all(segment.q >= 0 and segment.p > 0 and segment.cap > 0 for segment in segments)
    for before, after in pairwise(segments):
        assert after.p <= before.p / (1 + before.q * before.cap) ** 2 * (1 + 1e-12)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("name", _POOLS)
def test_a_few_segments_cover_ordinary_amounts(name: str, side: int) -> None:
    pool = snapshot(name)
    few = list(islice(VENUE.curve(pool, pool.mints[side], CLOCK), 10))
    assert sum(segment.cap for segment in few) > pool.lp_amounts[side] * 0.01


@pytest.mark.parametrize("name", _POOLS)
def test_the_first_price_is_the_spot_after_the_fee(name: str) -> None:
    pool = snapshot(name)
    kept = 1 - pool.fees.trade_numerator / pool.fees.trade_denominator
    for mint in pool.mints:
        first = next(iter(VENUE.curve(pool, mint, CLOCK)))
        assert first.p == pytest.approx(float(VENUE.spot(pool, mint, CLOCK)) * kept, rel=1e-12)


@pytest.mark.parametrize("name", _POOLS)
def test_the_two_spot_prices_are_reciprocal(name: str) -> None:
    pool = snapshot(name)
    there, back = (VENUE.spot(pool, mint, CLOCK) for mint in pool.mints)
    assert float(there * back) == pytest.approx(1, rel=1e-9)


def test_the_spot_of_a_constant_product_pool_is_its_ratio() -> None:
    assert VENUE.spot(pool_with(), pool_with().mints[0], CLOCK) == Fraction(2)


def test_the_curve_ends_where_the_lending_vault_runs_dry() -> None:
    plain = pool_with(fees=Fees(0, 10**6, 0, 10**6))
    for stable in (None, snapshot("SYN_stable_6-6").stable):
        pool = replace(plain, stable=stable, vaults=(plain.vaults[0], replace(plain.vaults[1], reserve=10**11)))
        segments = list(VENUE.curve(pool, pool.mints[0], CLOCK))
        capacity = sum(segment.cap for segment in segments)
        assert _sum(segments, capacity * (1 - 1e-12)) == pytest.approx(10**11, rel=1e-9)
        assert VENUE.quoter(pool, pool.mints[0], CLOCK)(int(capacity * 0.999_999)) <= 10**11
        with pytest.raises(QuoteRefused):
            VENUE.quoter(pool, pool.mints[0], CLOCK)(int(capacity * 1.000_001))


def test_an_empty_pool_has_no_curve() -> None:
    for amounts in ((0, 0), (10**12, 0), (0, 10**12)):
        for stable in (None, snapshot("SYN_stable_6-6").stable):
            pool = pool_with(lp_amounts=amounts, stable=stable)
            assert list(VENUE.curve(pool, pool.mints[0], CLOCK)) == []


@settings(max_examples=150, deadline=None, derandomize=True)
@given(pool=pools(), side=sides)
def test_any_pool_has_a_concave_curve_or_none(pool: DammV1Pool, side: int) -> None:
    segments = list(islice(VENUE.curve(pool, pool.mints[side], CLOCK), 60))
    assert all(segment.q >= 0 and segment.p > 0 and segment.cap > 0 for segment in segments)
    for before, after in pairwise(segments):
        assert after.p <= before.p / (1 + before.q * before.cap) ** 2 * (1 + 1e-12)
    if segments:
        assert segments[0].p <= float(VENUE.spot(pool, pool.mints[side], CLOCK)) * (1 + 1e-9)
