"""Every golden vector of the venue comes out as the real program executed it."""

from pathlib import Path

import pytest
from tests.venues.raydium_data import mismatches, own_vectors, shared_vectors


@pytest.mark.parametrize("path", own_vectors("raydium_cpmm"), ids=lambda path: path.name)
def test_a_quote_equals_the_executed_swap(path: Path) -> None:
    assert mismatches(path) == []


@pytest.mark.parametrize("name", ["PUMP-T22FEE_AXTq4J.jsonl", "PUMP-T22FEE_AXTq4J.seq.jsonl", "calculator.jsonl"])
def test_a_quote_equals_the_executed_swap_in_a_third_party_pool(name: str) -> None:
    assert mismatches(shared_vectors("raydium_cpmm", name)) == []
