"""Made-up markets: the same from the same seed, and pools that trade as their venues say."""

from __future__ import annotations

from collections import Counter

import pytest

from fillwright.domain.amounts import SwapMode
from fillwright.market.snapshot import venue_for
from fillwright.paper.generator import coins, made_pool, market
from fillwright.routing.book import Side
from fillwright.venues.venue import Swap


def test_the_same_seed_gives_the_same_market() -> None:
    assert market(4, 120) == market(4, 120)
    assert market(4, 120) != market(5, 120)


def test_a_pool_is_the_same_whatever_the_number_of_pools() -> None:
    held = coins(4, 12)
    few, many = market(4, 40, tokens=12), market(4, 80, tokens=12)
    assert set(few.pools) < set(many.pools)
    assert all(many.pools[address] == pool for address, pool in few.pools.items())
    assert made_pool(4, 7, held).address in few.pools


def test_all_venues_are_there() -> None:
    assert len(Counter(pool.venue for pool in market(1, 200).pools.values())) == 6


@pytest.mark.parametrize("count", [50, 500])
def test_every_pool_trades_both_ways_and_its_curve_follows_its_quotes(count: int) -> None:
    snapshot = market(2, count)
    held = {coin.mint: coin for coin in coins(2, max(6, count // 10))}
    for pool in snapshot.pools.values():
        for mint in pool.mints:
            amount = max(1_000, int(100 / held[mint].unit_price))
            side = Side(pool, mint, snapshot.clock)
            assert side.price > 0
            amount = min(amount, int(side.covering(amount).capacity * 0.99))
            quote = venue_for(pool).quote(pool, Swap(mint, SwapMode.EXACT_IN, amount), snapshot.clock)
            drawn = side.covering(amount).out(amount)
            assert drawn == pytest.approx(quote.amount_out, rel=1e-4, abs=30)


def test_a_market_of_no_pools_is_empty() -> None:
    assert not market(1, 0).pools
    with pytest.raises(ValueError, match="pools"):
        market(1, -1)
