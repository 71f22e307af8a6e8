"""The drift sentinel: what quarantines a pool, and what lets it go."""

from __future__ import annotations

import pytest

from fillwright.domain.accounts import Address, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.market.drift import DriftPolicy, DriftSentinel
from fillwright.venues.venue import Swap

POOL = Address("pool")
SWAP = Swap(Mint("m"), SwapMode.EXACT_IN, 5)


def quarantined(policy: DriftPolicy) -> DriftSentinel:
    sentinel = DriftSentinel(policy)
    for _ in range(policy.strikes):
        sentinel.observe(POOL, predicted=1_000, actual=900, source="a simulation")
    sentinel.suspect(POOL, SWAP)
    assert sentinel.quarantined[POOL].swap == SWAP
    return sentinel


def test_checks_in_a_row_that_agree_release_a_pool() -> None:
    sentinel = quarantined(DriftPolicy(release_after=3))
    assert not sentinel.checked(POOL, predicted=1_000, actual=1_000)
    assert not sentinel.checked(POOL, predicted=1_000, actual=1_000)
    assert "2 checks in a row have agreed since" in sentinel.quarantined[POOL].detail
    assert not sentinel.checked(POOL, predicted=1_000, actual=950)
    assert sentinel.quarantined[POOL].detail == "a check gave 950 where 1000 was predicted"
    assert [sentinel.checked(POOL, predicted=1_000, actual=1_000) for _ in range(3)] == [False, False, True]
    assert not sentinel.quarantined
    assert not sentinel.checked(POOL, predicted=1_000, actual=1_000)


def test_a_released_pool_has_a_clean_record_and_is_quarantined_anew() -> None:
    sentinel = quarantined(DriftPolicy(strikes=2, release_after=1))
    assert sentinel.checked(POOL, predicted=1_000, actual=1_000)
    assert sentinel.observe(POOL, predicted=1_000, actual=900, source="x") is None
    assert sentinel.observe(POOL, predicted=1_000, actual=900, source="x") is not None
    assert sentinel.release(POOL)
    assert not sentinel.release(POOL)


def test_without_automatic_release_checks_only_count() -> None:
    sentinel = quarantined(DriftPolicy(release_after=0))
    assert not any(sentinel.checked(POOL, predicted=1_000, actual=1_000) for _ in range(50))
    assert sentinel.quarantined[POOL].agreed == 50


@pytest.mark.parametrize("change", ["suspect", "checked", "release"])
def test_whatever_changes_the_quarantine_changes_its_version(change: str) -> None:
    sentinel = quarantined(DriftPolicy())
    before = sentinel.version
    if change == "suspect":
        sentinel.suspect(POOL, SWAP)
    elif change == "checked":
        sentinel.checked(POOL, predicted=1, actual=1)
    else:
        sentinel.release(POOL)
    assert sentinel.version > before


def test_what_is_not_quarantined_is_not_suspected() -> None:
    sentinel = DriftSentinel()
    sentinel.suspect(POOL, SWAP)
    assert not sentinel.quarantined
