"""All reads of the SQLite store: functions of a reader connection."""

from __future__ import annotations

import sqlite3

import msgspec

from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import Attempt, Fill, Order, OrderEvent, OrderId
from fillwright.domain.queue import QueueState
from fillwright.ports import OrderFilter, StoreStats
from fillwright.store import records
from fillwright.store.queries import load

_SQL = load("sqlite")


def get(connection: sqlite3.Connection, order_id: OrderId) -> Order | None:
    row = connection.execute(_SQL["get_order"], (order_id,)).fetchone()
    return None if row is None else records.decode_order(*row)


def version(connection: sqlite3.Connection, order_id: OrderId) -> int | None:
    row = connection.execute(_SQL["order_version"], (order_id,)).fetchone()
    return None if row is None else int(row[0])


def find(connection: sqlite3.Connection, account: str, client_order_id: str) -> Order | None:
    row = connection.execute(_SQL["find_order"], (account, client_order_id)).fetchone()
    return None if row is None else records.decode_order(*row)


def held(connection: sqlite3.Connection, epoch: int) -> list[Order]:
    return [records.decode_order(*row) for row in connection.execute(_SQL["held_orders"], (epoch,))]


def events(connection: sqlite3.Connection, order_id: OrderId, after: int, limit: int) -> list[OrderEvent]:
    rows = connection.execute(_SQL["order_events"], (order_id, after, limit))
    return [records.decode_event(*row) for row in rows]


def events_since(connection: sqlite3.Connection, sequence: int, limit: int) -> list[OrderEvent]:
    rows = connection.execute(_SQL["all_events"], (sequence, limit))
    return [records.decode_event(*row) for row in rows]


def attempts(connection: sqlite3.Connection, order_id: OrderId) -> list[Attempt]:
    """As of one moment."""
    connection.execute("BEGIN")
    try:
        rows = connection.execute(_SQL["attempts"], (order_id,)).fetchall()
        return records.with_bids(rows, connection.execute(_SQL["bids"], (order_id,)))
    finally:
        connection.execute("COMMIT")


def fills(connection: sqlite3.Connection, order_id: OrderId) -> list[Fill]:
    return [records.decode_fill(*row) for row in connection.execute(_SQL["fills"], (order_id,))]


def page(connection: sqlite3.Connection, where: OrderFilter, before: OrderId | None, limit: int) -> list[Order]:
    statement, values = page_query(where, before, limit)
    return [records.decode_order(*row) for row in connection.execute(statement, values)]


def page_query(where: OrderFilter, before: OrderId | None, limit: int) -> tuple[str, tuple[str | int, ...]]:
    """The statement of a page and its values. A status is looked for among the orders that have ended, or
    among those that have not: each has an index that transitions do not touch."""
    equal = {
        "account": where.account,
        "status": None if where.status is None else records.PLAIN_STATUS[where.status],
        "wallet": where.wallet,
        "input_mint": where.input_mint,
        "output_mint": where.output_mint,
        "dialect": where.dialect,
    }
    conditions = [f"{column} = ?" for column, value in equal.items() if value is not None]
    values: list[str | int] = [value for value in equal.values() if value is not None]
    if where.status is not None:
        conditions.append("ended_ms IS NOT NULL" if where.status in TERMINAL else "ended_ms IS NULL")
    if before is not None:
        conditions.append("id < ?")
        values.append(before)
    clause = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"{_SQL['list_orders']}{clause} ORDER BY id DESC LIMIT ?", (*values, limit)


def stats(connection: sqlite3.Connection, now_ms: int) -> tuple[StoreStats, int]:
    """The statistics, and how many orders had to be counted for them beyond the running totals."""
    connection.execute("BEGIN")
    try:
        by_status, leased, ready, due, watermark_ms = connection.execute(_SQL["load_totals"]).fetchone()
        span = (watermark_ms, now_ms) if now_ms >= watermark_ms else (now_ms, watermark_ms)
        (counted,) = connection.execute(_SQL["ready_between"], span).fetchone()
        due += counted if now_ms >= watermark_ms else -counted
        (earliest,) = connection.execute(_SQL["earliest_ready"]).fetchone()
        (sequence,) = connection.execute(_SQL["last_sequence"]).fetchone()
    finally:
        connection.execute("COMMIT")
    counts = msgspec.json.decode(by_status, type=dict[str, int])
    found = StoreStats(
        by_status={status: count for status, count in counts.items() if count},
        leased=leased,
        due=due,
        delayed=ready - due,
        oldest_due_ms=earliest if due else None,
        last_sequence=sequence,
    )
    return found, counted


def queue_state(connection: sqlite3.Connection) -> QueueState:
    (state,) = connection.execute(_SQL["queue_state"]).fetchone()
    return QueueState(state)


def next_ready_ms(connection: sqlite3.Connection) -> int | None:
    (earliest,) = connection.execute(_SQL["earliest_ready"]).fetchone()
    return None if earliest is None else int(earliest)


def last_sequence(connection: sqlite3.Connection) -> int:
    (sequence,) = connection.execute(_SQL["last_sequence"]).fetchone()
    return int(sequence)
