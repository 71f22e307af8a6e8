"""Quotes of whole pools: refusals by example, the laws of exchange by property."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.venues import raydium_laws as laws
from tests.venues.raydium_cpmm.pools import CLOCK, U64_MAX, amounts, pool_with, pools, sides, with_transfer_fees

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.raydium_cpmm import VENUE
from fillwright.venues.raydium_cpmm.layout import CpmmPool
from fillwright.venues.token_program import TransferFee
from fillwright.venues.venue import Fee, FeeKind, Swap

IN, OUT = SwapMode.EXACT_IN, SwapMode.EXACT_OUT
NO_FEE = TransferFee(0, 0, 0)


def refusal(pool: CpmmPool, swap: Swap, clock: ChainClock = CLOCK) -> Refusal:
    with pytest.raises(QuoteRefused) as refused:
        VENUE.quote(pool, swap, clock)
    return refused.value.reason


def test_a_quote_names_every_fee_and_its_mint() -> None:
    pool = with_transfer_fees(
        pool_with(creator_fee_rate=10_000, creator_fee_on=1), TransferFee(0, U64_MAX, 100), TransferFee(0, 5_000, 100)
    )
    first, second = pool.mints
    quote = VENUE.quote(pool, Swap(second, IN, 10**9), CLOCK)
    paid = {fee.kind: fee for fee in quote.fees}
    assert paid[FeeKind.TRANSFER_IN] == Fee(FeeKind.TRANSFER_IN, second, 5_000)
    trade = sum(paid[kind].amount for kind in (FeeKind.LP, FeeKind.PROTOCOL, FeeKind.FUND))
    assert trade == -(-(10**9 - 5_000) * 2_500 // 10**6)
    assert {paid[kind].mint for kind in (FeeKind.LP, FeeKind.PROTOCOL, FeeKind.FUND)} == {second}
    assert paid[FeeKind.CREATOR].mint == paid[FeeKind.TRANSFER_OUT].mint == first


@pytest.mark.parametrize(
    ("mode", "side", "on_side"), [(0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 1, 0), (2, 0, 1), (2, 1, 1)]
)
def test_the_creator_fee_is_taken_in_the_token_that_the_pool_says(mode: int, side: int, on_side: int) -> None:
    pool = pool_with(creator_fee_rate=10_000, creator_fee_on=mode)
    quote, after = VENUE.apply(pool, Swap(pool.mints[side], IN, 10**9), CLOCK)
    (fee,) = (fee for fee in quote.fees if fee.kind is FeeKind.CREATOR)
    assert fee.mint == pool.mints[on_side]
    assert after.creator_fees[on_side] == fee.amount
    assert after.creator_fees[1 - on_side] == 0


def test_accrued_fees_are_no_liquidity() -> None:
    bare = pool_with(balances=(10**12, 10**12))
    owing = pool_with(
        balances=(10**12 + 60, 10**12 + 600), protocol_fees=(10, 100), fund_fees=(20, 200), creator_fees=(30, 300)
    )
    swap = Swap(bare.mints[0], IN, 10**9)
    assert VENUE.quote(bare, swap, CLOCK) == VENUE.quote(owing, swap, CLOCK)


def test_amounts_out_of_range_are_refused() -> None:
    pool = pool_with()
    mint = pool.mints[0]
    for mode in (IN, OUT):
        assert refusal(pool, Swap(mint, mode, 0)) is Refusal.AMOUNT_TOO_SMALL
        assert refusal(pool, Swap(mint, mode, -1)) is Refusal.AMOUNT_TOO_SMALL
        assert refusal(pool, Swap(mint, mode, 2**64)) is Refusal.AMOUNT_TOO_LARGE
    assert refusal(pool, Swap(mint, OUT, 2 * 10**12)) is Refusal.LIQUIDITY_EXHAUSTED
    assert refusal(pool, Swap(mint, IN, U64_MAX - 10**12 + 1)) is Refusal.AMOUNT_TOO_LARGE
    assert VENUE.quote(pool, Swap(mint, IN, U64_MAX - 10**12), CLOCK).amount_out > 0


def test_a_mint_of_another_pool_is_refused() -> None:
    assert refusal(pool_with(), Swap(Mint("elsewhere"), IN, 1)) is Refusal.NOT_IN_POOL


def test_only_the_third_status_bit_pauses_swaps() -> None:
    for status in range(16):
        pool = pool_with(status=status)
        swap = Swap(pool.mints[0], IN, 10**6)
        if status & 4:
            assert refusal(pool, swap) is Refusal.PAUSED
        else:
            assert VENUE.quote(pool, swap, CLOCK).amount_out > 0


def test_a_pool_opens_at_its_open_time() -> None:
    pool = pool_with(open_time=CLOCK.unix_timestamp)
    swap = Swap(pool.mints[0], IN, 10**6)
    assert VENUE.quote(pool, swap, CLOCK).amount_out > 0
    before = msgspec.structs.replace(CLOCK, unix_timestamp=CLOCK.unix_timestamp - 1)
    assert refusal(pool, swap, before) is Refusal.NOT_OPEN


def test_empty_pools_and_pools_that_owe_more_than_they_hold_are_refused() -> None:
    for balances in ((0, 10**6), (10**6, 0), (0, 0)):
        pool = pool_with(balances=balances)
        assert refusal(pool, Swap(pool.mints[0], IN, 10**5)) is Refusal.LIQUIDITY_EXHAUSTED
        with pytest.raises(QuoteRefused):
            VENUE.spot(pool, pool.mints[0], CLOCK)
        with pytest.raises(QuoteRefused):
            VENUE.quoter(pool, pool.mints[0], CLOCK)(10**5)
    owing = pool_with(protocol_fees=(10**12 + 1, 0))
    assert refusal(owing, Swap(owing.mints[1], IN, 10**5)) is Refusal.LIQUIDITY_EXHAUSTED


def test_a_transfer_fee_that_takes_everything_is_refused() -> None:
    whole = TransferFee(0, U64_MAX, 10_000)
    pool = with_transfer_fees(pool_with(), whole, NO_FEE)
    assert refusal(pool, Swap(pool.mints[0], IN, 10**9)) is Refusal.AMOUNT_TOO_SMALL
    assert refusal(pool, Swap(pool.mints[1], IN, 10**9)) is Refusal.AMOUNT_TOO_SMALL
    assert refusal(pool, Swap(pool.mints[1], OUT, 10**9)) is Refusal.AMOUNT_TOO_LARGE


def test_the_newer_transfer_fee_counts_from_its_epoch_on() -> None:
    older, newer = TransferFee(0, U64_MAX, 100), TransferFee(996, U64_MAX, 500)
    pool = pool_with()
    info = msgspec.structs.replace(pool.mint_infos[0], older=older, newer=newer)
    pool = msgspec.structs.replace(pool, mint_infos=(info, pool.mint_infos[1]))
    swap = Swap(pool.mints[0], IN, 10_000)
    for epoch, fee in ((995, 100), (996, 500), (997, 500)):
        quote = VENUE.quote(pool, swap, msgspec.structs.replace(CLOCK, epoch=epoch))
        assert Fee(FeeKind.TRANSFER_IN, pool.mints[0], fee) in quote.fees


def test_spot_is_the_ratio_of_the_reserves() -> None:
    pool = pool_with(protocol_fees=(10, 0))
    assert VENUE.spot(pool, pool.mints[0], CLOCK) == Fraction(2 * 10**12, 10**12 - 10)


@given(pool=pools(), side=sides, amount=amounts)
def test_the_fast_quoter_answers_as_the_exact_quote(pool: CpmmPool, side: int, amount: int) -> None:
    laws.the_fast_quoter_answers_as_the_exact_quote(VENUE, pool, side, amount, CLOCK)


@given(pool=pools(fee_free_transfers=True), side=sides, first=amounts, second=amounts)
def test_more_in_never_gives_less_out(pool: CpmmPool, side: int, first: int, second: int) -> None:
    laws.more_in_never_gives_less_out(VENUE, pool, side, (first, second), CLOCK)


@given(pool=pools(), side=sides, amount=amounts)
def test_a_round_trip_never_profits(pool: CpmmPool, side: int, amount: int) -> None:
    laws.a_round_trip_never_profits(VENUE, pool, side, amount, CLOCK)


@given(pool=pools(), side=sides, amount=amounts)
def test_what_exact_out_pays_buys_what_it_promises(pool: CpmmPool, side: int, amount: int) -> None:
    try:
        quote = VENUE.quote(pool, Swap(pool.mints[side], OUT, amount), CLOCK)
    except QuoteRefused:
        return
    assert quote.amount_out == amount
    assert VENUE.quote(pool, Swap(pool.mints[side], IN, quote.amount_in), CLOCK).amount_out >= amount


@given(pool=pools(), side=sides, amount=amounts)
def test_exact_out_of_an_exact_in_outcome_costs_no_more(pool: CpmmPool, side: int, amount: int) -> None:
    mint = pool.mints[side]
    try:
        quote = VENUE.quote(pool, Swap(mint, IN, amount), CLOCK)
        other = VENUE.quote(pool, Swap(mint, OUT, quote.amount_out), CLOCK)
    except QuoteRefused:
        return
    # Each gross-up may ask for a unit more on its own side; those of the output are worth the marginal price.
    assert other.amount_in <= amount or VENUE.quote(pool, Swap(mint, IN, other.amount_in), CLOCK).amount_out >= (
        quote.amount_out
    )


@settings(max_examples=50)
@given(pool=pools(), steps=st.lists(st.tuples(sides, st.sampled_from([IN, OUT]), amounts), max_size=8))
def test_a_chain_of_swaps_conserves_every_unit(pool: CpmmPool, steps: list[tuple[int, SwapMode, int]]) -> None:
    for side, mode, amount in steps:
        swap = Swap(pool.mints[side], mode, amount)
        try:
            quote, after = VENUE.apply(pool, swap, CLOCK)
        except QuoteRefused:
            continue
        taken = {fee.kind: fee.amount for fee in quote.fees}
        arrived = quote.amount_in - taken.get(FeeKind.TRANSFER_IN, 0)
        left = quote.amount_out + taken.get(FeeKind.TRANSFER_OUT, 0)
        assert after.balances[side] == pool.balances[side] + arrived <= U64_MAX
        assert after.balances[1 - side] == pool.balances[1 - side] - left >= 0
        assert _invariant(after) >= _invariant(pool)
        assert after.protocol_fees[side] - pool.protocol_fees[side] == taken.get(FeeKind.PROTOCOL, 0)
        assert after.fund_fees[side] - pool.fund_fees[side] == taken.get(FeeKind.FUND, 0)
        assert sum(after.creator_fees) - sum(pool.creator_fees) == taken.get(FeeKind.CREATOR, 0)
        pool = after


def _invariant(pool: CpmmPool) -> int:
    left, right = (
        balance - protocol - fund - creator
        for balance, protocol, fund, creator in zip(
            pool.balances, pool.protocol_fees, pool.fund_fees, pool.creator_fees, strict=True
        )
    )
    return left * right
