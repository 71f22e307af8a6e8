"""The marker sweep: only orders of which nothing can land any more, each once, and none forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from fakes.clock import ManualClock
from fakes.orders import ROUTED, attempt_of, built, fill_of, new_order, step
from fillwright.domain.errors import ChainError
from fillwright.domain.orders import (
    Attempt,
    AttemptStatus,
    Confirmed,
    Order,
    OrderError,
    Retrying,
    Submitted,
)
from fillwright.domain.transactions import Commitment
from fillwright.execution.sweeper import MarkerSweeper
from fillwright.store.sqlite import SqliteStore

EXPIRED_HEIGHT = 251
"""The first finalized height at which nothing of `attempt_of` can land any more."""


class FakeChain:
    def __init__(self) -> None:
        self.height = 0

    async def block_height(self, commitment: Commitment) -> int:
        assert commitment is Commitment.FINALIZED
        return self.height


class FakeRents:
    """Markers that stand until they are given back. `deaf`: sweeps that are not seen to land."""

    batch = 2

    def __init__(self) -> None:
        self.stands: dict[str, int] = {}
        self.sweeps: list[list[str]] = []
        self.deaf = False

    async def standing(self, seeds: Sequence[str]) -> list[tuple[str, int]]:
        return [(seed, self.stands[seed]) for seed in seeds if seed in self.stands]

    async def give_back(self, markers: Sequence[tuple[str, int]]) -> bool:
        self.sweeps.append([seed for seed, _ in markers])
        if self.deaf:
            return False
        for seed, _ in markers:
            del self.stands[seed]
        return True


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.store = SqliteStore(folder / "fillwright.db", self.clock)
        self.chain, self.rents = FakeChain(), FakeRents()
        self.cursor = folder / "marker-sweep"

    def sweeper(self) -> MarkerSweeper:
        return MarkerSweeper(
            store=self.store, chain=self.chain, rents=self.rents, clock=self.clock, every_s=60.0, cursor=self.cursor
        )  # type: ignore[arg-type]

    async def order(self, number: int, *, retried: bool = False, confirmed: bool = True, marker: bool = True) -> Order:
        """An order that has come as far as asked for; each of its attempts expires one block later."""
        lease = await self.store.register("w")
        order, event = new_order(number)
        await self.store.insert(order, event)
        (order,) = await self.store.claim(lease, self.clock.now_ms(), 1)
        number = 0

        async def write(change: object) -> Order:
            await self.store.change(change)  # type: ignore[arg-type]
            return change.order  # type: ignore[attr-defined, no-any-return]

        async def sent(order: Order, number: int) -> tuple[Order, Attempt]:
            attempt = replace(attempt_of(order, number), last_valid_block_height=249 + number)
            attempt = replace(attempt, marker_seed=order.id.replace("-", "") if marker else "")
            order = await write(step(order, ROUTED, lease))
            order = await write(step(order, built(attempt), lease, attempt=attempt))
            attempt = replace(attempt, status=AttemptStatus.SENT)
            return await write(step(order, Submitted(number, attempt.signature), lease, attempt=attempt)), attempt

        order, attempt = await sent(order, 1)
        if retried:
            error = OrderError("program_error", "")
            closed = replace(attempt, status=AttemptStatus.REVERTED, error=error)
            order = await write(step(order, Retrying(1, error, 0), lease, attempt=closed))
            order, attempt = await sent(order, 2)
        if confirmed:
            fill = fill_of(attempt)
            landed = replace(attempt, status=AttemptStatus.LANDED, slot=250)
            order = await write(step(order, Confirmed(fill), lease, attempt=landed, fill=fill, release=True))
        if marker:
            self.rents.stands[attempt.marker_seed] = 890_880
        return order


def run(folder: Path, body: object) -> None:
    async def main() -> None:
        world = World(folder)
        await world.store.open(lambda _: None)
        try:
            await body(world)  # type: ignore[operator]
        finally:
            await world.store.close()

    asyncio.run(main())


def test_a_marker_goes_only_when_every_attempt_has_expired_at_finalized(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        await world.order(1, retried=True)
        sweeper = world.sweeper()
        for height in (0, EXPIRED_HEIGHT - 1, EXPIRED_HEIGHT):
            world.chain.height = height
            assert await sweeper.turn() == 0
        world.chain.height = EXPIRED_HEIGHT + 1
        assert await sweeper.turn() == 1
        assert await sweeper.turn() == 0
        assert len(world.rents.sweeps) == 1

    run(tmp_path, body)


def test_orders_that_are_not_confirmed_or_have_no_marker_are_left_alone(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        await world.order(1, confirmed=False)
        await world.order(2, marker=False)
        world.chain.height = EXPIRED_HEIGHT + 100
        assert await world.sweeper().turn() == 0
        assert world.rents.sweeps == []
        assert len(world.rents.stands) == 1

    run(tmp_path, body)


def test_many_markers_go_in_batches_and_a_sweep_that_was_not_seen_comes_again(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        for number in range(1, 6):
            await world.order(number)
        world.chain.height = EXPIRED_HEIGHT
        sweeper = world.sweeper()
        world.rents.deaf = True
        assert await sweeper.turn() == 0
        world.rents.deaf = False
        assert await sweeper.turn() == 5
        assert [len(sweep) for sweep in world.rents.sweeps] == [2, 2, 1] * 2

    run(tmp_path, body)


def test_after_a_restart_it_goes_on_where_markers_still_stand(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        await world.order(1)
        world.chain.height = EXPIRED_HEIGHT
        first = world.sweeper()
        assert await first.turn() == 1
        await first.turn()
        saved = int(world.cursor.read_text())
        await world.order(2)
        again = world.sweeper()
        assert again._read == saved
        assert await again.turn() == 1
        await again.turn()
        assert int(world.cursor.read_text()) == await world.store.last_sequence()
        world.cursor.write_text("nonsense")
        assert await world.sweeper().turn() == 0

    run(tmp_path, body)


async def swept(world: World) -> None:
    """Let time pass until no marker stands any more."""
    for _ in range(100):
        await world.clock.advance(60.0)
        await asyncio.sleep(0.001)
        if not world.rents.stands:
            break
    assert not world.rents.stands


def test_it_runs_on_after_a_turn_that_failed(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        await world.order(1)
        world.chain.height = EXPIRED_HEIGHT
        failures = [ChainError("away")]
        standing = world.rents.standing

        async def sometimes(seeds: Sequence[str]) -> list[tuple[str, int]]:
            if failures:
                raise failures.pop()
            return await standing(seeds)

        world.rents.standing = sometimes  # type: ignore[method-assign]
        task = asyncio.create_task(world.sweeper().run())
        await swept(world)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(tmp_path, body)


def test_it_runs_on_where_its_place_in_the_log_can_not_be_saved(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        world.cursor = tmp_path / "gone" / "marker-sweep"
        world.chain.height = EXPIRED_HEIGHT + 1
        task = asyncio.create_task(world.sweeper().run())
        for number in (1, 2):
            await world.order(number)
            await swept(world)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(tmp_path, body)
