"""Settings that hold for every test, and the servers that some of them need."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import hypothesis
import pytest

from servers import PostgresServer, RedisServer

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """An empty database of this process's own; where TEST_DATABASE_URL is set, on that server."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given is None:
        server = PostgresServer()
        try:
            server.start()
            yield server.url
        finally:
            server.stop()
        return
    name = f"fillwright_test_{os.getpid()}"
    asyncio.run(_execute(given, f"CREATE DATABASE {name}"))
    try:
        yield urlunsplit(urlsplit(given)._replace(path=f"/{name}"))
    finally:
        asyncio.run(_execute(given, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis of this process's own, or the one of TEST_REDIS_URL."""
    given = os.environ.get("TEST_REDIS_URL")
    if given is not None:
        yield given
        return
    server = RedisServer()
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


async def _execute(url: str, statement: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
