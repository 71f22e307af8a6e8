"""The simulated market: seeded, independent pool by pool, and kept within the arbitrageurs' edge."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from fillwright.domain.accounts import Address
from fillwright.domain.amounts import SwapMode
from fillwright.market.snapshot import index_pairs, pair_of, venue_for
from fillwright.paper.default_market import PAIRS, default_pools, market_terms, reference_prices
from fillwright.paper.market import MAX_CATCH_UP_SLOTS, MarketTerms, SimulatedMarket
from fillwright.paper.world import Genesis, first_clock
from fillwright.venues.venue import Pool, Swap
from paper.manual_clock import START_MS
from paper.worlds import BONK, RAY, SOL, TOKENS, USDC, settings

HOUR_SLOTS = 9_000


class Street:
    """A market with its pools, advanced by hand."""

    def __init__(
        self, folder: Path, *, seed: int = 1, only: int | None = None, terms: MarketTerms | None = None, **changed: Any
    ) -> None:
        self.genesis = Genesis(seed, START_MS, 400, first_clock(START_MS), "test")
        chosen = settings(folder, **changed)
        self.prices = reference_prices(self.genesis, chosen.paper_volatility)
        pools = default_pools(self.genesis, chosen, self.prices)[:only]
        self.pools: dict[Address, Pool] = {pool.address: pool for pool in pools}
        self.slot = self.genesis.first.slot
        terms = terms or market_terms(chosen)
        self.market = SimulatedMarket(genesis=self.genesis, terms=terms, pools=pools, prices=self.prices)

    def advance(self, slots: int) -> Mapping[Address, Pool]:
        changed = self.market.advance(self.pools, dict.fromkeys(self.pools, self.slot), self.slot + slots)
        self.slot += slots
        self.pools |= changed
        return changed

    def off(self, pool: Pool) -> float:
        """ln(the pool's spot / the reference price)."""
        step = self.slot - self.genesis.first.slot
        spot = venue_for(pool).spot(pool, pool.mints[0], self.genesis.clock_at(self.slot))
        fair = self.prices[pool.mints[0]].log_price(step) - self.prices[pool.mints[1]].log_price(step)
        return log(spot) + (pool.decimals[0] - pool.decimals[1]) * log(10.0) - fair


def test_every_default_pair_stands_on_both_dexes(tmp_path: Path) -> None:
    pools = Street(tmp_path).pools.values()
    pairs = index_pairs(pools)
    assert len(pairs) == len(PAIRS)
    for base, quote in ((SOL, USDC), (RAY, USDC), (BONK, SOL)):
        dexes = {venue_for(pool).dex for pool in pools if pair_of(*pool.mints) == pair_of(base, quote)}
        assert dexes == {"raydium", "meteora"}
    assert {TOKENS.get(mint).symbol for pool in pools for mint in pool.mints} >= {"ETH", "BTC", "USDT"}  # type: ignore[union-attr]


def test_pools_hold_the_liquidity_and_take_the_fee_of_the_settings(tmp_path: Path) -> None:
    changed = {"paper_raydium_fee_bps": 30, "paper_meteora_fee_bps": 20, "paper_volatility": 0.0}
    street = Street(tmp_path, **changed)
    for pool in street.pools.values():
        venue, side = venue_for(pool), 0
        dollars = street.prices[pool.mints[side]].price(0)
        small = int(10 * 10 ** pool.decimals[side] / dollars)
        clock = street.genesis.clock_at(street.slot)
        spot = venue.spot(pool, pool.mints[side], clock)
        rate = venue.quote(pool, Swap(pool.mints[side], SwapMode.EXACT_IN, small), clock).amount_out / small
        fee = 0.003 if venue.dex == "raydium" else 0.002
        # Ten dollars move a pool of 100,000 a side by 1 bp; the fee is the rest.
        assert 1 - rate / float(spot) == pytest.approx(fee, abs=2e-4)
        deep = 100_000 if venue.dex == "raydium" else 120_000
        half = int(deep / 2 * 10 ** pool.decimals[side] / dollars)
        rate = venue.quote(pool, Swap(pool.mints[side], SwapMode.EXACT_IN, half), clock).amount_out / half
        assert 1 - rate / float(spot) == pytest.approx(1 / 3, abs=0.02)


def test_each_pair_has_concentrated_pools_too_where_they_are_wanted(tmp_path: Path) -> None:
    plain, street = Street(tmp_path), Street(tmp_path, paper_concentrated=True)
    assert len(street.pools) == 4 * len(PAIRS)
    assert all(street.pools[address] == pool for address, pool in plain.pools.items())
    assert {pool.venue for pool in street.pools.values()} == {
        "raydium_cpmm", "meteora_damm_v2", "raydium_clmm", "meteora_dlmm"
    }  # fmt: skip
    before = dict(street.pools)
    street.advance(3_000)
    plain.advance(3_000)
    assert all(street.pools[address] == pool for address, pool in plain.pools.items())
    assert all(street.pools[address] != pool for address, pool in before.items())
    assert all(abs(street.off(pool)) < 0.06 for pool in street.pools.values())


def test_the_same_seed_gives_the_same_states_at_every_slot_however_they_are_asked_for(tmp_path: Path) -> None:
    one, other, stranger = Street(tmp_path), Street(tmp_path), Street(tmp_path, seed=2)
    for _ in range(600):
        one.advance(1)
    for slots in (7, 250, 256, 87):
        other.advance(slots)
    stranger.advance(600)
    assert one.pools == other.pools
    assert one.pools != stranger.pools


def test_another_pool_changes_nothing_for_those_that_were_there(tmp_path: Path) -> None:
    few, many = Street(tmp_path, only=3), Street(tmp_path)
    few.advance(900)
    many.advance(900)
    assert all(many.pools[address] == pool for address, pool in few.pools.items())


def test_arbitrageurs_bring_a_pool_back_to_the_edge_and_no_further(tmp_path: Path) -> None:
    terms = MarketTerms(edge=0.025, arbitrage_probability=1.0, noise_per_s=0.0)
    for side in (0, 1):
        street = Street(tmp_path, terms=terms, paper_volatility=0.0)
        clock = street.genesis.clock_at(street.slot)
        for pool in list(street.pools.values()):
            dollars = street.prices[pool.mints[side]].price(0)
            push = Swap(pool.mints[side], SwapMode.EXACT_IN, int(20_000 * 10 ** pool.decimals[side] / dollars))
            street.pools[pool.address] = venue_for(pool).apply(pool, push, clock)[1]
            assert abs(street.off(street.pools[pool.address])) > 0.25
        street.advance(2)
        for pool in street.pools.values():
            fee = 0.003 if venue_for(pool).dex == "raydium" else 0.002
            # The fees of the arbitrage itself stay in a CPMM's reserves: that moves its price once more, a little.
            away = street.off(pool) * (-1 if side == 0 else 1)
            assert away == pytest.approx(log(1.025) - log(1 - fee), abs=6e-4)
        settled = dict(street.pools)
        street.advance(50)
        assert street.pools == settled


def test_a_venues_pools_start_and_stay_within_its_own_band(tmp_path: Path) -> None:
    bands = {"raydium": (1.10, 1.12), "meteora": (0.80, 0.85)}
    changed = {
        f"paper_{dex}_price_{end}": value
        for dex, band in bands.items()
        for end, value in zip(("low", "high"), band, strict=True)
    }
    street = Street(tmp_path, paper_volatility=0.0, paper_arbitrage_probability=1.0, **changed)
    for slots in (0, 200):
        street.advance(slots)
        for pool in street.pools.values():
            base_first = any(_symbols(pool) == pair for pair in PAIRS)
            multiple = exp(street.off(pool) * (1 if base_first else -1))
            low, high = bands[venue_for(pool).dex]
            # Arbitrageurs pay the fee: they stop where it eats the rest of the difference.
            assert low * 0.995 < multiple < high * 1.005


def _symbols(pool: Pool) -> tuple[str | None, ...]:
    return tuple(token.symbol for token in map(TOKENS.get, pool.mints) if token is not None)


def test_venues_wander_apart_but_stay_within_the_edge(tmp_path: Path) -> None:
    street = Street(tmp_path)
    away, apart = [], []
    for _ in range(HOUR_SLOTS // 25):
        street.advance(25)
        off = {address: street.off(pool) for address, pool in street.pools.items()}
        away += [abs(value) for value in off.values()]
        for addresses in index_pairs(street.pools.values()).values():
            signs = [
                1 if street.pools[address].mints[0] < street.pools[address].mints[1] else -1 for address in addresses
            ]
            apart.append(abs(off[addresses[0]] * signs[0] - off[addresses[1]] * signs[1]))
    # Edge 2.5 % and fee 0.3 %, plus what noise and the reference move between two looks of an arbitrageur.
    assert sum(value < 0.035 for value in away) > 0.97 * len(away)
    assert max(away) < 0.12
    assert 0.01 < fmean(apart) < 0.05


def test_noise_trades_come_at_their_rate(tmp_path: Path) -> None:
    terms = MarketTerms(edge=10.0, arbitrage_probability=0.0, noise_per_s=0.05)
    street = Street(tmp_path, terms=terms)
    moved = sum(len(street.advance(1)) for _ in range(2_500))
    expected = len(street.pools) * 2_500 * 0.4 * 0.05
    assert 0.8 * expected < moved < 1.2 * expected


def test_pools_never_lose_to_their_traders(tmp_path: Path) -> None:
    street = Street(tmp_path, paper_volatility=3.0)
    before = {address: _product(pool) for address, pool in street.pools.items()}
    street.advance(3_000)
    assert all(_product(pool) >= before[address] for address, pool in street.pools.items())


def _product(pool: Any) -> int:
    if hasattr(pool, "liquidity"):
        return int(pool.liquidity)
    taken = zip(pool.balances, pool.protocol_fees, pool.fund_fees, strict=True)
    first, second = (balance - protocol - fund for balance, protocol, fund in taken)
    return int(first * second)


def test_a_long_absence_is_left_out_and_ends_near_the_reference_price(tmp_path: Path) -> None:
    street, again = Street(tmp_path), Street(tmp_path)
    absence = 200 * MAX_CATCH_UP_SLOTS
    street.advance(absence)
    again.advance(absence)
    assert street.pools == again.pools
    assert all(abs(street.off(pool)) < 0.12 for pool in street.pools.values())
    assert fmean(abs(street.off(pool)) for pool in street.pools.values()) < 0.035
