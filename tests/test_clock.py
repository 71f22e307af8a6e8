"""The real clock and real identifiers, and the clock that tests move by hand."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.clock import START_MS, ManualClock
from fillwright.clock import SystemClock, SystemIds


def test_the_system_clock_tells_the_machines_time() -> None:
    clock = SystemClock()
    before, now_ms, after = time.time_ns(), clock.now_ms(), time.time_ns()
    assert before - 500_000 <= now_ms * 1_000_000 <= after + 500_000, "the nearest millisecond"
    first = clock.monotonic_s()
    asyncio.run(clock.sleep(0.001))
    assert clock.monotonic_s() >= first + 0.001
    asyncio.run(clock.sleep(-1))


@given(st.lists(st.integers(0, 2**48 - 1), min_size=1, max_size=50))
def test_ids_are_uuid7_and_ascend_whatever_the_wall_clock_says(times: list[int]) -> None:
    ids = SystemIds()
    made = [ids.order_id(now_ms) for now_ms in times]
    assert made == sorted(set(made))
    for made_id in made:
        parsed = uuid.UUID(made_id)
        assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, made_id)


def test_an_id_begins_with_its_time() -> None:
    assert uuid.UUID(SystemIds().order_id(START_MS)).int >> 80 == START_MS


def test_ids_of_one_millisecond_are_many_and_differ_between_processes() -> None:
    ids = SystemIds()
    made = [ids.order_id(START_MS) for _ in range(20_000)]
    assert made == sorted(set(made))
    assert uuid.UUID(made[-1]).int >> 80 == START_MS
    assert SystemIds().order_id(START_MS) != SystemIds().order_id(START_MS)


@pytest.mark.parametrize("now_ms", [-1, 2**48])
def test_a_time_that_no_uuid7_can_say_is_refused(now_ms: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        SystemIds().order_id(now_ms)


async def _wakings() -> list[tuple[str, float]]:
    clock = ManualClock()
    seen: list[tuple[str, float]] = []

    async def every(name: str, seconds: float, times: int) -> None:
        for _ in range(times):
            await clock.sleep(seconds)
            seen.append((name, clock.monotonic_s()))

    tasks = [asyncio.create_task(every("a", 2, 3)), asyncio.create_task(every("b", 3, 2))]
    await clock.advance(5)
    assert clock.sleepers == 2
    assert clock.now_ms() == START_MS + 5_000
    await clock.advance(1)
    await asyncio.gather(*tasks)
    assert clock.sleepers == 0
    return seen


def test_the_manual_clock_wakes_sleepers_in_time_order_as_it_advances() -> None:
    seen = asyncio.run(_wakings())
    assert seen[:3] == [("a", 2.0), ("b", 3.0), ("a", 4.0)]
    assert sorted(seen[3:]) == [("a", 6.0), ("b", 6.0)]
