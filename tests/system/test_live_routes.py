"""A quiet chain: market orders through all six venues, split over pools and over two hops, do what was quoted.

FILLWRIGHT_ROUTE_ORDERS says how many orders (default 60).
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.chain.world import LocalWorld
from tests.system.test_live import QUIET, LiveEngine, live_engine
from tests.venues.raydium_data import pool_accounts

from fillwright.domain.accounts import WRAPPED_SOL, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import Attempt, Order, OrderSpec, OrderStatus, OrderType, Routed
from fillwright.domain.routes import Route
from fillwright.venues.vectors import pool_in

ORDERS = int(os.environ.get("FILLWRIGHT_ROUTE_ORDERS", "60"))
SHARED = (
    "raydium_amm_v4/SYN_SOL-6_fee25",
    "raydium_cpmm/FRESH_SOL-SPL",
    "meteora_damm_v2/SYN_full-range_linear",
    "meteora_damm_v2/SYN_compounding",
)
"""Pools of SOL against tokens that are worth about the same: here they are one token."""
CLMM, DLMM = "raydium_clmm/SYN_ts1_bitmap-extension", "meteora_dlmm/SYN_gaps_many-arrays"
HOP = "raydium_amm_v4/SYN_6-SOL_fee100"
DAMM_V1 = "meteora_damm_v1/SYN_CP_locked-profit"
APART = (CLMM, DLMM, DAMM_V1, HOP)
"""Pools of SOL against tokens of their own. The last one's is bought with the shared token too, over two hops."""
DIGITS = {WRAPPED_SOL: 9, "CZWeqfYLT8Zm9HYE2ghNYK8vg7DNjVaeBEXxjhMohqH7": 10}
"""Of amounts that are worth about as much as a whole one of the shared token; 6 for the others."""
MAX_WAITS = 2_000


def token_of(pool: str) -> Mint:
    """The mint that a pool trades against SOL."""
    accounts = pool_accounts(pool)
    venue, address = pool_in(accounts)
    return next(Mint(mint) for mint in venue.decode(address, accounts).mints if mint != WRAPPED_SOL)


def same_tokens() -> dict[str, str]:
    """Which mints are taken for which: one shared token."""
    return {str(token_of(pool)): str(token_of(SHARED[0])) for pool in SHARED}


def spec_of(world: LocalWorld, number: int, draw: random.Random) -> OrderSpec:
    """SOL against the shared token, SOL against one apart, or the shared token against one apart; either way."""
    sol, shared = Mint(WRAPPED_SOL), token_of(SHARED[0])
    pairs = [(sol, shared), (sol, shared), (sol, token_of(APART[number % 4])), (shared, token_of(HOP))]
    pair = draw.choice(pairs)
    given, taken = pair if draw.random() < 0.5 else pair[::-1]
    # DAMM v1 swaps exact inputs only.
    exact_in = draw.random() < 0.7 or token_of(DAMM_V1) in pair
    digits = DIGITS.get(given if exact_in else taken, 6)
    return OrderSpec(
        account="test",
        wallet=world.wallet,
        type=OrderType.MARKET,
        input_mint=given,
        output_mint=taken,
        mode=SwapMode.EXACT_IN if exact_in else SwapMode.EXACT_OUT,
        amount=int(10 ** draw.uniform(digits - 3, digits + 0.8)),
        slippage_bps=100,
        client_order_id=f"route-{number}",
    )


async def settled(engine: LiveEngine, order: Order) -> Order:
    """The order at its end; blocks pass as it needs them."""
    for _ in range(MAX_WAITS):
        stored = await engine.store.get(order.id)
        assert stored is not None
        if stored.status in TERMINAL:
            return stored
        if stored.status is OrderStatus.SUBMITTED:
            engine.world.local.advance(8)
        await asyncio.sleep(0.005)
    raise AssertionError(f"{order.spec} does not end: {stored and (stored.status, stored.error)}")


async def route_of(engine: LiveEngine, order: Order) -> Route:
    """What was decided last."""
    routed = [event.body for event in await engine.store.events(order.id) if isinstance(event.body, Routed)]
    route = routed[-1].route
    assert route is not None
    return route


def check_size(route: Route, attempt: Attempt) -> None:
    """What was signed takes what routing said, where it said anything."""
    if len(route.legs) > 1:
        assert (len(attempt.raw), route.size_bytes <= 1_232) == (route.size_bytes, True), route


async def trade(folder: Path) -> Counter[str]:
    draw = random.Random(4)
    world = LocalWorld(*SHARED, *APART, same=same_tokens())
    seen: Counter[str] = Counter()
    async with live_engine(folder, QUIET, world) as engine:
        await engine.start_worker()
        for number in range(ORDERS):
            order = await settled(engine, await engine.intake.submit(spec_of(world, number, draw)))
            if order.status is not OrderStatus.CONFIRMED:
                assert order.error is not None
                seen[f"failed: {order.error.code}"] += 1
                continue
            route = await route_of(engine, order)
            check_size(route, (await engine.store.attempts(order.id))[-1])
            (fill,) = await engine.store.fills(order.id)
            assert (fill.amount_in, fill.amount_out) == (route.amount_in, route.amount_out), route
            inputs = {leg.input_mint for leg in route.legs}
            shape = "two hops" if len(inputs) > 1 else "split" if len(route.legs) > 1 else "one pool"
            seen.update([shape, *{leg.venue for leg in route.legs}])
            await asyncio.sleep(0.02)
    return seen


@pytest.mark.timeout(120 + 3 * ORDERS)
def test_on_a_quiet_chain_splits_and_hops_through_all_venues_give_what_was_quoted(tmp_path: Path) -> None:
    seen = asyncio.run(trade(tmp_path))
    sys.stderr.write(f"{ORDERS} orders: {dict(seen)}\n")
    assert seen["split"] >= ORDERS // 20
    assert seen["two hops"] >= ORDERS // 20
    venues = {pool.partition("/")[0] for pool in (*SHARED, *APART)}
    assert len(venues) == 6
    assert venues <= set(seen)
    assert not [what for what in seen if what.startswith("failed")]
