"""Every golden vector of the venue comes out as the real program executed it."""

from pathlib import Path

import msgspec
import pytest
from tests.venues.raydium_data import OWN, mismatches, own_vectors, pool_accounts, shared_vectors

from fillwright.domain.errors import QuoteRefused
from fillwright.venues import vectors
from fillwright.venues.raydium_amm_v4 import VENUE

SOL_USDC = "SOL-USDC_58oQCh_433179580"


@pytest.mark.parametrize("path", own_vectors("raydium_amm_v4"), ids=lambda path: path.name)
def test_a_quote_equals_the_executed_swap(path: Path) -> None:
    assert mismatches(path) == []


@pytest.mark.parametrize("name", [f"{SOL_USDC}.jsonl", f"{SOL_USDC}.seq.jsonl"])
def test_a_quote_equals_the_executed_swap_in_a_third_party_pool(name: str) -> None:
    assert mismatches(shared_vectors("raydium_amm_v4", name)) == []


def test_dust_is_rounded_as_the_current_source_does() -> None:
    path = OWN / "vectors" / "raydium_amm_v4" / "SYN_legacy_rounding.jsonl"
    for raw in path.read_bytes().splitlines():
        line = vectors.parse_line(raw)
        accounts = vectors.mutate(pool_accounts(line.pool), line.mutations)
        pool = VENUE.decode(vectors.pool_in(accounts)[1], accounts)
        (case,) = line.cases
        try:
            quote = VENUE.quote(pool, case.swap, case.clock)
            amounts = {"amount_in": quote.amount_in, "amount_out": quote.amount_out}
        except QuoteRefused:
            amounts = {"amount_in": 0, "amount_out": 0}
        assert amounts == msgspec.json.decode(raw)["current_source_would_give"]
