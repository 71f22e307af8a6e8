"""All reads of the PostgreSQL store: functions of a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import Attempt, Fill, Order, OrderEvent, OrderId
from fillwright.ports import OrderFilter, StoreStats
from fillwright.store import records
from fillwright.store.postgres_connections import Connection
from fillwright.store.queries import load

_SQL = load("postgres")


async def get(connection: Connection, order_id: OrderId) -> Order | None:
    row = await connection.fetchrow(_SQL["get_order"], order_id)
    return None if row is None else records.decode_order(*row)


async def find(connection: Connection, account: str, client_order_id: str) -> Order | None:
    row = await connection.fetchrow(_SQL["find_order"], account, client_order_id)
    return None if row is None else records.decode_order(*row)


def claimed(rows: Sequence[asyncpg.Record]) -> tuple[bool, list[Order]]:
    """What a claim's rows say: whether the epoch has ended, and the orders, in the order of the claim."""
    return rows[0][0], [records.decode_order(*row[1:]) for row in rows if row[1] is not None]


async def held(connection: Connection, epoch: int) -> list[Order]:
    return [records.decode_order(*row) for row in await connection.fetch(_SQL["held_orders"], epoch)]


async def events(connection: Connection, order_id: OrderId, after: int, limit: int) -> list[OrderEvent]:
    return [records.decode_event(*row) for row in await connection.fetch(_SQL["order_events"], order_id, after, limit)]


async def events_since(connection: Connection, sequence: int, limit: int) -> list[OrderEvent]:
    return [records.decode_event(*row) for row in await connection.fetch(_SQL["all_events"], sequence, limit)]


async def attempts(connection: Connection, order_id: OrderId) -> list[Attempt]:
    """As of one moment."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(_SQL["attempts"], order_id)
        return records.with_bids(map(tuple, rows), map(tuple, await connection.fetch(_SQL["bids"], order_id)))


async def fills(connection: Connection, order_id: OrderId) -> list[Fill]:
    return [records.decode_fill(*row) for row in await connection.fetch(_SQL["fills"], order_id)]


async def page(connection: Connection, where: OrderFilter, before: OrderId | None, limit: int) -> list[Order]:
    statement, values = page_query(where, before, limit)
    return [records.decode_order(*row) for row in await connection.fetch(statement, *values)]


def page_query(where: OrderFilter, before: OrderId | None, limit: int) -> tuple[str, list[Any]]:
    """The statement of a page and its values. A status is looked for among the orders that have ended, or among
    those that have not: each has an index that transitions do not touch."""
    ended = where.status in TERMINAL
    status, account = ("e.status", "e.account") if ended else ("o.status", "o.account")
    equal = {
        account: where.account,
        status: None if where.status is None else records.PLAIN_STATUS[where.status],
        "o.wallet": where.wallet,
        "o.input_mint": where.input_mint,
        "o.output_mint": where.output_mint,
        "o.dialect": where.dialect,
    }
    values: list[Any] = [value for value in equal.values() if value is not None]
    columns = [column for column, value in equal.items() if value is not None]
    conditions = [f"{column} = ${number}" for number, column in enumerate(columns, 1)]
    newest = "e.order_id" if ended else "o.id"
    if where.status is not None and not ended:
        conditions.append("NOT o.ended")
    if before is not None:
        values.append(before)
        conditions.append(f"{newest} < ${len(values)}")
    clause = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    start = _SQL["list_endings"] if ended else _SQL["list_orders"]
    # A number in the statement itself: plans are made once, and are good ones only where they know how few are wanted.
    return f"{start}{clause} ORDER BY {newest} DESC LIMIT {limit:d}", values


async def stats(connection: Connection, now_ms: int) -> StoreStats:
    """As of one moment."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        standing = await connection.fetch(_SQL["open_orders"], now_ms)
        leased = await connection.fetchval(_SQL["leased_orders"])
        *ended, sequence = await connection.fetchrow(_SQL["ended_orders"])
    by_status = {row["status"]: row["orders"] for row in standing}
    names = ("confirmed", "failed", "cancelled", "expired", "needs_review")
    by_status |= {name: count for name, count in zip(names, ended, strict=True) if count}
    return StoreStats(
        by_status=by_status,
        leased=leased,
        due=sum(row["due"] for row in standing),
        delayed=sum(row["delayed"] for row in standing),
        oldest_due_ms=min((row["oldest"] for row in standing if row["oldest"] is not None), default=None),
        last_sequence=sequence,
    )


async def next_ready_ms(connection: Connection) -> int | None:
    earliest: int | None = await connection.fetchval(_SQL["earliest_ready"])
    return earliest


async def last_sequence(connection: Connection) -> int:
    sequence: int = await connection.fetchval(_SQL["last_sequence"])
    return sequence
