"""Every golden vector of the venue comes out as the real programs executed it."""

from pathlib import Path

import pytest
from tests.venues.meteora_damm_v1.pools import OWN, SHARED, THIRD_PARTY_POOL, accounts_of

from fillwright.venues import vectors


def _mismatches(path: Path) -> list[str]:
    found = []
    for number, raw in enumerate(path.read_bytes().splitlines(), 1):
        line = vectors.parse_line(raw)
        accounts = accounts_of(line.pool.partition("/")[2])
        found += [
            f"{path.name}:{number} {verdict.case}: {verdict.detail}"
            for verdict in vectors.check_line(accounts, line)
            if verdict.outcome is vectors.Outcome.MISMATCH
        ]
    return found


@pytest.mark.parametrize(
    "path", sorted((OWN / "vectors" / "meteora_damm_v1").glob("*.jsonl")), ids=lambda path: path.name
)
def test_a_quote_equals_the_executed_swap(path: Path) -> None:
    assert _mismatches(path) == []


@pytest.mark.parametrize("name", [f"{THIRD_PARTY_POOL}.jsonl", f"{THIRD_PARTY_POOL}.seq.jsonl"])
def test_a_quote_equals_the_executed_swap_in_a_third_party_pool(name: str) -> None:
    path = SHARED / "vectors" / "meteora_damm_v1" / name
    if not path.is_file():
        pytest.skip(f"{name} is not below FILLWRIGHT_SHARED")
    assert _mismatches(path) == []
