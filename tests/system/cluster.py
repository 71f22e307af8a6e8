"""An engine in many processes, as an operator runs it, with servers of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

from fillwright.store.postgres_schema import migrate
from servers import PostgresServer, RedisServer
from system.process import EngineProcess, free_port


class Cluster:
    """PostgreSQL, Redis, a paper chain, `apis` APIs and `workers` workers. Settings are everyone's."""

    def __init__(self, folder: Path, *, workers: int = 2, apis: int = 1, **settings: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data_dir = folder / "data"
        self.postgres = PostgresServer(durable=True)
        self.redis = RedisServer()
        shared = {
            "database_url": self.postgres.url,
            "redis_url": self.redis.url,
            "paper_address": f"127.0.0.1:{free_port()}",
            **settings,
        }
        self.paper = EngineProcess(self.data_dir, 0, command="paper", **shared)
        self.apis = [EngineProcess(self.data_dir, free_port(), command="api", **shared) for _ in range(apis)]
        self.workers = [EngineProcess(self.data_dir, 0, command="worker", **shared) for _ in range(workers)]

    @property
    def api(self) -> EngineProcess:
        return self.apis[0]

    @property
    def url(self) -> str:
        return self.api.url

    @property
    def pids(self) -> list[int]:
        """Of the engine's own processes."""
        return [process.pid for process in (self.paper, *self.apis, *self.workers)]

    def start(self) -> None:
        self.postgres.start()
        self.redis.start()
        asyncio.run(self._migrate())
        for process in (self.paper, *self.apis, *self.workers):
            process.start()

    def stop(self) -> list[int]:
        """SIGTERM to all, the APIs first; the exit statuses."""
        return [process.stop() for process in (*self.apis, *self.workers, self.paper)]

    def close(self) -> None:
        """Leave nothing running."""
        for process in (*self.apis, *self.workers, self.paper):
            process.kill()
        self.redis.stop()
        self.postgres.stop()

    async def _migrate(self) -> None:
        connection = await asyncpg.connect(self.postgres.url)
        try:
            await migrate(connection)
        finally:
            await connection.close()
