"""The float segments follow the exact quote."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from random import Random

import pytest
from tests.venues.meteora_dlmm.made_pools import CLOCK, MINT_X, MINT_Y, MadeBin, MadePool, drawn_pool

from fillwright.domain.accounts import Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.meteora_dlmm import VENUE
from fillwright.venues.meteora_dlmm.layout import DlmmPool
from fillwright.venues.venue import CurveSegment, Swap


def along(segments: list[CurveSegment], amount: float) -> float:
    total = 0.0
    for segment in segments:
        part = min(amount, segment.cap)
        total += segment.p * part / (1 + segment.q * part)
        amount -= part
        if amount <= 0:
            break
    return total


def check(pool: DlmmPool, mint: Mint, random: Random) -> None:
    segments = list(VENUE.curve(pool, mint, CLOCK))
    depth = sum(segment.cap for segment in segments)
    if depth < 1:
        return
    # Whole units of the input are worth up to the best price in units of the output.
    unit = max(segment.p for segment in segments) + 1
    for _ in range(10):
        amount = int(depth ** random.random() * 0.999)
        try:
            exact = VENUE.quote(pool, Swap(mint, SwapMode.EXACT_IN, amount), CLOCK).amount_out
        except QuoteRefused:
            continue
        assert abs(along(segments, amount) - exact) <= 5 * unit + 1e-9 * exact


@pytest.mark.parametrize("seed", range(80))
def test_segments_follow_the_exact_quote(seed: int) -> None:
    random = Random(seed)
    pool = drawn_pool(random).decoded()
    for mint in (MINT_X, MINT_Y):
        check(pool, mint, random)


@pytest.mark.parametrize("fee", [(250, 2_000), (5_000, 10**6), (10_000, 700), (9_999, 5)])
@pytest.mark.parametrize("side", ["transfer_fee_x", "transfer_fee_y"])
def test_segments_bend_where_a_transfer_fee_reaches_its_maximum(fee: tuple[int, int], side: str) -> None:
    made = MadePool(bins={i: MadeBin(x=50_000, y=50_000) for i in range(-9, 10)})
    pool = replace(made, **{side: fee}).decoded()
    for mint in (MINT_X, MINT_Y):
        check(pool, mint, Random(1))


def test_the_curve_is_lazy() -> None:
    pool = MadePool(bins={i: MadeBin(y=1_000) for i in range(-60, 1)}).decoded()
    first = next(VENUE.curve(pool, MINT_X, CLOCK))
    assert first.q == 0
    assert first.cap == pytest.approx(1_002)


def test_spot_is_the_price_of_the_first_bin_that_can_give_something() -> None:
    pool = MadePool(bins={3: MadeBin(x=5), 0: MadeBin(x=0), -4: MadeBin(y=5)}, bin_step=100).decoded()
    assert float(VENUE.spot(pool, MINT_X, CLOCK)) == pytest.approx(1.01**-4)
    assert float(VENUE.spot(pool, MINT_Y, CLOCK)) == pytest.approx(1.01**-3)
    assert isinstance(VENUE.spot(pool, MINT_X, CLOCK), Fraction)
    with pytest.raises(QuoteRefused):
        VENUE.spot(MadePool(bins={0: MadeBin(y=5)}).decoded(), MINT_Y, CLOCK)
