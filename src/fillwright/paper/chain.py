"""The paper chain: signed transactions land in a world of its own, which outlives the engine.

In: raw signed transactions, as a node takes them. Out: statuses, heights, landed transactions, as a node
answers them. A transaction lands after a drawn delay, on the pools as they are then; nothing that is asked by
signature or marker is answered before it is durable, and no final height is told that would hide a landing
which is still being written. Must not: know orders, or believe anything but the bytes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial

from solders.pubkey import Pubkey

from fillwright.config import Settings
from fillwright.domain.accounts import Address, ChainClock
from fillwright.domain.errors import (
    AlreadyProcessed,
    BlockhashNotFound,
    ChainError,
    FillwrightError,
    SimulationFailed,
    StoreError,
)
from fillwright.domain.transactions import (
    Blockhash,
    Commitment,
    LandedTransaction,
    RevertReason,
    SignatureStatus,
    Simulation,
    SwapPlan,
)
from fillwright.group_commit import GroupCommit
from fillwright.paper import ledger
from fillwright.paper.ledger import LedgerEntry, LedgerReader
from fillwright.paper.origin import Origin
from fillwright.paper.runtime import Effect, Revert
from fillwright.paper.state import State
from fillwright.paper.streams import draw
from fillwright.paper.timers import Timers
from fillwright.paper.transaction import (
    Transaction,
    build_message,
    check_size,
    is_signed,
    parse_message,
    parse_signed,
)
from fillwright.paper.world import BLOCKHASH_LIFE, Genesis, WorldTime
from fillwright.ports import Clock
from fillwright.venues.venue import Pool

MAX_RECENT = 10_000
"""Durable transactions kept in memory; older ones are read from the ledger."""
MAX_IN_FLIGHT = 50_000
"""Sent and not yet durable; beyond it `send` refuses."""
STATUS_CACHE_SLOTS = 300
"""How far back a status is known without a search of the history."""
FLUSH_RETRY_MS = 1_000
MAX_LAST_FLUSHES = 3
"""On closing: the one under way, the one that waits, and one for what lands meanwhile."""


class PaperChain:
    """Implements `ports.Chain`; see there for the contracts. `open` before use, `close` afterwards.

    `wallet` pays for the transactions that it builds and makes their markers. `reader` reads what is durable.
    `has_signed` says of raw transactions that their signature is right; any other's is verified.
    """

    reader: LedgerReader

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        wallet: str,
        origin: Origin,
        has_signed: Callable[[bytes], bool] | None = None,
    ) -> None:
        self._has_signed = has_signed or (lambda _: False)
        self._settings = settings
        self._clock = clock
        self._wallet = Pubkey.from_string(wallet)
        self._origin = origin
        self._writer = GroupCommit(lambda: ledger.connect(settings.ledger_path), name="paper-ledger")
        self._in_flight: dict[str, Transaction] = {}
        self._recent: OrderedDict[str, LedgerEntry] = OrderedDict()
        self._sends: OrderedDict[str, int] = OrderedDict()
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._flush_scheduled = False
        self._settled_ms = -1
        self._written: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Begin a world, or go on with the one in the ledger. Raises ConfigError, StoreError."""
        self._lock = ledger.lock(self._settings.ledger_path)
        async with AsyncExitStack() as opened:
            opened.callback(self._lock.close)
            opened.push_async_callback(self._writer.close)
            await self._writer.open()
            self.reader = LedgerReader(self._settings.ledger_path)
            opened.callback(self.reader.close)
            world = await self._origin.world(self._settings, self._clock, self.reader, self._writer)
            opened.pop_all()
        self._genesis: Genesis = world.genesis
        self._time = WorldTime(self._clock, world.seen_ms)
        self._state = State(
            genesis=world.genesis,
            reader=self.reader,
            pools=world.pools,
            evolution=world.evolution,
            initial_units=world.initial_units,
            fee_lamports=self._settings.paper_fee_lamports,
        )
        self._timers = Timers(self._time.now_ms, self._clock.sleep, self._settle)
        self._finalized = self._genesis.first.slot
        self._settle()
        # What landed before this slot may be known to the ledger alone.
        self._remembered_from = self._state.slot + 1 if world.reopened else self._genesis.first.slot

    async def close(self) -> None:
        """Write what has landed and every pool's state. What has not landed is lost, as in a real network."""
        self._settle()
        await self._timers.close()
        self._in_flight.clear()
        self._state.checkpoint()
        self._start_flush()
        for _ in range(MAX_LAST_FLUSHES):
            if self._written is not None:
                await asyncio.wait({self._written})
                await asyncio.sleep(0)
        await self._writer.close()
        self.reader.close()
        self._lock.close()
        self._wake(*self._waiters)
        if self._state.unwritten:
            raise StoreError(f"{self._state.unwritten} landed transactions could not be written")

    def market(self) -> tuple[ChainClock, Mapping[Address, Pool]]:
        """The clock and every pool now. The mapping is the same object until a pool changes, and never changes."""
        self._settle()
        return self._state.clock, self._state.pools()

    @property
    def unwritten(self) -> int:
        """How many transactions have landed and are not durable yet: to the outside they have not landed."""
        return self._state.unwritten

    def newest_blockhash(self) -> Blockhash:
        """As `latest_blockhash`, at once."""
        self._settle()
        return self._genesis.blockhash(self._state.slot)

    async def latest_blockhash(self) -> Blockhash:
        return self.newest_blockhash()

    async def block_height(self, commitment: Commitment) -> int:
        return await self.slot(commitment)

    async def slot(self, commitment: Commitment) -> int:
        self._settle()
        return self._slot_at(commitment)

    async def build(self, plan: SwapPlan, blockhash: Blockhash) -> bytes:
        return build_message(plan, blockhash, self._wallet)

    async def simulate(self, message: bytes) -> Simulation:
        self._settle()
        transaction = parse_message(message)
        self._blockhash_slot(transaction)
        outcome = self._state.try_out(transaction)
        if isinstance(outcome, Revert):
            raise SimulationFailed(outcome.detail, reason=outcome.reason)
        return Simulation(outcome.amount_in, outcome.amount_out, self._state.slot)

    async def send(self, raw: bytes) -> None:
        """As the port says. Raises AlreadyProcessed, BlockhashNotFound, and ChainError for bytes that no
        network takes (`transaction_too_large`, `transaction_invalid`, `signature_invalid`)."""
        self._settle()
        check_size(len(raw))
        transaction = parse_signed(raw)
        signature = transaction.signature
        since = self._blockhash_slot(transaction)
        if not self._has_signed(raw) and not is_signed(raw, transaction.payer):
            raise ChainError("the signature is not the payer's over these bytes", code="signature_invalid")
        if signature in self._in_flight or self._state.is_unwritten(signature):
            return
        if self._has_landed(signature, since):
            raise AlreadyProcessed("this transaction has already been processed")
        if len(self._in_flight) + self._state.unwritten >= MAX_IN_FLIGHT:
            raise ChainError("the paper chain is overloaded", code="chain_overloaded")
        if self._is_dropped(transaction):
            return
        delay_ms = self._delay_ms(transaction)
        if delay_ms == 0:
            self._land(transaction, self._time.now_ms())
            return
        self._in_flight[signature] = transaction
        self._timers.at(self._time.now_ms() + delay_ms, partial(self._land_in_flight, signature))

    async def status(self, signature: str, search_history: bool) -> SignatureStatus | None:
        self._settle()
        entry = self._durable(signature)
        if entry is None:
            return None
        if not search_history and entry.slot < self._state.slot - STATUS_CACHE_SLOTS:
            return None
        return SignatureStatus(entry.slot, self._commitment(entry), entry.revert, entry.detail)

    async def transaction(self, signature: str) -> LandedTransaction | None:
        self._settle()
        entry = self._durable(signature)
        if entry is None or self._commitment(entry) is Commitment.PROCESSED:
            return None
        return LandedTransaction(
            signature=entry.signature,
            slot=entry.slot,
            block_time_ms=entry.block_time_ms,
            revert=entry.revert,
            detail=entry.detail,
            amount_in=entry.amount_in,
            amount_out=entry.amount_out,
            fee_lamports=entry.fee_lamports,
            rent_lamports=entry.rent_lamports,
        )

    async def marker_exists(self, marker_seed: str, min_context_slot: int) -> bool:
        self._settle()
        self._check_context(min_context_slot)
        slot = self.reader.marker_slot(str(self._wallet), marker_seed)
        return slot is not None and self._is_final(slot)

    async def signature_in_history(self, signature: str, min_context_slot: int) -> bool:
        self._settle()
        self._check_context(min_context_slot)
        entry = self._durable(signature)
        return entry is not None and self._is_final(entry.slot)

    async def wait_for_news(self, signature: str, timeout_s: float) -> None:
        self._settle()
        entry = self._durable(signature)
        until_ms = self._time.now_ms() + int(timeout_s * 1_000)
        if entry is not None:
            if self._is_final(entry.slot):
                return
            until_ms = min(until_ms, self._next_commitment_ms(entry))
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(signature, []).append(news)
        timer = self._timers.at(until_ms, lambda _: None if news.done() else news.set_result(None))
        try:
            await news
        finally:
            timer.cancel()
            self._forget_waiter(signature, news)

    def _settle(self) -> None:
        """Bring the world to the present: land what is due, each in its own slot, in order."""
        now_ms = self._time.now_ms()
        self._timers.run_due(now_ms)
        if now_ms != self._settled_ms:
            self._settled_ms = now_ms
            self._state.advance(self._genesis.slot_at(now_ms))
        self._schedule_flush()

    def _land_in_flight(self, signature: str, due_ms: int) -> None:
        self._land(self._in_flight.pop(signature), due_ms)

    def _land(self, transaction: Transaction, due_ms: int) -> None:
        """Execute the transaction in the slot of `due_ms`. One that is too old, or can't pay, never lands."""
        self._state.advance(self._genesis.slot_at(due_ms))
        sent_slot = self._genesis.slot_of(transaction.blockhash)
        expired = sent_slot is None or self._state.slot > sent_slot + BLOCKHASH_LIFE
        if expired or not self._state.can_pay(transaction):
            self._wake(transaction.signature)
            return
        self._reprice(transaction)
        self._state.land(transaction, self._outcome(transaction), due_ms)
        self._schedule_flush()

    def _outcome(self, transaction: Transaction) -> Effect | Revert:
        rate = self._settings.paper_failure_rate
        if rate and self._draw("failure", transaction) < rate:
            return Revert(RevertReason.PROGRAM_ERROR, "the paper chain fails a share of all transactions at random")
        return self._state.try_out(transaction)

    def _reprice(self, transaction: Transaction) -> None:
        low, high = self._settings.paper_execution_price_low, self._settings.paper_execution_price_high
        multiple = low + (high - low) * self._draw("price", transaction)
        if multiple != 1.0:
            self._state.reprice(transaction, multiple)

    def _is_dropped(self, transaction: Transaction) -> bool:
        """Whether this send is lost on the way. The same bytes sent again have a chance of their own."""
        rate = self._settings.paper_drop_rate
        if not rate:
            return False
        count = self._sends.pop(transaction.signature, 0) + 1
        self._sends[transaction.signature] = count
        if len(self._sends) > MAX_RECENT:
            self._sends.popitem(last=False)
        return self._draw("drop", transaction, count) < rate

    def _delay_ms(self, transaction: Transaction) -> int:
        least, most = self._settings.paper_execution_delay_min_ms, self._settings.paper_execution_delay_max_ms
        if most == 0:
            return 0
        return least + int(self._draw("delay", transaction) * (most - least + 1))

    def _draw(self, what: str, transaction: Transaction, *more: int) -> float:
        """Chance that belongs to this attempt of this order, so that it is the same in every run."""
        swap = transaction.swap
        return draw(self._genesis.seed, what, swap.order_id, swap.attempt, *more)

    def _blockhash_slot(self, transaction: Transaction) -> int:
        """The slot of the transaction's blockhash. Raises BlockhashNotFound unless it is a recent one."""
        slot = self._genesis.slot_of(transaction.blockhash)
        if slot is None or not slot <= self._state.slot <= slot + BLOCKHASH_LIFE:
            raise BlockhashNotFound("blockhash not found: too old, or of another world")
        return slot

    def _has_landed(self, signature: str, since_slot: int) -> bool:
        if signature in self._recent:
            return True
        # It can't have landed before its blockhash: memory is proof of absence unless it begins later.
        return since_slot < self._remembered_from and self.reader.entry(signature) is not None

    def _durable(self, signature: str) -> LedgerEntry | None:
        entry = self._recent.get(signature)
        if entry is not None or signature in self._in_flight or self._state.is_unwritten(signature):
            return entry
        return self.reader.entry(signature)

    def _slot_at(self, commitment: Commitment) -> int:
        slot = self._state.slot
        if commitment is Commitment.PROCESSED:
            return slot
        lag = self._settings.paper_finality_slots
        slot -= lag if commitment is Commitment.FINALIZED else min(lag, 1)
        unwritten = self._state.oldest_unwritten_slot
        if unwritten is not None:
            slot = min(slot, unwritten - 1)
        if commitment is Commitment.FINALIZED:
            self._finalized = slot = max(slot, self._finalized)
        return max(slot, self._finalized)

    def _commitment(self, entry: LedgerEntry) -> Commitment:
        if self._is_final(entry.slot):
            return Commitment.FINALIZED
        return Commitment.PROCESSED if entry.slot == self._state.slot else Commitment.CONFIRMED

    def _is_final(self, slot: int) -> bool:
        return self._state.slot - slot >= self._settings.paper_finality_slots

    def _next_commitment_ms(self, entry: LedgerEntry) -> int:
        lag = 1 if entry.slot == self._state.slot else self._settings.paper_finality_slots
        return self._genesis.start_ms(entry.slot + lag)

    def _check_context(self, min_context_slot: int) -> None:
        if self._slot_at(Commitment.FINALIZED) < min_context_slot:
            raise ChainError("minimum context slot has not been reached")

    def _schedule_flush(self) -> None:
        """Flush soon, together with whatever else this turn of the loop lands."""
        if not self._flush_scheduled and self._state.has_pending:
            self._flush_scheduled = True
            asyncio.get_running_loop().call_soon(self._start_flush)

    def _start_flush(self) -> None:
        self._flush_scheduled = False
        flush = self._state.take_flush(self._time.now_ms())
        if flush is None:
            return
        try:
            written = self._writer.submit(partial(ledger.write_flush, flush=flush))
        except FillwrightError:
            self._state.flush_failed()
            return
        self._written = written
        written.add_done_callback(self._flush_done)

    def _flush_done(self, written: asyncio.Future[None]) -> None:
        self._written = None
        if written.cancelled() or written.exception() is not None:
            # Nothing of it is told to anyone before it is durable: to the outside the network has slowed down.
            self._state.flush_failed()
            self._flush_scheduled = True
            self._timers.at(self._time.now_ms() + FLUSH_RETRY_MS, lambda _: self._start_flush())
            return
        self._flush_durable()
        self._schedule_flush()

    def _flush_durable(self) -> None:
        done = self._state.flushed()
        self._recent.update(done.entries)
        while len(self._recent) > MAX_RECENT:
            _, oldest = self._recent.popitem(last=False)
            self._remembered_from = max(self._remembered_from, oldest.slot + 1)
        self._wake(*done.entries)

    def _wake(self, *signatures: str) -> None:
        for signature in signatures:
            for news in self._waiters.pop(signature, ()):
                if not news.done():
                    news.set_result(None)

    def _forget_waiter(self, signature: str, news: asyncio.Future[None]) -> None:
        waiting = self._waiters.get(signature)
        if waiting is not None and news in waiting:
            waiting.remove(news)
            if not waiting:
                del self._waiters[signature]
