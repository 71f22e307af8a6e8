"""What must hold for every pool and amount: nothing is won by trading back and forth, and the paths agree."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.venues.meteora_damm_v2.made_pools import CLOCK, MINT_A, MINT_B, POOL, MadePool, random_amount, random_pool

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import PoolRefused, QuoteRefused
from fillwright.venues.meteora_damm_v2 import VENUE
from fillwright.venues.meteora_damm_v2.layout import COMPOUNDING, DammV2Pool
from fillwright.venues.meteora_damm_v2.terms import Terms, terms_of
from fillwright.venues.venue import CurveSegment, Quote, Swap

DETERMINISTIC = settings(max_examples=250, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**40)


def tradable(seed: int) -> tuple[random.Random, MadePool, DammV2Pool, Mint, Terms]:
    draw = random.Random(seed)
    made = random_pool(draw)
    mint = Mint(draw.choice((MINT_A, MINT_B)))
    try:
        pool = VENUE.decode(POOL, made.accounts())
        return draw, made, pool, mint, terms_of(pool, mint, CLOCK)
    except (PoolRefused, QuoteRefused):
        assume(False)
        raise


def amount_for(draw: random.Random, made: MadePool, mint: Mint, *, exact_in: bool = True) -> int:
    return random_amount(draw, made, a_to_b=mint == MINT_A, exact_in=exact_in)


def attempt(pool: DammV2Pool, swap: Swap, clock: ChainClock = CLOCK) -> tuple[Quote, DammV2Pool] | None:
    try:
        return VENUE.apply(pool, swap, clock)
    except QuoteRefused:
        return None


def other(mint: Mint) -> Mint:
    return Mint(MINT_B if mint == MINT_A else MINT_A)


def invariant(pool: DammV2Pool) -> Fraction:
    """A·B of the constant product, or (A + L/√P_max)·(B + L·√P_min) of the range."""
    if pool.fee_mode == COMPOUNDING:
        return Fraction(pool.reserve_a * pool.reserve_b)
    beyond_a = Fraction(pool.liquidity, pool.sqrt_max_price)
    beyond_b = Fraction(pool.liquidity * pool.sqrt_min_price, 2**128)
    return (pool.reserve_a + beyond_a) * (pool.reserve_b + beyond_b)


@DETERMINISTIC
@given(SEEDS)
def test_a_round_trip_never_profits(seed: int) -> None:
    draw, made, pool, mint, _ = tradable(seed)
    forth = attempt(pool, Swap(mint, SwapMode.EXACT_IN, amount_for(draw, made, mint)))
    assume(forth is not None and forth[0].amount_out > 0)
    assert forth is not None
    back = attempt(forth[1], Swap(other(mint), SwapMode.EXACT_IN, forth[0].amount_out))
    assert back is None or back[0].amount_out <= forth[0].amount_in


@DETERMINISTIC
@given(SEEDS, st.integers(1, 10**9))
def test_more_in_never_gives_less_out(seed: int, more: int) -> None:
    draw, made, pool, mint, terms = tradable(seed)
    assume(terms.limiter is None)
    amount = amount_for(draw, made, mint)
    less, greater = (attempt(pool, Swap(mint, SwapMode.EXACT_IN, n)) for n in (amount, amount + more))
    if less is not None and greater is not None:
        assert less[0].amount_out <= greater[0].amount_out


@DETERMINISTIC
@given(SEEDS, st.integers(1, 10**9))
def test_more_out_never_costs_less(seed: int, more: int) -> None:
    draw, made, pool, mint, terms = tradable(seed)
    assume(terms.limiter is None)
    amount = amount_for(draw, made, mint, exact_in=False)
    less, greater = (attempt(pool, Swap(mint, SwapMode.EXACT_OUT, n)) for n in (amount, amount + more))
    if less is not None and greater is not None:
        assert less[0].amount_in <= greater[0].amount_in


@DETERMINISTIC
@given(SEEDS)
def test_what_an_exact_input_buys_costs_no_more_as_an_exact_output(seed: int) -> None:
    draw, made, pool, mint, terms = tradable(seed)
    assume(terms.limiter is None)
    bought = attempt(pool, Swap(mint, SwapMode.EXACT_IN, amount_for(draw, made, mint)))
    assume(bought is not None and bought[0].amount_out > 0)
    assert bought is not None
    asked = attempt(pool, Swap(mint, SwapMode.EXACT_OUT, bought[0].amount_out))
    if asked is not None:
        assert asked[0].amount_in <= bought[0].amount_in
        assert asked[0].amount_out == bought[0].amount_out


@DETERMINISTIC
@given(SEEDS, st.booleans())
def test_the_invariant_never_falls(seed: int, exact_in: bool) -> None:
    draw, made, pool, mint, _ = tradable(seed)
    assume(pool.tracks_reserves)
    mode = SwapMode.EXACT_IN if exact_in else SwapMode.EXACT_OUT
    done = attempt(pool, Swap(mint, mode, amount_for(draw, made, mint, exact_in=exact_in)))
    assume(done is not None)
    assert done is not None
    range_floor = Fraction(pool.liquidity**2, 2**128)
    floor = invariant(pool) if pool.fee_mode == COMPOUNDING else range_floor
    assume(invariant(pool) >= floor)
    assert invariant(done[1]) >= floor


@DETERMINISTIC
@given(SEEDS)
def test_the_fast_quoter_agrees_with_the_quote_at_every_edge(seed: int) -> None:
    draw, made, pool, mint, _ = tradable(seed)
    fast = VENUE.quoter(pool, mint, CLOCK)
    limiter_block = int.from_bytes(made.base_fee[24:32], "little") if made.base_fee[8] == 2 else 1000
    centres = [amount_for(draw, made, mint) for _ in range(6)] + [3, limiter_block, 5 * limiter_block]
    for amount in {centre + shift for centre in centres for shift in range(-3, 4)}:
        try:
            expected: object = VENUE.quote(pool, Swap(mint, SwapMode.EXACT_IN, amount), CLOCK).amount_out
        except QuoteRefused as refused:
            expected = refused.reason
        try:
            got: object = fast(amount)
        except QuoteRefused as refused:
            got = refused.reason
        assert got == expected, amount


@DETERMINISTIC
@given(SEEDS)
def test_a_chain_of_swaps_moves_exactly_what_it_quotes(seed: int) -> None:
    draw, made, pool, mint, _ = tradable(seed)
    clock = CLOCK
    for _ in range(5):
        mode = draw.choice(list(SwapMode))
        swap = Swap(mint, mode, amount_for(draw, made, mint, exact_in=mode is SwapMode.EXACT_IN))
        clock = ChainClock(clock.slot + 1, clock.epoch, clock.unix_timestamp + draw.randrange(30))
        done = attempt(pool, swap, clock)
        if done is not None:
            quote, after = done
            assert VENUE.quote(pool, swap, clock) == quote
            fees = {fee.kind.value: fee.amount for fee in quote.fees}
            arrived = quote.amount_in - fees.get("transfer_in", 0)
            sent = quote.amount_out + fees.get("transfer_out", 0)
            change = (after.balance_a - pool.balance_a, after.balance_b - pool.balance_b)
            assert change == ((arrived, -sent) if mint == MINT_A else (-sent, arrived))
            assert after.tracks_reserves
            pool = after
        mint = draw.choice((mint, other(mint)))


def along(segments: list[CurveSegment], amount: float) -> float | None:
    """The curve's value at `amount`, or None beyond its end."""
    total = 0.0
    for segment in segments:
        step = min(amount, segment.cap)
        total += segment.p * step / (1 + segment.q * step)
        amount -= step
        if amount <= 0:
            return total
    return None


@DETERMINISTIC
@given(SEEDS)
def test_the_curve_follows_the_exact_quote(seed: int) -> None:
    draw, made, pool, mint, terms = tradable(seed)
    assume(terms.limiter is None or terms.fee_on_input)
    assume(max(terms.transfer_in.bps, terms.transfer_out.bps) < 9_000)
    segments = list(VENUE.curve(pool, mint, CLOCK))
    price = float(VENUE.spot(pool, mint, CLOCK))
    for _ in range(5):
        amount = amount_for(draw, made, mint)
        done = attempt(pool, Swap(mint, SwapMode.EXACT_IN, amount))
        value = along(segments, float(amount))
        if done is None or value is None:
            continue
        rounding = 4 + 4 * price + 1e-9 * done[0].amount_out
        if terms.limiter is not None:
            rounding += 2e-9 * amount * price  # the average numerator is rounded up to a billionth
        assert value == pytest.approx(done[0].amount_out, abs=rounding)


def test_a_plain_pools_curve_ends_where_the_range_does() -> None:
    made = MadePool(sqrt_max=(1 << 64) * 102 // 100, fee_mode=1)
    pool = VENUE.decode(POOL, made.accounts())
    (segment,) = VENUE.curve(pool, Mint(MINT_B), CLOCK)
    edge = int(segment.cap)
    assert attempt(pool, Swap(Mint(MINT_B), SwapMode.EXACT_IN, edge - 2)) is not None
    assert attempt(pool, Swap(Mint(MINT_B), SwapMode.EXACT_IN, edge + 3)) is None


def test_the_spot_price_is_the_margin_before_fees() -> None:
    quarter = VENUE.decode(POOL, MadePool(sqrt_price=1 << 63).accounts())
    assert VENUE.spot(quarter, Mint(MINT_A), CLOCK) == Fraction(1, 4)
    assert VENUE.spot(quarter, Mint(MINT_B), CLOCK) == 4
    product = VENUE.decode(POOL, MadePool(fee_mode=2, reserves=(300, 100)).accounts())
    assert VENUE.spot(product, Mint(MINT_A), CLOCK) == Fraction(1, 3)
