"""Quotes: roundings and refusals by example, the laws of exchange by property."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.venues import raydium_laws as laws
from tests.venues.raydium_amm_v4.pools import CLOCK, U64_MAX, amounts, pool_with, pools, sides

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.raydium_amm_v4 import VENUE
from fillwright.venues.raydium_amm_v4.layout import AmmV4Pool
from fillwright.venues.venue import Fee, FeeKind, Quote, Swap

IN, OUT = SwapMode.EXACT_IN, SwapMode.EXACT_OUT


def refusal(pool: AmmV4Pool, swap: Swap, clock: ChainClock = CLOCK) -> Refusal:
    with pytest.raises(QuoteRefused) as refused:
        VENUE.quote(pool, swap, clock)
    return refused.value.reason


def test_the_fee_rounds_up_and_the_output_down() -> None:
    pool = pool_with(balances=(10**9, 10**9))
    mint = pool.mints[0]
    assert VENUE.quote(pool, Swap(mint, IN, 1_001), CLOCK) == Quote(1_001, 997, (Fee(FeeKind.LP, mint, 3),))
    assert VENUE.quote(pool, Swap(mint, OUT, 997), CLOCK) == Quote(1_001, 997, (Fee(FeeKind.LP, mint, 3),))


def test_dust_pays_a_whole_unit_of_fee() -> None:
    pool = pool_with(balances=(10**3, 10**9))
    assert VENUE.quote(pool, Swap(pool.mints[0], IN, 2), CLOCK).fees == (Fee(FeeKind.LP, pool.mints[0], 1),)


def test_profit_set_aside_is_no_liquidity() -> None:
    bare = pool_with(balances=(10**12, 10**12))
    owing = pool_with(balances=(10**12 + 5, 10**12 + 7), need_take_pnl=(5, 7))
    swap = Swap(bare.mints[1], IN, 10**9)
    assert VENUE.quote(bare, swap, CLOCK) == VENUE.quote(owing, swap, CLOCK)
    for short in ((10**12 + 6, 0), (0, 10**12 + 8)):
        assert refusal(msgspec.structs.replace(owing, need_take_pnl=short), swap) is Refusal.LIQUIDITY_EXHAUSTED


def test_amounts_out_of_range_are_refused() -> None:
    pool = pool_with()
    mint = pool.mints[0]
    for mode in (IN, OUT):
        assert refusal(pool, Swap(mint, mode, 0)) is Refusal.AMOUNT_TOO_SMALL
        assert refusal(pool, Swap(mint, mode, 2**64)) is Refusal.AMOUNT_TOO_LARGE
    assert refusal(pool, Swap(mint, OUT, 2 * 10**12)) is Refusal.LIQUIDITY_EXHAUSTED
    assert refusal(pool, Swap(mint, IN, U64_MAX - 10**12 + 1)) is Refusal.AMOUNT_TOO_LARGE
    assert refusal(pool, Swap(mint, IN, 1)) is Refusal.AMOUNT_TOO_SMALL
    assert refusal(pool, Swap(Mint("elsewhere"), IN, 1)) is Refusal.NOT_IN_POOL


@pytest.mark.parametrize("fee", [(10_000, 10_000), (10_001, 10_000), (0, 0), (1, 0)])
def test_a_fee_that_leaves_nothing_is_refused(fee: tuple[int, int]) -> None:
    pool = pool_with(fee_numerator=fee[0], fee_denominator=fee[1])
    for mode in (IN, OUT):
        assert refusal(pool, Swap(pool.mints[0], mode, 10**6)) is Refusal.ARITHMETIC
    with pytest.raises(QuoteRefused):
        VENUE.quoter(pool, pool.mints[0], CLOCK)(10**6)
    assert list(VENUE.curve(pool, pool.mints[0], CLOCK)) == []


@pytest.mark.parametrize("balances", [(0, 10**6), (10**6, 0), (0, 0)])
def test_an_empty_pool_is_refused(balances: tuple[int, int]) -> None:
    pool = pool_with(balances=balances)
    for mode in (IN, OUT):
        assert refusal(pool, Swap(pool.mints[0], mode, 10**5)) is Refusal.LIQUIDITY_EXHAUSTED
    with pytest.raises(QuoteRefused):
        VENUE.quoter(pool, pool.mints[0], CLOCK)(10**5)
    with pytest.raises(QuoteRefused):
        VENUE.spot(pool, pool.mints[0], CLOCK)
    assert list(VENUE.curve(pool, pool.mints[0], CLOCK)) == []


@pytest.mark.parametrize("status", [2, 3, 4])
def test_a_status_without_swaps_pauses_the_pool(status: int) -> None:
    pool = pool_with(status=status)
    assert refusal(pool, Swap(pool.mints[0], IN, 10**6)) is Refusal.PAUSED


def test_a_waiting_pool_opens_at_its_time_and_stays_open_after_its_first_swap() -> None:
    pool = pool_with(status=7, open_time=CLOCK.unix_timestamp)
    swap = Swap(pool.mints[0], IN, 10**6)
    before = msgspec.structs.replace(CLOCK, unix_timestamp=CLOCK.unix_timestamp - 1)
    assert refusal(pool, swap, before) is Refusal.NOT_OPEN
    _, after = VENUE.apply(pool, swap, CLOCK)
    assert VENUE.quote(after, swap, before).amount_out > 0


def test_an_open_pool_does_not_look_at_its_open_time() -> None:
    pool = pool_with(status=6, open_time=CLOCK.unix_timestamp + 60)
    assert VENUE.quote(pool, Swap(pool.mints[0], IN, 10**6), CLOCK).amount_out > 0


def test_spot_is_the_ratio_of_the_reserves() -> None:
    pool = pool_with(need_take_pnl=(10, 0))
    assert VENUE.spot(pool, pool.mints[0], CLOCK) == Fraction(2 * 10**12, 10**12 - 10)
    assert VENUE.spot(pool, pool.mints[1], CLOCK) == Fraction(10**12 - 10, 2 * 10**12)


@given(pool=pools(), side=sides, amount=amounts)
def test_the_fast_quoter_answers_as_the_exact_quote(pool: AmmV4Pool, side: int, amount: int) -> None:
    laws.the_fast_quoter_answers_as_the_exact_quote(VENUE, pool, side, amount, CLOCK)


@given(pool=pools(), side=sides, first=amounts, second=amounts)
def test_more_in_never_gives_less_out(pool: AmmV4Pool, side: int, first: int, second: int) -> None:
    laws.more_in_never_gives_less_out(VENUE, pool, side, (first, second), CLOCK)


@given(pool=pools(), side=sides, amount=amounts)
def test_a_round_trip_never_profits(pool: AmmV4Pool, side: int, amount: int) -> None:
    laws.a_round_trip_never_profits(VENUE, pool, side, amount, CLOCK)


@given(pool=pools(), side=sides, amount=amounts)
def test_exact_out_pays_the_least_input_that_buys_the_output(pool: AmmV4Pool, side: int, amount: int) -> None:
    mint = pool.mints[side]
    try:
        quote = VENUE.quote(pool, Swap(mint, OUT, amount), CLOCK)
    except QuoteRefused:
        return
    assert quote.amount_out == amount
    assert VENUE.quote(pool, Swap(mint, IN, quote.amount_in), CLOCK).amount_out >= amount
    if quote.amount_in > 1:
        try:
            less = VENUE.quote(pool, Swap(mint, IN, quote.amount_in - 1), CLOCK).amount_out
        except QuoteRefused:
            less = 0
        assert less < amount


@given(pool=pools(), side=sides, amount=amounts)
def test_exact_out_of_an_exact_in_outcome_costs_no_more(pool: AmmV4Pool, side: int, amount: int) -> None:
    mint = pool.mints[side]
    try:
        quote = VENUE.quote(pool, Swap(mint, IN, amount), CLOCK)
    except QuoteRefused:
        return
    assert VENUE.quote(pool, Swap(mint, OUT, quote.amount_out), CLOCK).amount_in <= amount


@settings(max_examples=50)
@given(pool=pools(), steps=st.lists(st.tuples(sides, st.sampled_from([IN, OUT]), amounts), max_size=8))
def test_a_chain_of_swaps_conserves_every_unit(pool: AmmV4Pool, steps: list[tuple[int, SwapMode, int]]) -> None:
    for side, mode, amount in steps:
        try:
            quote, after = VENUE.apply(pool, Swap(pool.mints[side], mode, amount), CLOCK)
        except QuoteRefused:
            continue
        assert after.balances[side] == pool.balances[side] + quote.amount_in <= U64_MAX
        assert after.balances[1 - side] == pool.balances[1 - side] - quote.amount_out
        assert after.need_take_pnl == pool.need_take_pnl
        assert _invariant(after) >= _invariant(pool)
        pool = after


@given(pool=pools(), side=sides, exponent=st.floats(-9, 2))
def test_the_segment_follows_the_exact_quote(pool: AmmV4Pool, side: int, exponent: float) -> None:
    amount = max(int(pool.balances[side] * 10**exponent), 1)
    (segment,) = VENUE.curve(pool, pool.mints[side], CLOCK)
    try:
        exact = VENUE.quoter(pool, pool.mints[side], CLOCK)(amount)
    except QuoteRefused:
        exact = 0
    if amount > segment.cap:
        return
    spot = float(VENUE.spot(pool, pool.mints[side], CLOCK))
    smooth = segment.p * amount / (1 + segment.q * amount)
    assert smooth == pytest.approx(exact, rel=1e-9, abs=2 * spot + 2)


def _invariant(pool: AmmV4Pool) -> int:
    coin, pc = (balance - owed for balance, owed in zip(pool.balances, pool.need_take_pnl, strict=True))
    return coin * pc
