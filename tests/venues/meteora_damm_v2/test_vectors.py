"""Swaps that the real program executed, against the venue: every case and every sequence, to the unit."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.venues.meteora_damm_v2.onchain import SHARED, SHARED_IS_ABSENT, pool_accounts, vector_files

from fillwright.venues.vectors import Outcome, check_line, parse_line


@pytest.mark.parametrize("path", vector_files(), ids=lambda path: path.stem)
def test_quotes_equal_the_programs_to_the_unit(path: Path) -> None:
    verdicts = [
        verdict
        for line in map(parse_line, path.read_bytes().splitlines())
        for verdict in check_line(pool_accounts(line.pool), line)
    ]
    mismatches = [f"{v.case.mode} {v.case.amount}: {v.detail}" for v in verdicts if v.outcome is Outcome.MISMATCH]
    assert verdicts
    assert mismatches == []


@pytest.mark.skipif(not SHARED.is_dir(), reason=SHARED_IS_ABSENT)
def test_third_party_pools_are_covered_too() -> None:
    assert any(path.is_relative_to(SHARED) for path in vector_files())
