"""Pools of a pair, or of one mint, found on chain per program: getProgramAccounts with filters by size and mint.

In: venues, mints, and the cluster, which says where their programs live. Out: pool addresses. Many public nodes refuse
the call; then pools are given by address.
"""

from __future__ import annotations

from collections.abc import Sequence

from fillwright.chain.messages import KeyedAccountJson
from fillwright.chain.rpc import Rpc
from fillwright.domain.accounts import Address, Mint
from fillwright.domain.clusters import Cluster
from fillwright.venues.registry import VENUES, programs_on
from fillwright.venues.token_program import pubkey_at

MAX_FOUND = 1_000
"""Pools of one program and pair that are taken; further ones are dust."""


def mints_in(venue: str, pool: bytes) -> tuple[Address, ...]:
    """The two mints that a pool account names; none where it is too short to be one."""
    shape = VENUES[venue].pool_shape
    return tuple(pubkey_at(pool, at) for at in shape.mints_at) if len(pool) >= shape.size_bytes else ()


async def discover_pair(
    rpc: Rpc, a: Mint, b: Mint, venues: Sequence[str] = tuple(VENUES), *, cluster: Cluster | None = None
) -> list[Address]:
    """Every pool of `a` against `b` in these programs, in a stable order. Raises ChainError.

    `cluster` None: a chain of one's own, where a program may live under any of its ids.
    """
    found: set[Address] = set()
    for venue in venues:
        shape = VENUES[venue].pool_shape
        first, second = shape.mints_at
        for mints in ((a, b), (b, a)):
            filters = [{"dataSize": shape.size_bytes}, _at(first, mints[0]), _at(second, mints[1])]
            found.update(await _matching(rpc, venue, cluster, filters))
    return sorted(found)


async def discover_mint(
    rpc: Rpc, mint: Mint, venues: Sequence[str] = tuple(VENUES), *, cluster: Cluster | None = None
) -> list[Address]:
    """Every pool of `mint` against anything. `cluster` as above. Raises ChainError."""
    found: set[Address] = set()
    for venue in venues:
        shape = VENUES[venue].pool_shape
        for offset in shape.mints_at:
            found.update(await _matching(rpc, venue, cluster, [{"dataSize": shape.size_bytes}, _at(offset, mint)]))
    return sorted(found)


async def _matching(rpc: Rpc, venue: str, cluster: Cluster | None, filters: Sequence[object]) -> list[Address]:
    options = {"encoding": "base64", "filters": filters, "dataSlice": {"offset": 0, "length": 0}}
    found: list[Address] = []
    for program in programs_on(VENUES[venue], cluster):
        held = await rpc.call("getProgramAccounts", [program, options], list[KeyedAccountJson])
        found += sorted(Address(each.pubkey) for each in held)[:MAX_FOUND]
    return found


def _at(offset: int, mint: Mint) -> dict[str, object]:
    return {"memcmp": {"offset": offset, "bytes": mint}}
