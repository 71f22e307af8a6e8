"""Releasing a quarantined pool over the API and from the command line."""

from __future__ import annotations

import asyncio
import json
import sys
from hashlib import sha256

import pytest

from api.world import World, served
from fillwright.client import ApiError, AsyncClient
from fillwright.domain.accounts import Address

POOL = "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C"


class Quarantine:
    """Pools that are quarantined until they are released."""

    def __init__(self, *pools: str) -> None:
        self.held = set(pools)

    def release(self, pool: Address) -> bool:
        found = pool in self.held
        self.held.discard(pool)
        return found


def test_a_pool_is_released_once_and_then_is_not_quarantined() -> None:
    quarantine = Quarantine(POOL)

    async def test(world: World) -> None:
        async with world.client() as client:
            answer = await client.post(f"/v1/admin/pools/{POOL}/release")
            assert (answer.status_code, answer.json()) == (200, {"mode": "paper", "address": POOL})
            assert not quarantine.held
            for pool in (POOL, "nothing", "%20", "x" * 44):
                again = await client.post(f"/v1/admin/pools/{pool}/release")
                assert (again.status_code, again.json()["code"]) == (404, "pool_not_quarantined")
            assert (await client.post(f"/v1/admin/pools/{'x' * 45}/release")).status_code == 422

    served(test, release=quarantine.release)


def test_where_other_processes_quarantine_pools_it_says_so() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            refused = await client.post(f"/v1/admin/pools/{POOL}/release")
            assert (refused.status_code, refused.json()["code"]) == (409, "quarantine_elsewhere")

    served(test, release=None)


def test_only_operators_release_pools() -> None:
    scopes = ("trade", "read", "admin")
    held = [{"account": "a", "sha256": sha256(key.encode()).hexdigest(), "scopes": [key]} for key in scopes]

    async def test(world: World) -> None:
        async with world.client() as client:
            for key, status in (("trade", 403), ("read", 403), ("admin", 200)):
                answer = await client.post(f"/v1/admin/pools/{POOL}/release", headers={"X-API-Key": key})
                assert answer.status_code == status

    served(test, api_keys=json.dumps(held), release=Quarantine(POOL).release)


def test_the_sdk_and_the_command_release_a_pool() -> None:
    other = POOL[:-1] + "D"

    async def test(world: World) -> None:
        async with AsyncClient(world.server.url) as client:
            assert (await client.release_pool(POOL)).address == POOL
            with pytest.raises(ApiError) as refused:
                await client.release_pool(POOL)
            assert refused.value.code == "pool_not_quarantined"
            with pytest.raises(ApiError):
                await client.release_pool("../queue/pause")
        for expected in (0, 1):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "fillwright", "pools", "release", other, "--url", world.server.url,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, err = await process.communicate()
            assert process.returncode == expected, err
            if expected == 0:
                assert json.loads(out)["address"] == other
            else:
                assert b"pool_not_quarantined" in err

    served(test, release=Quarantine(POOL, other).release)
