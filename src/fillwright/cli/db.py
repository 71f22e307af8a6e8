"""`fillwright db`: the schema of a PostgreSQL store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.table import Table

from fillwright.cli.output import EXIT_REFUSED, emit
from fillwright.domain.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from fillwright.store.postgres_connections import Connection
    from fillwright.store.postgres_schema import SchemaStatus

app = typer.Typer(no_args_is_help=True, help="The schema of a PostgreSQL store.")

Url = Annotated[
    str | None,
    typer.Option("--url", help="As a role that may change the schema; by default what serves: DATABASE_URL, DB_HOST …"),
]
Json = Annotated[bool, typer.Option("--json", help="JSON, as when the output is not a terminal.")]


class Migrated(msgspec.Struct, frozen=True):
    """The schema after a migration, as `SchemaStatus`, and the steps that it took."""

    applied: int
    known: int
    pending: list[str]
    applied_now: list[str]


@app.command()
def migrate(
    url: Url = None,
    role: Annotated[str | None, typer.Option(help="An existing role that is allowed to serve, and no more.")] = None,
    json: Json = False,
) -> None:
    """Bring the database to the newest schema. Safe to repeat, and while others serve or migrate: it waits for them."""
    from fillwright.store import postgres_schema as schema

    before = _run(url, lambda connection: schema.migrate(connection, role=role))
    after = Migrated(before.known, before.known, [], before.pending)
    emit(after, json, lambda: _table(after.applied, after.known, ("applied now", after.applied_now)))


@app.command()
def status(url: Url = None, json: Json = False) -> None:
    """Which steps of the schema are missing. Exit status 0 only when none is."""
    from fillwright.store import postgres_schema as schema

    found = _run(url, schema.status)
    emit(found, json, lambda: _table(found.applied, found.known, ("missing", found.pending)))
    if found.pending:
        raise typer.Exit(EXIT_REFUSED)


def _run(url: str | None, work: Callable[[Connection], Awaitable[SchemaStatus]]) -> SchemaStatus:
    """The result of `work` on a connection whose statements may take as long as they need. Raises ConfigError,
    Unavailable."""
    import asyncpg

    from fillwright.store.postgres_connections import LOST, connect, hang_up

    async def run() -> SchemaStatus:
        connection = await connect(_given(url), command_timeout_s=None)
        try:
            return await work(connection)
        except LOST as error:
            raise Unavailable(f"PostgreSQL went away: {error}", code="store_unavailable") from error
        except asyncpg.PostgresError as error:
            raise ConfigError(f"the database refuses: {error}") from error
        finally:
            await hang_up(connection)

    return asyncio.run(run())


def _given(url: str | None) -> str:
    from fillwright.config.sources import database_url

    named = url or database_url()
    if not named:
        raise ConfigError("which database? Set FILLWRIGHT_DATABASE_URL or DATABASE_URL, or give --url")
    return named


def _table(applied: int, known: int, steps: tuple[str, list[str]]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("schema", f"{applied} of {known}")
    table.add_row(steps[0], ", ".join(steps[1]) or "nothing")
    return table
