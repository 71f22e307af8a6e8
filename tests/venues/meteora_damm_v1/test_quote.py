"""Rules and properties of DAMM v1 quotes."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.venues.meteora_damm_v1.pools import (
    CLOCK,
    OWN_POOLS,
    U64_MAX,
    amounts,
    exact_in,
    pool_with,
    pools,
    sides,
    snapshot,
)

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.meteora_damm_v1 import VENUE
from fillwright.venues.meteora_damm_v1.layout import DammV1Pool, Depeg, DepegKind, Fees, Stable
from fillwright.venues.meteora_damm_v1.vault import tokens_of, unlocked_amount
from fillwright.venues.venue import FeeKind, Quote, Swap

_DRAWS = settings(max_examples=150, deadline=None, derandomize=True)


def _quote(pool: DammV1Pool, side: int, amount: int) -> Quote | None:
    try:
        return VENUE.quote(pool, exact_in(pool, side, amount), CLOCK)
    except QuoteRefused:
        return None


def _refusal(pool: DammV1Pool, swap: Swap, clock: ChainClock = CLOCK) -> Refusal:
    with pytest.raises(QuoteRefused) as refused:
        VENUE.quote(pool, swap, clock)
    return refused.value.reason


def test_a_constant_product_swap_by_hand() -> None:
    # Fee 0.25 % of 10^9, a fifth of it to the protocol; 10^12 and 2·10^12 in vaults with a share price of 1.
    quote = VENUE.quote(pool_with(), exact_in(pool_with(), 0, 10**9), CLOCK)
    net = 10**9 - 2_500_000
    assert quote.amount_out == 2 * 10**12 * net // (10**12 + net)
    assert {fee.kind: fee.amount for fee in quote.fees} == {FeeKind.LP: 2_000_000, FeeKind.PROTOCOL: 500_000}


def test_a_fee_is_at_least_one_unit() -> None:
    pool = pool_with()
    quote = VENUE.quote(pool, exact_in(pool, 0, 2), CLOCK)
    assert {fee.kind: fee.amount for fee in quote.fees} == {FeeKind.PROTOCOL: 1}
    assert _refusal(pool, exact_in(pool, 0, 1)) is Refusal.AMOUNT_TOO_SMALL


@pytest.mark.parametrize(
    ("amount", "reason"),
    [(0, Refusal.AMOUNT_TOO_SMALL), (-1, Refusal.AMOUNT_TOO_SMALL), (U64_MAX + 1, Refusal.AMOUNT_TOO_LARGE)],
)
def test_an_impossible_amount_is_refused(amount: int, reason: Refusal) -> None:
    pool = pool_with()
    assert _refusal(pool, exact_in(pool, 0, amount)) is reason
    with pytest.raises(QuoteRefused):
        VENUE.quoter(pool, pool.mints[0], CLOCK)(amount)


def test_an_exact_output_is_refused() -> None:
    pool = pool_with()
    assert _refusal(pool, Swap(pool.mints[0], SwapMode.EXACT_OUT, 5)) is Refusal.UNSUPPORTED_MODE


def test_a_foreign_mint_is_refused() -> None:
    foreign = Mint("11111111111111111111111111111111")
    assert _refusal(pool_with(), Swap(foreign, SwapMode.EXACT_IN, 5)) is Refusal.NOT_IN_POOL
    for ask in (VENUE.quoter, VENUE.spot):
        with pytest.raises(QuoteRefused):
            ask(pool_with(), foreign, CLOCK)


def test_a_disabled_pool_is_refused_at_each_call() -> None:
    pool = pool_with(enabled=False)
    assert _refusal(pool, exact_in(pool, 0, 5)) is Refusal.PAUSED
    quoter = VENUE.quoter(pool, pool.mints[0], CLOCK)
    with pytest.raises(QuoteRefused) as refused:
        quoter(5)
    assert refused.value.reason is Refusal.PAUSED
    assert list(VENUE.curve(pool, pool.mints[0], CLOCK)) == []


def test_a_vault_that_takes_no_deposits_stops_one_direction() -> None:
    plain = pool_with()
    pool = pool_with(vaults=(replace(plain.vaults[0], enabled=False), plain.vaults[1]))
    assert _refusal(pool, exact_in(pool, 0, 10**6)) is Refusal.PAUSED
    assert _quote(pool, 1, 10**6) is not None


@pytest.mark.parametrize(
    ("by_time", "now"), [(True, CLOCK.unix_timestamp), (False, CLOCK.slot)], ids=["timestamp", "slot"]
)
def test_a_pool_opens_at_its_activation_point(by_time: bool, now: int) -> None:
    open_now = pool_with(activation_by_time=by_time, activation_point=now)
    assert _quote(open_now, 0, 10**6) is not None
    opens_next = pool_with(activation_by_time=by_time, activation_point=now + 1)
    assert _refusal(opens_next, exact_in(opens_next, 0, 10**6)) is Refusal.NOT_OPEN


def test_a_report_later_than_the_clock_is_refused() -> None:
    plain = pool_with()
    pool = pool_with(vaults=(replace(plain.vaults[0], last_report=CLOCK.unix_timestamp + 1), plain.vaults[1]))
    assert _refusal(pool, exact_in(pool, 0, 10**6)) is Refusal.ARITHMETIC


def test_locked_profit_frees_up_with_time() -> None:
    pool = snapshot(OWN_POOLS[0])
    later = replace(CLOCK, unix_timestamp=CLOCK.unix_timestamp + 3_600)
    swap = exact_in(pool, 1, 10**9)
    assert VENUE.quote(pool, swap, CLOCK) != VENUE.quote(pool, swap, later)


def test_lent_out_tokens_can_not_be_paid() -> None:
    plain = pool_with()
    out = VENUE.quote(plain, exact_in(plain, 0, 10**9), CLOCK).amount_out
    for reserve, possible in ((out, True), (out - 1, False)):
        pool = pool_with(vaults=(plain.vaults[0], replace(plain.vaults[1], reserve=reserve)))
        assert (_quote(pool, 0, 10**9) is not None) is possible


def test_an_empty_pool_is_refused() -> None:
    for changes in ({"lp_amounts": (0, 0)}, {"lp_amounts": (10**12, 0)}, {"lp_amounts": (0, 10**12)}):
        for stable in (None, Stable(100, (1, 1), None)):
            pool = pool_with(**changes, stable=stable)
            assert _quote(pool, 0, 10**9) is None
            assert _quote(pool, 1, 10**9) is None


def test_an_output_that_rounds_to_nothing_is_zero_in_a_stable_pool() -> None:
    pool = pool_with(lp_amounts=(10**12, 10**12), stable=Stable(100, (1, 1), None))
    assert _quote(pool, 0, 2) == Quote(2, 0, VENUE.quote(pool, exact_in(pool, 0, 2), CLOCK).fees)


def test_an_invariant_that_does_not_converge_is_refused() -> None:
    plain = pool_with()
    vaults = tuple(
        replace(vault, total_amount=total, reserve=total, lp_supply=total)
        for vault, total in zip(plain.vaults, (866, 1), strict=True)
    )
    pool = pool_with(vaults=vaults, lp_amounts=(866, 1), stable=Stable(1, (1, 1), None))
    assert _refusal(pool, exact_in(pool, 0, 100)) is Refusal.LIQUIDITY_EXHAUSTED
    assert _quote(pool, 1, 100) is not None


def test_a_partner_fee_that_would_overflow_is_refused() -> None:
    pool = pool_with(partner_fee_numerator=50_000, partner_pending=(U64_MAX, 0))
    assert _refusal(pool, exact_in(pool, 0, 10**9)) is Refusal.ARITHMETIC
    assert _quote(pool, 1, 10**9) is not None


def _depegged(cached_at: int, fresh_price: int | None) -> DammV1Pool:
    depeg = Depeg(DepegKind.LIDO, snapshot().address, 1_100_000, cached_at, fresh_price)
    return pool_with(lp_amounts=(10**12, 10**12), stable=Stable(100, (1, 1), depeg))


def test_a_stake_price_is_read_again_after_600_seconds_and_then_cached() -> None:
    cached = _depegged(CLOCK.unix_timestamp - 600, 1_200_000)
    stale = _depegged(CLOCK.unix_timestamp - 601, 1_200_000)
    swap = exact_in(cached, 1, 10**9)
    assert VENUE.quote(cached, swap, CLOCK).amount_out < VENUE.quote(stale, swap, CLOCK).amount_out
    assert VENUE.apply(cached, swap, CLOCK)[1].stable == cached.stable
    after = VENUE.apply(stale, swap, CLOCK)[1].stable
    assert after is not None
    assert after.depeg is not None
    assert (after.depeg.virtual_price, after.depeg.cached_at) == (1_200_000, CLOCK.unix_timestamp)


def test_a_stale_stake_price_without_its_account_is_refused() -> None:
    pool = _depegged(CLOCK.unix_timestamp - 601, None)
    assert _refusal(pool, exact_in(pool, 0, 10**9)) is Refusal.MISSING_ACCOUNT


def test_a_pool_without_fees_charges_none() -> None:
    pool = pool_with(fees=Fees(0, 10**6, 0, 10**6))
    assert VENUE.quote(pool, exact_in(pool, 0, 10**9), CLOCK).fees == ()


@_DRAWS
@given(pool=pools(), side=sides, amount=amounts, near=st.integers(0, 3))
def test_the_fast_quoter_equals_the_quote(pool: DammV1Pool, side: int, amount: int, near: int) -> None:
    quoter = VENUE.quoter(pool, pool.mints[side], CLOCK)
    for asked in (amount, max(amount - near, 1), min(amount + near, U64_MAX), pool.lp_amounts[side] // 7 + 1):
        expected = _quote(pool, side, asked)
        if expected is None:
            with pytest.raises(QuoteRefused):
                quoter(asked)
        else:
            assert quoter(asked) == expected.amount_out


@_DRAWS
@given(pool=pools(), side=sides, amount=amounts)
def test_a_round_trip_never_profits(pool: DammV1Pool, side: int, amount: int) -> None:
    there = _applied(pool, side, amount)
    if there is None or there[0].amount_out == 0:
        return
    back = _applied(there[1], 1 - side, there[0].amount_out)
    # The program's stable invariant is itself off by a unit, which a fee of at least one unit covers.
    slack = 2 * max(pool.stable.multipliers) if pool.stable is not None and pool.fees.trade_numerator == 0 else 0
    if back is not None:
        assert back[0].amount_out <= amount + slack


@_DRAWS
@given(pool=pools(), side=sides, amounts_in=st.tuples(amounts, amounts))
def test_more_in_never_gives_less_out(pool: DammV1Pool, side: int, amounts_in: tuple[int, int]) -> None:
    less, more = (_quote(pool, side, amount) for amount in sorted(amounts_in))
    if less is not None and more is not None:
        vault = pool.vaults[1 - side]
        share_price = -(-vault.total_amount // vault.lp_supply)
        # Rounding the deposit to shares can take back what one unit more brought.
        assert more.amount_out >= less.amount_out - _unit_worth(pool, side) - share_price


@_DRAWS
@given(pool=pools(), side=sides, amount=amounts)
def test_the_invariant_never_falls(pool: DammV1Pool, side: int, amount: int) -> None:
    applied = _applied(replace(pool, stable=None), side, amount)
    if applied is not None:
        before, after = (_reserves(state) for state in (pool, applied[1]))
        assert after[0] * after[1] >= before[0] * before[1]


@_DRAWS
@given(pool=pools(), side=sides, amount=amounts)
def test_apply_moves_the_vaults_by_what_the_quote_says(pool: DammV1Pool, side: int, amount: int) -> None:
    applied = _applied(pool, side, amount)
    if applied is None:
        return
    quote, after = applied
    assert quote == VENUE.quote(pool, exact_in(pool, side, amount), CLOCK)
    protocol = sum(fee.amount for fee in quote.fees if fee.kind is FeeKind.PROTOCOL)
    for attribute in ("total_amount", "reserve"):
        gained = getattr(after.vaults[side], attribute) - getattr(pool.vaults[side], attribute)
        paid = getattr(pool.vaults[1 - side], attribute) - getattr(after.vaults[1 - side], attribute)
        assert (gained, paid) == (amount - protocol, quote.amount_out)
    for index in (0, 1):
        minted = after.vaults[index].lp_supply - pool.vaults[index].lp_supply
        assert after.lp_amounts[index] - pool.lp_amounts[index] == minted


def _applied(pool: DammV1Pool, side: int, amount: int) -> tuple[Quote, DammV1Pool] | None:
    try:
        return VENUE.apply(pool, exact_in(pool, side, amount), CLOCK)
    except QuoteRefused:
        return None


def _reserves(pool: DammV1Pool) -> tuple[int, int]:
    a, b = (
        tokens_of(share, unlocked_amount(vault, CLOCK.unix_timestamp), vault.lp_supply)
        for share, vault in zip(pool.lp_amounts, pool.vaults, strict=True)
    )
    return a, b


def _unit_worth(pool: DammV1Pool, side: int) -> int:
    """Output of three units of input at the spot price, rounded up."""
    return ceil(3 * VENUE.spot(pool, pool.mints[side], CLOCK))
