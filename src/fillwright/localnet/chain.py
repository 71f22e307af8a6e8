"""The local chain: slots, a window of blockhashes, a ledger, three commitments, over one LiteSVM.

In: signed transactions, and `advance` for every slot that passes. Out: their fate, and any account as it was at
`processed`, `confirmed` or `finalized`. LiteSVM itself knows one blockhash, no forks, no size limit and a single
state: window, size, dedupe and the states at older commitments are kept here.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec
from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTable
from solders.clock import Clock
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, SimulatedTransactionInfo, TransactionMetadata

from fillwright.localnet.faults import Dice, Fault, Faults
from fillwright.localnet.render import error_json, is_token_account, mint_decimals, token_balances, unit_price

BLOCKHASH_LIFE = 150
MAX_TRANSACTION_BYTES = 1_232
MAX_ACCOUNT_LOCKS = 64
MAX_WAITING = 100_000
MAX_REMEMBERED = 10_000_000
HEIGHT_BEHIND_SLOT = 1_000
"""Slots and block heights differ, so that mistaking one for the other shows."""
_SLOTS_PER_EPOCH = 432_000


class Landed(msgspec.Struct):
    """One transaction in the ledger. `meta` is as getTransaction answers it."""

    signature: str
    slot: int
    raw: bytes
    error: Any
    meta: dict[str, Any]
    keys: tuple[str, ...]
    block_time_s: int


class Rejected(Exception):
    """The network takes no such transaction. `error`: a TransactionError's name, or "" for broken bytes."""

    def __init__(self, message: str, error: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.error = error


OnSlot = Callable[["LocalChain"], None]


class LocalChain:
    """One network. Deterministic: the same calls with the same seed give the same ledger."""

    def __init__(
        self,
        *,
        seed: int = 1,
        faults: Faults | None = None,
        start_slot: int = 100_000_000,
        start_time_s: int = 1_760_000_000,
        slot_ms: int = 400,
        confirm_slots: int = 2,
        finality_slots: int = 32,
    ) -> None:
        self.svm = LiteSVM().with_blockhash_check(False).with_transaction_history(MAX_REMEMBERED)
        self.dice = Dice(faults or Faults(), seed)
        self.slot_ms = slot_ms
        self.confirm_slots = confirm_slots
        self.finality_slots = finality_slots
        self.first_slot = self.slot = start_slot
        self.ledger: OrderedDict[str, Landed] = OrderedDict()
        self.by_address: dict[str, list[str]] = {}
        self.decimals: dict[str, int] = {}
        self.on_slot: list[OnSlot] = []
        self.on_change: list[Callable[[set[str], Landed | None], None]] = []
        self._start_time_s = start_time_s
        self._seed = seed
        self._hash_slots: dict[str, int] = {}
        self._waiting: list[tuple[int, int, VersionedTransaction, bytes]] = []
        self._arrivals = 0
        self._congested_to = start_slot - 1
        self._journal: dict[str, tuple[list[int], list[Account | None]]] = {}
        self._remember_hash()
        self._set_clock()

    @property
    def time_s(self) -> int:
        return self._start_time_s + (self.slot - self.first_slot) * self.slot_ms // 1_000

    @property
    def genesis_hash(self) -> str:
        """Which network this is; it never changes."""
        return str(Hash.from_bytes(hashlib.sha256(f"fillwright {self._seed} genesis".encode()).digest()))

    @property
    def epoch(self) -> int:
        return self.slot // _SLOTS_PER_EPOCH

    def slot_at(self, commitment: str) -> int:
        behind = {"processed": 0, "confirmed": self.confirm_slots}.get(commitment, self.finality_slots)
        return max(self.first_slot - self.finality_slots, self.slot - behind)

    def height_at(self, commitment: str) -> int:
        return self.slot_at(commitment) - HEIGHT_BEHIND_SLOT

    def blockhash(self, commitment: str) -> tuple[str, int]:
        """The newest blockhash at a commitment, and the last block height at which it is valid."""
        slot = max(self.first_slot, self.slot_at(commitment))
        return self._hash(slot), slot - HEIGHT_BEHIND_SLOT + BLOCKHASH_LIFE

    def is_blockhash_valid(self, value: str) -> bool:
        """Age is checked against the parent block: one block beyond the last valid height can still hold it."""
        slot = self._hash_slots.get(value)
        return slot is not None and self.slot - 1 <= slot + BLOCKHASH_LIFE

    def set_account(self, address: str, account: Account) -> None:
        """Put an account in place, at every commitment."""
        data = bytes(account.data)
        places = mint_decimals(data)
        if places is not None:
            self.decimals[address] = places
        self.svm.set_account(Pubkey.from_string(address), account)

    def account(self, address: str, commitment: str = "processed") -> Account | None:
        """An account as it stood at a commitment."""
        slot = self.slot_at(commitment)
        if slot < self.slot and address in self._journal:
            slots, before = self._journal[address]
            index = bisect_right(slots, slot)
            if index < len(slots):
                return before[index]
        found: Account | None = self.svm.get_account(Pubkey.from_string(address))
        return found if found is not None and found.lamports > 0 else None

    def check(self, raw: bytes) -> VersionedTransaction:
        """The transaction in `raw`, if a node would take it in. Raises Rejected."""
        if len(raw) > MAX_TRANSACTION_BYTES:
            raise Rejected(f"transaction too large: {len(raw)} bytes (max: {MAX_TRANSACTION_BYTES})")
        try:
            transaction = VersionedTransaction.from_bytes(raw)
            if bytes(transaction) != raw:
                raise Rejected("failed to deserialize the transaction: trailing bytes")
            keys = self.keys_of(transaction)
        except (ValueError, IndexError) as error:
            raise Rejected(f"failed to deserialize the transaction: {error}") from error
        if len(keys) > MAX_ACCOUNT_LOCKS:
            raise Rejected("Transaction locked too many accounts", "TooManyAccountLocks")
        return transaction

    def send(self, raw: bytes) -> str:
        """Take a signed transaction in: it lands now, later, or (dropped) never. Raises Rejected."""
        transaction = self.check(raw)
        if not all(transaction.verify_with_results()):
            raise Rejected("Transaction signature verification failure", "SignatureFailure")
        signature = str(transaction.signatures[0])
        if signature in self.ledger or self.dice.happens(Fault.DROP) or len(self._waiting) >= MAX_WAITING:
            return signature
        delay = self._held_up(transaction, self.slot + self.dice.delay_slots()) - self.slot
        self._arrivals += 1
        if delay == 0:
            self._land(transaction, raw)
        else:
            self._waiting.append((self.slot + delay, self._arrivals, transaction, raw))
        return signature

    def land(self, raw: bytes) -> str:
        """As `send`, but at once and whatever the faults. Raises Rejected."""
        transaction = self.check(raw)
        self._land(transaction, raw)
        return str(transaction.signatures[0])

    def simulate(self, raw: bytes, replace_blockhash: bool = False) -> tuple[Any, dict[str, Any]]:
        """(error or None, metadata as far as a simulation has it), with `postAccounts` by address. Raises Rejected."""
        transaction = self.check(raw)
        if not replace_blockhash and not self.is_blockhash_valid(str(transaction.message.recent_blockhash)):
            return "BlockhashNotFound", {"logs": [], "unitsConsumed": 0}
        keys = self.keys_of(transaction)
        before = [self.account(str(key)) for key in keys]
        self.svm = self.svm.with_sigverify(False)
        outcome = self.svm.simulate_transaction(transaction)
        self.svm = self.svm.with_sigverify(True)
        if not isinstance(outcome, SimulatedTransactionInfo):
            meta = outcome.meta()
            return error_json(outcome.err()), {"logs": meta.logs(), "unitsConsumed": meta.compute_units_consumed()}
        posts = {str(key): account for key, account in outcome.post_accounts()}
        after = [posts.get(str(key), held) for key, held in zip(keys, before, strict=True)]
        meta = outcome.meta()
        result = self._meta(keys, before, after, meta, None)
        result["postAccounts"] = dict(zip(map(str, keys), after, strict=True))
        result["unitsConsumed"] = meta.compute_units_consumed()
        return None, result

    def advance(self, slots: int = 1) -> None:
        """Let time pass: what is due lands in its slot, in the order of arrival."""
        for _ in range(slots):
            self.slot += 1
            self._remember_hash()
            self._set_clock()
            if self.slot > self._congested_to:
                self._congested_to = self.slot - 1 + self.dice.congestion_slots()
            due = sorted((item for item in self._waiting if item[0] <= self.slot), key=lambda item: item[:2])
            self._waiting = [item for item in self._waiting if item[0] > self.slot]
            for _, arrival, transaction, raw in due:
                slot = self._held_up(transaction, self.slot)
                if slot > self.slot:
                    self._waiting.append((slot, arrival, transaction, raw))
                else:
                    self._land(transaction, raw)
            for listener in tuple(self.on_slot):
                listener(self)
            self._tell(set(), None)
            self._prune()

    def keys_of(self, transaction: VersionedTransaction) -> list[Pubkey]:
        """Static keys, then looked-up ones, writable first. Raises ValueError."""
        message = transaction.message
        keys = list(message.account_keys)
        if not isinstance(message, MessageV0):
            return keys
        writable: list[Pubkey] = []
        readonly: list[Pubkey] = []
        for lookup in message.address_table_lookups:
            table = self.svm.get_account(lookup.account_key)
            if table is None:
                raise ValueError("a lookup table that does not exist")
            addresses = AddressLookupTable.deserialize(bytes(table.data)).addresses
            writable += [addresses[index] for index in lookup.writable_indexes]
            readonly += [addresses[index] for index in lookup.readonly_indexes]
        return keys + writable + readonly

    def _held_up(self, transaction: VersionedTransaction, slot: int) -> int:
        """`slot`, or the first one after it whose block takes what the transaction pays, as far as is known now."""
        if slot > self._congested_to or unit_price(transaction) >= self.dice.faults.congestion_price:
            return slot
        return self._congested_to + 1

    def _land(self, transaction: VersionedTransaction, raw: bytes) -> None:
        signature = str(transaction.signatures[0])
        if signature in self.ledger or not self.is_blockhash_valid(str(transaction.message.recent_blockhash)):
            return
        keys = self.keys_of(transaction)
        before = [self.account(str(key)) for key in keys]
        outcome = self.svm.send_transaction(transaction)
        error: Any = None
        if isinstance(outcome, FailedTransactionMetadata):
            error, meta = error_json(outcome.err()), outcome.meta()
        else:
            meta = outcome
        after = [self.account(str(key)) for key in keys]
        if (
            error is not None
            and before[0] is not None
            and after[0] is not None
            and before[0].lamports == after[0].lamports
        ):
            return  # a payer that can't pay: the block never held it
        changed = set()
        for key, old, new in zip(map(str, keys), before, after, strict=True):
            if old != new:
                changed.add(key)
                slots, versions = self._journal.setdefault(key, ([], []))
                slots.append(self.slot)
                versions.append(old)
        rendered = self._meta(keys, before, after, meta, error)
        names = tuple(map(str, keys))
        rendered["loadedAddresses"] = self._loaded(transaction, names)
        landed = Landed(signature, self.slot, raw, error, rendered, names, self.time_s)
        self.ledger[signature] = landed
        for key in names:
            self.by_address.setdefault(key, []).append(signature)
        self._tell(changed, landed)

    def _meta(
        self,
        keys: list[Pubkey],
        before: list[Account | None],
        after: list[Account | None],
        meta: TransactionMetadata,
        error: Any,
    ) -> dict[str, Any]:
        return {
            "err": error,
            "status": {"Ok": None} if error is None else {"Err": error},
            "fee": meta.fee(),
            "preBalances": [0 if account is None else account.lamports for account in before],
            "postBalances": [0 if account is None else account.lamports for account in after],
            "preTokenBalances": token_balances(keys, before, self.decimals),
            "postTokenBalances": token_balances(keys, after, self.decimals),
            "logMessages": meta.logs(),
            "logs": meta.logs(),
            "computeUnitsConsumed": meta.compute_units_consumed(),
        }

    @staticmethod
    def _loaded(transaction: VersionedTransaction, names: tuple[str, ...]) -> dict[str, list[str]]:
        message = transaction.message
        static = len(message.account_keys)
        lookups = message.address_table_lookups if isinstance(message, MessageV0) else []
        writable = sum(len(lookup.writable_indexes) for lookup in lookups)
        return {"writable": list(names[static : static + writable]), "readonly": list(names[static + writable :])}

    def _tell(self, changed: set[str], landed: Landed | None) -> None:
        for listener in tuple(self.on_change):
            listener(changed, landed)

    def _hash(self, slot: int) -> str:
        return str(Hash.from_bytes(hashlib.sha256(f"fillwright {self._seed} {slot}".encode()).digest()))

    def _remember_hash(self) -> None:
        self._hash_slots[self._hash(self.slot)] = self.slot
        self._hash_slots.pop(self._hash(self.slot - 2 * BLOCKHASH_LIFE), None)

    def _set_clock(self) -> None:
        self.svm.set_clock(Clock(self.slot, self._start_time_s, self.epoch, self.epoch, self.time_s))

    def _prune(self) -> None:
        """Forget account states that are older than every commitment."""
        oldest = self.slot_at("finalized")
        for key in [key for key, (slots, _) in self._journal.items() if slots[-1] <= oldest]:
            del self._journal[key]


def is_native_account(data: bytes) -> bool:
    """Whether a token account holds wSOL, whose lamports must cover its balance."""
    return is_token_account(data) and str(Pubkey.from_bytes(data[:32])) == "So11111111111111111111111111111111111111112"
