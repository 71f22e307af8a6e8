"""`fillwright db`: the schema of a PostgreSQL store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fillwright.cli.output import EXIT_REFUSED, emit
from fillwright.domain.errors import ConfigError

if TYPE_CHECKING:
    from fillwright.store.postgres_schema import SchemaStatus

app = typer.Typer(no_args_is_help=True, help="The schema of a PostgreSQL store.")

Url = Annotated[
    str | None,
    typer.Option("--url", help="As a role that may change the schema; by default what serves: DATABASE_URL, DB_HOST …"),
]
Json = Annotated[bool, typer.Option("--json", help="JSON, as when the output is not a terminal.")]


@app.command()
def migrate(
    url: Url = None,
    role: Annotated[str | None, typer.Option(help="An existing role that is allowed to serve, and no more.")] = None,
    json: Json = False,
) -> None:
    """Bring the database to the newest schema. Safe to repeat, and while others serve or migrate."""
    from fillwright.store import postgres_schema as schema
    from fillwright.store.postgres_connections import connect, hang_up

    async def run() -> schema.SchemaStatus:
        connection = await connect(_given(url))
        try:
            return await schema.migrate(connection, role=role)
        finally:
            await hang_up(connection)

    before = asyncio.run(run())
    emit(before, json, lambda: _table(before, "applied now"))


@app.command()
def status(url: Url = None, json: Json = False) -> None:
    """Which steps of the schema are missing. Exit status 0 only when none is."""
    from fillwright.store import postgres_schema as schema
    from fillwright.store.postgres_connections import connect, hang_up

    async def run() -> schema.SchemaStatus:
        connection = await connect(_given(url))
        try:
            return await schema.status(connection)
        finally:
            await hang_up(connection)

    found = asyncio.run(run())
    emit(found, json, lambda: _table(found, "missing"))
    if found.pending:
        raise typer.Exit(EXIT_REFUSED)


def _given(url: str | None) -> str:
    from fillwright.config.sources import database_url

    named = url or database_url()
    if not named:
        raise ConfigError("which database? Set FILLWRIGHT_DATABASE_URL or DATABASE_URL, or give --url")
    return named


def _table(found: SchemaStatus, pending: str) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("schema", f"{found.applied} of {found.known}")
    table.add_row(pending, ", ".join(found.pending) or "nothing")
    return table
