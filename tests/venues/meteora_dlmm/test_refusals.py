"""Where the program fails, the quote is refused with its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.venues.meteora_dlmm.made_pools import CLOCK, MINT_X, MINT_Y, NOW, MadeBin, MadePool

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.meteora_dlmm import VENUE
from fillwright.venues.venue import Swap

DEEP = MadePool(bins={i: MadeBin(x=1_000_000, y=1_000_000) for i in range(-5, 6)})
IN, OUT = SwapMode.EXACT_IN, SwapMode.EXACT_OUT


def refusal(made: MadePool, mode: SwapMode, amount: int, mint: Mint = MINT_X, clock: ChainClock = CLOCK) -> Refusal:
    with pytest.raises(QuoteRefused) as refused:
        VENUE.quote(made.decoded(), Swap(mint, mode, amount), clock)
    return refused.value.reason


@pytest.mark.parametrize("mode", SwapMode)
@pytest.mark.parametrize(
    ("amount", "expected"),
    [(0, Refusal.AMOUNT_TOO_SMALL), (-1, Refusal.AMOUNT_TOO_SMALL), (2**64, Refusal.AMOUNT_TOO_LARGE)],
)
def test_amounts_that_no_instruction_carries(mode: SwapMode, amount: int, expected: Refusal) -> None:
    assert refusal(DEEP, mode, amount) is expected
    if mode is IN:
        with pytest.raises(QuoteRefused):
            VENUE.quoter(DEEP.decoded(), MINT_X, CLOCK)(amount)


def test_a_mint_that_is_not_in_the_pool() -> None:
    assert refusal(DEEP, IN, 5, Mint("11111111111111111111111111111111")) is Refusal.NOT_IN_POOL


def test_a_disabled_pool_is_paused() -> None:
    assert refusal(replace(DEEP, status=1), IN, 500) is Refusal.PAUSED
    assert list(VENUE.curve(replace(DEEP, status=1).decoded(), MINT_X, CLOCK)) == []


@pytest.mark.parametrize(("kind", "point"), [(0, CLOCK.slot), (1, NOW)])
@pytest.mark.parametrize("pair_type", [1, 2])
def test_an_activation_point_opens_the_pool_at_its_slot_or_second(pair_type: int, kind: int, point: int) -> None:
    closed = replace(DEEP, pair_type=pair_type, activation_type=kind, activation_point=point + 1)
    assert refusal(closed, IN, 500) is Refusal.NOT_OPEN
    opened = replace(closed, activation_point=point).decoded()
    assert VENUE.quote(opened, Swap(MINT_X, IN, 500), CLOCK).amount_out > 0


def test_permissionless_pairs_ignore_the_activation_point() -> None:
    pool = replace(DEEP, pair_type=3, activation_point=2**60).decoded()
    assert VENUE.quote(pool, Swap(MINT_X, IN, 500), CLOCK).amount_out > 0


@pytest.mark.parametrize("mode", SwapMode)
@pytest.mark.parametrize("mint", [MINT_X, MINT_Y])
def test_more_than_the_pool_holds(mode: SwapMode, mint: Mint) -> None:
    assert refusal(DEEP, mode, 10**9, mint) is Refusal.LIQUIDITY_EXHAUSTED


def test_an_input_that_buys_nothing() -> None:
    assert refusal(DEEP, IN, 1) is Refusal.AMOUNT_TOO_SMALL


def test_an_output_that_the_transfer_fee_eats_whole() -> None:
    assert refusal(replace(DEEP, transfer_fee_y=(10_000, 2**60)), IN, 500) is Refusal.AMOUNT_TOO_SMALL


@pytest.mark.parametrize(("mint", "bounds"), [(MINT_X, (-2, 100)), (MINT_Y, (-100, 2))])
def test_no_bin_beyond_the_pools_bounds_trades(mint: Mint, bounds: tuple[int, int]) -> None:
    made = replace(DEEP, min_bin_id=bounds[0], max_bin_id=bounds[1])
    assert refusal(made, OUT, 3_000_001, mint) is Refusal.LIQUIDITY_EXHAUSTED
    assert VENUE.quote(made.decoded(), Swap(mint, OUT, 3_000_000), CLOCK).amount_out == 3_000_000


def test_an_exact_output_that_rounding_over_limit_orders_misses() -> None:
    """The program rounds the input up once over both layers, and needs it rounded up in each."""
    made = MadePool(bins={-1: MadeBin(y=7, open=1_000)}, active_id=-1, bin_step=400)
    reasons = set()
    for amount in range(8, 60):
        try:
            assert VENUE.quote(made.decoded(), Swap(MINT_X, OUT, amount), CLOCK).amount_out == amount
        except QuoteRefused as refused:
            reasons.add(refused.reason)
    assert reasons == {Refusal.ARITHMETIC}


def test_a_swap_over_more_bins_than_a_transaction_computes() -> None:
    made = MadePool(bins={i: MadeBin(y=1_000) for i in range(-400, 1)}, bin_step=1)
    assert refusal(made, OUT, 350_000) is Refusal.AMOUNT_TOO_LARGE
    assert VENUE.quote(made.decoded(), Swap(MINT_X, OUT, 150_000), CLOCK).amount_out == 150_000


def test_a_fee_rate_that_leaves_128_bits() -> None:
    for power in (36, 255):
        assert refusal(replace(DEEP, base_power=power), IN, 500) is Refusal.ARITHMETIC


def test_a_volatility_reference_that_leaves_32_bits() -> None:
    made = replace(DEEP, accumulator=1_000_000, updated_at=NOW - 100, max_accumulator=2**32 - 1)
    assert refusal(made, IN, 500) is Refusal.ARITHMETIC


def test_a_bin_that_was_never_priced() -> None:
    accounts = DEEP.accounts()
    pool = VENUE.decode(next(a for a in accounts if VENUE.recognises(accounts[a])), accounts)
    broken = {
        i: type(array)(i, tuple(type(b)(b.id, b.amount_x, b.amount_y, 0, 0, 0, False) for b in array.bins), True)
        for i, array in pool.arrays.items()
    }
    with pytest.raises(QuoteRefused) as refused:
        VENUE.quote(type(pool)(**{**{f: getattr(pool, f) for f in pool.__struct_fields__}, "arrays": broken}),
                    Swap(MINT_X, IN, 500), CLOCK)  # fmt: skip
    assert refused.value.reason is Refusal.ARITHMETIC
