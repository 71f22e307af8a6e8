"""What pools were quoted to do, against what simulations and landed swaps did: the drift sentinel's witness.

In: plans of one leg with their simulations, and the metadata of swaps that landed. Out: observations of the same
state only. A simulation counts where the pool, read again, is still the quoted one; a landed swap where every token
account beside the wallet's held as much before it as before the simulation: nobody traded in between.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec

from fillwright import observe
from fillwright.chain.landed import parse, reserves_before
from fillwright.chain.messages import TransactionJson
from fillwright.chain.simulate import Outcome
from fillwright.domain.accounts import Address, ChainClock
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import ChainError, QuoteRefused
from fillwright.domain.transactions import LandedTransaction, SwapPlan
from fillwright.market.drift import DriftSentinel
from fillwright.market.snapshot import Snapshot, venue_for
from fillwright.venues.venue import Pool, Swap

MAX_EXPECTED = 4_096
"""Simulated swaps whose landing is waited for; the oldest give way."""

Reread = Callable[[Address], Awaitable[Pool | None]]
"""A pool as the chain has it at this moment. Raises ChainError."""


class _Expected(msgspec.Struct, frozen=True):
    """A simulated swap of one pool: `epoch` at its quote, `reserves` before it."""

    plan: SwapPlan
    pool: Pool
    epoch: int
    reserves: dict[str, int]


class Realised:
    """Tells `sentinel` of every outcome that one pool alone explains."""

    def __init__(self, sentinel: DriftSentinel | None, market: Callable[[], Snapshot], reread: Reread | None) -> None:
        self._sentinel = sentinel
        self._market = market
        self._reread = reread
        self._expected: OrderedDict[bytes, _Expected] = OrderedDict()

    async def simulated(self, message: bytes, plan: SwapPlan, outcome: Outcome) -> None:
        """`message` would swap as `outcome` says."""
        if self._sentinel is None or len(plan.legs) != 1:
            return
        leg, snapshot = plan.legs[0], self._market()
        pool = snapshot.pools.get(leg.pool)
        if pool is None:
            return
        predicted = _quoted(plan, pool, snapshot.clock)
        if predicted is None or predicted != _floating(plan, plan.amount_in, plan.amount_out):
            return  # somebody has traded in between
        actual = _floating(plan, outcome.amount_in, outcome.amount_out)
        if actual != predicted and not await self._is_unchanged(pool):
            return
        if outcome.reserves:
            self._expected[message] = _Expected(plan, pool, snapshot.clock.epoch, outcome.reserves)
            while len(self._expected) > MAX_EXPECTED:
                self._expected.popitem(last=False)
        self._observe(plan, predicted, actual, "a simulation")

    def landed(self, answer: TransactionJson, transaction: LandedTransaction) -> None:
        """A transaction of ours stands on the chain."""
        if transaction.revert or answer.meta is None or not self._expected:
            return
        loaded = answer.meta.loaded_addresses
        parsed = parse(answer.transaction[0], () if loaded is None else (*loaded.writable, *loaded.readonly))
        expected = self._expected.pop(answer.transaction[0][1 + 64 :], None)
        if expected is None or reserves_before(parsed, answer.meta.pre_token_balances) != expected.reserves:
            return
        clock = ChainClock(transaction.slot, expected.epoch, transaction.block_time_ms // 1_000)
        predicted = _quoted(expected.plan, expected.pool, clock)
        if predicted is not None:
            actual = _floating(expected.plan, transaction.amount_in, transaction.amount_out)
            self._observe(expected.plan, predicted, actual, "a landed swap")

    def _observe(self, plan: SwapPlan, predicted: int, actual: int, source: str) -> None:
        if self._sentinel is None:
            return
        leg = plan.legs[0]
        drift = self._sentinel.observe(leg.pool, predicted=predicted, actual=actual, source=source)
        if drift is not None:
            self._sentinel.suspect(leg.pool, _asked(plan))
            observe.pool_quarantined(drift.pool, drift.detail, len(self._sentinel.quarantined))

    async def _is_unchanged(self, pool: Pool) -> bool:
        try:
            return self._reread is not None and await self._reread(pool.address) == pool
        except ChainError:
            return False


def _quoted(plan: SwapPlan, pool: Pool, clock: ChainClock) -> int | None:
    """The side that the plan leaves open, as the pool's venue quotes it; None where it refuses."""
    try:
        quote = venue_for(pool).quote(pool, _asked(plan), clock)
    except QuoteRefused:
        return None
    return _floating(plan, quote.amount_in, quote.amount_out)


def _asked(plan: SwapPlan) -> Swap:
    leg = plan.legs[0]
    fixed = leg.amount_in if plan.mode is SwapMode.EXACT_IN else leg.amount_out
    return Swap(leg.input_mint, plan.mode, fixed)


def _floating(plan: SwapPlan, amount_in: int, amount_out: int) -> int:
    return amount_out if plan.mode is SwapMode.EXACT_IN else amount_in
