"""A stored decision taken again is the same decision."""

from __future__ import annotations

from random import Random

import pytest

from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import StoreError
from fillwright.paper.generator import coins, market
from fillwright.routing.replay import decide_recorded, replay
from fillwright.routing.route import Router
from routing.cases import amount_of, order

SNAPSHOT = market(12, 250)
HELD = coins(12, 25)


@pytest.mark.parametrize("seed", range(12))
def test_a_replay_is_the_decision(seed: int) -> None:
    draw = Random(seed)
    source, target = draw.sample(HELD[:12], 2)
    mode = draw.choice(tuple(SwapMode))
    spec = order(source.mint, target.mint, amount_of(source, 10 ** draw.uniform(0, 5)), mode)
    decision, stored = decide_recorded(Router(), spec, SNAPSHOT)
    assert replay(spec, stored) == decision


@pytest.mark.parametrize("stored", [b"", b"no record", b"x\x9c\x03\x00\x00\x00\x00\x01"])
def test_other_bytes_are_refused(stored: bytes) -> None:
    with pytest.raises(StoreError) as refused:
        replay(order(HELD[0].mint, HELD[1].mint, 1), stored)
    assert refused.value.code == "store_record_unreadable"
