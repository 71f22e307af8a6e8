"""A SQLite store's file: one process at a time, its connections, its schema.

In: a path. Out: connections. Refuses, with ConfigError, a file that another process has open, that is no
database of ours, or that a newer version has written.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

from fillwright.domain.errors import ConfigError
from fillwright.store.queries import Migration, migrations

MIN_SQLITE = (3, 31, 0)
BUSY_TIMEOUT_MS = 5_000
WRITER_BUSY_TIMEOUT_MS = 50
"""How long a flush waits for someone else's lock on the file: short, because the event loop waits with it."""
CHECKPOINT_PAGES = 10_000
"""Pages of the write-ahead log after which the writer copies them into the file."""
WRITER_CACHE_KIB = 16_384
READER_CACHE_KIB = 4_096
CACHED_STATEMENTS = 256


class FileLock:
    """Held from `acquire` to `release` or to the end of the process, however it ends."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = database.with_name(database.name + ".lock")
        self._file: int | None = None

    def acquire(self) -> None:
        """Raises ConfigError while another process holds it."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(file, 32).decode("ascii", "replace").strip()
            os.close(file)
            raise ConfigError(
                f"{self._database} is in use by another process{f' ({holder})' if holder else ''}; "
                "the embedded store serves one process: stop that one, or set another data directory",
                code="store_in_use",
            ) from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"pid {os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        """Does nothing where it is not held. The lock file stays: removing it would let two in."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def prepare(path: Path) -> None:
    """Make the directory and the file, for their owner's eyes only: it holds signed transactions.

    Raises ConfigError where that can't be done, or SQLite is too old.
    """
    if sqlite3.sqlite_version_info < MIN_SQLITE:
        raise ConfigError(f"SQLite {sqlite3.sqlite_version} is too old; {'.'.join(map(str, MIN_SQLITE))} is needed")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ConfigError(f"the store at {path} can't be opened: {error.strerror}") from error


def connect_writer(path: Path) -> sqlite3.Connection:
    """A connection that commits durably: write-ahead log, synchronous FULL; the schema is up to date."""
    connection = sqlite3.connect(
        path, isolation_level=None, cached_statements=CACHED_STATEMENTS, check_same_thread=False
    )
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
        migrate(connection, migrations("sqlite"))
        connection.execute(f"PRAGMA busy_timeout = {WRITER_BUSY_TIMEOUT_MS}")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise ConfigError(f"the store at {path} can't be used: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that can only read. It may be used from any thread, by one at a time."""
    connection = sqlite3.connect(
        path, isolation_level=None, cached_statements=CACHED_STATEMENTS, check_same_thread=False
    )
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
    return connection


def migrate(connection: sqlite3.Connection, steps: list[Migration]) -> None:
    """Apply the steps that are missing, each in a transaction of its own.

    Raises ConfigError where the file is ahead of `steps`.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version (number INTEGER PRIMARY KEY, name TEXT NOT NULL, "
        "applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)"
    )
    (version,) = connection.execute("SELECT coalesce(max(number), 0) FROM schema_version").fetchone()
    if version > len(steps):
        raise ConfigError(f"the store was written by a newer version (schema {version}, known {len(steps)})")
    for step in steps[version:]:
        record = f"INSERT INTO schema_version (number, name) VALUES ({step.number}, '{step.name}')"  # noqa: S608 - our own file names
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{step.script}\n;{record};\nCOMMIT;")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
