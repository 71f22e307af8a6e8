"""Quarantined pools, looked at again: does the swap that disagreed still come out otherwise than predicted?

In: the sentinel's quarantined pools, as the chain has them now. Out: checks told to the sentinel, which releases a
pool after enough of them. Each check simulates the very swap that disagreed; nothing is signed or sent. What the
wallet could not pay, or a pool that was traded in meanwhile, tells nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fillwright import observe
from fillwright.chain.realised import Reread
from fillwright.chain.simulate import Outcome
from fillwright.domain.accounts import Address, ChainClock
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import ChainError, QuoteRefused
from fillwright.domain.routes import Leg
from fillwright.domain.transactions import SwapPlan
from fillwright.market.drift import Drift, DriftSentinel
from fillwright.market.snapshot import Snapshot, index_pairs, venue_for
from fillwright.ports import Clock
from fillwright.venues.venue import Pool, Swap

Rehearse = Callable[[SwapPlan, Snapshot], Awaitable[Outcome]]
"""What a transaction of the plan would do now. Raises ChainError."""

AGREES, DIFFERS, UNKNOWN = "agrees", "differs", "unknown"


class Rechecks:
    """Of one wallet's sentinel. `clock_now`: the chain's clock as the market has it."""

    def __init__(
        self,
        *,
        sentinel: DriftSentinel,
        reread: Reread,
        rehearse: Rehearse,
        clock_now: Callable[[], ChainClock],
        wallet: str,
    ) -> None:
        self._sentinel = sentinel
        self._reread = reread
        self._rehearse = rehearse
        self._clock_now = clock_now
        self._wallet = wallet

    async def keep(self, clock: Clock) -> None:
        """Check every `recheck_s` of the policy, until cancelled."""
        while True:
            await clock.sleep(self._sentinel.policy.recheck_s)
            for drift in tuple(self._sentinel.quarantined.values()):
                await self.check(drift)

    async def check(self, drift: Drift) -> str:
        """Simulate the swap once more and tell the sentinel: AGREES, DIFFERS or UNKNOWN."""
        outcome = UNKNOWN
        try:
            found = await self._repeated(drift)
        except (ChainError, QuoteRefused):
            found = None
        if found is not None:
            predicted, actual = found
            released = self._sentinel.checked(drift.pool, predicted=predicted, actual=actual)
            still = self._sentinel.quarantined.get(drift.pool)
            outcome = AGREES if released or (still is not None and still.agreed) else DIFFERS
            if released:
                observe.pool_released(drift.pool, "checks", len(self._sentinel.quarantined))
        observe.pool_checked(drift.pool, outcome)
        return outcome

    async def _repeated(self, drift: Drift) -> tuple[int, int] | None:
        """What the swap's open side was predicted to be, and what it is; None where nothing can be told. Raises
        ChainError, QuoteRefused."""
        if drift.swap is None:
            return None
        pool = await self._reread(drift.pool)
        if pool is None:
            return None
        at = self._clock_now()
        plan = _plan(pool, drift.swap, at, self._wallet)
        outcome = await self._rehearse(plan, Snapshot(at, {pool.address: pool}, index_pairs([pool])))
        if outcome.revert or await self._reread(pool.address) != pool:
            return None
        if plan.mode is SwapMode.EXACT_IN:
            return plan.amount_out, outcome.amount_out
        return plan.amount_in, outcome.amount_in


def release(sentinel: DriftSentinel, pool: Address) -> bool:
    """Quote a quarantined pool again because a person says so; whether it was quarantined."""
    if not sentinel.release(pool):
        return False
    observe.pool_released(pool, "person", len(sentinel.quarantined))
    return True


def _plan(pool: Pool, swap: Swap, at: ChainClock, wallet: str) -> SwapPlan:
    """The swap as a plan that no price stops. Raises QuoteRefused."""
    venue = venue_for(pool)
    quote = venue.quote(pool, swap, at)
    output = next(mint for mint in pool.mints if mint != swap.input_mint)
    leg = Leg(venue.id, venue.dex, pool.address, swap.input_mint, output, quote.amount_in, quote.amount_out)
    exact_in = swap.mode is SwapMode.EXACT_IN
    return SwapPlan(
        order_id="check",
        attempt=1,
        owner=wallet,
        mode=swap.mode,
        input_mint=swap.input_mint,
        output_mint=output,
        amount_in=quote.amount_in,
        amount_out=quote.amount_out,
        limit=1 if exact_in else min(quote.amount_in * 2, U64_MAX),
        legs=(leg,),
        marker_seed="",
    )
