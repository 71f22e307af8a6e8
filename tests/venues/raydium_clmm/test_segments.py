"""The float segments follow the exact quote."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.raydium_clmm.made_pools import CLOCK
from tests.venues.raydium_clmm.onchain import OWN_POOLS, pool_of

from fillwright.domain.errors import QuoteRefused
from fillwright.venues.raydium_clmm import VENUE
from fillwright.venues.raydium_clmm.layout import ClmmPool
from fillwright.venues.token_program import TransferFee
from fillwright.venues.venue import CurveSegment

replace = msgspec.structs.replace


def walk(segments: list[CurveSegment], amount: float) -> tuple[float, int]:
    """The output for `amount`, and how many segments it touches."""
    total = 0.0
    for touched, segment in enumerate(segments, 1):
        step = min(amount, segment.cap)
        total += segment.p * step / (1 + segment.q * step)
        amount -= step
        if amount <= 0:
            return total, touched
    return total, len(segments)


def taxed(pool: ClmmPool, fee_0: TransferFee, fee_1: TransferFee) -> ClmmPool:
    return replace(
        pool,
        info_0=replace(pool.info_0, older=fee_0, newer=fee_0),
        info_1=replace(pool.info_1, older=fee_1, newer=fee_1),
    )


fees = st.builds(TransferFee, st.just(0), st.sampled_from([0, 1000, 10**7, 2**64 - 1]), st.sampled_from([0, 50, 900]))


@given(st.sampled_from(OWN_POOLS), st.integers(0, 1), st.floats(-8, 0), fees, fees)
def test_the_segments_follow_the_exact_quote(
    name: str, side: int, exponent: float, fee_0: TransferFee, fee_1: TransferFee
) -> None:
    pool = taxed(pool_of(name), fee_0, fee_1)
    segments = list(VENUE.curve(pool, pool.mints[side], CLOCK))
    capacity = min(sum(segment.cap for segment in segments), 2.0**63)
    amount = int(capacity * 10**exponent)
    try:
        exact = VENUE.quoter(pool, pool.mints[side], CLOCK)(amount)
    except QuoteRefused:
        return
    found, touched = walk(segments, float(amount))
    # Each step rounds its input and its output by a unit or so.
    rounding = 3 * touched * (1 + segments[0].p)
    assert found == pytest.approx(exact, rel=1e-9, abs=rounding)


@pytest.mark.parametrize("name", OWN_POOLS)
@pytest.mark.parametrize("side", [0, 1])
def test_prices_only_get_worse_along_the_segments(name: str, side: int) -> None:
    pool = pool_of(name)
    pool = taxed(pool, TransferFee(0, 0, 0), TransferFee(0, 0, 0))
    price = float("inf")
    for segment in VENUE.curve(pool, pool.mints[side], CLOCK):
        assert segment.p <= price * (1 + 1e-6)
        price = segment.p / (1 + segment.q * segment.cap) ** 2


def test_a_stretch_without_liquidity_has_no_segment() -> None:
    pool = pool_of("SYN_ts60_gap-no-liquidity")
    assert len(list(VENUE.curve(pool, pool.mint_0, CLOCK))) == 2
    assert len(list(VENUE.curve(pool, pool.mint_1, CLOCK))) == 2


def test_a_capped_transfer_fee_cuts_a_segment_and_improves_its_price() -> None:
    pool = taxed(pool_of("SYN_ts60_gap-no-liquidity"), TransferFee(0, 10**6, 100), TransferFee(0, 0, 0))
    first, second, *_ = VENUE.curve(pool, pool.mint_0, CLOCK)
    assert first.cap == pytest.approx(10**8)
    assert second.p > first.p / (1 + first.q * first.cap) ** 2


@pytest.mark.parametrize("side", [0, 1])
def test_a_transfer_fee_of_everything_has_no_curve(side: int) -> None:
    pool = taxed(pool_of("SYN_ts10_T22"), TransferFee(0, 10**6, 10_000), TransferFee(0, 0, 0))
    assert list(VENUE.curve(pool, pool.mints[side], CLOCK)) == []


def test_segments_come_lazily() -> None:
    pool = pool_of("SYN_ts1_bitmap-extension")
    assert next(iter(VENUE.curve(pool, pool.mint_0, CLOCK))).cap > 0
