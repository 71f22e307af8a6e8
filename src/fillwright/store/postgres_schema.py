"""The schema in a PostgreSQL database: which version it has, the steps to the newest, the rights to serve on it.

In: a connection. Steps are applied by a role that may change the schema, one process at a time, each step in a
transaction of its own; whoever serves only checks.
"""

from __future__ import annotations

import re

import asyncpg
import msgspec

from fillwright.domain.errors import ConfigError
from fillwright.store.postgres_connections import Connection
from fillwright.store.queries import migrations

MIN_VERSION = 140000
_LOCK = 0x66696C6C
"""The advisory lock that one migration at a time holds."""
_ROLE = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class SchemaStatus(msgspec.Struct, frozen=True):
    """`applied` migrations of `known`; `pending` by name."""

    applied: int
    known: int
    pending: list[str]


async def status(connection: Connection) -> SchemaStatus:
    """Which steps are missing. Raises ConfigError where the database is ahead of this version."""
    steps = migrations("postgres")
    applied = 0
    if await connection.fetchval("SELECT to_regclass('schema_version') IS NOT NULL"):
        applied = await connection.fetchval("SELECT coalesce(max(number), 0) FROM schema_version")
    if applied > len(steps):
        raise ConfigError(f"the store was written by a newer version (schema {applied}, known {len(steps)})")
    return SchemaStatus(applied, len(steps), [step.name for step in steps[applied:]])


async def check(connection: Connection) -> None:
    """Raises ConfigError unless the schema is the newest one on a server that is new enough."""
    if int(await connection.fetchval("SHOW server_version_num")) < MIN_VERSION:
        raise ConfigError("PostgreSQL 14 or newer is needed")
    try:
        found = await status(connection)
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigError(
            f"this role may not serve ({error}): run `fillwright db migrate --role` with its name", code="role_refused"
        ) from error
    if found.pending:
        raise ConfigError(
            f"the database's schema is {found.applied} of {found.known}: run `fillwright db migrate`",
            code="schema_outdated",
        )


async def migrate(connection: Connection, *, role: str | None = None) -> SchemaStatus:
    """Apply what is missing, and let `role` serve: read and write rows, call functions, change no schema.

    The status before. Raises ConfigError where the role's name is not plain or the database refuses.
    """
    if role is not None and not _ROLE.fullmatch(role):
        raise ConfigError("a role is named by lower-case letters, digits and _")
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        before = await status(connection)
        if before.pending:
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_version (number integer PRIMARY KEY, name text NOT NULL, "
                "applied_at timestamptz NOT NULL DEFAULT now())"
            )
        for step in migrations("postgres")[before.applied :]:
            async with connection.transaction():
                await connection.execute(step.script)
                await connection.execute(
                    "INSERT INTO schema_version (number, name) VALUES ($1, $2)", step.number, step.name
                )
        if role is not None:
            await connection.execute(_grants(role, await connection.fetchval("SELECT quote_ident(current_schema())")))
    except asyncpg.PostgresError as error:
        raise ConfigError(f"the database refuses the migration: {error}") from error
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock_all()")
    return before


def _grants(role: str, schema: str) -> str:
    """`schema`: where the tables are, quoted."""
    return (
        f"GRANT USAGE ON SCHEMA {schema} TO {role};"
        f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {schema} TO {role};"
        f"REVOKE INSERT, UPDATE ON schema_version FROM {role};"
        f"GRANT DELETE ON starts, epochs, lines TO {role};"
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role};"
    )
