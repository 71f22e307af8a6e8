"""Keyed randomness and reference prices."""

from __future__ import annotations

import statistics
from itertools import pairwise
from math import log, sqrt
from statistics import fmean, pstdev

import pytest
from solders.hash import Hash

from fillwright.paper.default_market import reference_prices
from fillwright.paper.prices import BLOCK_STEPS, ERA_BLOCKS, ReferencePrice
from fillwright.paper.streams import draw, stream
from fillwright.paper.world import Genesis, first_clock
from paper.manual_clock import START_MS
from paper.worlds import BONK, RAY, SOL, USDC

SLOT_MS = 400


def price(name: str = "one", seed: int = 1, volatility: float = 1.0) -> ReferencePrice:
    return ReferencePrice(seed=seed, token=name, base_price=150.0, volatility=volatility, slot_ms=SLOT_MS)


def test_a_draw_depends_on_its_key_alone() -> None:
    first = [draw(1, "entity", counter) for counter in range(100)]
    assert [draw(1, "entity", counter) for counter in reversed(range(100))] == first[::-1]
    assert len(set(first)) == 100
    assert all(0 <= number < 1 for number in first)
    assert 0.4 < fmean(first) < 0.6
    assert draw(2, "entity", 0) != first[0] != draw(1, "other", 0)
    assert stream(1, "entity", 5).random() == stream(1, "entity", 5).random()


def test_keys_do_not_run_into_each_other() -> None:
    assert draw(1, "ab", "c") != draw(1, "a", "bc")
    assert draw(11, "x") != draw(1, "1x")


def test_a_price_is_a_function_of_seed_token_and_step() -> None:
    steps = [0, 1, 255, 256, 1_000_000, 30_000_000, 7]
    ahead, back = price(), price()
    assert [ahead.log_price(step) for step in steps] == [back.log_price(step) for step in reversed(steps)][::-1]
    assert price(seed=2).log_price(0) != ahead.log_price(0) != price("other").log_price(0)


def test_a_path_is_continuous_across_blocks_and_eras() -> None:
    one = price()
    spread = sqrt(SLOT_MS / (365 * 24 * 3_600_000))
    for border in (BLOCK_STEPS, 7 * BLOCK_STEPS, ERA_BLOCKS * BLOCK_STEPS, 2 * ERA_BLOCKS * BLOCK_STEPS):
        moves = [abs(one.log_price(step + 1) - one.log_price(step)) for step in range(border - 3, border + 3)]
        assert max(moves) < 20 * spread


def test_volatility_is_as_set_and_a_price_stays_within_reach_of_its_base() -> None:
    one = price(volatility=0.8)
    steps = [one.log_price(step) for step in range(60_000)]
    moves = sorted(later - earlier for earlier, later in pairwise(steps))
    # Jumps apart: they are a handful among 60,000 steps.
    annual = pstdev(moves[30:-30]) / sqrt(SLOT_MS / (365 * 24 * 3_600_000))
    assert 0.4 < annual < 1.6
    far = [one.log_price(step) - log(150.0) for step in range(0, 100_000_000, 1_000_003)]
    assert 0.005 < pstdev(far) < 0.2
    assert max(map(abs, far)) < 0.5


def test_jumps_happen_and_stay() -> None:
    one = price(volatility=1.0)
    jumps = []
    for block in range(400):
        path = [one.log_price(block * BLOCK_STEPS + offset) for offset in range(BLOCK_STEPS)]
        jumps += [
            (block, offset, later - earlier)
            for offset, (earlier, later) in enumerate(pairwise(path))
            if abs(later - earlier) > 0.004
        ]
    assert 1 <= len(jumps) <= 12
    block, offset, jump = max(jumps, key=lambda found: abs(found[2]))
    at = block * BLOCK_STEPS + offset
    stayed = one.log_price(at + 20) - one.log_price(at)
    assert abs(stayed - jump) < abs(jump) / 2


def test_a_token_without_volatility_never_moves() -> None:
    still = price(volatility=0.0)
    assert {still.log_price(step) for step in (0, 1, 10**9)} == {log(150.0)}


def test_a_blockhash_gives_its_slot_back_in_its_own_world_only() -> None:
    world = Genesis(1, START_MS, SLOT_MS, first_clock(START_MS), "test")
    other = Genesis(2, START_MS, SLOT_MS, first_clock(START_MS), "test")
    raw = bytes(Hash.from_string(world.blockhash(300_000_123).value))
    assert world.slot_of(raw) == 300_000_123
    assert other.slot_of(raw) is None
    assert world.slot_of(bytes(32)) is None


def test_slots_epochs_and_seconds_follow_wall_time() -> None:
    world = Genesis(1, START_MS, SLOT_MS, first_clock(START_MS), "test")
    first = world.first
    assert world.slot_at(START_MS - 5) == world.slot_at(START_MS + 399) == first.slot
    assert world.slot_at(START_MS + 400) == first.slot + 1
    later = world.clock_at(first.slot + 432_000)
    assert later.epoch == first.epoch + 1
    assert later.unix_timestamp == first.unix_timestamp + 172_800
    assert world.start_ms(first.slot + 5) == START_MS + 2_000


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_tokens_move_together_as_far_as_they_are_told_to(correlation: float) -> None:
    prices = reference_prices(Genesis(3, START_MS, SLOT_MS, first_clock(START_MS), "test"), 1.0, correlation)
    moving = [prices[mint] for mint in (SOL, RAY, BONK)]
    still = prices[USDC]
    assert still.log_price(0) == still.log_price(10_000_000)
    # Ends of blocks: within one, paths are bridged between them.
    steps = range(0, 400 * BLOCK_STEPS, BLOCK_STEPS)
    moves = [
        [later - earlier for earlier, later in pairwise(price.log_price(step) for step in steps)] for price in moving
    ]
    # Jumps are rare and large: what remains of them after cutting is small beside the rest.
    cut = [[max(-0.02, min(0.02, move)) for move in row] for row in moves]
    found = [statistics.correlation(cut[0], cut[1]), statistics.correlation(cut[0], cut[2])]
    assert all(abs(one - correlation) < 0.25 for one in found), found
