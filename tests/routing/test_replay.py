"""A stored decision taken again is the same decision."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import msgspec
import pytest

from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import StoreError
from fillwright.domain.routes import limit_after_slippage
from fillwright.paper.generator import coins, market
from fillwright.routing.largest import decide_order
from fillwright.routing.mid import mid_ratio
from fillwright.routing.replay import decide_recorded, replay
from fillwright.routing.route import Router
from routing.cases import FREE, amount_of, direct_market, order, tabled
from routing.cases import HELD as PAIR

SNAPSHOT = market(12, 250)
HELD = coins(12, 25)
TABLED = tabled(SNAPSHOT)


@pytest.mark.parametrize("seed", range(12))
def test_a_replay_is_the_decision(seed: int) -> None:
    draw = Random(seed)
    source, target = draw.sample(HELD[:12], 2)
    mode = draw.choice(tuple(SwapMode))
    spec = order(source.mint, target.mint, amount_of(source, 10 ** draw.uniform(0, 5)), mode)
    decision, stored = decide_recorded(Router(), spec, SNAPSHOT)
    assert replay(spec, stored) == decision


@pytest.mark.parametrize("seed", range(6))
def test_a_replay_knows_the_lookup_tables_of_its_decision_and_no_more_of_them(seed: int) -> None:
    draw, legs = Random(f"tables/{seed}"), 0
    for _ in range(4):
        source, target = draw.sample(HELD[:12], 2)
        spec = order(source.mint, target.mint, amount_of(source, 10 ** draw.uniform(2, 6)))
        decision, stored = decide_recorded(Router(), spec, SNAPSHOT, TABLED)
        assert replay(spec, stored) == decision
        assert decision.route == Router().decide(spec, SNAPSHOT, TABLED).route
        assert [table.address for table in decision.terms.lookup_tables] == ["a table"]
        assert len(decision.terms.lookup_tables[0].held) * 4 < len(TABLED.lookup_tables[0].held)
        assert decide_recorded(Router(), spec, SNAPSHOT, TABLED)[1] == stored
        legs = max(legs, len(decision.route.legs) if decision.route else 0)
    assert legs > 1


@pytest.mark.parametrize("below_bps", [30, 200, -50])
def test_a_partial_fill_is_replayed_at_its_size(below_bps: int) -> None:
    market = direct_market(21, 6)
    spec = order(PAIR[0].mint, PAIR[1].mint, amount_of(PAIR[0], 500_000))
    mid = mid_ratio(spec, market)
    assert mid is not None
    cut = msgspec.structs.replace(spec, fill_to=str(mid * (10_000 - below_bps) / 10_000))
    decision, stored = decide_recorded(Router(), cut, market, FREE)
    assert decision == decide_order(Router(), cut, market, FREE)
    assert replay(cut, stored) == decision
    if below_bps < 0:
        assert decision.route is None
        assert decision.problem is not None
        assert decision.problem.code == "limit_not_met"
        return
    route = decision.route
    assert route is not None
    assert 0 < route.amount_in < spec.amount
    least = -(-route.amount_in * Fraction(cut.fill_to).numerator // Fraction(cut.fill_to).denominator)
    assert least <= route.limit <= route.amount_out


def test_the_bound_of_a_partial_fill_keeps_the_tolerance_where_it_is_stricter() -> None:
    market = direct_market(21, 6)
    spec = order(PAIR[0].mint, PAIR[1].mint, amount_of(PAIR[0], 10), fill_to="1/1000000", slippage_bps=30)
    route = decide_order(Router(), spec, market, FREE).route
    assert route is not None
    assert route.amount_in == spec.amount
    assert route.limit == limit_after_slippage(SwapMode.EXACT_IN, route.amount_out, 30)


@pytest.mark.parametrize("stored", [b"", b"no record", b"\x80", b"\x81\xa7version\x02"])
def test_other_bytes_are_refused(stored: bytes) -> None:
    with pytest.raises(StoreError) as refused:
        replay(order(HELD[0].mint, HELD[1].mint, 1), stored)
    assert refused.value.code == "store_record_unreadable"
