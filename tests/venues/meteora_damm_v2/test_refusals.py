"""Swaps that the program would fail, each refused for its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.venues.meteora_damm_v2.made_pools import (
    CLOCK,
    CONSTANT,
    MINT_A,
    MINT_B,
    POOL,
    U64_MAX,
    Dynamic,
    MadePool,
    rate_limiter,
    time_scheduler,
    transfer_fee,
)

from fillwright.domain.accounts import Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.meteora_damm_v2 import VENUE
from fillwright.venues.venue import Fee, FeeKind, Quote, Swap

FEE_OF_EVERYTHING = transfer_fee((0, U64_MAX, 10_000), (0, U64_MAX, 10_000))


def quote(made: MadePool, amount: int, *, a_to_b: bool = True, mode: SwapMode = SwapMode.EXACT_IN) -> Quote:
    pool = VENUE.decode(POOL, made.accounts())
    return VENUE.quote(pool, Swap(Mint(MINT_A if a_to_b else MINT_B), mode, amount), CLOCK)


@pytest.mark.parametrize(
    ("made", "amount", "reason"),
    [
        (MadePool(), 0, Refusal.AMOUNT_TOO_SMALL),
        (MadePool(), -1, Refusal.AMOUNT_TOO_SMALL),
        (MadePool(), U64_MAX + 1, Refusal.AMOUNT_TOO_LARGE),
        (MadePool(fee_a=FEE_OF_EVERYTHING), 10**6, Refusal.AMOUNT_TOO_SMALL),
        (MadePool(status=1), 10**6, Refusal.PAUSED),
        (MadePool(activation_point=CLOCK.unix_timestamp + 1), 10**6, Refusal.NOT_OPEN),
        (MadePool(activation_point=CLOCK.slot + 1, by_time=0), 10**6, Refusal.NOT_OPEN),
        (MadePool(liquidity=0), 10**6, Refusal.LIQUIDITY_EXHAUSTED),
        (MadePool(sqrt_min=(1 << 64) - 10), 10**9, Refusal.LIQUIDITY_EXHAUSTED),
        (MadePool(reserves=(10**12, 10)), 10**6, Refusal.LIQUIDITY_EXHAUSTED),
        (MadePool(balances=(10**12, 10)), 10**6, Refusal.LIQUIDITY_EXHAUSTED),
        (MadePool(balances=(U64_MAX - 5, 10**12)), 10**6, Refusal.ARITHMETIC),
        (MadePool(reserves=(U64_MAX - 5, 10**12)), 10**6, Refusal.ARITHMETIC),
        (MadePool(protocol_percent=101), 10**9, Refusal.ARITHMETIC),
        (MadePool(protocol_fees=(0, U64_MAX)), 10**9, Refusal.ARITHMETIC),
        (MadePool(per_liquidity=(0, 2**256 - 1)), 10**9, Refusal.ARITHMETIC),
        (MadePool(base_fee=time_scheduler(10**6, 9, 1, 10**6)), 10**6, Refusal.ARITHMETIC),
        (MadePool(dynamic=Dynamic(volatility=2**127)), 10**6, Refusal.ARITHMETIC),
        (MadePool(dynamic=Dynamic(bin_step_q64=0)), 10**6, Refusal.ARITHMETIC),
    ],
)
def test_a_swap_that_would_fail_is_refused_with_its_reason(made: MadePool, amount: int, reason: Refusal) -> None:
    with pytest.raises(QuoteRefused) as refused:
        quote(made, amount)
    assert refused.value.reason is reason


@pytest.mark.parametrize(
    ("made", "amount", "reason"),
    [
        (MadePool(), 10**12, Refusal.LIQUIDITY_EXHAUSTED),
        (MadePool(), U64_MAX, Refusal.ARITHMETIC),
        (MadePool(fee_mode=2), 10**12, Refusal.LIQUIDITY_EXHAUSTED),
        (MadePool(fee_b=FEE_OF_EVERYTHING), 1, Refusal.AMOUNT_TOO_LARGE),
    ],
)
def test_an_output_that_the_pool_cannot_give_is_refused(made: MadePool, amount: int, reason: Refusal) -> None:
    with pytest.raises(QuoteRefused) as refused:
        quote(made, amount, mode=SwapMode.EXACT_OUT)
    assert refused.value.reason is reason


def test_a_mint_that_is_not_in_the_pool_is_refused() -> None:
    pool = VENUE.decode(POOL, MadePool().accounts())
    with pytest.raises(QuoteRefused) as refused:
        VENUE.quoter(pool, Mint(POOL), CLOCK)
    assert refused.value.reason is Refusal.NOT_IN_POOL
    assert list(VENUE.curve(pool, Mint(POOL), CLOCK)) == []


def test_a_pool_opens_at_its_activation_point_and_not_after() -> None:
    assert quote(MadePool(activation_point=CLOCK.unix_timestamp), 10**6).amount_out > 0


def test_dust_can_buy_nothing_as_in_the_program() -> None:
    assert quote(MadePool(), 1).amount_out == 0


def test_fees_come_from_the_output_unless_only_token_b_pays_them() -> None:
    amount = 10**9
    kinds = {FeeKind.LP, FeeKind.PROTOCOL}
    for fee_mode, a_to_b, mint in ((0, True, MINT_B), (0, False, MINT_A), (1, True, MINT_B), (1, False, MINT_B)):
        fees = quote(MadePool(fee_mode=fee_mode), amount, a_to_b=a_to_b).fees
        assert {fee.kind for fee in fees} == kinds
        assert {fee.mint for fee in fees} == {mint}
    on_input = quote(MadePool(fee_mode=1), amount, a_to_b=False).fees
    assert sum(fee.amount for fee in on_input) == amount * 2_500_000 // 10**9
    assert on_input == (Fee(FeeKind.LP, Mint(MINT_B), 2_000_000), Fee(FeeKind.PROTOCOL, Mint(MINT_B), 500_000))


def test_transfer_fees_are_told_apart_from_the_pools() -> None:
    one_percent = transfer_fee((0, U64_MAX, 100), (CLOCK.epoch + 1, U64_MAX, 5_000))
    fees = {fee.kind: fee for fee in quote(MadePool(fee_a=one_percent, fee_b=one_percent), 10**6).fees}
    assert fees[FeeKind.TRANSFER_IN] == Fee(FeeKind.TRANSFER_IN, Mint(MINT_A), 10_000)
    assert fees[FeeKind.TRANSFER_OUT].mint == MINT_B


@pytest.mark.parametrize(("version", "numerator"), [(0, 500_000_000), (1, 600_000_000)])
def test_the_fee_version_caps_the_fee(version: int, numerator: int) -> None:
    made = MadePool(fee_version=version, base_fee=time_scheduler(600_000_000, 0, 0, 0), fee_mode=1)
    assert sum(fee.amount for fee in quote(made, 10**9, a_to_b=False).fees) == numerator


def test_a_rate_limiter_charges_large_purchases_more_and_only_while_it_lasts() -> None:
    limiter = rate_limiter(10_000_000, 100, 100, 5_000, 10**6)
    made = MadePool(base_fee=limiter, fee_mode=1, activation_point=CLOCK.unix_timestamp - 100)
    small, large = (sum(fee.amount for fee in quote(made, n, a_to_b=False).fees) for n in (10**6, 3 * 10**6))
    assert (small, large) == (10_000, 60_000)
    over = replace(made, activation_point=CLOCK.unix_timestamp - 101)
    assert sum(fee.amount for fee in quote(over, 3 * 10**6, a_to_b=False).fees) == 30_000
    assert sum(fee.amount for fee in quote(replace(made, base_fee=CONSTANT), 10**6, a_to_b=False).fees) == 2_500
