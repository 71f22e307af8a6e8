"""The live market: it shows what the chain holds, settled by slot, and nothing that may have changed unseen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace
from solders.account import Account as SolanaAccount
from tests.chain.world import Engine, LocalWorld, engine, sign, until

from fillwright.chain.accounts import AccountBook
from fillwright.chain.discover import discover_mint, discover_pair
from fillwright.chain.feed import FeedSettings, LiveMarketFeed
from fillwright.chain.sender import NodeSender, Senders
from fillwright.chain.solana import SolanaChain
from fillwright.chain.stream import Subscription
from fillwright.clock import SystemClock
from fillwright.domain.accounts import Account, Address
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import ChainError
from fillwright.domain.tokens import MAINNET_TOKENS, TokenList
from fillwright.market.drift import DriftPolicy, DriftSentinel
from fillwright.market.guards import GuardPolicy, MintVerdict, PriceGuard, TokenGuard
from fillwright.venues.registry import VENUES
from fillwright.venues.venue import Pool, Swap

CPMM, DLMM, V4 = "raydium_cpmm/FRESH_SOL-SPL", "meteora_dlmm/SYN_gaps_many-arrays", "raydium_amm_v4/SYN_SOL-6_fee25"
NOT_A_POOL = Address("So11111111111111111111111111111111111111112")


class SkewedClock(SystemClock):
    """The machine's clock, put forward by hand."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s


@asynccontextmanager
async def feed(running: Engine, *, stream: bool = True, **options: Any) -> AsyncIterator[LiveMarketFeed]:
    settings = options.pop("settings", FeedSettings(poll_s=0.01, stale_after_s=5.0, verify_s=1_000.0))
    pools = options.pop("pools", list(running.world.held))
    clock = options.pop("clock", SystemClock())
    following = LiveMarketFeed(
        rpc=running.rpc,
        clock=clock,
        tokens=TokenList(MAINNET_TOKENS),
        pools=pools,
        stream=running.stream if stream else None,
        settings=settings,
        **options,
    )
    await following.open()
    try:
        yield following
    finally:
        await following.close()


async def trade(running: Engine, address: Address, times: int = 1) -> None:
    for number in range(times):
        pool = running.world.pool(address)
        plan = running.world.plan([(address, pool.mints[number % 2], 100_000_000)], marker_seed="")
        signed = sign(await running.chain.build(plan, await running.chain.latest_blockhash()))
        await running.chain.send(signed.raw)
        running.world.local.advance()


@pytest.mark.parametrize("stream", [True, False])
def test_the_market_follows_every_trade(stream: bool) -> None:
    async def run() -> None:
        world = LocalWorld(CPMM, V4)
        async with engine(world) as running, feed(running, stream=stream) as following:
            assert following.current().pools == world.snapshot().pools
            if stream:
                await until(lambda: all(following.freshness_s(each) < 0.5 for each in world.held))
            for address in world.held:
                for _ in range(3):
                    await trade(running, address)
                    await until(lambda: following.current().pools == world.snapshot().pools)
            # The clock is settled one slot later than everything else.
            await until(lambda: following.current().slot >= world.local.slot - 1)
            assert following.current().clock.epoch == world.local.epoch

    asyncio.run(run())


def test_after_a_cut_socket_the_market_is_read_again() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        (address,) = world.held
        async with engine(world) as running, feed(running) as following:
            await until(lambda: running.stream.is_connected)
            running.node.cut_sockets()
            await trade(running, address)
            await until(lambda: running.stream.connections == 2)
            await until(lambda: following.current().pools == world.snapshot().pools)
            await trade(running, address)
            await until(lambda: following.current().pools == world.snapshot().pools)

    asyncio.run(run())


def test_a_pool_that_is_not_heard_of_is_stale_and_not_quoted_until_it_is_read_again() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        (address,) = world.held
        clock = SkewedClock()
        settings = FeedSettings(poll_s=1_000.0, stale_after_s=5.0)
        async with engine(world) as running, feed(running, stream=False, clock=clock, settings=settings) as following:
            assert address in following.current().pools
            clock.ahead_s = 6.0
            snapshot = following.current()
            assert not snapshot.pools
            assert [(each.address, each.reason) for each in snapshot.unpriced] == [(address, "stale")]
            mints = world.pool(address).mints
            assert address in (await following.fetch(*mints)).pools
            clock.ahead_s = 20.0
            await running.node.close()
            with pytest.raises(ChainError):
                await following.fetch(*mints)
            assert not following.current().pools

    asyncio.run(run())


def test_a_node_that_answers_but_stands_still_makes_its_pools_stale() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        (address,) = world.held
        clock = SkewedClock()
        settings = FeedSettings(poll_s=1_000.0, stale_after_s=5.0)
        async with engine(world) as running, feed(running, stream=False, clock=clock, settings=settings) as following:
            mints = world.pool(address).mints
            clock.ahead_s = 100.0  # it was never seen to move: a chain of one's own may wait for its next transaction
            assert address in (await following.fetch(*mints)).pools
            world.local.advance()
            clock.ahead_s = 110.0
            assert address in (await following.fetch(*mints)).pools
            clock.ahead_s = 130.0
            assert address in (await following.fetch(*mints)).pools
            clock.ahead_s = 150.0
            with pytest.raises(ChainError, match="stale"):
                await following.fetch(*mints)
            assert [each.reason for each in following.current().unpriced] == ["stale"]
            world.local.advance()
            assert address in (await following.fetch(*mints)).pools

    asyncio.run(run())


def test_a_quarantined_pool_is_not_quoted_and_says_why() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM, V4)
        first, second = world.held
        sentinel = DriftSentinel(DriftPolicy(strikes=2))
        async with engine(world) as running, feed(running, sentinel=sentinel) as following:
            assert sentinel.observe(first, predicted=1_000_000, actual=1_000_000, source="simulation") is None
            assert sentinel.observe(first, predicted=1_000_000, actual=999_000, source="simulation") is None
            assert sentinel.observe(first, predicted=1_000_000, actual=999_000, source="chain") is not None
            snapshot = following.current()
            assert set(snapshot.pools) == {second}
            assert snapshot.unpriced[0].reason == "quarantined"
            assert "999000" in snapshot.unpriced[0].detail
            assert sentinel.release(first)
            assert set(following.current().pools) == {first, second}

    asyncio.run(run())


def test_addresses_that_are_no_pools_are_listed_with_their_reason() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        (address,) = world.held
        missing = Address("1" * 31 + "2")
        async with engine(world) as running, feed(running, pools=[address, NOT_A_POOL, missing]) as following:
            snapshot = following.current()
            assert set(snapshot.pools) == {address}
            assert {each.address: each.reason for each in snapshot.unpriced} == {
                NOT_A_POOL: "malformed",
                missing: "malformed",
            }
            assert all(following.tokens.get(mint) for mint in world.pool(address).mints)

    asyncio.run(run())


def test_a_guarded_pool_is_not_quoted() -> None:
    def trap(*_: object) -> MintVerdict:
        return MintVerdict("a trap")

    async def run() -> None:
        world = LocalWorld(CPMM)
        async with engine(world) as running, feed(running, guard=trap) as following:
            assert not following.current().pools
            assert following.current().unpriced[0].detail == "a trap"

    asyncio.run(run())


def with_mint(world: LocalWorld, mint: str, at: int, value: bytes) -> None:
    """Change bytes of a mint's account on the chain."""
    held = world.local.account(mint)
    assert held is not None
    data = held.data[:at] + value + held.data[at + len(value) :]
    world.local.set_account(mint, SolanaAccount(held.lamports, data, held.owner))
    world.local.advance(2)


def test_what_a_tokens_issuer_can_do_is_told_of_a_pool_that_is_quoted() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        (address,) = world.held
        mint = next(mint for mint in world.pool(address).mints if mint != NOT_A_POOL)
        guard = TokenGuard(GuardPolicy())
        async with engine(world) as running, feed(running, stream=False, guard=guard) as following:
            assert not any("freeze" in each for each in following.current().warnings.get(address, ()))
            with_mint(world, mint, 46, b"\x01\x00\x00\x00")
            await until(lambda: any("freeze" in each for each in following.current().warnings.get(address, ())))
            assert address in following.current().pools

    asyncio.run(run())


def test_a_pool_of_a_mint_that_came_back_with_other_decimals_is_refused_and_the_market_goes_on() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM, V4)
        address, other = world.held
        mint = next(mint for mint in world.pool(address).mints if mint != NOT_A_POOL)
        async with engine(world) as running, feed(running, stream=False) as following:
            assert set(following.current().pools) == {address, other}
            with_mint(world, mint, 44, b"\x02")
            await until(lambda: set(following.current().pools) == {other})
            assert [(each.address, each.reason) for each in following.current().unpriced] == [(address, "malformed")]
            assert "decimals" in following.current().unpriced[0].detail
            await trade(running, other)
            await until(lambda: following.current().pools[other] == world.snapshot().pools[other])

    asyncio.run(run())


@pytest.mark.parametrize("name", ["raydium_clmm/SYN_ts1_bitmap-extension", "meteora_dlmm/SYN_bitmap-extension"])
def test_a_pool_whose_accounts_can_not_be_told_is_refused_alone_and_comes_back(name: str) -> None:
    async def run() -> None:
        world = LocalWorld(CPMM, name)
        other, address = world.held
        async with engine(world) as running, feed(running, stream=False) as following:
            assert set(following.current().pools) == {address, other}
            (bitmap,) = [
                key
                for key in following._followed[address].keys
                if (held := world.local.account(key)) is not None and len(held.data) in (1_832, 1_576)
            ]
            held = world.local.account(bitmap)
            assert held is not None
            world.local.set_account(bitmap, SolanaAccount(held.lamports, b"\xff" * 100, held.owner))
            world.local.advance(2)
            await until(lambda: set(following.current().pools) == {other})
            assert [each.reason for each in following.current().unpriced] == ["malformed"]
            slot = world.local.slot
            world.local.advance(5)
            await until(lambda: following.current().slot > slot)
            assert other in (await following.fetch(*following.current().pools[other].mints)).pools
            world.local.set_account(bitmap, held)
            world.local.advance(2)
            await until(lambda: set(following.current().pools) == {address, other})

    asyncio.run(run())


class DeafStream:
    """Connected, and takes every subscription; `confirms`: each is in force at once, but nothing is ever told."""

    def __init__(self, *, confirms: bool) -> None:
        self.is_connected, self.connections, self._confirms = True, 1, confirms

    def subscribe(self, method: str, params: Any, on_message: Any, on_gap: Any) -> Subscription:
        subscription = Subscription(self, method, params, on_message, on_gap)  # type: ignore[arg-type]
        if self._confirms:
            subscription.remote_id = 1
            on_gap()
        return subscription

    def forget(self, subscription: Subscription) -> None:
        pass


@pytest.mark.parametrize("confirms", [True, False])
def test_a_stream_that_tells_nothing_does_not_keep_the_market_from_being_read(confirms: bool) -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        (address,) = world.held
        async with engine(world) as running:
            running.stream = DeafStream(confirms=confirms)  # type: ignore[assignment]
            async with feed(running) as following:
                for _ in range(3):
                    await trade(running, address)
                    await until(lambda: following.current().pools == world.snapshot().pools)

    asyncio.run(run())


def test_a_snapshot_is_the_same_object_until_something_changes() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        settings = FeedSettings(poll_s=1_000.0)
        async with engine(world) as running, feed(running, stream=False, settings=settings) as following:
            assert following.current() is following.current()

    asyncio.run(run())


@pytest.mark.parametrize("name", [CPMM, DLMM, V4, "raydium_clmm/SYN_ts10_T22", "meteora_damm_v1/SYN_stable_6-6",
                                  "meteora_damm_v2/SYN_compounding"])  # fmt: skip
def test_pools_are_found_by_pair_and_by_mint(name: str) -> None:
    async def run() -> None:
        world = LocalWorld(name)
        (address,) = world.held
        a, b = world.pool(address).mints
        venue = name.partition("/")[0]
        async with engine(world) as running:
            assert await discover_pair(running.rpc, a, b) == [address]
            assert await discover_pair(running.rpc, b, a, [venue]) == [address]
            assert await discover_mint(running.rpc, b) == [address]
            assert await discover_pair(running.rpc, a, a) == []

    asyncio.run(run())


A, B = Address("A"), Address("B")


def state(number: int) -> Account:
    return Account(Address("owner"), bytes([number]))


def test_changes_of_one_slot_become_visible_together() -> None:
    book = AccountBook()
    book.read(5, {A: state(0), B: state(0)})
    book.saw_slot(6)
    book.take_changed()
    book.notified(A, 6, state(1))
    assert book.settled == {A: state(0), B: state(0)}
    book.notified(B, 6, state(1))
    assert not book.take_changed()
    book.saw_slot(7)
    assert book.settled == {A: state(1), B: state(1)}
    assert book.take_changed() == {A, B}


def test_an_older_state_never_replaces_a_newer_one() -> None:
    book = AccountBook()
    book.notified(A, 9, state(9))
    book.saw_slot(10)
    book.notified(A, 8, state(8))
    book.read(7, {A: state(7)})
    assert book.settled == {A: state(9)}
    book.notified(A, 10, state(10))
    book.read(11, {A: state(11)})
    book.saw_slot(12)
    assert book.settled == {A: state(11)}


def test_a_late_notification_of_a_finished_slot_is_visible_at_once() -> None:
    book = AccountBook()
    book.saw_slot(10)
    book.notified(A, 9, state(1))
    assert book.settled == {A: state(1)}
    book.forget(A)
    assert book.settled == {}


def test_a_simulation_that_differs_counts_as_drift_only_while_the_pool_is_what_was_quoted() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM)
        (address,) = world.held
        sentinel = DriftSentinel(DriftPolicy(strikes=1))
        settings = FeedSettings(poll_s=1_000.0, stale_after_s=1_000.0)
        async with (
            engine(world) as running,
            feed(running, stream=False, settings=settings, sentinel=sentinel) as following,
        ):
            chain = SolanaChain(
                rpc=running.rpc, senders=Senders([NodeSender(running.rpc, running.rpc.endpoints[0])]),
                clock=SystemClock(), wallet=world.wallet, market=following.current, sentinel=sentinel,
                reread=following.reread,
            )  # fmt: skip
            pool = world.pool(address)
            plan = world.plan([(address, pool.mints[0], 100_000_000)])
            await trade(running, address)
            # The feed has not heard of the trade: the outcome differs, but not by the pool's fault.
            await chain.simulate(await chain.build(plan, await chain.latest_blockhash()))
            assert not sentinel.quarantined
            # Now the pool is current, and its fee has been raised behind a changed rule.
            plan = world.plan([(address, pool.mints[0], 100_000_000)])
            lying = plan.amount_out * 100 // 99
            following._followed[address].pool = replace(  # what our maths would say, had it missed a fee
                following.current().pools[address], trade_fee_rate=1
            )
            following._changes += 1
            quoted = following.current()
            predicted = VENUES["raydium_cpmm"].quote(
                quoted.pools[address], Swap(pool.mints[0], SwapMode.EXACT_IN, 100_000_000), quoted.clock
            )
            wrong = replace(plan, amount_out=predicted.amount_out, limit=1)
            assert plan.amount_out < predicted.amount_out < lying
            chain._realised._reread = _always(quoted.pools[address])
            await chain.simulate(await chain.build(wrong, await chain.latest_blockhash()))
            assert address in sentinel.quarantined
            assert not following.current().pools

    asyncio.run(run())


def _always(pool: Pool) -> Any:
    async def reread(address: Address) -> Pool:
        return pool

    return reread


def test_a_pool_whose_price_is_refused_is_listed_and_never_quoted() -> None:
    async def run() -> None:
        world = LocalWorld(CPMM, DLMM)
        (thin, other) = world.held
        (own,) = set(world.pool(thin).mints) - set(world.pool(other).mints)
        guard = PriceGuard(GuardPolicy(min_depth={own: 2**64 - 1}))
        async with engine(world) as running, feed(running, price_guard=guard) as following:
            market = following.current()
            assert set(market.pools) == {other}
            assert [(each.address, each.reason) for each in market.unpriced] == [(thin, "price_refused")]

    asyncio.run(run())
