"""A leased order in a worker's hands: the only way a journey writes."""

from __future__ import annotations

from msgspec.structs import replace

from fillwright.domain.lifecycle import advance, advance_attempt
from fillwright.domain.orders import Attempt, AttemptStatus, Bid, EventBody, Fill, Order, OrderError, OrderEvent
from fillwright.ports import Change, Clock, Lease, Store


class HeldOrder:
    """Each `record` is one durable, fenced compare-and-set, of what was noted before it too. `order` is as the store
    has it once nothing is noted that has not been written."""

    def __init__(self, order: Order, lease: Lease, store: Store, clock: Clock) -> None:
        self.order = order
        self.attempt: Attempt | None = None
        self._lease = lease
        self._store = store
        self._clock = clock
        self._written_version = order.version
        self._noted: tuple[OrderEvent, ...] = ()

    def note(self, body: EventBody) -> None:
        """Append `body` to the order, to be written with the next `record` or `write_noted`: for what is of no
        consequence unless more follows at once. Raises IllegalTransition."""
        self.order, event = advance(self.order, body, self._clock.now_ms())
        self._noted += (event,)

    async def write_noted(self) -> None:
        """Write what has been noted, if anything. Raises what `record` raises."""
        if self._noted:
            await self._write(self.order, self._noted, None, None, None, release=False)

    async def record(
        self,
        body: EventBody,
        *,
        attempt: Attempt | None = None,
        fill: Fill | None = None,
        bid: Bid | None = None,
        release: bool = False,
    ) -> None:
        """Append `body` to the order. `bid` is added to the attempt as it stands. Raises IllegalTransition,
        VersionConflict, StaleLease, StoreError, Unavailable; `order` and `attempt` are unchanged then."""
        order, event = advance(self.order, body, self._clock.now_ms())
        await self._write(order, (*self._noted, event), attempt, fill, bid, release=release)
        if attempt is not None:
            self.attempt = attempt
        elif bid is not None and self.attempt is not None:
            self.attempt = replace(self.attempt, bids=(*self.attempt.bids, bid))

    async def _write(
        self,
        order: Order,
        events: tuple[OrderEvent, ...],
        attempt: Attempt | None,
        fill: Fill | None,
        bid: Bid | None,
        *,
        release: bool,
    ) -> None:
        change = Change(order, events, self._written_version, self._lease, attempt, fill, release, bid)
        await self._store.change(change)
        self.order = order
        self._written_version = order.version
        self._noted = ()

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
