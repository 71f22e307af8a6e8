"""Swaps executed by the deployed program's bytecode: every amount must agree to the unit."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.venues.meteora_dlmm.onchain_data import pool_accounts, pool_folder, vector_files

from fillwright.venues.vectors import Outcome, check_line, parse_line


@pytest.mark.parametrize("path", vector_files(), ids=lambda path: path.name)
def test_every_recorded_swap_is_quoted_to_the_unit(path: Path) -> None:
    lines = [parse_line(raw) for raw in path.read_bytes().splitlines()]
    if any(pool_folder(line.pool) is None for line in lines):
        pytest.skip("this pool's accounts are others' and lie in ../shared only")
    verdicts = [verdict for line in lines for verdict in check_line(pool_accounts(line.pool), line)]
    assert [v for v in verdicts if v.outcome is Outcome.MISMATCH] == []
    assert verdicts
