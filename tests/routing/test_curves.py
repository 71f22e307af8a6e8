"""Curves against arithmetic that knows nothing of s = 1/√λ."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fillwright.routing.curves import Curve, composed, curve_of, merged
from fillwright.venues.venue import CurveSegment

segment = st.builds(
    CurveSegment,
    p=st.floats(0.5, 2.0),
    q=st.one_of(st.just(0.0), st.floats(1e-7, 1e-3)),
    cap=st.floats(1.0, 1e5),
)
jagged = st.lists(segment, min_size=1, max_size=8)


def walked(segments: list[CurveSegment], x: float) -> float:
    """The output by walking the segments one after the other."""
    total = 0.0
    for one in segments:
        u = min(x, one.cap)
        total += one.p * u / (1 + one.q * u)
        x -= u
    return total


def falling(segments: list[CurveSegment]) -> list[CurveSegment]:
    """The segments, each begun no better than the one before ended."""
    price, found = inf, []
    for one in segments:
        p = min(one.p, price)
        found.append(CurveSegment(p, one.q, one.cap))
        price = p / (1 + one.q * one.cap) ** 2
    return found


@given(jagged.map(falling), st.floats(0, 1))
def test_a_concave_curve_is_what_walking_its_segments_gives(segments: list[CurveSegment], part: float) -> None:
    curve = curve_of(segments, 100)
    x = curve.capacity * part
    assert curve.out(x) == pytest.approx(walked(segments, x), rel=1e-8)
    assert curve.input_for(curve.out(x)) == pytest.approx(x, rel=1e-6, abs=1e-6)


@given(jagged, st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_a_hull_is_concave_touches_both_ends_and_is_never_below(
    segments: list[CurveSegment], parts: list[float]
) -> None:
    hull = curve_of(segments, 100)
    whole = sum(one.cap for one in segments)
    assert hull.ss == sorted(hull.ss)
    assert hull.capacity == pytest.approx(whole, rel=1e-6)
    assert hull.ys[-1] == pytest.approx(walked(segments, whole), rel=1e-6)
    for part in parts:
        x = min(whole * part, hull.capacity)
        assert hull.out(x) >= walked(segments, x) * (1 - 1e-6)


@given(st.lists(jagged.map(falling), min_size=1, max_size=5), st.floats(0.001, 1))
def test_parallel_curves_meet_their_weak_duality_bound(pools: list[list[CurveSegment]], part: float) -> None:
    """out(x) = λ·x + Σ max(out_i(u) - λ·u) holds only for the optimal split."""
    curves = [curve_of(segments, 100) for segments in pools]
    together = merged(curves)
    x = together.capacity * part
    s = together.s_at(x)
    bound = x / (s * s) + sum(curve.gain_at(1 / (s * s)) for curve in curves)
    assert together.out(x) == pytest.approx(bound, rel=1e-7)
    assert together.capacity == pytest.approx(sum(curve.capacity for curve in curves), rel=1e-7)


@given(jagged.map(falling), jagged.map(falling), st.floats(0.9, 1), st.floats(0, 1))
def test_curves_in_series_feed_each_other(
    first: list[CurveSegment], second: list[CurveSegment], kept: float, part: float
) -> None:
    series = composed(curve_of(first, 100), curve_of(second, 100), kept)
    x = series.capacity * part
    assert series.out(x) == pytest.approx(walked(second, walked(first, x) * kept), rel=1e-6)


@given(jagged.map(falling), st.floats(0.4, 2.5))
def test_a_gain_is_the_best_over_all_inputs(segments: list[CurveSegment], price: float) -> None:
    curve = curve_of(segments, 100)
    gain = curve.gain_at(price)
    for step in range(51):
        x = curve.capacity * step / 50
        assert gain >= curve.out(x) - price * x - 1e-6 * max(1.0, x)


def test_a_curve_that_goes_on_says_so() -> None:
    segments = [CurveSegment(1 - at / 100, 0.0, 10.0) for at in range(5)]
    assert not curve_of(segments, 3).ended
    assert curve_of(segments, 5).ended
    assert curve_of(segments, 3).horizon < inf


def test_an_empty_curve_gives_nothing() -> None:
    curve = Curve()
    assert (curve.out(0.0), curve.out(1.0), curve.s_at(1.0), curve.gain_at(1.0)) == (0.0, 0.0, inf, 0.0)
