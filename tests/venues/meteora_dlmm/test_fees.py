"""The fee in examples: base, volatility, its decay, the cap, and who gets which part."""

from __future__ import annotations

from dataclasses import replace

from tests.venues.meteora_dlmm.made_pools import CLOCK, MINT_X, MINT_Y, NOW, MadeBin, MadePool

from fillwright.domain.accounts import ChainClock
from fillwright.domain.amounts import SwapMode
from fillwright.venues.meteora_dlmm import VENUE
from fillwright.venues.meteora_dlmm.fees import at_time, protocol_part, rate_at
from fillwright.venues.meteora_dlmm.layout import Volatility
from fillwright.venues.venue import FeeKind, Swap

DEEP = MadePool(bins={i: MadeBin(x=10**9, y=10**9) for i in range(-5, 6)}, updated_at=NOW)
STORED = Volatility(accumulator=100_000, reference=20_000, index_reference=7, updated_at=NOW)


def test_references_are_kept_then_decay_then_are_forgotten() -> None:
    fee = DEEP.decoded().fee
    assert at_time(STORED, fee, 3, NOW + 29) == STORED
    decayed = at_time(STORED, fee, 3, NOW + 30)
    assert (decayed.reference, decayed.index_reference) == (50_000, 3)
    assert at_time(STORED, fee, 3, NOW + 599).reference == 50_000
    assert at_time(STORED, fee, 3, NOW + 600).reference == 0


def test_the_rate_is_base_plus_variable_rounded_up_and_at_most_ten_percent() -> None:
    fee = DEEP.decoded().fee
    calm = Volatility(0, 0, 0, NOW)
    assert rate_at(calm, fee, 0) == 10_000 * 10 * 10
    assert rate_at(calm, fee, 2) == 1_000_000 + -(-40_000 * (20_000 * 10) ** 2 // 10**11)
    assert rate_at(calm, fee, 10**6) == rate_at(calm, fee, 35)
    assert rate_at(calm, replace(DEEP, base_power=2).decoded().fee, 0) == 100_000_000


def test_the_same_state_costs_less_as_time_passes() -> None:
    pool = replace(DEEP, accumulator=100_000, reference=100_000).decoded()
    outs = [
        VENUE.quote(
            pool, Swap(MINT_X, SwapMode.EXACT_IN, 10**8), ChainClock(CLOCK.slot, CLOCK.epoch, NOW + s)
        ).amount_out
        for s in (0, 300, 1_200)
    ]
    assert outs == sorted(set(outs))


def test_a_swap_within_one_bin_does_not_restart_the_decay() -> None:
    later = ChainClock(CLOCK.slot, CLOCK.epoch, NOW + 5)
    small = VENUE.apply(DEEP.decoded(), Swap(MINT_X, SwapMode.EXACT_IN, 10**6), later)[1]
    large = VENUE.apply(DEEP.decoded(), Swap(MINT_X, SwapMode.EXACT_IN, 2 * 10**9), later)[1]
    assert (small.volatility.updated_at, large.volatility.updated_at) == (NOW, NOW + 5)


def test_fees_on_y_only_are_taken_from_the_output_when_x_is_sold() -> None:
    pool = replace(DEEP, fee_on_y=True).decoded()
    for mint in (MINT_X, MINT_Y):
        quote = VENUE.quote(pool, Swap(mint, SwapMode.EXACT_IN, 10**6), CLOCK)
        assert {fee.mint for fee in quote.fees} == {MINT_Y}


def test_fee_parts_add_up_to_the_whole_fee() -> None:
    pool = replace(DEEP, transfer_fee_y=(100, 10**9)).decoded()
    quote = VENUE.quote(pool, Swap(MINT_Y, SwapMode.EXACT_IN, 1_000_000), CLOCK)
    parts = {fee.kind: fee.amount for fee in quote.fees}
    assert parts == {FeeKind.TRANSFER_IN: 10_000, FeeKind.LP: 941, FeeKind.PROTOCOL: 49}


def test_limit_orders_share_their_fee_half_and_half_with_the_protocol() -> None:
    assert protocol_part(100, 0, 50, 500) == 50
    assert protocol_part(100, 50, 50, 500) == 5
    assert protocol_part(101, 25, 50, 1_000) == 25 + 5
    assert protocol_part(0, 1, 1, 500) == protocol_part(5, 0, 0, 500) == 0


def test_an_array_whose_last_order_is_filled_leaves_the_bitmap_unless_it_has_shares() -> None:
    for shares, left in ((0, False), (1, True)):
        bins = {0: MadeBin(y=1_000), -1: MadeBin(open=1_000, shares=shares), -71: MadeBin(y=1_000)}
        _, after = VENUE.apply(MadePool(bins=bins).decoded(), Swap(MINT_X, SwapMode.EXACT_OUT, 2_500), CLOCK)
        assert (-1 in after.arrays) is left
        assert bool(after.bitmap >> (6_656 - 1) & 1) is left
