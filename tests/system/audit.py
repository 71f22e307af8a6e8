"""What must hold once every order has ended, read from the files that the engine and the paper chain left."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import msgspec

from fillwright.domain.accounts import WRAPPED_SOL
from fillwright.domain.lifecycle import TERMINAL, replay
from fillwright.domain.orders import Attempt, Fill, Order, OrderEvent
from fillwright.paper.ledger import LedgerReader
from fillwright.ports import OrderFilter, Store


class Books(msgspec.Struct):
    """The engine's side: orders, their complete logs, their fills."""

    orders: dict[str, Order]
    events: dict[str, list[OrderEvent]]
    fills: dict[str, list[Fill]]
    sequences: list[int]
    attempts: dict[str, list[Attempt]]


async def read_books(data_dir: Path) -> Books:
    """Everything in the embedded store."""
    from fillwright.clock import SystemClock
    from fillwright.store.sqlite import SqliteStore

    return await books_of(SqliteStore(data_dir / "fillwright.db", SystemClock()))


async def books_of(store: Store) -> Books:
    """Everything in a store that is not open yet, through the store."""
    await store.open(lambda _: None)
    try:
        orders: dict[str, Order] = {}
        last = None
        while page := await store.page(OrderFilter(), last, 200):
            orders |= {order.id: order for order in page}
            last = page[-1].id
        events: dict[str, list[OrderEvent]] = {order_id: [] for order_id in orders}
        sequences: list[int] = []
        while batch := await store.events_since(sequences[-1] if sequences else 0, 1000):
            for event in batch:
                events[event.order_id].append(event)
                sequences.append(event.sequence)
        fills = {order_id: await store.fills(order.id) for order_id, order in orders.items()}
        attempts = {order_id: await store.attempts(order.id) for order_id, order in orders.items()}
        return Books(orders, events, fills, sequences, attempts)
    finally:
        await store.close()


def violations(books: Books, ledger_path: Path, accepted: set[str]) -> list[str]:
    """Every invariant that does not hold: I1 to I5 of the engine, against the paper chain's own ledger."""
    found = [f"I2 {order_id} was accepted and is gone" for order_id in accepted if order_id not in books.orders]
    if books.sequences != list(range(1, len(books.sequences) + 1)):
        found.append("I4 the global sequence has gaps")
    reader = LedgerReader(ledger_path)
    try:
        entries = list(reader.entries())
        swaps = Counter(entry.order_id for entry in entries if not entry.revert)
        found += [f"I1 {order_id} landed {count} times" for order_id, count in swaps.items() if count > 1]
        for order in books.orders.values():
            found += _order_violations(order, books, swaps[order.id])
        fills = {fill.signature: fill for of_order in books.fills.values() for fill in of_order}
        landed = {entry.signature: entry for entry in entries if not entry.revert}
        if set(fills) != set(landed):
            found.append(f"I5 {len(fills)} fills, but {len(landed)} landed swaps")
        found += [
            f"I5 fill {signature[:8]} differs from the ledger"
            for signature, fill in fills.items()
            if signature in landed
            and (fill.amount_in, fill.amount_out) != (landed[signature].amount_in, landed[signature].amount_out)
        ]
        found += _balance_violations(reader, entries)
    finally:
        reader.close()
    return found


def _order_violations(order: Order, books: Books, swaps: int) -> list[str]:
    events = books.events[order.id]
    found = []
    if order.status not in TERMINAL:
        found.append(f"I2 {order.id} does not end: {order.status}")
    if (order.status == "confirmed") != (swaps == 1):
        found.append(f"I3 {order.id} is {order.status} and landed {swaps} times")
    if [event.number for event in events] != list(range(1, len(events) + 1)):
        found.append(f"I4 {order.id} has gaps in its log")
    elif replay(events) != order:
        found.append(f"I4 {order.id} is not the fold of its log")
    return found


def _balance_violations(reader: LedgerReader, entries: list[object]) -> list[str]:
    """Each balance is what its owner was given, plus what swaps moved, less fees and rent."""
    moved: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        owner = entry.owner  # type: ignore[attr-defined]
        moved[owner, entry.input_mint] -= entry.amount_in  # type: ignore[attr-defined]
        moved[owner, entry.output_mint] += entry.amount_out  # type: ignore[attr-defined]
        moved[owner, WRAPPED_SOL] -= entry.fee_lamports + entry.rent_lamports  # type: ignore[attr-defined]
    found = []
    for owner in {owner for owner, _ in moved}:
        for mint, balance in reader.balances(owner).items():
            if balance.units - balance.initial != moved[owner, mint]:
                found.append(f"I5 {owner} {mint}: {balance.units - balance.initial} moved, {moved[owner, mint]} booked")
    return found


def is_sound_file(path: Path) -> bool:
    """SQLite's own check of the file."""
    with sqlite3.connect(path) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok")
