"""The servers that other tests rely on: they come up, survive kill -9 of their own, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg

from servers import PostgresServer, RedisServer, _alive, _until

TESTS = Path(__file__).parent


async def _value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def test_postgresql_keeps_what_was_committed_when_it_is_killed() -> None:
    server = PostgresServer(durable=True)
    try:
        server.start()
        server.sql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
        assert asyncio.run(_value(server.url, "SHOW fsync")) == "on"
        server.kill()
        server.start()
        assert asyncio.run(_value(server.url, "SELECT n FROM kept")) == 7
    finally:
        server.stop()


def test_redis_forgets_when_it_is_killed() -> None:
    server = RedisServer()
    try:
        server.start()
        first = server.pid
        server.kill()
        server.start()
        assert server.pid != first
    finally:
        server.stop()


def test_a_server_ends_with_the_process_that_started_it() -> None:
    program = (
        "import sys; from servers import RedisServer; server = RedisServer(); server.start();"
        "print(server.pid, flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdin is not None
    with child.stdout, child.stdin:
        pid = int(child.stdout.readline())
        assert _alive(pid)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        _until(lambda: not _alive(pid), "the server to end")
