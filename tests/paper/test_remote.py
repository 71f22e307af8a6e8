"""A paper chain behind a socket is a chain like any other, and comes back when its process does."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chain.conformance import ChainConformance, Harness
from fillwright import observe
from fillwright.clock import SystemClock
from fillwright.domain.accounts import Mint
from fillwright.domain.errors import AlreadyProcessed, ChainError, ConfigError, Unavailable
from fillwright.domain.tokens import Token
from fillwright.domain.transactions import Commitment
from fillwright.market.snapshot import Snapshot, Unpriced, index_pairs
from fillwright.paper import remote
from fillwright.paper.link import parse_address
from fillwright.paper.remote import RemoteChain, RemoteMarket
from fillwright.paper.server import PaperServer
from fillwright.venues.venue import Pool
from paper.manual_clock import ManualClock
from paper.worlds import SOL, STILL, TOKENS, USDC, PaperWorld, open_world, settings

SLOT_MS = 400
NEW_MINT = Mint("4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU")


@asynccontextmanager
async def served(world: PaperWorld, address: str) -> AsyncIterator[PaperServer]:
    server = PaperServer(world.chain, world.feed, address, wallet=world.signer.wallet)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def near_and_far(folder: Path, address: str) -> AsyncIterator[tuple[PaperWorld, RemoteChain]]:
    async with (
        open_world(folder, clock=SystemClock(), **STILL) as world,
        served(world, address),
        connected(address) as chain,
    ):
        yield world, chain


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[RemoteChain]:
    chain = RemoteChain(address)
    await chain.open()
    try:
        yield chain
    finally:
        await chain.close()


def address_in(folder: Path) -> str:
    """A Unix socket with a short path: the system allows about a hundred characters."""
    return f"unix:{tempfile.mkdtemp(prefix='fw-', dir='/tmp')}/{os.getpid()}-{folder.name[:20]}"


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not ready():
            await asyncio.sleep(0.002)


class TestRemoteChain(ChainConformance):
    @asynccontextmanager
    async def open_chain(self, folder: Path) -> AsyncIterator[tuple[Harness, Callable[[int], Awaitable[None]]]]:
        clock, address = ManualClock(), address_in(folder)
        async with open_world(folder, clock=clock, **STILL) as world:
            near = world.chain
            async with served(world, address), connected(address) as chain:
                world.chain = chain  # type: ignore[assignment]

                async def pass_blocks(blocks: int) -> None:
                    await clock.advance(blocks * SLOT_MS)
                    await until(lambda: chain.snapshot().clock.slot == near.market()[0].slot)

                yield world, pass_blocks
                world.chain = near

    def test_bytes_sent_twice_before_they_land_land_once(self, tmp_path: Path) -> None:
        """Both at the same time: after the first one's answer they may have landed already."""

        async def test(harness: Harness, _: object) -> None:
            signed = await harness.signer.sign(
                await harness.chain.build(harness.plan(marker=False), await harness.chain.latest_blockhash())
            )
            await asyncio.gather(harness.chain.send(signed.raw), harness.chain.send(signed.raw))
            await harness.chain.wait_for_news(signed.signature, 60)
            landed = await harness.chain.transaction(signed.signature)
            assert landed is not None
            assert landed.revert == ""
            with pytest.raises(AlreadyProcessed):
                await harness.chain.send(signed.raw)

        self.run(tmp_path, test)


def run(work: Awaitable[None]) -> None:
    async def inside() -> None:
        await work

    asyncio.run(inside())


async def a_replica_follows(folder: Path, address: str) -> None:
    async with near_and_far(folder, address) as (world, chain):
        market = RemoteMarket(settings=settings(folder, **STILL), clock=SystemClock(), chain=chain)
        assert dict(market.current().pools) == dict(world.snapshot.pools)
        assert market.tokens.all() == TOKENS.all()
        assert market.current().by_pair == world.snapshot.by_pair
        await world.land(world.plan())
        await until(lambda: dict(market.current().pools) == dict(world.snapshot.pools))
        fetched = await market.fetch(SOL, USDC)
        assert fetched.of_pair(SOL, USDC) == world.snapshot.of_pair(SOL, USDC)


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_the_market_is_a_replica_of_the_chains(tmp_path: Path, kind: str) -> None:
    from servers import free_port

    run(a_replica_follows(tmp_path, address_in(tmp_path) if kind == "unix" else f"127.0.0.1:{free_port()}"))


class Followed:
    """A market feed whose pools come and go, as a real chain's do."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.all, self.snapshot, self.tokens, self.away = snapshot, snapshot, TOKENS, False

    def without(self, *gone: Pool) -> None:
        addresses = {pool.address for pool in gone}
        pools = {address: pool for address, pool in self.all.pools.items() if address not in addresses}
        unpriced = tuple(Unpriced(pool.address, pool.venue, "stale", "not heard of") for pool in gone)
        self.snapshot = Snapshot(self.all.clock, pools, index_pairs(pools.values()), unpriced)

    def current(self) -> Snapshot:
        if self.away:
            raise ChainError("the market can't be told")
        return self.snapshot

    async def fetch(self, input_mint: Mint, output_mint: Mint) -> Snapshot:
        return self.snapshot


def test_pools_that_are_followed_come_and_go_for_every_replica(tmp_path: Path) -> None:
    async def work() -> None:
        address = address_in(tmp_path)
        async with open_world(tmp_path, clock=SystemClock(), **STILL) as world:
            followed = Followed(world.snapshot)
            server = PaperServer(world.chain, followed, address, wallet=world.signer.wallet, follows=True)
            await server.start()
            slow = settings(tmp_path, **{**STILL, "paper_raydium_quote_delay_ms": 10**6})
            async with connected(address) as chain:
                market = RemoteMarket(settings=slow, clock=SystemClock(), chain=chain)
                assert dict(market.current().pools) == dict(followed.all.pools)
                gone = followed.all.of_pair(SOL, USDC)
                followed.without(gone[0])
                await until(lambda: gone[0].address not in market.current().pools)
                assert [each.address for each in market.current().unpriced] == [gone[0].address]
                # The others of the pair answer, and at once: the venues' delays are the simulated market's.
                assert (await market.fetch(SOL, USDC)).of_pair(SOL, USDC) == gone[1:]
                followed.without(*gone)
                await until(lambda: not market.current().of_pair(SOL, USDC))
                with pytest.raises(ChainError) as stale:
                    await market.fetch(SOL, USDC)
                assert stale.value.code == "market_stale"
                async with connected(address) as later:
                    assert later.snapshot().unpriced == market.current().unpriced
                    followed.tokens = TOKENS.extended([Token("", NEW_MINT, 3)])
                    followed.snapshot = followed.all
                    for replica in (chain, later):
                        await until(lambda replica=replica: len(replica.snapshot().of_pair(SOL, USDC)) == len(gone))  # type: ignore[misc]
                        assert replica.snapshot().by_pair == followed.all.by_pair
                        assert replica.snapshot().unpriced == ()
                        assert replica.tokens.get(NEW_MINT) is not None
                followed.away = True
                await asyncio.sleep(0.05)
                followed.away = False
                followed.without(gone[0])
                await until(lambda: gone[0].address not in market.current().pools)
            await server.close()

    run(work())


def test_an_outcome_is_told_without_being_asked_for(tmp_path: Path) -> None:
    async def work() -> None:
        async with near_and_far(tmp_path, address_in(tmp_path)) as (world, chain):
            signed = await world.signed(world.plan())
            await chain.send(signed.raw)
            async with asyncio.timeout(10):
                await chain.wait_for_news(signed.signature, 60)
            status = await chain.status(signed.signature, search_history=True)
            assert status == await world.chain.status(signed.signature, search_history=True)
            assert await chain.transaction(signed.signature) == await world.chain.transaction(signed.signature)

    run(work())


def test_a_call_that_is_cut_off_is_unknown_and_the_next_connection_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        address = address_in(tmp_path)
        async with open_world(tmp_path, clock=SystemClock(), **STILL) as world:
            async with served(world, address):
                chain = RemoteChain(address)
                await chain.open()
                signed = await world.signed(world.plan())
                waiting = asyncio.create_task(chain.wait_for_news(signed.signature, 0.05))
            await until(lambda: not chain.connected)
            await waiting
            for call in (chain.slot(Commitment.FINALIZED), chain.send(signed.raw), chain.latest_blockhash()):
                with pytest.raises(ChainError) as lost:
                    await call
                assert lost.value.code == "chain_unreachable"
            market = RemoteMarket(settings=settings(tmp_path, **STILL), clock=SystemClock(), chain=chain)
            assert market.current().pools
            with pytest.raises(ChainError):
                await market.fetch(SOL, USDC)
            async with served(world, address):
                await until(lambda: chain.connected)
                await chain.send(signed.raw)
                await chain.wait_for_news(signed.signature, 60)
                assert await chain.transaction(signed.signature) is not None
                await chain.close()

    run(work())


def test_a_peer_that_speaks_nonsense_is_cut_off(tmp_path: Path) -> None:
    async def work() -> None:
        address = address_in(tmp_path)
        async with open_world(tmp_path, clock=SystemClock(), **STILL) as world, served(world, address):
            reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
            writer.write(b"\x05\x00\x00\x00hello")
            async with asyncio.timeout(10):
                await reader.read(-1)
            writer.close()
            async with connected(address) as chain:
                assert await chain.slot(Commitment.PROCESSED) > 0

    run(work())


def test_where_nothing_listens_opening_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(observe, "paper_chain_away", lambda address, reason: told.append(f"{address} {reason}"))
    monkeypatch.setattr(remote, "OPEN_LIMIT_S", 0.5)
    address = address_in(tmp_path)
    with pytest.raises(Unavailable, match=address):
        asyncio.run(RemoteChain(address).open())
    assert told == [f"{address} No such file or directory"]


@pytest.mark.parametrize("text", ["", "here", "host:", ":1", "host:70000", "host:x"])
def test_an_address_is_a_socket_or_a_host_and_a_port(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_address(text)


def test_a_second_paper_chain_does_not_take_the_firsts_socket(tmp_path: Path) -> None:
    async def test() -> None:
        address = address_in(tmp_path)
        async with near_and_far(tmp_path, address) as (world, chain):
            second = PaperServer(world.chain, world.feed, address, wallet=world.signer.wallet)
            with pytest.raises(ConfigError, match="Address already in use"):
                await second.start()
            async with connected(address) as other:
                assert other.wallet == chain.wallet

    asyncio.run(test())


def test_an_address_that_is_taken_is_told_as_it_was_given(tmp_path: Path) -> None:
    async def test() -> None:
        async with open_world(tmp_path, clock=SystemClock(), **STILL) as world:
            taken = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
            address = f"127.0.0.1:{taken.sockets[0].getsockname()[1]}"
            server = PaperServer(world.chain, world.feed, address, wallet=world.signer.wallet)
            with pytest.raises(ConfigError, match=f"can't listen on {address}: Address already in use"):
                await server.start()
            taken.close()
            await taken.wait_closed()

    asyncio.run(test())
