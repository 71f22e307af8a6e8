"""The paper chain's durable ledger: one SQLite file that outlives the engine.

In: flushes of landed transactions with everything that they changed. Out: what has been written, and nothing
else. Must not: know how a transaction came to land.

Amounts are decimal text: SQLite's integers end at 2^63. Pool states are pickles that may name nothing but this
package's own classes.
"""

from __future__ import annotations

import fcntl
import io
import os
import pickle
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
import msgspec.structs

from fillwright.domain.accounts import Address, ChainClock, Mint
from fillwright.domain.errors import ConfigError, StoreError
from fillwright.paper.world import Genesis
from fillwright.venues.venue import Pool

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 5.0
_PICKLE_PROTOCOL = 5

_SCHEMA = """
CREATE TABLE genesis (
    seed INTEGER NOT NULL, started_ms INTEGER NOT NULL, slot_ms INTEGER NOT NULL, first_slot INTEGER NOT NULL,
    first_epoch INTEGER NOT NULL, first_unix_s INTEGER NOT NULL, origin TEXT NOT NULL, seen_ms INTEGER NOT NULL
);
CREATE TABLE transactions (
    signature TEXT NOT NULL UNIQUE, slot INTEGER NOT NULL, block_time_ms INTEGER NOT NULL, order_id TEXT NOT NULL,
    attempt INTEGER NOT NULL, owner TEXT NOT NULL, payer TEXT NOT NULL, marker_seed TEXT NOT NULL,
    input_mint TEXT NOT NULL, output_mint TEXT NOT NULL, amount_in TEXT NOT NULL, amount_out TEXT NOT NULL,
    fee_lamports INTEGER NOT NULL, rent_lamports INTEGER NOT NULL, revert TEXT NOT NULL, detail TEXT NOT NULL,
    sequence INTEGER PRIMARY KEY
);
CREATE INDEX transactions_by_order ON transactions (order_id);
CREATE TABLE balances (
    owner TEXT NOT NULL, mint TEXT NOT NULL, initial TEXT NOT NULL, units TEXT NOT NULL, PRIMARY KEY (owner, mint)
) WITHOUT ROWID;
CREATE TABLE markers (
    payer TEXT NOT NULL, seed TEXT NOT NULL, signature TEXT NOT NULL, slot INTEGER NOT NULL, PRIMARY KEY (payer, seed)
) WITHOUT ROWID;
CREATE TABLE pools (address TEXT PRIMARY KEY, slot INTEGER NOT NULL, state BLOB NOT NULL) WITHOUT ROWID;
"""

_AMOUNT_IN, _AMOUNT_OUT, _SEQUENCE = 10, 11, 16
"""Columns of `transactions`; those before the last are the fields of `LedgerEntry`, in their order."""


class LedgerEntry(msgspec.Struct, frozen=True):
    """One landed transaction. A reverted one (`revert` is not "") moved nothing but paid its fee.

    `marker_seed`: the marker that it asked for, made only where it succeeded.
    """

    signature: str
    slot: int
    block_time_ms: int
    order_id: str
    attempt: int
    owner: str
    payer: str
    marker_seed: str
    input_mint: Mint
    output_mint: Mint
    amount_in: int
    amount_out: int
    fee_lamports: int
    rent_lamports: int
    revert: str
    detail: str


class Balance(msgspec.Struct, frozen=True):
    """`units` now; `initial` is what the owner was given when first seen with this mint."""

    initial: int
    units: int


class Flush(msgspec.Struct):
    """What is to be written in one transaction. Later states of the same thing replace earlier ones.

    `pools` hold the slot up to which each state has come.
    """

    entries: dict[str, LedgerEntry] = {}
    balances: dict[tuple[str, Mint], Balance] = {}
    markers: dict[tuple[str, str], tuple[str, int]] = {}
    pools: dict[Address, tuple[int, Pool]] = {}
    seen_ms: int = 0

    def __bool__(self) -> bool:
        return bool(self.entries or self.pools)

    def followed_by(self, later: Flush) -> Flush:
        """Both as one."""
        return Flush(
            {**self.entries, **later.entries},
            {**self.balances, **later.balances},
            {**self.markers, **later.markers},
            {**self.pools, **later.pools},
            max(self.seen_ms, later.seen_ms),
        )


def lock(path: Path) -> IO[bytes]:
    """Hold the ledger for this process until the file is closed or the process ends. Raises ConfigError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    held = path.with_suffix(".lock").open("ab")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise ConfigError(f"{path} is in use by another process") from error
    return held


def connect(path: Path) -> sqlite3.Connection:
    """A writing connection; the schema is made where there is none. Raises ConfigError, StoreError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    except sqlite3.Error as error:
        raise StoreError(f"the paper chain's ledger {path} can't be opened: {error}") from error
    if version not in (0, SCHEMA_VERSION):
        connection.close()
        raise ConfigError(f"{path} was written by another version of this program (schema {version})")
    return connection


def write_genesis(connection: sqlite3.Connection, genesis: Genesis) -> None:
    """Begin a world. An operation for the writer."""
    first = genesis.first
    row = (genesis.seed, genesis.started_ms, genesis.slot_ms, first.slot, first.epoch, first.unix_timestamp)
    connection.execute(
        "INSERT INTO genesis VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, genesis.origin, genesis.started_ms)
    )


def write_flush(connection: sqlite3.Connection, flush: Flush) -> None:
    """Write everything in `flush`. An operation for the writer; a second time it changes nothing."""
    connection.executemany(
        "INSERT OR IGNORE INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        [_row(entry) for entry in flush.entries.values()],
    )
    connection.executemany(
        "INSERT INTO balances VALUES (?, ?, ?, ?) ON CONFLICT (owner, mint) DO UPDATE SET units = excluded.units",
        [(owner, mint, str(held.initial), str(held.units)) for (owner, mint), held in flush.balances.items()],
    )
    connection.executemany(
        "INSERT OR IGNORE INTO markers VALUES (?, ?, ?, ?)", [(*key, *value) for key, value in flush.markers.items()]
    )
    connection.executemany(
        "INSERT INTO pools VALUES (?, ?, ?) ON CONFLICT (address) DO UPDATE SET slot = excluded.slot, "
        "state = excluded.state",
        [
            (address, slot, pickle.dumps(pool, protocol=_PICKLE_PROTOCOL))
            for address, (slot, pool) in flush.pools.items()
        ],
    )
    connection.execute("UPDATE genesis SET seen_ms = max(seen_ms, ?)", (flush.seen_ms,))


class LedgerReader:
    """Reads of what is durable, on a connection of their own: usable beside a running chain.

    Point reads take some ten microseconds and never wait for the writer (WAL).
    """

    def __init__(self, path: Path) -> None:
        """Raises StoreError where there is no ledger yet."""
        try:
            self._connection = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False
            )
            self._connection.execute("SELECT count(*) FROM genesis").fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"the paper chain's ledger {path} can't be read: {error}") from error

    def close(self) -> None:
        self._connection.close()

    def genesis(self) -> tuple[Genesis, int] | None:
        """How this world began, and the last wall time (ms) that it has written; None before genesis."""
        row = self._one("SELECT * FROM genesis")
        if row is None:
            return None
        seed, started_ms, slot_ms, slot, epoch, unix_s, origin, seen_ms = row
        return Genesis(seed, started_ms, slot_ms, ChainClock(slot, epoch, unix_s), origin), seen_ms

    def entry(self, signature: str) -> LedgerEntry | None:
        row = self._one("SELECT * FROM transactions WHERE signature = ?", signature)
        return None if row is None else _entry(row)

    def landed_by_order(self, order_id: str) -> list[LedgerEntry]:
        """Every transaction of the order that landed, reverted ones too, in order of landing."""
        query = "SELECT * FROM transactions WHERE order_id = ? ORDER BY sequence"
        return [_entry(row) for row in self._connection.execute(query, (order_id,))]

    def entries(self) -> Iterator[LedgerEntry]:
        """Every transaction that landed, in order of landing."""
        for row in self._connection.execute("SELECT * FROM transactions ORDER BY sequence"):
            yield _entry(row)

    def balance(self, owner: str, mint: Mint) -> Balance | None:
        """None where this owner was never seen with this mint."""
        row = self._one("SELECT initial, units FROM balances WHERE owner = ? AND mint = ?", owner, mint)
        return None if row is None else Balance(int(row[0]), int(row[1]))

    def balances(self, owner: str) -> dict[Mint, Balance]:
        """Every mint that this owner was seen with."""
        query = "SELECT mint, initial, units FROM balances WHERE owner = ? ORDER BY mint"
        return {
            Mint(mint): Balance(int(initial), int(units))
            for mint, initial, units in self._connection.execute(query, (owner,))
        }

    def count_markers(self) -> int:
        row = self._one("SELECT count(*) FROM markers")
        return int(row[0]) if row is not None else 0

    def markers(self) -> Iterator[tuple[str, str]]:
        """Payer and seed of every marker, in any order."""
        yield from self._connection.execute("SELECT payer, seed FROM markers")

    def marker_slot(self, payer: str, seed: str) -> int | None:
        """The slot in which this marker was made; None where there is none."""
        row = self._one("SELECT slot FROM markers WHERE payer = ? AND seed = ?", payer, seed)
        return None if row is None else int(row[0])

    def pools(self) -> dict[Address, tuple[int, Pool]]:
        """Each pool's newest written state and the slot up to which it has come. Raises ConfigError."""
        rows = self._connection.execute("SELECT address, slot, state FROM pools ORDER BY address")
        return {Address(address): (slot, read_pool(state)) for address, slot, state in rows}

    def _one(self, query: str, *values: str) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
        return row


class _PoolReader(pickle.Unpickler):
    """Reads pool values and refuses everything else that a pickle can name."""

    def find_class(self, module: str, name: str) -> Any:
        if not module.startswith("fillwright."):
            raise pickle.UnpicklingError(f"a pool state names {module}.{name}")
        return super().find_class(module, name)


def read_pool(state: bytes) -> Pool:
    try:
        pool: Pool = _PoolReader(io.BytesIO(state)).load()
    except (pickle.UnpicklingError, AttributeError, ImportError, TypeError, EOFError, IndexError) as error:
        raise ConfigError(
            f"the paper chain's ledger holds a pool that this version can't read ({error}): "
            "give this version a data directory of its own"
        ) from error
    return pool


def _row(entry: LedgerEntry) -> list[Any]:
    row = list(msgspec.structs.astuple(entry))
    row[_AMOUNT_IN], row[_AMOUNT_OUT] = str(entry.amount_in), str(entry.amount_out)
    return row


def _entry(row: tuple[Any, ...]) -> LedgerEntry:
    fields = list(row[:_SEQUENCE])
    fields[_AMOUNT_IN], fields[_AMOUNT_OUT] = int(fields[_AMOUNT_IN]), int(fields[_AMOUNT_OUT])
    return LedgerEntry(*fields)
