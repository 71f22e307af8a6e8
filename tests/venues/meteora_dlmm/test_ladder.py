"""Prefix sums against the step loop where they could differ: around every bin's edge."""

from __future__ import annotations

from random import Random

import pytest
from tests.venues.meteora_dlmm.made_pools import CLOCK, MINT_X, MINT_Y, MadeBin, MadePool, drawn_pool

from fillwright.domain.accounts import Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.meteora_dlmm import VENUE
from fillwright.venues.meteora_dlmm.ladder import Ladder
from fillwright.venues.meteora_dlmm.layout import DlmmPool
from fillwright.venues.meteora_dlmm.quote import direction
from fillwright.venues.venue import Swap


def answer(pool: DlmmPool, mint: Mint, amount: int) -> int | None:
    try:
        return VENUE.quote(pool, Swap(mint, SwapMode.EXACT_IN, amount), CLOCK).amount_out
    except QuoteRefused:
        return None


def edges(pool: DlmmPool, mint: Mint, most: int) -> list[int]:
    ladder = Ladder(direction(pool, mint, CLOCK))
    while not ladder.end and len(ladder.rungs) < most:
        ladder.extend()
    near = {edge + off for edge in ladder.thresholds[:most] + ladder.crossed_in[:most] for off in range(-3, 4)}
    return sorted(amount for amount in near if amount > 0)


@pytest.mark.parametrize("seed", range(60))
def test_prefix_sums_equal_the_loop_around_every_edge(seed: int) -> None:
    pool = drawn_pool(Random(seed)).decoded()
    for mint in (MINT_X, MINT_Y):
        quoter = VENUE.quoter(pool, mint, CLOCK)
        for amount in edges(pool, mint, 12):
            expected = answer(pool, mint, amount)
            if expected is None:
                with pytest.raises(QuoteRefused):
                    quoter(amount)
            else:
                assert quoter(amount) == expected


def test_the_order_of_questions_does_not_matter() -> None:
    pool = MadePool(bins={i: MadeBin(x=10_000, y=10_000) for i in range(-60, 61)}).decoded()
    amounts = [10, 500_000, 9_999, 300_000, 20_000]
    forwards, backwards = VENUE.quoter(pool, MINT_X, CLOCK), VENUE.quoter(pool, MINT_X, CLOCK)
    assert [forwards(a) for a in amounts] == [backwards(a) for a in reversed(amounts)][::-1]


def test_a_bin_whose_numbers_leave_64_bits_is_answered_by_the_loop() -> None:
    bins = {0: MadeBin(y=1_000), -3_000: MadeBin(y=2**63)}
    pool = MadePool(bins=bins, bin_step=100, variable_fee_control=0).decoded()
    quoter = VENUE.quoter(pool, MINT_X, CLOCK)
    for amount in (500, 2_000, 2**62):
        expected = answer(pool, MINT_X, amount)
        if expected is None:
            with pytest.raises(QuoteRefused):
                quoter(amount)
        else:
            assert quoter(amount) == expected
