"""ONE order from top to bottom: route > attempt > fill, or a later try, or the end.

In: an order that a worker has leased, in any status that is not terminal. Out: the order after its terminal
event, or waiting for its next try. What an earlier life of the process left open is settled first.
"""

from __future__ import annotations

import asyncio

from fillwright import observe
from fillwright.domain.errors import ChainError, SimulationFailed
from fillwright.domain.lifecycle import OPEN_ATTEMPTS
from fillwright.domain.orders import (
    Attempt,
    AttemptStatus,
    Confirmed,
    Failed,
    Fill,
    NeedsReview,
    Order,
    OrderError,
    OrderStatus,
    Retrying,
    Routed,
)
from fillwright.domain.routes import Route
from fillwright.domain.transactions import LandedTransaction
from fillwright.execution.attempt import Attempts
from fillwright.execution.held import HeldOrder
from fillwright.execution.outcomes import Ending, Outcome
from fillwright.execution.retry import GiveUp, RetryPolicy, deadline_ms, next_step
from fillwright.market.feed import MarketFeed
from fillwright.market.snapshot import Snapshot
from fillwright.ports import Clock, Lease, Store
from fillwright.routing.replay import decide_recorded
from fillwright.routing.route import Router
from fillwright.routing.terms import Terms, default_terms


class Journey:
    """Runs orders; between them it keeps nothing but what its router remembers of the market."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        market: MarketFeed,
        attempts: Attempts,
        policy: RetryPolicy,
        quote_timeout_s: float,
        terms: Terms = default_terms,
    ) -> None:
        self._store = store
        self._clock = clock
        self._market = market
        self._attempts = attempts
        self._policy = policy
        self._quote_timeout_s = quote_timeout_s
        self._router = Router()
        self._terms = terms

    async def run(self, order: Order, lease: Lease) -> Order:
        """Take `order` as far as it goes. Raises StaleLease and VersionConflict when it is no longer ours,
        StoreError and Unavailable when a write's outcome is unknown: read the order again then."""
        held = HeldOrder(order, lease, self._store, self._clock)
        if order.status in (OrderStatus.BUILDING, OrderStatus.SUBMITTED):
            await self._resume(held)
        else:
            await self._execute(held)
        return held.order

    async def _execute(self, held: HeldOrder) -> None:
        started_s = self._clock.monotonic_s()
        now_ms, now_s = self._clock.now_ms(), asyncio.get_running_loop().time()
        ends_s = now_s + max(0, deadline_ms(held.order, now_ms, self._policy) - now_ms) / 1000
        try:
            async with asyncio.timeout_at(min(ends_s, now_s + self._quote_timeout_s)) as limit:
                snapshot = await self._market.fetch(held.order.spec.input_mint, held.order.spec.output_mint)
                limit.reschedule(ends_s)
                route = await self._route(held, snapshot, self._clock.monotonic_s() - started_s)
                if route is None:
                    return
                await self._attempts.prepare(held, route)
        except SimulationFailed as error:
            await self._try_later(held, OrderError(error.reason, error.message))
            return
        except (ChainError, TimeoutError) as error:
            await self._not_prepared(held, error)
            return
        await self._settle(held, await self._attempts.land(held))

    async def _resume(self, held: HeldOrder) -> None:
        """Settle the attempt that an earlier holder of this order committed."""
        attempts = [a for a in await self._store.attempts(held.order.id) if a.status in OPEN_ATTEMPTS]
        if len(attempts) != 1:
            error = OrderError("attempt_missing", "the order has no single open attempt to settle")
            await self._end(held, NeedsReview(error))
            return
        held.attempt = attempts[0]
        observe.attempt_resumed(held.order.id, attempts[0].number)
        await self._settle(held, await self._attempts.land(held))

    async def _route(self, held: HeldOrder, snapshot: Snapshot, fetched_s: float) -> Route | None:
        """The route, noted with all that it was chosen from; None when the order has moved on without one.
        `fetched_s`: how long the snapshot took."""
        started_s = self._clock.monotonic_s() - fetched_s
        decision, replay = decide_recorded(self._router, held.order.spec, snapshot, self._terms())
        held.note(Routed(decision.candidates, decision.route, decision.slot, replay))
        venue = decision.route.legs[0].venue if decision.route is not None else None
        elapsed_s = self._clock.monotonic_s() - started_s
        observe.order_routed(held.order.id, len(decision.candidates), venue, elapsed_s)
        if decision.problem is not None:
            await self._try_later(held, decision.problem)
        return decision.route

    async def _not_prepared(self, held: HeldOrder, error: ChainError | TimeoutError) -> None:
        if isinstance(error, TimeoutError):
            await self._try_later(held, OrderError("timeout", "quotes or the chain did not answer in time"))
        else:
            await self._try_later(held, OrderError(error.code, error.message))

    async def _settle(self, held: HeldOrder, outcome: Outcome) -> None:
        match outcome:
            case Outcome(ending=Ending.SWAPPED, transaction=LandedTransaction() as transaction):
                await self._fill(held, transaction, outcome.fees_beside)
            case Outcome(ending=Ending.REVERTED, error=OrderError() as error):
                paid = outcome.transaction
                fee_lamports, slot = (paid.fee_lamports, paid.slot) if paid is not None else (0, None)
                fee_lamports += outcome.fees_beside
                closed = held.attempt_as(AttemptStatus.REVERTED, error=error, slot=slot, fee_lamports=fee_lamports)
                await self._try_later(held, error, closed)
            case Outcome(ending=Ending.ABSENT, error=OrderError() as error):
                await self._try_later(held, error, held.attempt_as(AttemptStatus.EXPIRED, error=error))
            case _:
                error = outcome.error or OrderError("outcome_unprovable", "the attempt's outcome is unknown")
                await self._end(held, NeedsReview(error, held.order.attempt))

    async def _fill(self, held: HeldOrder, transaction: LandedTransaction, fees_beside: int) -> None:
        """`fees_beside`: paid by bids of the same attempt that failed; they are the attempt's, not the fill's."""
        now_ms = self._clock.now_ms()
        fill = Fill(
            signature=transaction.signature,
            order_id=held.order.id,
            attempt=held.order.attempt,
            amount_in=transaction.amount_in,
            amount_out=transaction.amount_out,
            fee_lamports=transaction.fee_lamports,
            rent_lamports=transaction.rent_lamports,
            slot=transaction.slot,
            at_ms=now_ms,
        )
        fee_lamports = transaction.fee_lamports + fees_beside
        landed = held.attempt_as(AttemptStatus.LANDED, slot=transaction.slot, fee_lamports=fee_lamports)
        await held.record(Confirmed(fill, fees_beside), attempt=landed, fill=fill, release=True)
        observe.attempt_ended(held.order.id, fill.attempt, AttemptStatus.LANDED)
        observe.order_ended(held.order.id, held.order.status, (now_ms - held.order.created_ms) / 1000)

    async def _try_later(self, held: HeldOrder, error: OrderError, closed: Attempt | None = None) -> None:
        """Schedule the next try, or fail the order: its transactions, if any, are known not to land."""
        now_ms = self._clock.now_ms()
        step = next_step(held.order, error, now_ms, self._policy)
        number, fees = (closed.number, closed.fee_lamports) if closed is not None else (0, 0)
        if closed is not None:
            observe.attempt_ended(held.order.id, closed.number, closed.status, error.code)
        if isinstance(step, GiveUp):
            await held.record(Failed(step.error, number, fees), attempt=closed, release=True)
            observe.order_ended(held.order.id, held.order.status, (now_ms - held.order.created_ms) / 1000)
            return
        await held.record(Retrying(number, error, step.at_ms, fees), attempt=closed, release=True)
        observe.order_retrying(held.order.id, error.code, step.at_ms - now_ms)

    async def _end(self, held: HeldOrder, body: NeedsReview) -> None:
        await held.record(body, release=True)
        seconds = (held.order.updated_ms - held.order.created_ms) / 1000
        observe.order_ended(held.order.id, held.order.status, seconds)
