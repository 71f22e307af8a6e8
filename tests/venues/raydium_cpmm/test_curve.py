"""The bare curve: roundings and fee splits by example, its laws by property."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.raydium_cpmm.curve import CurveSwap, Rates, swap_exact_in, swap_exact_out

PLAIN = Rates(trade=2_500, protocol=120_000, fund=40_000, creator=0, creator_on_input=True)
ON_INPUT = Rates(trade=2_500, protocol=120_000, fund=40_000, creator=500, creator_on_input=True)
ON_OUTPUT = Rates(trade=2_500, protocol=120_000, fund=40_000, creator=500, creator_on_input=False)

rates = st.builds(
    Rates,
    trade=st.integers(1, 200_000),
    protocol=st.integers(0, 500_000),
    fund=st.integers(0, 500_000),
    creator=st.integers(0, 200_000),
    creator_on_input=st.booleans(),
)
reserves = st.integers(1, 2**63)
amounts = st.integers(1, 2**64 - 1)


def test_the_trade_fee_rounds_up_and_its_shares_down() -> None:
    swap = swap_exact_in(1_001, 10**9, 10**9, PLAIN)
    assert swap == CurveSwap(amount_in=1_001, amount_out=997, trade_fee=3, protocol_fee=0, fund_fee=0, creator_fee=0)


def test_both_fees_on_the_input_are_rounded_up_once_together() -> None:
    # 1001 · 3000 / 10^6 = 3.003: one ceiling gives 4, two would give 3 + 1; the creator's sixth rounds down.
    swap = swap_exact_in(1_001, 10**9, 10**9, ON_INPUT)
    assert (swap.trade_fee + swap.creator_fee, swap.creator_fee, swap.amount_out) == (4, 0, 996)


def test_a_creator_fee_on_the_output_is_rounded_up_and_taken_from_it() -> None:
    swap = swap_exact_in(1_000_000, 10**15, 10**15, ON_OUTPUT)
    assert (swap.trade_fee, swap.creator_fee, swap.amount_out) == (2_500, 499, 997_000)


def test_exact_out_grosses_up_the_creator_fee_on_the_output() -> None:
    swap = swap_exact_out(997_001, 10**15, 10**15, ON_OUTPUT)
    assert swap.creator_fee == 499
    assert swap.amount_out == 997_001


@pytest.mark.parametrize(
    ("amount", "reserve_in", "reserve_out", "reason"),
    [
        (0, 10, 10, Refusal.AMOUNT_TOO_SMALL),
        (1, 10, 10, Refusal.AMOUNT_TOO_SMALL),
        (2**64, 10, 10, Refusal.AMOUNT_TOO_LARGE),
        (5, 0, 10, Refusal.LIQUIDITY_EXHAUSTED),
        (5, 10, 0, Refusal.LIQUIDITY_EXHAUSTED),
    ],
)
def test_exact_in_is_refused(amount: int, reserve_in: int, reserve_out: int, reason: Refusal) -> None:
    with pytest.raises(QuoteRefused) as refused:
        swap_exact_in(amount, reserve_in, reserve_out, PLAIN)
    assert refused.value.reason is reason


@pytest.mark.parametrize(
    ("amount", "reserve_in", "reserve_out", "reason"),
    [
        (0, 10, 10, Refusal.AMOUNT_TOO_SMALL),
        (10, 10, 10, Refusal.LIQUIDITY_EXHAUSTED),
        (11, 10, 10, Refusal.LIQUIDITY_EXHAUSTED),
        (2**64 - 2, 2**64 - 1, 2**64 - 1, Refusal.AMOUNT_TOO_LARGE),
    ],
)
def test_exact_out_is_refused(amount: int, reserve_in: int, reserve_out: int, reason: Refusal) -> None:
    with pytest.raises(QuoteRefused) as refused:
        swap_exact_out(amount, reserve_in, reserve_out, PLAIN)
    assert refused.value.reason is reason


@pytest.mark.parametrize("swap", [swap_exact_in, swap_exact_out])
def test_a_fee_of_rate_zero_on_the_input_can_not_be_split(swap: object) -> None:
    free = Rates(trade=0, protocol=0, fund=0, creator=0, creator_on_input=True)
    with pytest.raises(QuoteRefused) as refused:
        swap(1_000, 10**9, 10**9, free)  # type: ignore[operator]
    assert refused.value.reason is Refusal.ARITHMETIC


def test_fees_that_take_everything_are_refused() -> None:
    whole = Rates(trade=600_000, protocol=0, fund=0, creator=400_000, creator_on_input=True)
    with pytest.raises(QuoteRefused):
        swap_exact_in(10**6, 10**9, 10**9, whole)
    with pytest.raises(QuoteRefused):
        swap_exact_out(10**6, 10**9, 10**9, whole)


@given(amount=amounts, reserve_in=reserves, reserve_out=reserves, rates=rates)
def test_the_invariant_never_falls_and_the_fees_add_up(
    amount: int, reserve_in: int, reserve_out: int, rates: Rates
) -> None:
    try:
        swap = swap_exact_in(amount, reserve_in, reserve_out, rates)
    except QuoteRefused:
        return
    on_input = swap.trade_fee + (swap.creator_fee if rates.creator_on_input else 0)
    left_by = swap.amount_out + (0 if rates.creator_on_input else swap.creator_fee)
    assert (reserve_in + amount - on_input) * (reserve_out - left_by) >= reserve_in * reserve_out
    assert 0 <= swap.protocol_fee + swap.fund_fee <= swap.trade_fee


@given(out=amounts, reserve_in=reserves, reserve_out=reserves, rates=rates)
def test_exact_out_pays_the_least_input_that_buys_the_output(
    out: int, reserve_in: int, reserve_out: int, rates: Rates
) -> None:
    try:
        swap = swap_exact_out(out, reserve_in, reserve_out, rates)
    except QuoteRefused:
        return
    assert swap_exact_in(swap.amount_in, reserve_in, reserve_out, rates).amount_out >= out
    if swap.amount_in > 1:
        try:
            less = swap_exact_in(swap.amount_in - 1, reserve_in, reserve_out, rates).amount_out
        except QuoteRefused:
            less = 0
        # The output's fee is grossed up with a ceiling of its own, so the input may be a little more than needed.
        assert less < out or not rates.creator_on_input
