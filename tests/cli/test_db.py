"""`fillwright db` against a real server."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from typer.testing import CliRunner

from fillwright.cli.main import app
from fillwright.domain.errors import ConfigError, Unavailable
from fillwright.store import postgres_connections, postgres_schema
from servers import free_port


async def _recreate(url: str, name: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(f"DROP DATABASE IF EXISTS {name}")
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()


def test_a_database_is_brought_to_the_newest_schema_once(postgres_url: str) -> None:
    asyncio.run(_recreate(postgres_url, "fw_cli"))
    url = urlunsplit(urlsplit(postgres_url)._replace(path="/fw_cli"))
    runner = CliRunner()
    before = runner.invoke(app, ["db", "status", "--url", url])
    assert before.exit_code == 1
    assert json.loads(before.stdout)["applied"] == 0
    done = runner.invoke(app, ["db", "migrate", "--url", url])
    assert done.exit_code == 0
    after_it = json.loads(done.stdout)
    assert (after_it["applied"], after_it["pending"]) == (after_it["known"], [])
    assert after_it["applied_now"] == json.loads(before.stdout)["pending"]
    again = runner.invoke(app, ["db", "migrate"], env={"FILLWRIGHT_DATABASE_URL": url})
    assert json.loads(again.stdout)["applied_now"] == []
    for name in ("DATABASE_URL", "database_url"):
        theirs = runner.invoke(app, ["db", "status"], env={"FILLWRIGHT_DATABASE_URL": None, name: url})
        assert json.loads(theirs.stdout)["pending"] == []
    after = runner.invoke(app, ["db", "status", "--url", url])
    assert after.exit_code == 0
    assert json.loads(after.stdout)["pending"] == []


def test_a_database_must_be_named_and_be_there() -> None:
    runner = CliRunner()
    unnamed = runner.invoke(app, ["db", "status"], env={"FILLWRIGHT_DATABASE_URL": ""})
    assert isinstance(unnamed.exception, ConfigError)
    absent = runner.invoke(app, ["db", "status", "--url", f"postgresql://x@127.0.0.1:{free_port()}/x"])
    assert isinstance(absent.exception, Unavailable)


@pytest.mark.parametrize("role", ["Bad Role", 'x"; DROP TABLE events; --', "1x"])
def test_a_roles_name_must_be_plain(postgres_url: str, role: str) -> None:
    refused = CliRunner().invoke(app, ["db", "migrate", "--url", postgres_url, "--role", role])
    assert isinstance(refused.exception, ConfigError)


@pytest.mark.parametrize(
    "url", ["mysql://x:s3cret@host/x", "x", "postgresql://x:s3cret@[::1", "postgresql://x:s3cret/@host:port/x"]
)
def test_what_is_no_address_of_a_postgresql_is_refused_without_showing_a_password(url: str) -> None:
    for command in ("status", "migrate"):
        refused = CliRunner().invoke(app, ["db", command, "--url", url])
        assert isinstance(refused.exception, ConfigError)
        assert "FILLWRIGHT_DATABASE_URL" in str(refused.exception)
        assert "s3cret" not in str(refused.exception)


def test_the_tables_may_be_in_another_schema_and_the_serving_role_reaches_them(postgres_url: str) -> None:
    asyncio.run(_recreate(postgres_url, "fw_cli_schema"))
    url = urlunsplit(urlsplit(postgres_url)._replace(path="/fw_cli_schema"))

    async def prepare() -> None:
        connection = await asyncpg.connect(url)
        if not await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = 'fw_elsewhere'"):
            await connection.execute("CREATE ROLE fw_elsewhere LOGIN PASSWORD 'serving'")
        await connection.execute('CREATE SCHEMA "Other"')
        await connection.execute('ALTER DATABASE fw_cli_schema SET search_path = "Other"')
        await connection.close()

    asyncio.run(prepare())
    runner = CliRunner()
    serving = urlsplit(url)._replace(netloc=f"fw_elsewhere:serving@{urlsplit(url).netloc.rpartition('@')[2]}")
    assert runner.invoke(app, ["db", "migrate", "--url", url]).exit_code == 0
    refused = runner.invoke(app, ["db", "status", "--url", urlunsplit(serving)])
    assert refused.exit_code == 1
    assert runner.invoke(app, ["db", "migrate", "--url", url, "--role", "fw_elsewhere"]).exit_code == 0
    assert runner.invoke(app, ["db", "status", "--url", urlunsplit(serving)]).exit_code == 0
    idle = runner.invoke(app, ["db", "migrate", "--url", urlunsplit(serving)])
    assert json.loads(idle.stdout)["applied_now"] == []


def test_a_migration_waits_for_another_one_however_long_that_takes(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connections, "COMMAND_TIMEOUT_S", 0.01)
    asyncio.run(_recreate(postgres_url, "fw_cli_wait"))
    url = urlunsplit(urlsplit(postgres_url)._replace(path="/fw_cli_wait"))

    async def waits() -> None:
        other = await asyncpg.connect(url)
        await other.execute("SELECT pg_advisory_lock($1)", postgres_schema._LOCK)
        migrating = asyncio.create_task(asyncio.to_thread(CliRunner().invoke, app, ["db", "migrate", "--url", url]))
        async with asyncio.timeout(20):
            while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
                await asyncio.sleep(0.02)
        await other.execute("SELECT pg_advisory_unlock_all()")
        assert (await migrating).exit_code == 0
        await other.close()

    asyncio.run(waits())
