"""Lookup tables on a live engine: extended, they make room for more pools in a route; given up, they take it back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pybase64
import pytest
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from tests.chain.world import LocalWorld, put_table
from tests.system.live_world import LiveWorld
from tests.system.test_live import QUIET, LiveEngine, live_engine
from tests.system.test_live_routes import SHARED, check_size, route_of, same_tokens, settled, token_of
from tests.system.test_live_start import HEADERS
from tests.system.test_live_start import until as until_true

from fillwright.chain.lookup import LOOKUP_PROGRAM
from fillwright.domain.accounts import WRAPPED_SOL, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.orders import OrderSpec, OrderStatus, OrderType, Routed
from fillwright.domain.routes import Route
from fillwright.execution.explain import explain
from fillwright.localnet.chain import LocalChain
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
            assert engine.terms() is engine.terms()
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


def write_dump(folder: Path, key: str, addresses: list[str]) -> None:
    """A lookup table as `solana account --output json` saves it."""
    held = LocalChain()
    put_table(held, addresses)
    account = held.account(key)
    assert account is not None
    data = [pybase64.b64encode(bytes(account.data)).decode(), "base64"]
    body = {"pubkey": key, "account": {"lamports": 10**9, "owner": LOOKUP_PROGRAM, "data": data}}
    folder.mkdir()
    (folder / f"{key}.json").write_text(json.dumps(body))


def test_an_operator_sees_which_tables_are_used_and_why_one_is_not(tmp_path: Path) -> None:
    world = LiveWorld(tmp_path, programs=False, max_retries=0)
    table, missing = str(Pubkey.from_bytes(bytes([77]) * 32)), str(Pubkey.from_bytes(bytes([78]) * 32))
    write_dump(tmp_path / "tables", table, world.addresses)
    for file, more in (("live.toml", "lookup_refresh_s = 0.1"), ("policy.toml", f'rpc_url = "{world.rpc_url}"')):
        path = tmp_path / file
        path.write_text(f'lookup_tables = ["{table}", "{missing}"]\n{more}\n{path.read_text()}')
    world.node._command.append(f"--accounts={tmp_path / 'tables'}")
    try:
        world.start()
        health = httpx2.get(f"{world.engine.url}/health/ready").json()
        assert health["status"] == "ok"
        assert health["checks"]["lookup tables"] == f"{missing} is no lookup table"
        pool = next(each for each in pools(world) if each["venue"] == "raydium_cpmm")
        given, taken = (token["mint"] for token in pool["tokens"])
        order = {"input": given, "output": taken, "amount": "0.01"}
        placed = httpx2.post(f"{world.engine.url}/v1/orders", json=order, headers=HEADERS).json()
        where = f"{world.engine.url}/v1/orders/{placed['id']}"
        until_true(lambda: httpx2.get(where, headers=HEADERS).json()["status"] == "failed")
        explained = httpx2.get(f"{where}/explain", headers=HEADERS).json()
        assert (explained["same"], explained["terms"]["lookup_tables"]) == (True, True)
        assert explained["terms"]["tables"] == [table]
    finally:
        world.close()


def pools(world: LiveWorld) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx2.get(f"{world.engine.url}/v1/pools", headers=HEADERS).json()["pools"]
    return found
