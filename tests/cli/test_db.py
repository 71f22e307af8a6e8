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
    assert runner.invoke(app, ["db", "migrate", "--url", url]).exit_code == 0
    again = runner.invoke(app, ["db", "migrate"], env={"FILLWRIGHT_DATABASE_URL": url})
    assert json.loads(again.stdout)["pending"] == []
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
