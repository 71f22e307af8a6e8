"""The exact maths: what the program refuses, what it charges, and the laws that every swap keeps."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.raydium_clmm.made_pools import CLOCK, any_amount, make, other_mint
from tests.venues.raydium_clmm.onchain import OWN_POOLS, pool_of

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import PoolRefused, QuoteRefused, Refusal
from fillwright.venues.raydium_clmm import VENUE
from fillwright.venues.raydium_clmm.layout import ClmmPool, Reward
from fillwright.venues.raydium_clmm.quote import side_of
from fillwright.venues.raydium_clmm.tick_math import MIN_SQRT_PRICE
from fillwright.venues.token_program import TransferFee
from fillwright.venues.venue import FeeKind, Quote, Swap

replace = msgspec.structs.replace
seeds = st.integers(0, 3000)


def refusal_of(pool: ClmmPool, swap: Swap, clock: ChainClock = CLOCK) -> Refusal:
    with pytest.raises(QuoteRefused) as caught:
        VENUE.quote(pool, swap, clock)
    return caught.value.reason


def exact_in(pool: ClmmPool, amount: int) -> Swap:
    return Swap(pool.mint_0, SwapMode.EXACT_IN, amount)


def made(seed: int) -> tuple[ClmmPool, Mint, random.Random] | None:
    """A made-up pool, one of its mints, and a generator to go on with; None where it is refused."""
    draw = random.Random(-seed - 1)
    pool = make(seed)
    try:
        decoded = VENUE.decode(pool.address, pool.accounts)
    except PoolRefused:
        return None
    return decoded, draw.choice(decoded.mints), draw


def attempt(pool: ClmmPool, swap: Swap) -> Quote | None:
    try:
        return VENUE.quote(pool, swap, CLOCK)
    except QuoteRefused:
        return None


@pytest.mark.parametrize("mode", SwapMode)
@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (0, Refusal.AMOUNT_TOO_SMALL),
        (-1, Refusal.AMOUNT_TOO_SMALL),
        (2**64, Refusal.AMOUNT_TOO_LARGE),
        (U64_MAX, Refusal.LIQUIDITY_EXHAUSTED),
    ],
)
def test_an_amount_out_of_range_is_refused(mode: SwapMode, amount: int, reason: Refusal) -> None:
    pool = pool_of("SYN_ts60_gap-no-liquidity")
    assert refusal_of(pool, Swap(pool.mint_0, mode, amount)) is reason


def test_an_input_that_buys_nothing_is_refused() -> None:
    pool = pool_of("SYN_ts1_bitmap-extension")
    assert refusal_of(pool, exact_in(pool, 2)) is Refusal.AMOUNT_TOO_SMALL


def test_a_mint_of_another_pool_is_refused() -> None:
    pool, other = pool_of("SYN_ts10_T22"), pool_of("SYN_ts60_gap-no-liquidity")
    swap = exact_in(other, 10)
    assert refusal_of(pool, swap) is Refusal.NOT_IN_POOL
    for asked in (VENUE.quoter, VENUE.spot):
        with pytest.raises(QuoteRefused):
            asked(pool, other.mint_0, CLOCK)


@pytest.mark.parametrize(("status", "open_"), [(16, False), (255, False), (15, True), (32, True)])
def test_only_the_swap_bit_pauses_swaps(status: int, open_: bool) -> None:
    pool = replace(pool_of("SYN_ts10_T22"), status=status)
    if open_:
        assert VENUE.quote(pool, exact_in(pool, 10**6), CLOCK).amount_out > 0
    else:
        assert refusal_of(pool, exact_in(pool, 10**6)) is Refusal.PAUSED
        assert list(VENUE.curve(pool, pool.mint_0, CLOCK)) == []


def test_a_pool_opens_the_second_after_its_open_time() -> None:
    pool = replace(pool_of("SYN_ts10_T22"), open_time=CLOCK.unix_timestamp)
    assert refusal_of(pool, exact_in(pool, 10**6)) is Refusal.NOT_OPEN
    later = replace(CLOCK, unix_timestamp=CLOCK.unix_timestamp + 1)
    assert VENUE.quote(pool, exact_in(pool, 10**6), later).amount_out > 0


def test_a_swap_beyond_the_held_arrays_is_refused() -> None:
    pool = pool_of("SYN_ts10_T22")
    names = {array.address for array in pool.arrays if array.start >= -600}
    made_shorter = replace(
        pool,
        arrays=tuple(array for array in pool.arrays if array.address in names),
        ticks=tuple(tick for tick in pool.ticks if tick >= -600),
        nets=pool.nets[-sum(1 for tick in pool.ticks if tick >= -600) :],
        below=replace(pool.below, reason=Refusal.MISSING_ACCOUNT),
    )
    whole = VENUE.quote(pool, exact_in(pool, 40 * 10**9), CLOCK)
    assert whole.amount_out > 0
    assert refusal_of(made_shorter, exact_in(pool, 40 * 10**9)) is Refusal.MISSING_ACCOUNT
    assert VENUE.quote(made_shorter, exact_in(pool, 10**6), CLOCK) == VENUE.quote(pool, exact_in(pool, 10**6), CLOCK)


def test_a_price_at_its_bound_allows_only_the_way_back() -> None:
    pool = replace(pool_of("SYN_ts10_T22"), sqrt_price=MIN_SQRT_PRICE + 1, tick=-443_636, liquidity=10**8)
    assert refusal_of(pool, exact_in(pool, 10**6)) is Refusal.LIQUIDITY_EXHAUSTED


def test_a_clock_behind_the_last_reward_update_is_refused() -> None:
    pool = pool_of("SYN_ts10_T22")
    now = CLOCK.unix_timestamp
    reward = Reward(now - 100, now + 100, now - 10, 2**64, 5, 7)
    rewarded = replace(pool, books=replace(pool.books, rewards=(reward,)))
    _, after = VENUE.apply(rewarded, exact_in(pool, 10**6), CLOCK)
    assert after.books.rewards[0].last_update_time == now
    assert after.books.rewards[0].total_emitted == 15
    assert after.books.rewards[0].growth_x64 == 7 + 10 * 2**64 // pool.liquidity
    early = replace(CLOCK, unix_timestamp=now - 11)
    assert refusal_of(rewarded, exact_in(pool, 10**6), early) is Refusal.STALE


def test_a_running_total_that_overflows_is_refused() -> None:
    pool = pool_of("SYN_ts60_gap-no-liquidity")
    fee = VENUE.quote(pool, exact_in(pool, 10**6), CLOCK).fees[0].amount
    for room, fits in ((fee, True), (fee - 1, False)):
        full = replace(pool, books=replace(pool.books, lp_fees=(U64_MAX - room, 0)))
        assert (attempt(full, exact_in(pool, 10**6)) is not None) is fits


def test_an_emptied_vault_freezes_the_pool() -> None:
    pool = pool_of("SYN_ts60_gap-no-liquidity")
    out = VENUE.quote(pool, exact_in(pool, 10**6), CLOCK).amount_out
    _, after = VENUE.apply(replace(pool, balances=(0, out)), exact_in(pool, 10**6), CLOCK)
    assert refusal_of(after, exact_in(pool, 10**6)) is Refusal.PAUSED
    assert refusal_of(replace(pool, balances=(0, out - 1)), exact_in(pool, 10**6)) is Refusal.LIQUIDITY_EXHAUSTED
    assert attempt(replace(pool, balances=None), exact_in(pool, 10**6)) is not None


def test_fees_are_itemised() -> None:
    pool = pool_of("SYN_ts60_gap-no-liquidity")
    quote = VENUE.quote(pool, exact_in(pool, 10**9), CLOCK)
    fees = {fee.kind: fee.amount for fee in quote.fees}
    assert set(fees) == {FeeKind.LP, FeeKind.PROTOCOL, FeeKind.FUND}
    total = sum(fees.values())
    assert total == pytest.approx(10**9 * 0.0025, abs=1)
    assert fees[FeeKind.PROTOCOL] == total * 12 // 100
    assert fees[FeeKind.FUND] == total * 4 // 100
    assert {fee.mint for fee in quote.fees} == {pool.mint_0}


def test_transfer_fees_follow_the_epoch() -> None:
    pool = pool_of("SYN_ts10_T22")
    older, newer = TransferFee(0, U64_MAX, 100), TransferFee(1002, 5000, 300)
    taxed = replace(pool, info_0=replace(pool.info_0, older=older, newer=newer))
    for epoch, fee in ((1001, 10_000), (1002, 5000)):
        quote = VENUE.quote(taxed, exact_in(pool, 10**6), replace(CLOCK, epoch=epoch))
        assert {item.kind: item.amount for item in quote.fees}[FeeKind.TRANSFER_IN] == fee
        untaxed = VENUE.quote(pool, exact_in(pool, 10**6 - fee), CLOCK)
        assert quote.amount_out == untaxed.amount_out


@given(seeds)
def test_a_round_trip_never_profits(seed: int) -> None:
    if (found := made(seed)) is None:
        return
    pool, mint, draw = found
    amount = any_amount(draw, pool, side_of(pool, mint, CLOCK), exact_in=True)
    try:
        there, after = VENUE.apply(pool, Swap(mint, SwapMode.EXACT_IN, amount), CLOCK)
        back = VENUE.quote(after, Swap(other_mint(pool, mint), SwapMode.EXACT_IN, max(there.amount_out, 1)), CLOCK)
    except QuoteRefused:
        return
    assert back.amount_out <= amount


@given(seeds)
def test_more_in_never_gives_less_out(seed: int) -> None:
    if (found := made(seed)) is None:
        return
    pool, mint, draw = found
    side = side_of(pool, mint, CLOCK)
    less, more = sorted(any_amount(draw, pool, side, exact_in=True) for _ in range(2))
    first, second = (
        attempt(pool, Swap(mint, SwapMode.EXACT_IN, less)),
        attempt(pool, Swap(mint, SwapMode.EXACT_IN, more)),
    )
    if first is not None and second is not None:
        assert first.amount_out <= second.amount_out


@given(seeds)
def test_what_buys_an_output_gives_at_least_that_output(seed: int) -> None:
    if (found := made(seed)) is None:
        return
    pool, mint, draw = found
    amount = any_amount(draw, pool, side_of(pool, mint, CLOCK), exact_in=False)
    bought = attempt(pool, Swap(mint, SwapMode.EXACT_OUT, amount))
    if bought is None:
        return
    assert bought.amount_out == amount
    forward = attempt(pool, Swap(mint, SwapMode.EXACT_IN, bought.amount_in))
    if forward is not None:
        assert forward.amount_out >= amount


@given(
    st.sampled_from(OWN_POOLS), st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(10, 10**11)), max_size=8)
)
def test_vaults_hold_what_was_paid_and_prices_follow_the_direction(
    name: str, swaps: list[tuple[bool, bool, int]]
) -> None:
    pool = pool_of(name)
    for down, forward, amount in swaps:
        mint = pool.mint_0 if down else pool.mint_1
        mode = SwapMode.EXACT_IN if forward else SwapMode.EXACT_OUT
        try:
            quote, after = VENUE.apply(pool, Swap(mint, mode, amount), CLOCK)
        except QuoteRefused:
            continue
        assert pool.balances is not None
        assert after.balances is not None
        paid, got = (0, 1) if down else (1, 0)
        withheld = {fee.kind: fee.amount for fee in quote.fees}
        assert after.balances[paid] - pool.balances[paid] == quote.amount_in - withheld.get(FeeKind.TRANSFER_IN, 0)
        assert pool.balances[got] - after.balances[got] == quote.amount_out + withheld.get(FeeKind.TRANSFER_OUT, 0)
        assert (after.sqrt_price < pool.sqrt_price) if down else (after.sqrt_price > pool.sqrt_price)
        pool = after


def test_spot_is_the_price_before_fees() -> None:
    pool = pool_of("SYN_ts60_gap-no-liquidity")
    forward, back = VENUE.spot(pool, pool.mint_0, CLOCK), VENUE.spot(pool, pool.mint_1, CLOCK)
    assert forward * back == 1
    assert float(forward) == pytest.approx(1.0001**1234, rel=1e-4)


def test_slippage_codes_are_the_programs() -> None:
    assert VENUE.slippage_codes() == {6022, 6023}
