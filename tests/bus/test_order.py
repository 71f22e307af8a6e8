"""Batches come out in the order of their sequence."""

from __future__ import annotations

import random

from bus.conformance import events as batch
from fillwright.bus.order import MAX_HELD, InSequence


def test_any_order_of_arrival_becomes_the_order_of_sequence() -> None:
    batches = [batch(first, first + 3) for first in range(1, 401, 4)]
    for seed in range(20):
        line = InSequence()
        line.take(batches[0])
        arriving = batches[1:]
        random.Random(seed).shuffle(arriving)
        found = [event.sequence for one in arriving for out in line.take(one) for event in out]
        assert found == list(range(5, 401))
        assert not line.waits


def test_a_hole_holds_back_until_it_is_given_up() -> None:
    line = InSequence()
    assert line.take(batch(1, 2)) == [batch(1, 2)]
    assert line.take(batch(5, 6)) == []
    assert line.waits
    assert line.release() == [batch(5, 6)]
    assert line.take(batch(3, 4)) == []
    assert line.take(batch(7, 7)) == [batch(7, 7)]


def test_what_is_held_is_bounded() -> None:
    line = InSequence()
    line.take(batch(1, 1))
    out = [one for n in range(MAX_HELD + 1) for one in line.take(batch(10 + n, 10 + n))]
    assert len(out) == MAX_HELD + 1
