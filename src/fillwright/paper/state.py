"""The paper world as it stands now: pools, balances, markers, and what of it is still to be written.

In: slots to come to, transactions to land. Out: ledger entries, a frozen view of the pools, and flushes. It runs
ahead of the ledger by what is being written; must not tell anyone what is durable (that is the chain's).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from fillwright.domain.accounts import WRAPPED_SOL, Address, ChainClock, Mint
from fillwright.domain.transactions import RevertReason
from fillwright.paper.ledger import Balance, Flush, LedgerEntry, LedgerReader
from fillwright.paper.market import repriced
from fillwright.paper.runtime import Effect, Revert, execute
from fillwright.paper.transaction import MARKER_LAMPORTS, Transaction
from fillwright.paper.world import Genesis
from fillwright.venues.venue import Pool

MAX_CACHED_BALANCES = 10_000
MAX_KNOWN_MARKERS = 250_000
"""Markers that are known, by a hash, without a look into the ledger; where there are more, all are looked up."""
CHECKPOINT_SLOTS = 512
"""How often every pool's state is written, traded or not: what a reopened market has to catch up on."""


class Evolution(Protocol):
    """What moves pools between the orders' own swaps."""

    def advance(self, pools: Mapping[Address, Pool], since: Mapping[Address, int], slot: int) -> dict[Address, Pool]:
        """The pools that changed until `slot` (included), from the slots up to which each has come."""

    def clock(self, own: ChainClock) -> ChainClock:
        """The clock that the pools are priced by; `own` is the paper chain's."""


class Charges(msgspec.Struct, frozen=True):
    """What a transaction costs its owner beside the swap, in lamports."""

    fee: int
    rent: int


class State:
    """`pools` come with the slots up to which they have come. `initial_units`: what a new owner is given."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        reader: LedgerReader,
        pools: Mapping[Address, tuple[int, Pool]],
        evolution: Evolution | None,
        initial_units: Callable[[Mint], int],
        fee_lamports: int,
    ) -> None:
        self._genesis = genesis
        self._reader = reader
        self._pools = {address: pool for address, (_, pool) in pools.items()}
        self._since = {address: slot for address, (slot, _) in pools.items()}
        self._evolution = evolution
        self._initial_units = initial_units
        self._fee_lamports = fee_lamports
        self._frozen = False
        self._balances: OrderedDict[tuple[str, Mint], Balance] = OrderedDict()
        self._next = Flush()
        self._flying = Flush()
        self.slot = max(self._since.values(), default=genesis.first.slot)
        self._checkpointed = self.slot
        self.clock: ChainClock = self._clock_at(self.slot)
        self._known_markers = self._read_markers()

    def pools(self) -> Mapping[Address, Pool]:
        """Every pool as it stands: the same object until one changes, never changed afterwards."""
        self._frozen = True
        return self._pools

    def advance(self, slot: int) -> None:
        """Come to `slot`. Never goes back."""
        if slot <= self.slot:
            return
        self.slot = slot
        self.clock = self._clock_at(slot)
        if self._evolution is not None:
            self._put(self._evolution.advance(self._pools, self._since, slot))
        self._since = dict.fromkeys(self._since, slot)
        if slot - self._checkpointed >= CHECKPOINT_SLOTS:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Have every pool's present state written with the next flush."""
        self._checkpointed = self.slot
        self._next.pools = {address: (self._since[address], pool) for address, pool in self._pools.items()}

    def charges(self, transaction: Transaction) -> Charges:
        """What landing costs where the swap succeeds."""
        return Charges(self._fee_lamports, MARKER_LAMPORTS if transaction.marker_seed else 0)

    def try_out(self, transaction: Transaction) -> Effect | Revert:
        """What the transaction would do now. Changes nothing."""
        if transaction.marker_seed and self.has_marker(transaction.payer, transaction.marker_seed):
            return Revert(RevertReason.MARKER_EXISTS, "a transaction of this order has succeeded before")
        charges = self.charges(transaction)
        return execute(
            transaction,
            self._pools,
            lambda mint: self.balance(transaction.swap.owner, mint).units,
            charges.fee + charges.rent,
            self.clock,
        )

    def can_pay(self, transaction: Transaction) -> bool:
        """Whether the owner has the fee: a network takes no transaction from one who has not."""
        return self.balance(transaction.swap.owner, WRAPPED_SOL).units >= self._fee_lamports

    def reprice(self, transaction: Transaction, multiple: float) -> None:
        """Let somebody else trade first: the pools that take the input pay `multiple` of what they did."""
        for leg in transaction.swap.legs:
            address, spent = transaction.pool(leg), transaction.mints[leg.input]
            pool = self._pools.get(address)
            if pool is None or leg.input != 0 or spent not in pool.mints:
                continue
            after = repriced(pool, pool.mints.index(spent), multiple, self.clock)
            self._put({address: after})
            self._next.pools[address] = (self._since[address], after)

    def land(self, transaction: Transaction, outcome: Effect | Revert, block_time_ms: int) -> LedgerEntry:
        """Make `outcome` the transaction's result, in the present slot, and have it written."""
        charges, swap = self.charges(transaction), transaction.swap
        if isinstance(outcome, Revert):
            charges = Charges(charges.fee, 0)
        changes = dict(outcome.changes) if isinstance(outcome, Effect) else {}
        changes[WRAPPED_SOL] = changes.get(WRAPPED_SOL, 0) - charges.fee - charges.rent
        for mint, change in changes.items():
            held = self.balance(swap.owner, mint)
            self._next.balances[swap.owner, mint] = Balance(held.initial, held.units + change)
        entry = _entry(transaction, outcome, charges, self.slot, block_time_ms)
        if isinstance(outcome, Effect):
            self._put(outcome.pools)
            self._next.pools.update({address: (self._since[address], pool) for address, pool in outcome.pools.items()})
            if transaction.marker_seed:
                key = (transaction.payer, transaction.marker_seed)
                self._next.markers[key] = (entry.signature, entry.slot)
                self._learn_marker(key)
        self._next.entries[entry.signature] = entry
        return entry

    def balance(self, owner: str, mint: Mint) -> Balance:
        """The owner's balance; one who was never seen with this mint has the initial one."""
        key = (owner, mint)
        held = self._next.balances.get(key) or self._flying.balances.get(key) or self._balances.get(key)
        if held is None:
            held = self._reader.balance(owner, mint)
        if held is None:
            units = self._initial_units(mint)
            held = Balance(units, units)
        return held

    def has_marker(self, payer: str, seed: str) -> bool:
        key = (payer, seed)
        if key in self._next.markers or key in self._flying.markers:
            return True
        if self._known_markers is not None and hash(key) not in self._known_markers:
            return False
        return self._reader.marker_slot(payer, seed) is not None

    def _read_markers(self) -> set[int] | None:
        """The hashes of all markers in the ledger: nobody but this state makes any. None where they are too many."""
        if self._reader.count_markers() > MAX_KNOWN_MARKERS:
            return None
        return {hash(key) for key in self._reader.markers()}

    def _learn_marker(self, key: tuple[str, str]) -> None:
        if self._known_markers is None:
            return
        self._known_markers.add(hash(key))
        if len(self._known_markers) > MAX_KNOWN_MARKERS:
            self._known_markers = None

    def is_unwritten(self, signature: str) -> bool:
        """Whether the transaction has landed and is not durable yet."""
        return signature in self._next.entries or signature in self._flying.entries

    @property
    def has_pending(self) -> bool:
        """Whether anything waits for a flush that has not begun."""
        return bool(self._next)

    @property
    def unwritten(self) -> int:
        """How many landed transactions are not durable yet."""
        return len(self._next.entries) + len(self._flying.entries)

    @property
    def oldest_unwritten_slot(self) -> int | None:
        for flush in (self._flying, self._next):
            for entry in flush.entries.values():
                return entry.slot
        return None

    def take_flush(self, seen_ms: int) -> Flush | None:
        """What is to be written now; None while an earlier flush is under way, or where there is nothing."""
        if self._flying or not self._next:
            return None
        self._next.seen_ms = seen_ms
        self._flying, self._next = self._next, Flush()
        return self._flying

    def flushed(self) -> Flush:
        """The flush under way is durable."""
        done, self._flying = self._flying, Flush()
        for key, held in done.balances.items():
            self._balances[key] = held
            self._balances.move_to_end(key)
        while len(self._balances) > MAX_CACHED_BALANCES:
            self._balances.popitem(last=False)
        return done

    def flush_failed(self) -> None:
        """The flush under way was not written: it goes with the next one."""
        self._next = self._flying.followed_by(self._next)
        self._flying = Flush()

    def _put(self, changed: Mapping[Address, Pool]) -> None:
        if not changed:
            return
        if self._frozen:
            self._pools = dict(self._pools)
            self._frozen = False
        self._pools.update(changed)
        for address in changed:
            self._since.setdefault(address, self.slot)

    def _clock_at(self, slot: int) -> ChainClock:
        own = self._genesis.clock_at(slot)
        return own if self._evolution is None else self._evolution.clock(own)


def _entry(
    transaction: Transaction, outcome: Effect | Revert, charges: Charges, slot: int, block_time_ms: int
) -> LedgerEntry:
    swap = transaction.swap
    moved = (outcome.amount_in, outcome.amount_out) if isinstance(outcome, Effect) else (0, 0)
    why = (outcome.reason.value, outcome.detail) if isinstance(outcome, Revert) else ("", "")
    return LedgerEntry(
        signature=transaction.signature,
        slot=slot,
        block_time_ms=block_time_ms,
        order_id=swap.order_id,
        attempt=swap.attempt,
        owner=swap.owner,
        payer=transaction.payer,
        marker_seed=transaction.marker_seed,
        input_mint=transaction.mints[0],
        output_mint=transaction.mints[1],
        amount_in=moved[0],
        amount_out=moved[1],
        fee_lamports=charges.fee,
        rent_lamports=charges.rent,
        revert=why[0],
        detail=why[1],
    )
