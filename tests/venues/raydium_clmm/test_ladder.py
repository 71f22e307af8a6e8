"""The fast quoter answers and refuses as the step loop does, on every side of every boundary."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.raydium_clmm.made_pools import CLOCK, U64_MAX, U128_MAX, any_amount, make
from tests.venues.raydium_clmm.onchain import OWN_POOLS, pool_of

from fillwright.domain.accounts import Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import PoolRefused, QuoteRefused, Refusal
from fillwright.venues.raydium_clmm import VENUE
from fillwright.venues.raydium_clmm.ladder import Ladder
from fillwright.venues.raydium_clmm.layout import ClmmPool
from fillwright.venues.raydium_clmm.quote import side_of
from fillwright.venues.token_program import TransferFee
from fillwright.venues.venue import Quoter, Swap

replace = msgspec.structs.replace
AROUND = range(-3, 4)


def step_by_step(pool: ClmmPool, mint: Mint, amount: int) -> int | Refusal:
    try:
        return VENUE.quote(pool, Swap(mint, SwapMode.EXACT_IN, amount), CLOCK).amount_out
    except QuoteRefused as refusal:
        return refusal.reason


def fast(quoter: Quoter, amount: int) -> int | Refusal:
    try:
        return quoter(amount)
    except QuoteRefused as refusal:
        return refusal.reason


def boundaries(pool: ClmmPool, mint: Mint) -> list[int]:
    ladder = Ladder(pool, mint == pool.mint_0)
    ladder.extend(U64_MAX)
    return [bound + beside for bound in (*ladder.inputs, ladder.horizon, U64_MAX) for beside in AROUND]


@pytest.mark.parametrize("name", OWN_POOLS)
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("bps", [0, 250])
def test_the_quoter_equals_the_step_loop_at_every_boundary(name: str, side: int, bps: int) -> None:
    pool = pool_of(name)
    if bps:
        fee = TransferFee(0, 10**9, bps)
        infos = {key: replace(getattr(pool, key), older=fee, newer=fee) for key in ("info_0", "info_1")}
        pool = replace(pool, **infos)
    mint = pool.mints[side]
    quoter = VENUE.quoter(pool, mint, CLOCK)
    amounts = boundaries(pool, mint)
    random.Random(name).shuffle(amounts)
    for amount in amounts:
        assert fast(quoter, amount) == step_by_step(pool, mint, amount), amount


@given(st.integers(0, 3000))
def test_the_quoter_equals_the_step_loop_in_any_pool(seed: int) -> None:
    made = make(seed)
    try:
        pool = VENUE.decode(made.address, made.accounts)
    except PoolRefused:
        return
    draw = random.Random(seed)
    for mint in pool.mints:
        quoter = VENUE.quoter(pool, mint, CLOCK)
        for _ in range(4):
            amount = any_amount(draw, pool, side_of(pool, mint, CLOCK), exact_in=True)
            assert fast(quoter, amount) == step_by_step(pool, mint, amount), amount


def test_totals_that_may_overflow_are_checked_step_by_step() -> None:
    pool = pool_of("SYN_ts60_gap-no-liquidity")
    books = pool.books
    amount = 50 * 10**9
    fee = VENUE.quote(pool, Swap(pool.mint_0, SwapMode.EXACT_IN, amount), CLOCK).fees[0].amount
    for tight in (
        replace(books, lp_fees=(U64_MAX - fee, 0)),
        replace(books, lp_fees=(U64_MAX - fee + 1, 0)),
        replace(books, swapped_in=(U128_MAX - amount, 0)),
        replace(books, swapped_in=(U128_MAX - amount + 1, 0)),
        replace(books, fee_growth_x64=(U128_MAX - 2**40, 0)),
        replace(books, fee_growth_x64=(U128_MAX - 2**62, 0)),
    ):
        full = replace(pool, books=tight)
        quoter = VENUE.quoter(full, pool.mint_0, CLOCK)
        for at in (1000, amount - 1, amount, amount + 1):
            assert fast(quoter, at) == step_by_step(full, pool.mint_0, at)


def test_a_tick_that_cannot_be_crossed_ends_the_ladder_just_before_it() -> None:
    pool = pool_of("SYN_ts60_gap-no-liquidity")
    stuck = replace(pool, stuck=frozenset((-600,)))
    bound = next(amount for amount in boundaries(pool, pool.mint_0)[len(AROUND) :]) + 3
    quoter = VENUE.quoter(stuck, pool.mint_0, CLOCK)
    assert fast(quoter, bound - 1) == step_by_step(pool, pool.mint_0, bound - 1)
    assert fast(quoter, bound) == Refusal.MALFORMED == step_by_step(stuck, pool.mint_0, bound)


def test_a_paused_pool_has_a_quoter_that_refuses() -> None:
    pool = replace(pool_of("SYN_ts10_T22"), status=16)
    assert fast(VENUE.quoter(pool, pool.mint_0, CLOCK), 10**6) == Refusal.PAUSED
