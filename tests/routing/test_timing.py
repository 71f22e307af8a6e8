"""Spans of time: inside one, a pool's quotes stay what they are; where they change, the span has ended."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from fillwright.domain.accounts import ChainClock
from fillwright.domain.errors import QuoteRefused
from fillwright.market.snapshot import venue_for
from fillwright.paper.generator import CLOCK, pool_of_pair
from fillwright.routing.timing import unchanged_span
from fillwright.venues.meteora_damm_v2.schedulers import TimeScheduler
from fillwright.venues.venue import Pool
from routing.cases import HELD

VENUES = ("raydium_amm_v4", "raydium_cpmm", "raydium_clmm", "meteora_dlmm", "meteora_damm_v1", "meteora_damm_v2")


def changing(draw: Random, venue: str) -> Pool:
    """A pool whose quotes depend on time as much as its venue allows."""
    pool = pool_of_pair(draw.randrange(1_000), 0, (HELD[0], HELD[1]), dollars=50_000.0, venue=venue)
    now = CLOCK.unix_timestamp
    if venue == "meteora_dlmm":
        volatility = msgspec.structs.replace(
            pool.volatility, accumulator=90_000, reference=40_000, updated_at=now - draw.randrange(700)
        )
        return msgspec.structs.replace(pool, volatility=volatility, opens_at_time=now - draw.randrange(-5, 9))
    if venue == "meteora_damm_v1":
        vault = msgspec.structs.replace(
            pool.vaults[0], locked_profit=10**9, degradation=10**10, last_report=now - draw.randrange(-3, 160)
        )
        return msgspec.structs.replace(pool, vaults=(vault, pool.vaults[1]))
    if venue == "meteora_damm_v2":
        schedule = TimeScheduler(50_000_000, draw.randrange(0, 4), 7, 1_000_000, exponential=False)
        return msgspec.structs.replace(pool, base_fee=schedule, activation_point=CLOCK.slot - draw.randrange(-4, 30))
    return msgspec.structs.replace(pool, open_time=now + draw.randrange(-3, 6))


def quotes(pool: Pool, clock: ChainClock) -> list[int | str]:
    found: list[int | str] = []
    for mint in pool.mints:
        for amount in (10**6, 10**9):
            try:
                found.append(venue_for(pool).quoter(pool, mint, clock)(amount))
            except QuoteRefused as error:
                found.append(error.reason)
    return found


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("seed", range(8))
def test_quotes_stay_the_same_inside_a_span(venue: str, seed: int) -> None:
    draw = Random(f"{venue}/{seed}")
    pool = changing(draw, venue)
    span = unchanged_span(pool, CLOCK)
    assert CLOCK in span
    first = quotes(pool, CLOCK)
    for later in (*range(12), *(draw.randrange(800) for _ in range(30))):
        clock = ChainClock(CLOCK.slot + later * 2, CLOCK.epoch, CLOCK.unix_timestamp + later)
        assert clock not in span or quotes(pool, clock) == first


@pytest.mark.parametrize("venue", VENUES)
def test_a_span_ends_with_its_epoch_and_does_not_reach_back(venue: str) -> None:
    pool = pool_of_pair(1, 0, (HELD[0], HELD[1]), dollars=50_000.0, venue=venue)
    span = unchanged_span(pool, CLOCK)
    assert ChainClock(CLOCK.slot + 1, CLOCK.epoch + 1, CLOCK.unix_timestamp + 1) not in span
    assert ChainClock(CLOCK.slot - 1, CLOCK.epoch, CLOCK.unix_timestamp) not in span
    assert ChainClock(CLOCK.slot, CLOCK.epoch, CLOCK.unix_timestamp - 1) not in span


@pytest.mark.parametrize("venue", VENUES)
def test_a_settled_pool_is_remembered_over_many_slots(venue: str) -> None:
    pool = pool_of_pair(1, 0, (HELD[0], HELD[1]), dollars=50_000.0, venue=venue)
    later = ChainClock(CLOCK.slot + 1_000, CLOCK.epoch, CLOCK.unix_timestamp + 400)
    assert later in unchanged_span(pool, CLOCK)
