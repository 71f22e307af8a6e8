"""Ids of due orders on their way to one worker each: a Redis stream, read by a consumer group.

In: ids from whoever has made an order due; on the other side how many a worker has room for. Out: ids, each to one
reader. Nothing is acknowledged or kept: what is read and then lost, or trimmed, or wiped, the sweep finds in the
store. What comes twice or late is claimed by nobody a second time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from fillwright.domain.orders import OrderId

MAX_IDS = 8
"""Orders in one entry, which goes to one worker whole."""
MAX_ENTRIES = 10_000
"""About how many entries the stream keeps."""
FIELD = b"ids"
BLOCK_S = 1.0
RETRY_S = 0.25

_GROUP = "workers"
_READER = "any"
"""All workers read under one name: nothing is ever pending for one of them."""
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LOST = (RedisError, OSError, TimeoutError)


def entries(order_ids: Sequence[OrderId]) -> list[bytes]:
    """What is added to the stream for these."""
    return [",".join(order_ids[at : at + MAX_IDS]).encode() for at in range(0, len(order_ids), MAX_IDS)]


def read_entry(entry: bytes) -> list[OrderId]:
    """The ids of one; whatever else stands there is skipped."""
    return [OrderId(text) for text in entry.decode("ascii", "replace").split(",") if _ID.fullmatch(text)]


class Dispatch:
    """Reads the stream `key` for one worker, only while that waits. `give` takes ids, none of them: look at all."""

    def __init__(self, redis: Redis[bytes], key: str, give: Callable[[Sequence[OrderId]], None]) -> None:
        self._redis = redis
        self._key = key
        self._give = give
        self._room = 0
        self._wanted = asyncio.Event()

    def want(self, room: int) -> None:
        """The worker waits, and has room for so many; 0: it does not wait."""
        self._room = room
        if room:
            self._wanted.set()
        else:
            self._wanted.clear()

    @property
    def wanted(self) -> bool:
        return self._room > 0

    async def close(self) -> None:
        """Hang up; `run` has ended before."""
        await self._redis.aclose()  # type: ignore[attr-defined]  # the stubs are of an older version

    async def run(self) -> None:
        """For ever. While Redis is away nothing is given."""
        while True:
            await self._wanted.wait()
            try:
                order_ids = await self._read(self._room)
                more = self.wanted and len(order_ids) > self._room
                if more:
                    # The store says which go first; what is skipped here is among what is due there.
                    await self._redis.xgroup_setid(self._key, _GROUP, "$")
            except ResponseError:
                await self._join()
            except _LOST:
                await asyncio.sleep(RETRY_S)
            else:
                if more or order_ids:
                    self._give(() if more else order_ids)

    async def _read(self, room: int) -> list[OrderId]:
        """The next ids: where there are so many, more than `room`."""
        found = await self._redis.xreadgroup(
            _GROUP, _READER, {self._key: ">"}, count=room // MAX_IDS + 1, block=int(BLOCK_S * 1000), noack=True
        )
        return [
            order_id for _, read in found or () for _, fields in read for order_id in read_entry(fields.get(FIELD, b""))
        ]

    async def _join(self) -> None:
        """Make the group where there is none: at the first start, or after Redis has been wiped."""
        try:
            await self._redis.xgroup_create(self._key, _GROUP, "$", mkstream=True)
        except ResponseError:
            await asyncio.sleep(RETRY_S)
        except _LOST:
            return
        self._give(())
