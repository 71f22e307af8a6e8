"""Simulated ports around the real engine: a store in memory and a chain with forks, losses and lies.

A `Process` is one life of the engine. Killing it makes each of its ports hang at once, so that nothing it
does afterwards is ever seen, exactly as after kill -9; what was already handed over still happens.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from itertools import count

import msgspec
from msgspec.structs import replace

from fillwright.domain.errors import (
    AlreadyProcessed,
    BlockhashNotFound,
    ChainError,
    IdempotencyMismatch,
    SimulationFailed,
    StaleLease,
    StoreError,
    Unavailable,
    VersionConflict,
)
from fillwright.domain.lifecycle import OPEN_ATTEMPTS, TERMINAL
from fillwright.domain.orders import Attempt, Bid, Fill, Order, OrderEvent, OrderId
from fillwright.domain.queue import DEFAULT_RULES, QueueState
from fillwright.domain.transactions import (
    Blockhash,
    Commitment,
    LandedTransaction,
    Offer,
    RevertReason,
    SignatureStatus,
    Signed,
    Simulation,
    SwapPlan,
)
from fillwright.ports import Change, CommitListener, Lease, OrderFilter, StoreStats
from simulation.loop import now_s, pause

WINDOW = 150
FINALITY_BLOCKS = 32
FIRST_PRICE = 1_000
Message = tuple[SwapPlan, Blockhash, int]
"""What a message says: the plan, over which blockhash, at which price."""
EPOCH_MS = 1_800_000_000_000


def fee_lamports(unit_price: int) -> int:
    """What a transaction pays once it has landed, however it ended."""
    return 5_000 + unit_price


def read_message(raw: bytes) -> Message:
    """What a signed transaction says."""
    _, message = msgspec.msgpack.decode(raw, type=tuple[str, bytes])
    said: Message = msgspec.msgpack.decode(message, type=Message)
    return said


class LoopClock:
    """The loop's virtual time as the engine's clock. `skew_ms` is how wrong the wall clock is."""

    def __init__(self, skew_ms: int = 0) -> None:
        self.skew_ms = skew_ms

    def now_ms(self) -> int:
        return EPOCH_MS + self.skew_ms + int(now_s() * 1000)

    def monotonic_s(self) -> float:
        return now_s()

    async def sleep(self, seconds: float) -> None:
        await pause(seconds)


class CountingIds:
    """Ids in order of creation, shaped like UUIDv7."""

    def __init__(self) -> None:
        self._next = count(1)

    def order_id(self, now_ms: int) -> OrderId:
        return OrderId(f"{now_ms:012x}"[:8] + "-0000-7000-8000-" + f"{next(self._next):012x}")


class Faults(msgspec.Struct, frozen=True):
    """Probabilities per call, unless said otherwise."""

    store_lost_reply: float = 0.0
    store_unavailable: float = 0.0
    send_dropped: float = 0.2
    send_lost_reply: float = 0.1
    rpc_error: float = 0.08
    false_null: float = 0.1
    liar: float = 0.2
    """Probability per signature that the first node never admits to it (a hole in its history)."""
    fork: float = 0.1
    revert: float = 0.1
    stuck: float = 0.0
    """Probability per signature that it lands late, if at all: some 30 blocks to the end of its window after it was
    first sent, once bids have followed."""
    landing_delay_blocks: int = 100
    max_pause_s: float = 0.05


class Process:
    """One life of the engine."""

    def __init__(self, rng: random.Random, max_pause_s: float) -> None:
        self.dead = False
        self.frozen_until_s = 0.0
        self._rng = rng
        self._max_pause_s = max_pause_s

    async def gate(self) -> None:
        """Pass after a random pause, if the process still lives; hang for ever otherwise."""
        await pause(self._rng.random() * self._max_pause_s)
        while now_s() < self.frozen_until_s:
            await pause(self.frozen_until_s - now_s())
        if self.dead:
            await asyncio.get_running_loop().create_future()


def _store_ms() -> int:
    """The store server's own clock."""
    return int(now_s() * 1000)


class SimStore:
    """The durable truth, shared by all lives. A faithful, plain implementation of the store's contract."""

    def __init__(self, rng: random.Random, faults: Faults) -> None:
        self.orders: dict[OrderId, Order] = {}
        self.log: list[OrderEvent] = []
        self.all_attempts: dict[tuple[OrderId, int], Attempt] = {}
        self.all_fills: dict[str, Fill] = {}
        self.owners: dict[OrderId, int] = {}
        self.beats: dict[int, int] = {}
        self.queue = QueueState.RUNNING
        self.fencing = True
        self.idempotent = True
        self.guards_bids = True
        self._epochs = count(1)
        self._rng = rng
        self._faults = faults

    def fault(self) -> None:
        if self._rng.random() < self._faults.store_unavailable:
            raise Unavailable("store away", code="store_unavailable")

    def lose_reply(self) -> None:
        if self._rng.random() < self._faults.store_lost_reply:
            raise StoreError("connection lost after the statement was sent")

    def insert(self, order: Order, event: OrderEvent) -> Order:
        key = order.spec.client_order_id
        if key is not None and self.idempotent:
            for stored in self.orders.values():
                if (stored.spec.account, stored.spec.client_order_id) == (order.spec.account, key):
                    if stored.spec != order.spec:
                        raise IdempotencyMismatch("another body")
                    return stored
        self.orders[order.id] = order
        self._append((event,))
        return order

    def change(self, change: Change) -> None:
        order_id = change.order.id
        stored = self.orders[order_id]
        if change.lease is not None and self.fencing:
            alive = change.lease.epoch in self.beats
            if not alive or self.owners.get(order_id) != change.lease.epoch:
                raise StaleLease("not the holder")
        if stored.version != change.expected_version and self.fencing:
            raise VersionConflict("moved")
        attempt = change.attempt
        if attempt is not None:
            others = [a for (oid, n), a in self.all_attempts.items() if oid == order_id and n != attempt.number]
            if attempt.status in OPEN_ATTEMPTS and any(a.status in OPEN_ATTEMPTS for a in others) and self.fencing:
                raise StoreError("a second open attempt")
            stored_attempt = self.all_attempts.get((order_id, attempt.number), attempt)
            self.all_attempts[order_id, attempt.number] = replace(attempt, bids=stored_attempt.bids)
        if change.bid is not None:
            self._add_bid(change, change.bid)
        if change.fill is not None:
            self.all_fills[change.fill.signature] = change.fill
        self.orders[order_id] = change.order
        self._append(change.events)
        if change.release:
            self.owners.pop(order_id, None)

    def _add_bid(self, change: Change, bid: Bid) -> None:
        key = change.order.id, change.order.attempt
        attempt = self.all_attempts[key]
        if self.guards_bids and (not attempt.marker_seed or attempt.status not in OPEN_ATTEMPTS):
            raise StoreError("a bid of an attempt that is closed or has no marker")
        if bid.signature in self.signatures() or bid.number in (each.number for each in attempt.bids):
            raise StoreError("a second bid of that number or signature")
        self.all_attempts[key] = replace(attempt, bids=(*attempt.bids, bid))

    def signatures(self) -> set[str]:
        """Everything that was ever committed to be sent."""
        return {signature for attempt in self.all_attempts.values() for signature in attempt.signatures}

    def claim(self, lease: Lease, now_ms: int, limit: int, order_ids: Sequence[OrderId] | None = None) -> list[Order]:
        if lease.epoch not in self.beats:
            raise StaleLease("epoch ended")
        if self.queue is QueueState.PAUSED:
            return []
        due = [
            order
            for order in self.orders.values()
            if order.ready_at_ms is not None
            and order.ready_at_ms <= now_ms
            and (order.id not in self.owners)
            and order.status not in TERMINAL
            and (order_ids is None or order.id in order_ids)
        ]
        due.sort(key=lambda order: (DEFAULT_RULES.rank_ms(order.ready_at_ms, order.spec.priority), order.id))
        for order in due[:limit]:
            self.owners[order.id] = lease.epoch
        return due[:limit]

    def register(self) -> int:
        epoch = next(self._epochs)
        self.beats[epoch] = _store_ms()
        return epoch

    def heartbeat(self, lease: Lease) -> None:
        if lease.epoch not in self.beats:
            raise StaleLease("epoch ended")
        self.beats[lease.epoch] = _store_ms()

    def end(self, epochs: list[int]) -> int:
        for epoch in epochs:
            self.beats.pop(epoch, None)
        released = [order_id for order_id, epoch in self.owners.items() if epoch in epochs]
        for order_id in released:
            del self.owners[order_id]
        return len(released)

    def _append(self, events: Sequence[OrderEvent]) -> None:
        for event in events:
            self.log.append(replace(event, sequence=len(self.log) + 1))


class StoreView:
    """The store as one life of the engine reaches it."""

    def __init__(self, store: SimStore, process: Process) -> None:
        self._store = store
        self._process = process

    async def open(self, on_commit: CommitListener) -> None: ...
    async def close(self) -> None: ...
    async def ready(self) -> None: ...

    async def _enter(self) -> None:
        await self._process.gate()
        self._store.fault()

    async def _leave(self) -> None:
        self._store.lose_reply()
        await self._process.gate()

    async def insert(self, order: Order, event: OrderEvent) -> Order:
        await self._enter()
        stored = self._store.insert(order, event)
        await self._leave()
        return stored

    async def insert_many(self, items: Sequence[tuple[Order, OrderEvent]]) -> list[Order | Exception]:
        return [await self.insert(order, event) for order, event in items]

    async def change(self, change: Change) -> None:
        await self._enter()
        self._store.change(change)
        await self._leave()

    async def register(self, worker: str) -> Lease:
        await self._process.gate()
        return Lease(worker, self._store.register())

    async def heartbeat(self, lease: Lease) -> None:
        await self._enter()
        self._store.heartbeat(lease)

    async def reap(self, silent_ms: int) -> int:
        await self._enter()
        since = _store_ms() - silent_ms
        return self._store.end([epoch for epoch, beat in self._store.beats.items() if beat < since])

    async def retire(self, lease: Lease) -> None:
        await self._enter()
        self._store.end([lease.epoch])

    async def claim(
        self, lease: Lease, now_ms: int, limit: int, order_ids: Sequence[OrderId] | None = None
    ) -> list[Order]:
        await self._enter()
        claimed = self._store.claim(lease, now_ms, limit, order_ids)
        await self._leave()
        return claimed

    async def held(self, lease: Lease) -> list[Order]:
        await self._enter()
        return [self._store.orders[order_id] for order_id, epoch in self._store.owners.items() if epoch == lease.epoch]

    async def queue_state(self) -> QueueState:
        return self._store.queue

    async def set_queue_state(self, state: QueueState) -> None:
        await self._enter()
        self._store.queue = state
        await self._leave()

    async def next_ready_ms(self) -> int | None:
        await self._enter()
        return min((o.ready_at_ms for o in self._store.orders.values() if o.ready_at_ms is not None), default=None)

    async def get(self, order_id: OrderId) -> Order | None:
        await self._enter()
        return self._store.orders.get(order_id)

    async def version(self, order_id: OrderId) -> int | None:
        await self._enter()
        return self._store.orders[order_id].version if order_id in self._store.orders else None

    async def find(self, account: str, client_order_id: str) -> Order | None:
        await self._enter()
        for order in self._store.orders.values():
            if (order.spec.account, order.spec.client_order_id) == (account, client_order_id):
                return order
        return None

    async def events(self, order_id: OrderId, after: int = 0, limit: int = 1000) -> list[OrderEvent]:
        await self._enter()
        return [e for e in self._store.log if e.order_id == order_id and e.number > after][:limit]

    async def events_since(self, sequence: int, limit: int = 1000) -> list[OrderEvent]:
        await self._enter()
        return self._store.log[sequence : sequence + limit]

    async def attempts(self, order_id: OrderId) -> list[Attempt]:
        await self._enter()
        return [a for (oid, _), a in sorted(self._store.all_attempts.items()) if oid == order_id]

    async def fills(self, order_id: OrderId) -> list[Fill]:
        await self._enter()
        return [f for f in self._store.all_fills.values() if f.order_id == order_id]

    async def page(self, where: OrderFilter, before: OrderId | None, limit: int) -> list[Order]:
        await self._enter()
        return sorted(self._store.orders.values(), key=lambda order: order.id, reverse=True)[:limit]

    async def stats(self, now_ms: int) -> StoreStats:
        return StoreStats({}, 0, 0, 0, None, len(self._store.log))

    async def last_sequence(self) -> int:
        return len(self._store.log)


class SimTransaction(msgspec.Struct):
    """What the chain knows of one signature. `landed_at` None: on its way or dropped."""

    plan: SwapPlan
    last_valid: int
    unit_price: int
    stuck: bool = False
    landed_at: int | None = None
    final: bool = False
    revert: str = ""
    scheduled: bool = False
    hidden: bool = False


class SimChain:
    """A chain whose blocks have uneven lengths, with forks and its own incorruptible ledger of final swaps."""

    def __init__(self, rng: random.Random, faults: Faults) -> None:
        self.transactions: dict[str, SimTransaction] = {}
        self.markers: dict[str, str] = {}
        self.final_swaps: list[tuple[str, str]] = []
        self.fees: Counter[str] = Counter()
        """What final transactions have paid, by order."""
        self.uncommitted_sends: list[str] = []
        self.height = 1_000
        self._rng = rng
        self._faults = faults
        self._messages = count(1)

    async def grow(self) -> None:
        """Produce blocks for ever; run as a task of the world, not of the engine."""
        while True:
            await pause(self._rng.uniform(0.2, 0.6))
            self.height += 1
            self._settle()

    def _settle(self) -> None:
        for signature, tx in self.transactions.items():
            if tx.landed_at is None or tx.final:
                continue
            depth = self.height - tx.landed_at
            if depth == 8 and self._rng.random() < self._faults.fork:
                self._abandon(signature, tx)
            elif depth >= FINALITY_BLOCKS:
                tx.final = True
                self.fees[tx.plan.order_id] += fee_lamports(tx.unit_price)
                if not tx.revert:
                    self.final_swaps.append((tx.plan.order_id, signature))

    def _abandon(self, signature: str, tx: SimTransaction) -> None:
        """Leave the block that holds `signature`, and what later blocks hold of the same order's marker."""
        since, marker = tx.landed_at or 0, tx.plan.marker_seed
        for other, each in self.transactions.items():
            follows = marker and each.plan.marker_seed == marker and (each.landed_at or 0) >= since and not each.final
            if other != signature and not follows:
                continue
            each.landed_at, each.scheduled = None, False
            if self.markers.get(marker) == other:
                del self.markers[marker]
            if self._rng.random() < 0.5:
                self.schedule(other)

    def schedule(self, signature: str) -> None:
        tx = self.transactions[signature]
        if tx.scheduled or tx.landed_at is not None:
            return
        tx.scheduled = True
        delay = self._rng.choice([0, 1, 2, 5, self._rng.randint(0, self._faults.landing_delay_blocks)])
        if tx.stuck:
            delay = self._rng.randint(30, WINDOW + 10)
        asyncio.get_running_loop().call_later(delay * 0.4, self._land, signature)

    def _land(self, signature: str) -> None:
        tx = self.transactions[signature]
        tx.scheduled = False
        if tx.landed_at is not None or self.height > tx.last_valid + 1:
            return
        tx.landed_at = self.height
        marker = tx.plan.marker_seed
        if marker and marker in self.markers:
            tx.revert = "marker_exists"
        elif self._rng.random() < self._faults.revert:
            tx.revert = "program_error"
        else:
            tx.revert = ""
            if marker:
                self.markers[marker] = signature


class ChainView:
    """One node of the chain as one life of the engine reaches it. `honest` nodes have no holes."""

    def __init__(
        self,
        chain: SimChain,
        store: SimStore,
        process: Process,
        rng: random.Random,
        faults: Faults,
        *,
        honest: bool,
    ) -> None:
        self._chain = chain
        self._store = store
        self._process = process
        self._rng = rng
        self._faults = faults
        self._honest = honest
        self._lag = 0 if honest else rng.randint(0, 10)
        self.told: set[str] = set()
        """Signatures of which this life has been told that they stand in a block."""

    async def _call(self) -> None:
        await self._process.gate()
        if self._rng.random() < self._faults.rpc_error:
            raise ChainError("429")

    def _tip(self, commitment: Commitment) -> int:
        depth = {Commitment.PROCESSED: 0, Commitment.CONFIRMED: 2, Commitment.FINALIZED: FINALITY_BLOCKS}[commitment]
        return self._chain.height - depth - self._lag

    async def latest_blockhash(self) -> Blockhash:
        await self._call()
        tip = self._tip(Commitment.CONFIRMED)
        return Blockhash(str(tip), tip + WINDOW)

    async def block_height(self, commitment: Commitment) -> int:
        await self._call()
        return self._tip(commitment)

    async def slot(self, commitment: Commitment) -> int:
        return await self.block_height(commitment)

    async def build(self, plan: SwapPlan, blockhash: Blockhash) -> bytes:
        return msgspec.msgpack.encode((plan, blockhash, FIRST_PRICE))

    async def outbid(self, raw: bytes, plan: SwapPlan) -> Offer:
        await self._call()
        _, message = msgspec.msgpack.decode(raw, type=tuple[str, bytes])
        before, blockhash, last = msgspec.msgpack.decode(message, type=Message)
        if before != plan:
            raise AssertionError("the bid is not for the plan that was signed")
        price = last * 3 // 2
        return Offer(msgspec.msgpack.encode((before, blockhash, price)), price)

    async def simulate(self, message: bytes) -> Simulation:
        await self._call()
        plan, _, _ = msgspec.msgpack.decode(message, type=Message)
        if plan.marker_seed and plan.marker_seed in self._chain.markers:
            raise SimulationFailed("the marker exists", reason=RevertReason.MARKER_EXISTS)
        return Simulation(plan.amount_in, plan.amount_out, self._chain.height)

    async def send(self, raw: bytes) -> None:
        await self._process.gate()
        signed, message = msgspec.msgpack.decode(raw, type=tuple[str, bytes])
        plan, blockhash, price = msgspec.msgpack.decode(message, type=Message)
        chain = self._chain
        if signed not in self._store.signatures():
            chain.uncommitted_sends.append(signed)
        tx = chain.transactions.get(signed)
        if tx is None:
            tx = SimTransaction(plan, blockhash.last_valid_block_height, price)
            tx.hidden = self._rng.random() < self._faults.liar
            tx.stuck = self._faults.stuck > 0 and self._rng.random() < self._faults.stuck
            chain.transactions[signed] = tx
        if chain.height > tx.last_valid:
            raise BlockhashNotFound("Blockhash not found")
        if tx.landed_at is not None:
            raise AlreadyProcessed("already processed")
        if self._rng.random() >= self._faults.send_dropped:
            chain.schedule(signed)
        if self._rng.random() < self._faults.send_lost_reply:
            raise ChainError("timed out")

    async def status(self, signature: str, search_history: bool) -> SignatureStatus | None:
        await self._call()
        tx = self._chain.transactions.get(signature)
        if tx is None or tx.landed_at is None or tx.landed_at > self._tip(Commitment.PROCESSED):
            return None
        if not self._honest and (tx.hidden or self._rng.random() < self._faults.false_null):
            return None
        if not search_history and self._tip(Commitment.PROCESSED) - tx.landed_at > WINDOW:
            return None
        if tx.final and tx.landed_at <= self._tip(Commitment.FINALIZED):
            commitment = Commitment.FINALIZED
        else:
            commitment = Commitment.PROCESSED
        self.told.add(signature)
        return SignatureStatus(tx.landed_at, commitment, tx.revert)

    async def transaction(self, signature: str) -> LandedTransaction | None:
        await self._call()
        tx = self._chain.transactions.get(signature)
        if tx is None or tx.landed_at is None or (tx.hidden and not self._honest):
            return None
        moved = (0, 0) if tx.revert else (tx.plan.amount_in, tx.plan.amount_out)
        fee = fee_lamports(tx.unit_price)
        return LandedTransaction(signature, tx.landed_at, 0, tx.revert, "", *moved, fee, 0)

    async def marker_exists(self, marker_seed: str, min_context_slot: int) -> bool:
        await self._call()
        if self._tip(Commitment.FINALIZED) < min_context_slot:
            raise ChainError("minimum context slot has not been reached")
        signature = self._chain.markers.get(marker_seed)
        return signature is not None and self._chain.transactions[signature].final

    async def signature_in_history(self, signature: str, min_context_slot: int) -> bool:
        await self._call()
        if self._tip(Commitment.FINALIZED) < min_context_slot:
            raise ChainError("minimum context slot has not been reached")
        tx = self._chain.transactions.get(signature)
        return tx is not None and tx.final

    async def wait_for_news(self, signature: str, timeout_s: float) -> None:
        await self._process.gate()
        await pause(timeout_s * self._rng.random())


class SimSigner:
    """Deterministic signatures over the message."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def wallet(self) -> str:
        return "sim-wallet"

    async def sign(self, message: bytes, plan: SwapPlan) -> Signed:
        await self._process.gate()
        signature = hashlib.sha256(message).hexdigest()
        return Signed(signature, msgspec.msgpack.encode((signature, message)))
