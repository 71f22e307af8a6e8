"""Every golden vector of the venue comes out as the real program executed it."""

from pathlib import Path

import pytest
from tests.venues.raydium_clmm.onchain import OWN, SHARED, THIRD_PARTY_POOL, pool_accounts

from fillwright.venues.vectors import Outcome, check_line, parse_line


def mismatches(path: Path) -> list[str]:
    lines = [parse_line(line) for line in path.read_bytes().splitlines()]
    assert lines
    return [
        f"{verdict.case}: {verdict.detail}"
        for line in lines
        for verdict in check_line(pool_accounts(line.pool), line)
        if verdict.outcome is Outcome.MISMATCH
    ]


@pytest.mark.parametrize("path", sorted((OWN / "vectors" / "raydium_clmm").glob("*.jsonl")), ids=lambda path: path.name)
def test_a_quote_equals_the_executed_swap(path: Path) -> None:
    assert mismatches(path) == []


@pytest.mark.parametrize("name", [f"{THIRD_PARTY_POOL}.jsonl", f"{THIRD_PARTY_POOL}.seq.jsonl"])
def test_a_quote_equals_the_executed_swap_in_a_third_party_pool(name: str) -> None:
    path = SHARED / "vectors" / "raydium_clmm" / name
    if not path.is_file():
        pytest.skip(f"{name} is not below FILLWRIGHT_SHARED")
    assert mismatches(path) == []
