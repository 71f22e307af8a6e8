"""What must hold in any pool: nothing is gained, nothing is lost, and every way of asking agrees."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.venues.meteora_dlmm.made_pools import CLOCK, MINT_X, MINT_Y, drawn_amount, drawn_pool

from fillwright.domain.accounts import Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.meteora_dlmm import VENUE
from fillwright.venues.meteora_dlmm.layout import DlmmPool
from fillwright.venues.venue import Quote, Swap

SEEDS = st.integers(0, 2**32)
SIDES = st.sampled_from([MINT_X, MINT_Y])
few = settings(max_examples=150, deadline=None, derandomize=True)


def quoted(pool: DlmmPool, mint: Mint, mode: SwapMode, amount: int) -> Quote | None:
    try:
        return VENUE.quote(pool, Swap(mint, mode, amount), CLOCK)
    except QuoteRefused:
        return None


def drawn(seed: int) -> tuple[DlmmPool, int]:
    random = Random(seed)
    pool = drawn_pool(random).decoded()
    return pool, drawn_amount(random, pool)


@few
@given(SEEDS, SIDES)
def test_a_round_trip_never_profits(seed: int, mint: Mint) -> None:
    pool, amount = drawn(seed)
    try:
        there, after = VENUE.apply(pool, Swap(mint, SwapMode.EXACT_IN, amount), CLOCK)
    except QuoteRefused:
        return
    other = MINT_Y if mint == MINT_X else MINT_X
    back = quoted(after, other, SwapMode.EXACT_IN, there.amount_out)
    assert back is None or back.amount_out <= amount


@few
@given(SEEDS, SIDES, st.integers(1, 10_000))
def test_more_in_never_gives_less_out(seed: int, mint: Mint, more: int) -> None:
    pool, amount = drawn(seed)
    less = quoted(pool, mint, SwapMode.EXACT_IN, amount)
    greater = quoted(pool, mint, SwapMode.EXACT_IN, amount + more)
    assert less is None or greater is None or less.amount_out <= greater.amount_out


@few
@given(SEEDS, SIDES)
def test_the_input_of_an_exact_out_buys_at_least_that_output(seed: int, mint: Mint) -> None:
    pool, amount = drawn(seed)
    wanted = quoted(pool, mint, SwapMode.EXACT_OUT, amount)
    if wanted is None:
        return
    assert wanted.amount_out >= amount
    bought = quoted(pool, mint, SwapMode.EXACT_IN, wanted.amount_in)
    assert bought is None or bought.amount_out >= amount


@few
@given(SEEDS, SIDES, st.sampled_from(SwapMode))
def test_no_bin_loses_value_at_its_own_price(seed: int, mint: Mint, mode: SwapMode) -> None:
    pool, amount = drawn(seed)
    try:
        quote, after = VENUE.apply(pool, Swap(mint, mode, amount), CLOCK)
    except QuoteRefused:
        return
    assert quote == quoted(pool, mint, mode, amount)
    for index, array in after.arrays.items():
        before = {b.id: b for b in pool.arrays[index].bins}
        for b in array.bins:
            was = before[b.id]
            assert b.amount_x * b.price + (b.amount_y << 64) >= was.amount_x * was.price + (was.amount_y << 64)


@few
@given(SEEDS, SIDES, st.lists(st.integers(0, 64), max_size=6))
def test_the_quoter_agrees_with_the_loop_in_every_answer_and_refusal(seed: int, mint: Mint, bits: list[int]) -> None:
    pool, amount = drawn(seed)
    quoter = VENUE.quoter(pool, mint, CLOCK)
    for asked in (amount, *((amount << 7 >> bit) for bit in bits)):
        loop = quoted(pool, mint, SwapMode.EXACT_IN, asked)
        if loop is None:
            with pytest.raises(QuoteRefused):
                quoter(asked)
        else:
            assert quoter(asked) == loop.amount_out


@few
@given(SEEDS, SIDES, st.sampled_from(SwapMode))
def test_fees_and_amounts_are_whole_and_add_up(seed: int, mint: Mint, mode: SwapMode) -> None:
    pool, amount = drawn(seed)
    quote = quoted(pool, mint, mode, amount)
    if quote is None:
        return
    assert quote.amount_in > 0
    assert quote.amount_out > 0
    assert all(fee.amount > 0 for fee in quote.fees)
    assert sum(fee.amount for fee in quote.fees if fee.mint == mint) <= quote.amount_in


@few
@given(SEEDS)
def test_reserves_move_by_what_the_quotes_say(seed: int) -> None:
    random = Random(seed)
    pool = drawn_pool(random).decoded()
    for _ in range(4):
        mint = random.choice([MINT_X, MINT_Y])
        try:
            quote, after = VENUE.apply(pool, Swap(mint, SwapMode.EXACT_IN, drawn_amount(random, pool)), CLOCK)
        except QuoteRefused:
            continue
        moved_x = (after.balance_x - pool.balance_x) % 2**64
        moved_y = (after.balance_y - pool.balance_y) % 2**64
        paid, got = (moved_x, -moved_y % 2**64) if mint == MINT_X else (moved_y, -moved_x % 2**64)
        assert quote.amount_in >= paid > 0
        assert got >= quote.amount_out
        pool = after
