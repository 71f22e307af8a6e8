"""Curves of pools that large swaps have driven to the end of what they hold."""

from __future__ import annotations

from random import Random

import pytest

from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.paper.generator import CLOCK, coins, pool_of_pair
from fillwright.venues.meteora_damm_v2 import VENUE
from fillwright.venues.venue import Swap

PAIR = coins(3, 2)


@pytest.mark.parametrize("block", range(6))
def test_a_drained_pool_has_a_curve_or_none_but_always_an_answer(block: int) -> None:
    for seed in range(block * 10, block * 10 + 10):
        draw = Random(seed)
        pool = pool_of_pair(seed, 0, (PAIR[0], PAIR[1]), dollars=10 ** draw.uniform(2, 6), venue="meteora_damm_v2")
        for _ in range(4):
            swap = Swap(draw.choice(pool.mints), SwapMode.EXACT_IN, int(10 ** draw.uniform(6, 17)))
            try:
                pool = VENUE.apply(pool, swap, CLOCK)[1]  # type: ignore[arg-type]
            except QuoteRefused:
                pass
            for mint in pool.mints:
                assert all(one.cap > 0 for one in VENUE.curve(pool, mint, CLOCK))  # type: ignore[arg-type]
