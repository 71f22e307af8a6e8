"""The paper chain and market: what a transaction and a market step cost, beside their goals.

Run: `python -m benchmarks.paper [transactions]`. One process, real clock, real ledger with full fsync.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from fillwright.config import Settings
from fillwright.domain.amounts import SwapMode
from fillwright.domain.routes import Leg
from fillwright.domain.tokens import MAINNET_TOKENS, TokenList
from fillwright.domain.transactions import SwapPlan
from fillwright.market.snapshot import venue_for
from fillwright.paper.chain import PaperChain
from fillwright.paper.default_market import default_pools, reference_prices
from fillwright.paper.feed import PaperMarketFeed
from fillwright.paper.market import MarketTerms, SimulatedMarket
from fillwright.paper.origin import Origin
from fillwright.paper.signer import PaperSigner
from fillwright.paper.transaction import is_signed
from fillwright.paper.world import Genesis, first_clock
from fillwright.venues.venue import Swap

IN_FLIGHT = 100
MARKET_SLOTS = 5_000
GOAL_TRANSACTION_US = 150.0
GOAL_STEP_US = 3.0
GOAL_MEMORY_MB = 200.0
AMOUNT = 10_000_000
TOKENS = TokenList(MAINNET_TOKENS)
SOL, USDC = (TOKENS.resolve(symbol, pointer="").mint for symbol in ("SOL", "USDC"))


T = TypeVar("T")


class WallClock:
    """Implements `ports.Clock`."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Stopwatch:
    """Seconds spent per step; nothing else runs on the loop's thread meanwhile, as no step suspends."""

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = {}

    async def time(self, name: str, step: Callable[[], Awaitable[T]]) -> T:
        started = time.perf_counter()
        result = await step()
        self.spent_s[name] = self.spent_s.get(name, 0.0) + time.perf_counter() - started
        return result


async def transactions(folder: Path, count: int) -> None:
    """Land `count` transactions, IN_FLIGHT at a time, and wait for each to be durable."""
    settings = Settings(
        _env_file=None,
        data_dir=folder,
        paper_execution_delay_min_ms=0,
        paper_execution_delay_max_ms=0,
        paper_failure_rate=0.0,
    )
    clock, signer, origin = WallClock(), PaperSigner.from_seed(1), Origin(tokens=TOKENS)
    chain = PaperChain(settings=settings, clock=clock, wallet=signer.wallet, origin=origin)
    started = time.perf_counter()
    await chain.open()
    print(f"open a new world              {(time.perf_counter() - started) * 1e3:9.1f} ms")
    feed = PaperMarketFeed(settings=settings, clock=clock, chain=chain, tokens=TOKENS)
    watch, gate = Stopwatch(), asyncio.Semaphore(IN_FLIGHT)

    async def one(order: int) -> None:
        async with gate:
            snapshot = feed.current()
            pool = snapshot.of_pair(SOL, USDC)[order % 2]
            mints = (SOL, USDC) if order % 4 < 2 else (USDC, SOL)
            quote = venue_for(pool).quote(pool, Swap(mints[0], SwapMode.EXACT_IN, AMOUNT), snapshot.clock)
            leg = Leg(pool.venue, "", pool.address, *mints, AMOUNT, quote.amount_out)
            order_id, seed = f"01980000-0000-7000-8000-{order:012d}", f"{order:032x}"
            plan = SwapPlan(
                order_id,
                1,
                f"wallet-{order % 50}",
                SwapMode.EXACT_IN,
                *mints,
                AMOUNT,
                quote.amount_out,
                1,
                (leg,),
                seed,
            )
            blockhash = await chain.latest_blockhash()
            message = await watch.time("build", lambda: chain.build(plan, blockhash))
            await watch.time("simulate", lambda: chain.simulate(message))
            signed = await watch.time("sign", lambda: signer.sign(message, plan))
            await watch.time("send and land", lambda: chain.send(signed.raw))
            await chain.wait_for_news(signed.signature, 10)
            status = await watch.time("status", lambda: chain.status(signed.signature, True))
            landed = await watch.time("transaction", lambda: chain.transaction(signed.signature))
            assert status is not None
            assert landed is not None
            if order == 0:
                started = time.perf_counter()
                for _ in range(200):
                    is_signed(signed.raw, signer.wallet)
                print(f"  of it, verify the signature {(time.perf_counter() - started) / 200 * 1e6:9.1f} µs")

    await one(0)
    watch.spent_s.clear()
    started, cpu = time.perf_counter(), time.process_time()
    for first in range(1, count, 1_000):
        await asyncio.gather(*(one(order) for order in range(first, min(first + 1_000, count))))
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    for name, spent_s in watch.spent_s.items():
        print(f"{name:<30}{spent_s / count * 1e6:9.1f} µs")
    total = sum(watch.spent_s[name] for name in ("build", "sign", "send and land")) / count * 1e6
    _against("build + sign + send + land", total, GOAL_TRANSACTION_US, "µs")
    print(f"all threads, quote to status  {cpu / count * 1e6:9.1f} µs CPU a transaction")
    print(f"durable transactions          {count / wall:9.0f} a second, {IN_FLIGHT} in flight")
    _against("memory at its highest", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, GOAL_MEMORY_MB, "MB")
    await chain.close()


def market(folder: Path) -> None:
    """Advance the default market slot by slot, and in one piece; in time of the processor."""
    settings = Settings(_env_file=None, data_dir=folder)
    now_ms = WallClock().now_ms()
    genesis = Genesis(1, now_ms, settings.paper_slot_ms, first_clock(now_ms), "benchmark")
    for name, stride in (("a slot at a time", 1), ("1,000 slots at a time", 1_000)):
        prices = reference_prices(genesis, settings.paper_volatility)
        pools = {pool.address: pool for pool in default_pools(genesis, settings, prices)}
        simulated = SimulatedMarket(genesis=genesis, terms=MarketTerms(), pools=pools.values(), prices=prices)
        slot = genesis.first.slot
        started = time.process_time()
        while slot < genesis.first.slot + MARKET_SLOTS:
            pools |= simulated.advance(pools, dict.fromkeys(pools, slot), slot + stride)
            slot += stride
        spent_s = time.process_time() - started
        _against(f"pool and step, {name}", spent_s / MARKET_SLOTS / len(pools) * 1e6, GOAL_STEP_US, "µs")


def _against(name: str, figure: float, goal: float, unit: str) -> None:
    verdict = "met" if figure <= goal else "MISSED"
    print(f"{name:<38}{figure:7.1f} {unit}   goal {goal:g} {unit}: {verdict}")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        market(Path(folder))
        asyncio.run(transactions(Path(folder), count))


if __name__ == "__main__":
    main()
