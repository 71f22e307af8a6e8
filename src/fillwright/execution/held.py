"""A leased order in a worker's hands: the only way a journey writes."""

from __future__ import annotations

from msgspec.structs import replace

from fillwright.domain.lifecycle import advance, advance_attempt
from fillwright.domain.orders import Attempt, AttemptStatus, EventBody, Fill, Order, OrderError
from fillwright.ports import Change, Clock, Lease, Store


class HeldOrder:
    """`order` is as the store has it. Each `record` is one durable, fenced compare-and-set."""

    def __init__(self, order: Order, lease: Lease, store: Store, clock: Clock) -> None:
        self.order = order
        self.attempt: Attempt | None = None
        self._lease = lease
        self._store = store
        self._clock = clock

    async def record(
        self,
        body: EventBody,
        *,
        attempt: Attempt | None = None,
        fill: Fill | None = None,
        release: bool = False,
    ) -> None:
        """Append `body` to the order. Raises IllegalTransition, VersionConflict, StaleLease, StoreError,
        Unavailable; `order` and `attempt` are unchanged then."""
        before = self.order
        order, event = advance(before, body, self._clock.now_ms())
        await self._store.change(Change(order, (event,), before.version, self._lease, attempt, fill, release))
        self.order = order
        if attempt is not None:
            self.attempt = attempt

    def attempt_as(
        self,
        status: AttemptStatus,
        *,
        error: OrderError | None = None,
        slot: int | None = None,
        fee_lamports: int = 0,
    ) -> Attempt | None:
        """The current attempt in another status, not yet written. Raises IllegalTransition."""
        attempt = self.attempt
        if attempt is None:
            return None
        if attempt.status is not status:
            advance_attempt(attempt.status, status)
        return replace(attempt, status=status, error=error, slot=slot, fee_lamports=fee_lamports)
