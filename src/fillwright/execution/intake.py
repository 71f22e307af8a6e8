"""Requests in: accept, quote, cancel, release. The one door to orders, whatever the protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from fillwright import observe
from fillwright.config import Settings
from fillwright.domain.accounts import Mint
from fillwright.domain.errors import NotCancellable, NotFound, StoreError, Unavailable, VersionConflict
from fillwright.domain.lifecycle import CANCELLABLE, accept, advance
from fillwright.domain.orders import Accepted, Cancelled, Order, OrderEvent, OrderId, OrderSpec, Triggered
from fillwright.domain.queue import QueueState
from fillwright.market.feed import MarketFeed
from fillwright.market.snapshot import Snapshot
from fillwright.ports import Bus, Change, Clock, Ids, Store
from fillwright.routing.largest import decide_order
from fillwright.routing.mid import mid_price
from fillwright.routing.route import Decision, Router
from fillwright.routing.terms import RoutingTerms, Terms, default_terms

_Step = Callable[[Order], tuple[Order, OrderEvent]]

MAX_CAS_TRIES = 8
DRAINING_RETRY_S = 10.0
UNWRITABLE = frozenset({"store_full", "store_read_only", "store_error"})
"""Codes of a store that may still be read: nothing but an order that it does not take tells of it."""
FAILURE_SHOWN_S = 5.0
"""How long an order that the store did not take makes the intake look unable to take any, unless one is taken."""
MAX_DECISIONS = 1_000
"""Quotes that are remembered, all on one snapshot of the market."""


class Intake:
    """Accepts orders once and for all: what `submit` returns is durable."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        bus: Bus,
        clock: Clock,
        ids: Ids,
        market: MarketFeed,
        terms: Terms = default_terms,
    ) -> None:
        """`terms`: what quotes are routed by; the same as the journey's, so that orders get what was quoted."""
        self._settings = settings
        self._store = store
        self._bus = bus
        self._clock = clock
        self._ids = ids
        self._market = market
        self._router = Router()
        self._terms = terms
        self._accepting = True
        self._queue_state = QueueState.RUNNING
        self._failure = ""
        self._failed_s = 0.0
        self._quoted: tuple[Snapshot, RoutingTerms] | None = None
        self._decisions: dict[bytes, Decision] = {}
        self._priced: Snapshot | None = None
        self._mids: dict[tuple[Mint, Mint], str | None] = {}
        """Of the pairs asked for on the snapshot `_priced`."""

    @property
    def accepting(self) -> bool:
        return self._accepting

    @property
    def queue_state(self) -> QueueState:
        """As this process has last heard."""
        return self._queue_state

    @property
    def failure(self) -> str:
        """The code of UNWRITABLE with which the store has just refused an order; "" where it takes them."""
        recent = self._failure and self._clock.monotonic_s() - self._failed_s < FAILURE_SHOWN_S
        return self._failure if recent else ""

    def stop_accepting(self) -> None:
        """From now on `submit` raises Unavailable `shutting_down`."""
        self._accepting = False

    async def refresh(self) -> None:
        """Learn the queue's state, which another process may have changed. Raises what the store raises."""
        self._queue_state = await self._store.queue_state()

    async def turn_queue(self, state: QueueState) -> None:
        """Pause, drain or resume the queue of all processes. Others accept accordingly within a second."""
        await self._store.set_queue_state(state)
        self._queue_state = state
        observe.queue_turned(state.value)
        self._bus.ring()

    async def submit(self, spec: OrderSpec) -> Order:
        """The accepted order, or the stored one if its client order id came before with the same spec.

        Raises IdempotencyMismatch, Unavailable.
        """
        order, event = self._prepare(spec)
        try:
            stored = await self._store.insert(order, event)
        except (StoreError, Unavailable) as error:
            self._note(error)
            raise
        self._failure = ""
        if stored.id == order.id:
            observe.order_accepted(order.id)
            self._ring([stored])
        else:
            observe.order_repeated(stored.id)
        return stored

    async def submit_many(self, specs: Sequence[OrderSpec]) -> list[Order | Exception]:
        """As `submit`, in one flush, each with its own outcome, in order."""
        try:
            outcomes = await self._store.insert_many([self._prepare(spec) for spec in specs])
        except (StoreError, Unavailable) as error:
            self._note(error)
            raise
        for outcome in outcomes:
            self._note(outcome)
        self._ring([outcome for outcome in outcomes if isinstance(outcome, Order)])
        return outcomes

    async def quote(self, spec: OrderSpec) -> Decision:
        """What routing would decide for this order now. Accepts nothing."""
        return (await self.timed_quote(spec))[0]

    async def timed_quote(self, spec: OrderSpec) -> tuple[Decision, float]:
        """As `quote`, with the seconds that deciding took; the market's own answer is not counted."""
        snapshot = await self._market.fetch(spec.input_mint, spec.output_mint)
        started_s = self._clock.monotonic_s()
        decision = self._decided(spec, snapshot)
        return decision, self._clock.monotonic_s() - started_s

    def _decided(self, spec: OrderSpec, snapshot: Snapshot) -> Decision:
        """The decision for this order on this very snapshot, which is frozen, under these very terms: taken once."""
        terms, quoted = self._terms(), self._quoted
        if quoted is None or quoted[0] is not snapshot or quoted[1] is not terms:
            self._quoted = (snapshot, terms)
            self._decisions.clear()
        asked = msgspec.msgpack.encode(spec)
        found = self._decisions.get(asked)
        if found is None:
            found = decide_order(self._router, spec, snapshot, terms)
            if len(self._decisions) < MAX_DECISIONS:
                self._decisions[asked] = found
        return found

    async def cancel(self, order_id: OrderId, account: str) -> Order:
        """The cancelled order. Raises NotFound, NotCancellable once bytes may be under way or it has ended."""

        def cancelled(order: Order) -> tuple[Order, OrderEvent]:
            if order.status not in CANCELLABLE:
                raise NotCancellable(f"the order is {order.status}; it can be cancelled only before it is sent")
            return advance(order, Cancelled("requested"), self._clock.now_ms())

        return await self._move(order_id, account, cancelled, release=True)

    async def release(self, order_id: OrderId, account: str) -> Order:
        """Let a held order go. Exactly one of many concurrent callers succeeds; the others raise Conflict."""

        def released(order: Order) -> tuple[Order, OrderEvent]:
            return advance(order, Triggered("released"), self._clock.now_ms())

        order = await self._move(order_id, account, released, release=False)
        self._ring([order])
        return order

    def _note(self, outcome: object) -> None:
        """Remember whether the store takes orders."""
        if isinstance(outcome, StoreError | Unavailable) and outcome.code in UNWRITABLE:
            self._failure, self._failed_s = outcome.code, self._clock.monotonic_s()
        elif isinstance(outcome, Order):
            self._failure = ""

    def _ring(self, orders: Sequence[Order]) -> None:
        """Have those that are due now begun."""
        now_ms = self._clock.now_ms()
        due = [order.id for order in orders if order.ready_at_ms is not None and order.ready_at_ms <= now_ms]
        if due:
            self._bus.ring(due)

    def _prepare(self, spec: OrderSpec) -> tuple[Order, OrderEvent]:
        if not self._accepting:
            raise Unavailable("the engine is shutting down", code="shutting_down")
        if self._queue_state is QueueState.DRAINING:
            raise Unavailable("the queue is being drained", code="draining", retry_after_s=DRAINING_RETRY_S)
        now_ms = self._clock.now_ms()
        snapshot = self._market.current()
        ready_at_ms = None if spec.hold else max(now_ms, spec.not_before_ms or 0)
        body = Accepted(spec, ready_at_ms, self._mid(spec, snapshot), snapshot.slot)
        return accept(self._ids.order_id(now_ms), body, now_ms)

    def _mid(self, spec: OrderSpec, snapshot: Snapshot) -> str | None:
        """The pair's mid, worked out once per snapshot: many orders come on the same one."""
        if snapshot is not self._priced:
            self._priced = snapshot
            self._mids.clear()
        pair = (spec.input_mint, spec.output_mint)
        if pair not in self._mids:
            self._mids[pair] = mid_price(spec, snapshot)
        return self._mids[pair]

    async def _move(self, order_id: OrderId, account: str, step: _Step, *, release: bool) -> Order:
        """Apply `step` to the order as it is now, again if someone else moved it first."""
        for _ in range(MAX_CAS_TRIES):
            order = await self._store.get(order_id)
            if order is None or order.spec.account != account:
                raise NotFound("no such order")
            moved, event = step(order)
            try:
                await self._store.change(Change(moved, (event,), order.version, None, release=release))
            except VersionConflict:
                continue
            return moved
        raise Unavailable("the order is moving too fast; try again", code="order_busy")
