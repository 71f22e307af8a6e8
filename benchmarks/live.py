"""A live engine's own overhead: from the trigger (a held order is released) to the first byte that is sent, the
node's simulation aside, one order at a time with the feed warm. Node and signer are processes of their own.

Needs FILLWRIGHT_PROGRAMS, a folder with `<program id>.so`: program binaries are not part of the repository.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.system.live_world import LiveWorld
from tests.venues.raydium_data import pool_accounts

from benchmarks.figures import Figure, show
from fillwright import app
from fillwright.chain.sender import NodeSender
from fillwright.chain.signer.client import SocketSigner
from fillwright.chain.simulate import Simulator
from fillwright.chain.solana import SolanaChain
from fillwright.config import ApiKey, Mode, Settings
from fillwright.domain.amounts import SwapMode
from fillwright.domain.orders import OrderSpec, OrderType
from fillwright.execution.held import HeldOrder
from fillwright.execution.journey import Journey
from fillwright.venues.vectors import pool_in

ORDERS = int(os.environ.get("FILLWRIGHT_BENCH_LIVE_ORDERS", "200"))
WARM_UP = 10
GOAL_MS = 10.0
LIMIT_S = 10.0
POOL = "raydium_cpmm/FRESH_SOL-SPL"


class Stopwatch:
    """Seconds spent in each of the parts that are wrapped, and when the first byte went out."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._sent: asyncio.Future[float] | None = None
        self._seen: set[bytes] = set()

    def start(self) -> None:
        """Forget what was measured, and wait for the next first byte."""
        self.spent.clear()
        self._sent = asyncio.get_running_loop().create_future()

    async def sent(self) -> float:
        """When the first byte since `start` went out."""
        assert self._sent is not None
        return await self._sent

    def wrap(self, kind: type, name: str, part: str) -> None:
        inner: Callable[..., Awaitable[Any]] = getattr(kind, name)

        async def timed(*args: Any, **options: Any) -> Any:
            started_s = time.perf_counter()
            try:
                return await inner(*args, **options)
            finally:
                self.spent[part] = self.spent.get(part, 0.0) + time.perf_counter() - started_s

        setattr(kind, name, timed)

    def watch_sends(self) -> None:
        inner = NodeSender.send

        async def noted(sender: NodeSender, raw: bytes) -> None:
            if self._sent is not None and not self._sent.done() and raw not in self._seen:
                self._sent.set_result(time.perf_counter())
            self._seen.add(raw)
            await inner(sender, raw)

        NodeSender.send = noted  # type: ignore[method-assign]


async def measure(world: LiveWorld) -> list[dict[str, float]]:
    """For each order the seconds of every part, and `overhead`."""
    watch = Stopwatch()
    watch.wrap(Simulator, "run", "simulate")
    watch.wrap(SolanaChain, "build", "build")
    watch.wrap(SolanaChain, "latest_blockhash", "blockhash")
    watch.wrap(Journey, "_route", "route")
    watch.wrap(SocketSigner, "sign", "sign")
    watch.wrap(HeldOrder, "record", "commit")
    watch.watch_sends()
    keys = (ApiKey(account="me", sha256="0" * 64),)
    settings = Settings(
        _env_file=None, mode=Mode.DEVNET, live_config=world.folder / "live.toml", signer_socket=world.socket,
        data_dir=world.folder / "engine", port=0, concurrency=500, api_keys=keys, rebroadcast_s=0.5, marker_sweep_s=0,
    )  # type: ignore[call-arg]  # fmt: skip
    accounts = pool_accounts(POOL)
    venue, address = pool_in(accounts)
    mints = venue.decode(address, accounts).mints
    found = []
    async with app.running(settings) as engine:
        app.tune_interpreter()
        wallet = str(world.wallet.pubkey())
        for number in range(ORDERS + WARM_UP):
            spec = OrderSpec(
                account="me", wallet=wallet, type=OrderType.MARKET, input_mint=mints[number % 2],
                output_mint=mints[1 - number % 2], mode=SwapMode.EXACT_IN, amount=100_000 + number, slippage_bps=500,
                hold=True,
            )  # fmt: skip
            order = await engine.intake.submit(spec)
            await asyncio.sleep(0.05)
            watch.start()
            started_s = time.perf_counter()
            await engine.intake.release(order.id, "me")
            async with asyncio.timeout(LIMIT_S):
                sent_s = await watch.sent()
            parts = dict(watch.spent)
            if number >= WARM_UP:
                found.append({"overhead": sent_s - started_s - parts.get("simulate", 0.0), **parts})
    return found


def main() -> None:
    programs = os.environ.get("FILLWRIGHT_PROGRAMS")
    if not programs or not any(Path(programs).glob("*.so")):
        print("FILLWRIGHT_PROGRAMS names no folder with program binaries: not measured")
        return
    with tempfile.TemporaryDirectory() as folder:
        world = LiveWorld(Path(folder), pools=(POOL,))
        try:
            world.node.start()
            world.signer.start()
            found = asyncio.run(measure(world))
        finally:
            world.close()
    show(f"trigger to first byte sent, {len(found)} orders one at a time, simulation aside", _figures(found))


def _figures(found: list[dict[str, float]]) -> list[Figure]:
    def at(part: str, share: float) -> float:
        ordered = sorted(each.get(part, 0.0) for each in found)
        return ordered[int(share * (len(ordered) - 1))] * 1_000

    figures = [
        Figure("overhead, p50", at("overhead", 0.5), "ms", GOAL_MS),
        Figure("overhead, p99", at("overhead", 0.99), "ms"),
    ]
    named = {
        "route": "route",
        "blockhash": "blockhash",
        "build": "of it, build",
        "commit": "of it, commits",
        "sign": "of it, signer",
        "simulate": "beside it",
    }
    return figures + [Figure(f"{name}, p50", at(part, 0.5), "ms") for part, name in named.items()]
