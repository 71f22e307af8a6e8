"""Lookup tables on a live engine: extended, they make room for more pools in a route; given up, they take it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from solders.transaction import VersionedTransaction
from tests.chain.world import LocalWorld, put_table
from tests.system.test_live import QUIET, LiveEngine, live_engine
from tests.system.test_live_routes import SHARED, check_size, route_of, same_tokens, settled, token_of

from fillwright.domain.accounts import WRAPPED_SOL, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.orders import OrderSpec, OrderStatus, OrderType, Routed
from fillwright.domain.routes import Route
from fillwright.execution.explain import explain
from fillwright.routing.named import NamedAccounts

AMOUNT = 60 * 10**9
"""So much of the token that all its pools together are better than any part of them."""


def spec(world: LocalWorld, number: int) -> OrderSpec:
    return OrderSpec(
        account="test",
        wallet=world.wallet,
        type=OrderType.MARKET,
        input_mint=token_of(SHARED[0]),
        output_mint=Mint(WRAPPED_SOL),
        mode=SwapMode.EXACT_IN,
        amount=AMOUNT,
        slippage_bps=500,
        client_order_id=f"table-{number}",
    )


async def swapped(engine: LiveEngine, number: int) -> tuple[Route, int]:
    """The order's route, and how many addresses its transaction looked up. Its decision is replayed under the terms
    that it was made with, whatever the tables hold since."""
    order = await settled(engine, await engine.intake.submit(spec(engine.world, number)))
    assert order.status is OrderStatus.CONFIRMED, order.error
    route = await route_of(engine, order)
    attempt = (await engine.store.attempts(order.id))[-1]
    check_size(route, attempt)
    (fill,) = await engine.store.fills(order.id)
    assert (fill.amount_in, fill.amount_out) == (route.amount_in, route.amount_out)
    lookups = VersionedTransaction.from_bytes(attempt.raw).message.address_table_lookups  # type: ignore[union-attr]
    (routed,) = [each.body for each in await engine.store.events(order.id) if isinstance(each.body, Routed)]
    again = explain(order, routed, last=True)
    assert again.differences == ()
    assert [table.address for table in again.decision.terms.lookup_tables] == [
        table.address for table in engine.live.tables.contents
    ]
    assert again.stored_bytes < 8_192
    return route, sum(len(each.writable_indexes) + len(each.readonly_indexes) for each in lookups)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10.0):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.timeout(120)
def test_a_route_grows_with_the_table_and_shrinks_when_it_is_given_up(tmp_path: Path) -> None:
    async def run() -> None:
        world = LocalWorld(*SHARED, same=same_tokens())
        snapshot = world.snapshot()
        named = NamedAccounts(snapshot)
        keys = list(dict.fromkeys(key for pool in snapshot.pools.values() for key in named.of(pool)))
        table = put_table(world.local, keys[:1])
        async with live_engine(tmp_path, QUIET, world, tables=(table,)) as engine:
            await engine.start_worker()
            assert engine.live.tables.state == "ok"
            without, looked_up = await swapped(engine, 1)
            assert looked_up == 0
            put_table(world.local, keys)
            await until(lambda: len(engine.terms().lookup_tables[0].held) == len(keys))
            wider, looked_up = await swapped(engine, 2)
            assert looked_up > 10
            assert len(wider.legs) > len(without.legs)
            quoted = await engine.intake.quote(spec(world, 3))
            assert quoted.route is not None
            assert len(quoted.route.legs) == len(wider.legs)
            put_table(world.local, keys, deactivated=True)
            await until(lambda: engine.terms().lookup_tables == ())
            quoted = await engine.intake.quote(spec(world, 3))
            assert quoted.route is not None
            assert len(quoted.route.legs) < len(wider.legs)
            again, looked_up = await swapped(engine, 3)
            assert looked_up == 0
            assert len(again.legs) < len(wider.legs)
            assert "deactivated" in engine.live.tables.state

    asyncio.run(run())
