"""The loop over orders: lease what is due, run bounded journeys, keep the lease alive.

A worker that loses its lease (it was frozen, or the store was away for too long) abandons every journey:
whoever leases those orders next settles them from what is committed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec

from fillwright import observe
from fillwright.config import Settings
from fillwright.domain.errors import FillwrightError, StaleLease, StoreError, Unavailable, VersionConflict
from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import Failed, NeedsReview, Order, OrderError, OrderId, OrderStatus
from fillwright.execution.held import HeldOrder
from fillwright.execution.journey import Journey
from fillwright.execution.rate import SlidingWindow
from fillwright.ports import Bus, Clock, Lease, Ring, Store

MAX_CLAIM = 500
MAX_JOURNEY_FAULTS = 5
"""Unexpected failures of one order's journey before it is failed or given to a person."""
MAX_STORE_FAULTS = 100
"""The same for writes that the store failed, which say little about the order: some eight minutes. While the store
takes none at all, an order waits."""
FAULT_PAUSE_S = 0.5
MAX_FAULT_PAUSE_S = 5.0
LATENCY_SAMPLES = 2_000


class WorkerStats(msgspec.Struct, frozen=True):
    """Latencies in milliseconds, accepted to ended, over the newest orders; None before the first."""

    in_flight: int
    concurrency: int
    completed: int
    p50_ms: int | None
    p99_ms: int | None


class Worker:
    """Runs until stopped. One instance per process."""

    def __init__(
        self, *, name: str, settings: Settings, store: Store, bus: Bus, clock: Clock, journey: Journey
    ) -> None:
        self._name = name
        self._settings = settings
        self._store = store
        self._bus = bus
        self._clock = clock
        self._journey = journey
        self._rate = SlidingWindow(settings.orders_per_minute)
        self._running: dict[OrderId, asyncio.Task[None]] = {}
        self._latencies_ms: deque[int] = deque(maxlen=LATENCY_SAMPLES)
        self._completed = 0
        self._slot_free = asyncio.Event()
        self._stopping = False
        self._in_doubt = False
        self._renewing = asyncio.Lock()
        self._wake_ms: int | None = None
        self._lease: Lease | None = None
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Register with the store and start to work."""
        self._lease = await self._store.register(self._name)
        observe.worker_started(self._name, epoch=self._lease.epoch, concurrency=self._settings.concurrency)
        self._loops = [
            asyncio.create_task(self._dispatch(), name="dispatch"),
            asyncio.create_task(self._keep_alive(), name="keep-alive"),
        ]

    async def stop(self, timeout_s: float) -> None:
        """Claim nothing more, let journeys finish for `timeout_s`, abandon the rest, give the lease back."""
        self._stopping = True
        self._slot_free.set()
        self._bus.ring()
        if self._running:
            await asyncio.wait(self._running.values(), timeout=timeout_s)
        tasks = [*self._loops, *self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._lease is not None:
            try:
                await self._store.retire(self._lease)
            except (StoreError, Unavailable) as error:
                observe.worker_fault(self._name, error.code)
        observe.worker_stopped(self._name)

    def stats(self) -> WorkerStats:
        samples = sorted(self._latencies_ms)
        return WorkerStats(
            in_flight=len(self._running),
            concurrency=self._settings.concurrency,
            completed=self._completed,
            p50_ms=samples[len(samples) // 2] if samples else None,
            p99_ms=samples[len(samples) * 99 // 100] if samples else None,
        )

    async def _dispatch(self) -> None:
        ring: Ring | None = None
        while not self._stopping:
            named, ring = (ring.order_ids if ring is not None else ()), None
            lease = self._held_lease()
            try:
                if self._in_doubt:
                    await self._adopt()
                claimed = await self._claim(named)
            except StaleLease:
                await self._renew_epoch(lease)
                continue
            except (StoreError, Unavailable) as error:
                self._in_doubt = True
                observe.worker_fault(self._name, error.code)
                await self._clock.sleep(FAULT_PAUSE_S)
                continue
            if claimed is None:
                self._slot_free.clear()
                await self._slot_free.wait()
            elif not claimed:
                ring = await self._bus.wait_ring(self._idle_s(), self._room())
                if ring is None:
                    await self._look_ahead()

    async def _look_ahead(self) -> None:
        """Learn when the next order will be due, so that it need not wait for the sweep after that."""
        try:
            ready_at_ms = await self._store.next_ready_ms()
        except (StoreError, Unavailable) as error:
            observe.worker_fault(self._name, error.code)
            return
        if ready_at_ms is not None and ready_at_ms > self._clock.now_ms():
            self._remember_wake(ready_at_ms)

    def _room(self) -> int:
        return min(self._settings.concurrency - len(self._running), MAX_CLAIM)

    async def _claim(self, named: Sequence[OrderId]) -> bool | None:
        """Lease due orders into free slots; just those that are `named`, if there are any. None: no slot is free;
        False: nothing more is known to be due."""
        free = self._room()
        if free <= 0:
            return None
        now_ms = self._clock.now_ms()
        allowed = self._rate.available(now_ms, free)
        if allowed <= 0:
            self._remember_wake(self._rate.next_ms(now_ms))
            return False
        lease = self._held_lease()
        by_name = named if 0 < len(named) <= allowed else None
        orders = await self._store.claim(lease, now_ms, allowed, by_name)
        self._rate.take(now_ms, len(orders))
        for order in orders:
            self._begin(order, lease)
        return len(orders) == allowed or (by_name is None and bool(named))

    async def _adopt(self) -> None:
        """Run what the store holds as ours and nobody runs: orders of a claim, or of a release, whose answer was
        lost. They would stay in this worker's hands for as long as it lives."""
        lease = self._held_lease()
        known = set(self._running)
        self._in_doubt = False
        for order in await self._store.held(lease):
            if order.id not in known and order.id not in self._running:
                self._begin(order, lease)

    def _begin(self, order: Order, lease: Lease) -> None:
        """Run the order's journey. One that is under way still, since the answer to its last write was lost or late,
        ends first: at most one at a time, as among workers."""
        before = self._running.get(order.id)
        if before is not None:
            before.cancel()
        task = asyncio.create_task(self._run_after(before, order, lease))
        self._running[order.id] = task
        task.add_done_callback(lambda ended: self._ended(order.id, ended))

    def _ended(self, order_id: OrderId, task: asyncio.Task[None]) -> None:
        if self._running.get(order_id) is task:
            del self._running[order_id]
        self._slot_free.set()
        if self._settings.wallet_order:
            self._bus.ring()

    async def _run_after(self, before: asyncio.Task[None] | None, order: Order, lease: Lease) -> None:
        if before is not None:
            await asyncio.wait({before})
        await self._run(order, lease)

    async def _run(self, order: Order, lease: Lease) -> None:
        """Run one order's journey; again from the stored state after a failure that says nothing."""
        current: Order | None = order
        faults = store_faults = waits = 0
        while faults <= MAX_JOURNEY_FAULTS and store_faults <= MAX_STORE_FAULTS:
            if current is None or current.status in TERMINAL:
                return
            try:
                ended = await self._journey.run(current, lease)
            except StaleLease:
                observe.order_lost(order.id)
                return
            except Unavailable as error:
                waits += 1
                observe.worker_fault(self._name, error.code)
            except (VersionConflict, StoreError) as error:
                store_faults += 1
                observe.worker_fault(self._name, error.code)
            except FillwrightError as error:
                faults += 1
                observe.journey_fault(order.id, error.code)
            except Exception as error:  # noqa: BLE001 - one order's defect must not stop the others
                faults += 1
                observe.journey_fault(order.id, type(error).__name__, error)
            else:
                self._note(ended)
                return
            await self._clock.sleep(min(FAULT_PAUSE_S * (faults + store_faults + waits), MAX_FAULT_PAUSE_S))
            current = await self._reread(order.id)
        await self._surrender(current, lease)

    def _note(self, order: Order) -> None:
        if order.status in TERMINAL:
            self._completed += 1
            self._latencies_ms.append(order.updated_ms - order.created_ms)
        elif order.ready_at_ms is not None:
            self._wake_at(order.ready_at_ms)

    async def _reread(self, order_id: OrderId) -> Order | None:
        """The order as the store has it, waiting for the store while it is away."""
        while True:
            try:
                return await self._store.get(order_id)
            except (StoreError, Unavailable) as error:
                observe.worker_fault(self._name, error.code)
                await self._clock.sleep(FAULT_PAUSE_S)

    async def _surrender(self, order: Order | None, lease: Lease) -> None:
        """An order whose journey keeps failing: failed where nothing was sent, else for a person to review."""
        if order is None or order.status in TERMINAL:
            return
        error = OrderError("internal_error", "the engine failed repeatedly on this order; see its log")
        held = HeldOrder(order, lease, self._store, self._clock)
        open_attempt = order.status in (OrderStatus.BUILDING, OrderStatus.SUBMITTED)
        body = NeedsReview(error, order.attempt) if open_attempt else Failed(error, order.attempt)
        try:
            await held.record(body, release=True)
        except FillwrightError as failure:
            observe.journey_fault(order.id, failure.code)
            self._in_doubt = True

    async def _keep_alive(self) -> None:
        """Renew the lease, and release the orders of workers that have gone silent: not before this one has been
        heard for that long itself, so that a store that was away ends nobody's lease when it is back."""
        ttl_s = self._settings.lease_ttl_s
        heard_since_s = float("-inf")
        while True:
            await self._clock.sleep(self._settings.heartbeat_s)
            lease = self._held_lease()
            try:
                await self._store.heartbeat(lease)
                if self._clock.monotonic_s() - heard_since_s >= ttl_s:
                    await self._reap(ttl_s)
                observe.orders_in_flight(len(self._running))
            except StaleLease:
                await self._renew_epoch(lease)
            except (StoreError, Unavailable) as error:
                heard_since_s = self._clock.monotonic_s()
                observe.worker_fault(self._name, error.code)

    async def _reap(self, silent_s: float) -> None:
        released = await self._store.reap(int(silent_s * 1000))
        if released:
            observe.orders_recovered(released)
            self._bus.ring()

    async def _renew_epoch(self, ended: Lease) -> None:
        """Our epoch was ended by others: abandon all journeys and come back under a new one. Once, whoever notices:
        orders under an epoch that is not kept alive would be begun twice here."""
        async with self._renewing:
            if self._lease is not ended:
                return
            observe.lease_lost(self._name)
            tasks = list(self._running.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            try:
                self._lease = await self._store.register(self._name)
            except (StoreError, Unavailable) as error:
                observe.worker_fault(self._name, error.code)
                await self._clock.sleep(FAULT_PAUSE_S)

    def _held_lease(self) -> Lease:
        if self._lease is None:
            raise RuntimeError("the worker has not been started")
        return self._lease

    def _wake_at(self, at_ms: int) -> None:
        self._remember_wake(at_ms)
        self._bus.ring()

    def _remember_wake(self, at_ms: int) -> None:
        """As `_wake_at` from within the dispatch loop: a ring there would only wake itself, over and over."""
        self._wake_ms = at_ms if self._wake_ms is None else min(self._wake_ms, at_ms)

    def _idle_s(self) -> float:
        """How long to wait for a ring: until the earliest known due time, at most one sweep interval."""
        if self._wake_ms is None:
            return self._settings.sweep_s
        wait_s = (self._wake_ms - self._clock.now_ms()) / 1000
        if wait_s <= 0:
            self._wake_ms = None
            return 0.0
        return min(self._settings.sweep_s, wait_s)
