"""A paper world outlives its process: what was answered before a kill is there afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fillwright.domain.errors import AlreadyProcessed, ConfigError
from fillwright.domain.transactions import RevertReason
from fillwright.paper.ledger import LedgerReader
from paper.manual_clock import START_MS, ManualClock
from paper.worlds import OWNER, QUICK, STILL, open_world

ROOT = Path(__file__).resolve().parents[2]
HOUR_MS = 3_600_000

CHILD = """
import asyncio, sys
from pathlib import Path
from paper.worlds import QUICK, open_world

async def main() -> None:
    async with open_world(Path(sys.argv[1]), **QUICK) as world:
        for order in range(100_000):
            signed = await world.send(world.plan(order, amount=1_000_000))
            landed = await world.landed(signed)
            print(signed.signature, landed.slot, landed.amount_out, flush=True)

asyncio.run(main())
"""


def test_a_reopened_world_goes_on_where_it_was(tmp_path: Path) -> None:
    async def test() -> None:
        async with open_world(tmp_path, clock=ManualClock(), **STILL) as world:
            signed = await world.send(world.plan())
            landed = await world.landed(signed)
            pools, balances = dict(world.snapshot.pools), world.chain.reader.balances(OWNER)
        async with open_world(tmp_path, clock=ManualClock(START_MS + 10_000), **STILL) as world:
            assert dict(world.snapshot.pools) == pools
            assert world.snapshot.slot == landed.slot + 25
            assert world.chain.reader.balances(OWNER) == balances
            assert await world.chain.transaction(signed.signature) == landed
            with pytest.raises(AlreadyProcessed):
                await world.chain.send(signed.raw)
            assert (await world.land(world.plan(attempt=2))).revert == RevertReason.MARKER_EXISTS

    asyncio.run(test())


def test_a_transaction_that_was_under_way_is_lost_and_can_be_sent_again(tmp_path: Path) -> None:
    delayed: dict[str, Any] = {
        **STILL,
        "paper_execution_delay_min_ms": 2_000,
        "paper_execution_delay_max_ms": 2_000,
    }

    async def test() -> None:
        async with open_world(tmp_path, clock=ManualClock(), **delayed) as world:
            signed = await world.send(world.plan())
        clock = ManualClock(START_MS + 5_000)
        async with open_world(tmp_path, clock=clock, **delayed) as world:
            assert await world.chain.status(signed.signature, True) is None
            await world.chain.send(signed.raw)
            await clock.advance(2_000)
            assert (await world.landed(signed)).revert == ""

    asyncio.run(test())


def test_a_reopened_market_is_where_it_would_be_had_it_never_stopped(tmp_path: Path) -> None:
    async def test() -> None:
        unbroken = ManualClock()
        async with open_world(tmp_path / "unbroken", clock=unbroken, **QUICK) as world:
            for step in range(6):
                await world.land(world.plan(step))
                await unbroken.advance(40_000)
            expected = world.snapshot
        for step in range(6):
            clock = ManualClock(START_MS + step * 40_000)
            async with open_world(tmp_path / "broken", clock=clock, **QUICK) as world:
                await world.land(world.plan(step))
        async with open_world(tmp_path / "broken", clock=ManualClock(START_MS + 240_000), **QUICK) as world:
            assert world.snapshot == expected

    asyncio.run(test())


def test_a_clock_set_back_does_not_take_the_world_back(tmp_path: Path) -> None:
    async def test() -> None:
        async with open_world(tmp_path, clock=ManualClock(START_MS), **STILL) as world:
            clock = world.clock
            assert isinstance(clock, ManualClock)
            await clock.advance(HOUR_MS)
            landed = await world.land(world.plan())
        clock = ManualClock(START_MS - HOUR_MS)
        async with open_world(tmp_path, clock=clock, **STILL) as world:
            assert world.snapshot.slot >= landed.slot
            slot = world.snapshot.slot
            await clock.advance(4_000)
            assert world.snapshot.slot == slot + 10

    asyncio.run(test())


@pytest.mark.parametrize("changed", [{"paper_seed": 2}, {"paper_slot_ms": 200}])
def test_settings_that_contradict_the_world_are_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    async def test() -> None:
        async with open_world(tmp_path, **STILL):
            pass
        with pytest.raises(ConfigError, match="FILLWRIGHT_DATA_DIR"):
            async with open_world(tmp_path, **{**STILL, **changed}):
                pass
        async with open_world(tmp_path, **STILL):
            pass

    asyncio.run(test())


def test_a_second_process_on_the_same_ledger_is_refused(tmp_path: Path) -> None:
    async def test() -> None:
        async with open_world(tmp_path, **STILL):
            with pytest.raises(ConfigError, match="in use"):
                async with open_world(tmp_path, **STILL):
                    pass

    asyncio.run(test())


@pytest.mark.parametrize("answers", [1, 40, 150])
def test_everything_answered_before_a_kill_is_there_afterwards(tmp_path: Path, answers: int) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests")))}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, env=environment, cwd=ROOT, text=True
    )
    with child:
        assert child.stdout is not None
        told = [child.stdout.readline().split() for _ in range(answers)]
        child.send_signal(signal.SIGKILL)
        told += [line.split() for line in child.stdout if line.endswith("\n")]
    assert child.returncode == -signal.SIGKILL

    async def test() -> None:
        async with open_world(tmp_path, clock=ManualClock(START_MS + 1_000), **QUICK) as world:
            for signature, slot, amount_out in told:
                landed = await world.chain.transaction(signature)
                assert landed is not None
                assert (landed.slot, landed.amount_out) == (int(slot), int(amount_out))
            entries = list(world.chain.reader.entries())
            moved = world.chain.reader.balances(OWNER)
            assert len(entries) >= len(told)
            for order in {entry.order_id for entry in entries}:
                assert sum(not entry.revert for entry in world.chain.reader.landed_by_order(order)) == 1
            bought = sum(entry.amount_out for entry in entries)
            assert moved[entries[0].output_mint].units - moved[entries[0].output_mint].initial == bought

    asyncio.run(test())


def test_the_ledger_can_be_read_beside_a_running_chain(tmp_path: Path) -> None:
    async def test() -> None:
        async with open_world(tmp_path, **STILL) as world:
            landed = await world.land(world.plan())
            reader = LedgerReader(tmp_path / "paper-chain.db")
            try:
                (entry,) = reader.entries()
            finally:
                reader.close()
            assert entry.signature == landed.signature

    asyncio.run(test())
