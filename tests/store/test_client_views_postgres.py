"""The earlier engines' tables as views in PostgreSQL: row for row what the embedded store's views show."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace

from fakes.clock import ManualClock
from fakes.orders import NOW_MS, ROUTE, ROUTED, SOL, USDC, attempt_of, built, fill_of, new_order, step
from fillwright.domain.amounts import SwapMode
from fillwright.domain.orders import (
    Cancelled,
    Confirmed,
    Expired,
    Failed,
    NeedsReview,
    OrderError,
    Rebid,
    Retrying,
    Routed,
    Submitted,
)
from fillwright.domain.routes import Fee, FeeKind
from fillwright.domain.tokens import MAINNET_TOKENS
from fillwright.ports import Lease, Store
from fillwright.store.postgres import PostgresStore
from fillwright.store.postgres_schema import migrate
from fillwright.store.sqlite import SqliteStore
from store.test_client_views import COLUMNS

pytestmark = pytest.mark.anyio

ERROR = OrderError("slippage_exceeded", "the pool moved: 1 < 2 “quoted” ✓")
SENT_AS = {"input": "sol", "output": "USDC", "slippage": "0.0150", "input_decimals": "9", "output_decimals": "6"}
UNKNOWN_MINT = "9WzDXwBbmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM"
EMPTY = "TRUNCATE orders, progress, endings, events, attempts, bids, fills, epochs"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_url)
    await migrate(connection)
    await connection.execute(EMPTY)
    await connection.execute("UPDATE log SET sequence = 0")
    yield connection
    await connection.close()


async def _tell(store: Store) -> None:
    """Orders in every state that a view shows in a way of its own."""
    await store.insert(*new_order(1, hold=True, dialect="004", wallet="alice-wallet", dialect_fields=SENT_AS))
    await store.insert(*new_order(2, dialect="002", dialect_fields=SENT_AS, limit=123_456_789))
    canonical = {"input_mint": USDC, "output_mint": SOL, "amount": 2**64 - 1}
    await store.insert(*new_order(3, **canonical))
    await store.insert(*new_order(4, input_mint=UNKNOWN_MINT))
    for number in range(5, 13):
        await store.insert(*new_order(number, dialect="003", dialect_fields=SENT_AS))
    await store.insert(*new_order(13, mode=SwapMode.EXACT_OUT, amount=170_000_000))
    lease = await store.register("w1")
    orders = {order.id: order for order in await store.claim(lease, NOW_MS, 100)}
    retried, failed, cancelled, expired, reviewed, unroutable, sent, confirmed, exact_out = list(orders.values())[-9:]
    await store.change(step(retried, Retrying(0, ERROR, NOW_MS + 5_000), lease, release=True))
    await store.change(step(failed, Failed(ERROR), lease, release=True))
    await store.change(step(cancelled, Cancelled("requested"), lease, release=True))
    await store.change(step(expired, Expired(ERROR), lease, release=True))
    await store.change(step(unroutable, Routed((), None, 7), lease))
    for order in (reviewed, sent, confirmed, exact_out):
        await _send(store, order, lease, to_the_end=order in (confirmed, exact_out))
    order = await store.get(reviewed.id)
    assert order is not None
    await store.change(step(order, NeedsReview(ERROR, 1), lease, release=True))


async def _send(store: Store, order: Any, lease: Lease, *, to_the_end: bool) -> None:
    fees = (Fee(FeeKind.LP, order.spec.input_mint, 2_500_000), Fee(FeeKind.PROTOCOL, order.spec.output_mint, 31_415))
    leg = replace(ROUTE.legs[0], fees=fees)
    body = Routed(ROUTED.candidates, replace(ROUTE, mode=order.spec.mode, legs=(leg,)), 7)
    attempt = attempt_of(order)
    fill = replace(fill_of(attempt), amount_in=10**9, amount_out=169_987_654)
    change = step(order, body, lease)
    await store.change(change)
    for what, more in (
        (built(attempt), {"attempt": attempt}),
        (Submitted(1, attempt.signature), {}),
        (Rebid(1, 2, "of the second bid", 15_000), {}),
        (Confirmed(fill), {"fill": fill, "release": True}),
    ):
        if isinstance(what, Confirmed) and not to_the_end:
            return
        change = step(change.order, what, lease, **more)
        await store.change(change)


def _embedded(path: Path, view: str) -> list[dict[str, Any]]:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(f"SELECT * FROM {view} ORDER BY 1")]  # noqa: S608
    finally:
        connection.close()


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value


async def test_every_view_shows_what_the_embedded_stores_does(
    tmp_path: Path, postgres_url: str, database: asyncpg.Connection
) -> None:
    path = tmp_path / "store.db"
    for store in (SqliteStore(path, ManualClock()), PostgresStore(postgres_url)):
        await store.open(lambda _: None)
        try:
            await _tell(store)
        finally:
            await store.close()
    for view, columns in COLUMNS.items():
        embedded = await asyncio.to_thread(_embedded, path, view)
        found = [dict(row) for row in await database.fetch(f"SELECT * FROM {view} ORDER BY 1")]  # noqa: S608
        assert len(embedded) == len(found) >= 13
        for one, other in zip(embedded, found, strict=True):
            assert list(other) == columns.split()
            for column in other:
                expected, got = one[column], _plain(other[column])
                if isinstance(expected, float):
                    expected = pytest.approx(expected, rel=1e-12)
                assert got == expected, (view, column, one)
    statuses = [row["status"] for row in await database.fetch("SELECT status FROM orders_004 ORDER BY id")]
    assert statuses[:5] == ["pending"] * 5
    assert set(statuses) == {"pending", "routing", "submitted", "confirmed", "failed"}


async def test_the_views_know_the_pinned_tokens_and_refuse_writes(database: asyncpg.Connection) -> None:
    rows = await database.fetch("SELECT * FROM client_tokens")
    assert {tuple(row.values()) for row in rows} == {(one.mint, one.symbol, one.decimals) for one in MAINNET_TOKENS}
    for view in COLUMNS:
        with pytest.raises(asyncpg.PostgresError):
            await database.execute(f"UPDATE {view} SET status = 'failed'")  # noqa: S608
