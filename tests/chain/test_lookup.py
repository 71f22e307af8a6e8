"""Lookup tables as they live: extended, given up, read by a node that lags, disallowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from solders.message import MessageAddressTableLookup
from solders.pubkey import Pubkey
from tests.chain.world import put_table, until

from fillwright.chain.endpoint import RpcEndpoint
from fillwright.chain.lookup import Allowed, LookupTables
from fillwright.chain.rpc import Rpc
from fillwright.clock import SystemClock
from fillwright.domain.errors import ChainError
from fillwright.localnet.chain import LocalChain
from fillwright.localnet.server import LocalNode

KEYS = [str(Pubkey.from_bytes(bytes([100 + number]) * 32)) for number in range(9)]


class World:
    """A local chain and what reads its tables."""

    def __init__(self, local: LocalChain, node: LocalNode, tables: LookupTables) -> None:
        self.local, self.node, self.tables = local, node, tables

    def held(self) -> dict[str, int]:
        return {str(table.key): len(table.addresses) for table in self.tables.usable}


@asynccontextmanager
async def world(*followed: str, allowed: Allowed | None = None) -> AsyncIterator[World]:
    local = LocalChain()
    node = LocalNode(local)
    await node.open()
    rpc = Rpc([RpcEndpoint("a", node.url)], SystemClock())
    await rpc.open()
    try:
        yield World(local, node, LookupTables(rpc, [Pubkey.from_string(key) for key in followed], allowed))
    finally:
        await rpc.close()
        await node.close()


ONE, TWO = (str(Pubkey.from_bytes(bytes([number]) * 32)) for number in (77, 78))


def test_an_extended_table_is_known_once_it_has_been_read_again() -> None:
    async def run() -> None:
        async with world(ONE) as made:
            put_table(made.local, KEYS[:2])
            await made.tables.refresh()
            assert made.held() == {ONE: 2}
            contents = made.tables.contents
            assert [table.address for table in contents] == [ONE]
            assert contents[0].held == {bytes(Pubkey.from_string(key)) for key in KEYS[:2]}
            await made.tables.refresh()
            assert made.tables.contents is contents
            put_table(made.local, KEYS[:5])
            await made.tables.refresh()
            assert made.held() == {ONE: 5}
            assert len(made.tables.contents[0].held) == 5

    asyncio.run(run())


def test_a_table_that_is_given_up_is_used_no_more_and_the_others_are() -> None:
    async def run() -> None:
        async with world(ONE, TWO) as made:
            put_table(made.local, KEYS[:3])
            put_table(made.local, KEYS[3:], number=78)
            await made.tables.refresh()
            assert (made.held(), made.tables.state) == ({ONE: 3, TWO: 6}, "ok")
            put_table(made.local, KEYS[:3], deactivated=True)
            await made.tables.refresh()
            assert made.held() == {TWO: 6}
            assert made.tables.state == f"the lookup table {ONE} is being deactivated"
            # A message that was built before is still read.
            (table,) = await made.tables.of([MessageAddressTableLookup(Pubkey.from_string(ONE), b"\x02", b"")])
            assert str(table.addresses[2]) == KEYS[2]

    asyncio.run(run())


def test_a_table_that_is_made_later_is_used_then() -> None:
    async def run() -> None:
        async with world(ONE) as made:
            await made.tables.refresh()
            assert made.held() == {}
            assert "no lookup table" in made.tables.state
            put_table(made.local, KEYS)
            keeping = asyncio.create_task(made.tables.keep(SystemClock(), 0.001))
            await until(lambda: made.held() == {ONE: 9})
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            assert made.tables.state == "ok"

    asyncio.run(run())


def test_a_node_that_tells_of_fewer_addresses_lags() -> None:
    async def run() -> None:
        async with world(ONE) as made:
            put_table(made.local, KEYS[:6])
            await made.tables.refresh()
            put_table(made.local, KEYS[:4])
            await made.tables.refresh()
            assert made.held() == {ONE: 6}

    asyncio.run(run())


def test_what_can_not_be_read_now_stays_as_it_was() -> None:
    async def run() -> None:
        async with world(ONE) as made:
            put_table(made.local, KEYS[:6])
            await made.tables.refresh()
            await made.node.close()
            with pytest.raises(ChainError):
                await made.tables.refresh()
            assert made.held() == {ONE: 6}

    asyncio.run(run())


def test_a_table_that_the_signer_would_refuse_is_not_used() -> None:
    async def run() -> None:
        allowed = {TWO}
        async with world(ONE, TWO, allowed=lambda: allowed) as made:
            put_table(made.local, KEYS[:3])
            put_table(made.local, KEYS[3:], number=78)
            await made.tables.refresh()
            assert made.held() == {TWO: 6}
            assert made.tables.state == f"the signer's policy does not allow the lookup table {ONE}"
            allowed.add(ONE)
            await made.tables.refresh()
            assert made.held() == {ONE: 3, TWO: 6}

    asyncio.run(run())


def test_a_message_that_uses_more_than_is_known_has_its_table_read_again() -> None:
    async def run() -> None:
        async with world() as made:
            put_table(made.local, KEYS[:3])
            key = Pubkey.from_string(ONE)
            (table,) = await made.tables.of([MessageAddressTableLookup(key, b"\x02", b"\x00")])
            assert len(table.addresses) == 3
            put_table(made.local, KEYS[:5])
            (table,) = await made.tables.get([key])
            assert len(table.addresses) == 3
            (table,) = await made.tables.of([MessageAddressTableLookup(key, b"", b"\x04")])
            assert len(table.addresses) == 5
            with pytest.raises(ChainError, match="no lookup table"):
                await made.tables.of([MessageAddressTableLookup(Pubkey.from_string(TWO), b"", b"\x04")])

    asyncio.run(run())


def test_a_table_that_can_not_be_one_is_not_used() -> None:
    async def run() -> None:
        async with world(ONE) as made:
            put_table(made.local, KEYS * 30)
            await made.tables.refresh()
            assert made.held() == {}
            assert "holds more than a table can" in made.tables.state
            with pytest.raises(ValueError, match="more than"):
                LookupTables(made.tables._rpc, [Pubkey.from_bytes(number.to_bytes(32)) for number in range(257)])

    asyncio.run(run())
