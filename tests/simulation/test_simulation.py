"""Seeded runs of the whole engine, and the proof that they would notice a bug."""

from __future__ import annotations

import os

import pytest

from simulation.mutants import MUTANTS, Mutant
from simulation.world import simulate

SEEDS = int(os.environ.get("FILLWRIGHT_SEEDS", "500"))
FIRST_SEED = int(os.environ.get("FILLWRIGHT_FIRST_SEED", "0"))
CHUNK = 50
MUTANT_SEEDS = 1_000
TOLD = (17105, 39411, 44312, 57865, 123665, 127045, 147282)
"""Seeds beyond those of every run that have found something once."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("start", range(FIRST_SEED, FIRST_SEED + SEEDS, CHUNK))
def test_no_invariant_breaks_under_seeded_faults(start: int) -> None:
    end = min(start + CHUNK, FIRST_SEED + SEEDS)
    broken = {seed: found for seed in range(start, end) if (found := simulate(seed).violations)}
    assert not broken


@pytest.mark.parametrize("seed", TOLD)
def test_a_seed_that_has_told_of_a_defect_stays_mended(seed: int) -> None:
    assert simulate(seed).violations == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_known_bug_is_caught(mutant: Mutant) -> None:
    assert any(simulate(seed, mutant).violations for seed in range(MUTANT_SEEDS))


def test_the_same_seed_gives_the_same_event_log() -> None:
    assert simulate(7) == simulate(7)


def test_orders_are_filled_in_spite_of_the_faults() -> None:
    statuses = [simulate(seed).statuses.get("confirmed", 0) for seed in range(10)]
    assert sum(statuses) >= 30
