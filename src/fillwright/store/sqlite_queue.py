"""Which orders of the SQLite store go next, by the queue's rules: reads within the writer's transaction.

In: the writer's cursor, the rules, the time. Out: rows of due orders that nobody holds, in the order in which they
are to go. Takes nothing itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from fillwright.domain.queue import QueueRules
from fillwright.store.queries import load

Execute = Callable[..., sqlite3.Cursor]
_SQL = load("sqlite")


def prepare_lines(execute: Execute, *, wanted: bool) -> None:
    """Keep the index of the wallets' lines where the rules want them, and only there: it costs two writes an order."""
    execute(_SQL["make_lines"] if wanted else _SQL["drop_lines"])


def next_rows(execute: Execute, rules: QueueRules, now_ms: int, limit: int) -> list[tuple[Any, ...]]:
    """Up to `limit` rows of what `records.decode_order` takes, with `seq` at the end, lowest rank first."""
    if rules.wallet_order:
        return _rows(execute, _heads_of_lines(execute, rules, now_ms, limit))
    levels = [priority for (priority,) in execute(_SQL["priorities"]).fetchall()]
    if len(levels) == 1:
        return execute(_SQL["due_orders"], (levels[0], now_ms, limit)).fetchall()
    ranked = [
        (rules.rank_ms(ready_at_ms, priority), ready_at_ms, seq)
        for priority in levels
        for seq, ready_at_ms in execute(_SQL["due_places"], (priority, now_ms, limit)).fetchall()
    ]
    ranked.sort(key=lambda place: place[:2])
    return _rows(execute, [seq for _, _, seq in ranked[:limit]])


def _heads_of_lines(execute: Execute, rules: QueueRules, now_ms: int, limit: int) -> list[int]:
    """Of each wallet the first order that is awake, unless one of it is in a worker's hands. One that its client
    holds back (not released, or not before a time) sleeps; one that is to be tried again does not."""
    busy = {wallet for (wallet,) in execute(_SQL["busy_wallets"]).fetchall()}
    heads = [seq for wallet, seq in execute(_SQL["line_heads"], (now_ms,)).fetchall() if wallet not in busy]
    found = [execute(_SQL["place"], (seq,)).fetchone() for seq in heads if seq is not None]
    due = [(rules.rank_ms(ready_at_ms, priority), seq) for seq, priority, ready_at_ms in found if ready_at_ms <= now_ms]
    return [seq for _, seq in sorted(due)[:limit]]


def _rows(execute: Execute, seqs: list[int]) -> list[tuple[Any, ...]]:
    return [execute(_SQL["row_of"], (seq,)).fetchone() for seq in seqs]
