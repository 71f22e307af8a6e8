"""Address lookup tables: those that transactions use, followed as they are extended or given up; any one, read.

In: table addresses. Out: their contents. Tables are read at `finalized`: what is final can't be forked into something
else. While its address lives a table only ever grows, so a node that tells of fewer addresses than before lags.
Source: address-lookup-table interface `state.rs`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from solders.address_lookup_table_account import AddressLookupTable, AddressLookupTableAccount
from solders.errors import BincodeError
from solders.message import MessageAddressTableLookup
from solders.pubkey import Pubkey

from fillwright import observe
from fillwright.chain.messages import AccountJson, InContext
from fillwright.chain.rpc import Rpc
from fillwright.domain.accounts import Address
from fillwright.domain.errors import ChainError
from fillwright.domain.lookup_tables import LookupTable
from fillwright.ports import Clock

LOOKUP_PROGRAM = "AddressLookupTab1e1111111111111111111111111"
MAX_TABLES = 256
MAX_ADDRESSES = 256
"""An index is one byte."""
_MOST_AT_ONCE = 100
_ACTIVE = 2**64 - 1

Allowed = Callable[[], Collection[str]]
"""Addresses of tables that whoever signs allows."""


class LookupTables:
    """`followed`: the tables that transactions may use. `allowed` None: whoever signs allows all of them."""

    def __init__(self, rpc: Rpc, followed: Sequence[Pubkey] = (), allowed: Allowed | None = None) -> None:
        if len(followed) > MAX_TABLES:
            raise ValueError(f"more than {MAX_TABLES} lookup tables")
        self._rpc = rpc
        self._followed = tuple(dict.fromkeys(followed))
        self._allowed = allowed
        self._known: dict[Pubkey, AddressLookupTableAccount] = {}
        self._problems: dict[Pubkey, str] = {}
        self._usable: tuple[AddressLookupTableAccount, ...] = ()
        self._contents: tuple[LookupTable, ...] = ()

    @property
    def usable(self) -> tuple[AddressLookupTableAccount, ...]:
        """The followed tables that a transaction may use now, in their order."""
        return self._usable

    @property
    def contents(self) -> tuple[LookupTable, ...]:
        """What the usable ones hold; the same object as long as that does not change."""
        return self._contents

    @property
    def state(self) -> str:
        """For people: `ok`, or which followed table is not used, and why."""
        return "; ".join(self._problems.values()) or "ok"

    async def refresh(self) -> None:
        """Read the followed tables again. Raises ChainError; what is known stays in use then."""
        found: dict[Pubkey, AddressLookupTableAccount] = {}
        problems: dict[Pubkey, str] = {}
        for key, account in await self._read(self._followed):
            try:
                found[key] = self._newest(_decode(key, account))
                self._check_allowed(key)
            except ChainError as error:
                problems[key] = error.message
        self._known |= found
        for key in self._followed:
            why, before = problems.get(key, ""), self._problems.get(key, "")
            if why and why != before:
                observe.lookup_table_unusable(str(key), why)
        self._problems = problems
        self._use(tuple(table for key, table in found.items() if key not in problems))

    async def keep(self, clock: Clock, every_s: float) -> None:
        """Refresh until cancelled; what fails is tried again."""
        while True:
            await clock.sleep(every_s)
            try:
                await self.refresh()
            except ChainError as error:
                observe.chain_unusable("", error.code)

    async def of(self, lookups: Sequence[MessageAddressTableLookup]) -> list[AddressLookupTableAccount]:
        """The tables that a message looks addresses up in; read again where one is known to hold too few."""
        keys = [lookup.account_key for lookup in lookups]
        tables = await self.get(keys)
        if any(map(reaches_past, lookups, tables)):
            tables = await self.get(keys, refresh=True)
        return tables

    async def get(self, keys: Sequence[Pubkey], refresh: bool = False) -> list[AddressLookupTableAccount]:
        """The tables at `keys`, in order, as they were when they were read first, or are now. Raises ChainError
        `table_missing`; ValueError beyond MAX_TABLES."""
        missing = [key for key in keys if refresh or key not in self._known]
        if len(self._known.keys() | set(missing)) > MAX_TABLES:
            raise ValueError(f"more than {MAX_TABLES} lookup tables")
        for key, account in await self._read(missing):
            self._known[key] = self._newest(_decode(key, account))
        return [self._known[key] for key in keys]

    def _use(self, tables: tuple[AddressLookupTableAccount, ...]) -> None:
        if tables == self._usable:
            return
        self._usable = tables
        self._contents = tuple(
            LookupTable(Address(str(table.key)), frozenset(map(bytes, table.addresses))) for table in tables
        )
        observe.lookup_tables_read(len(tables), sum(len(table.addresses) for table in tables))

    def _newest(self, table: AddressLookupTableAccount) -> AddressLookupTableAccount:
        known = self._known.get(table.key)
        return known if known is not None and len(known.addresses) > len(table.addresses) else table

    def _check_allowed(self, key: Pubkey) -> None:
        if self._allowed is not None and str(key) not in self._allowed():
            raise ChainError(f"the signer's policy does not allow the lookup table {key}", code="table_missing")

    async def _read(self, keys: Sequence[Pubkey]) -> list[tuple[Pubkey, AccountJson | None]]:
        found: list[tuple[Pubkey, AccountJson | None]] = []
        options = {"encoding": "base64", "commitment": "finalized"}
        for at in range(0, len(keys), _MOST_AT_ONCE):
            part = keys[at : at + _MOST_AT_ONCE]
            params = [[str(key) for key in part], options]
            answer = await self._rpc.call("getMultipleAccounts", params, InContext[list[AccountJson | None]])
            if len(answer.value) != len(part):
                raise ChainError("the node answered for another number of accounts")
            found += zip(part, answer.value, strict=True)
        return found


def reaches_past(lookup: MessageAddressTableLookup, table: AddressLookupTableAccount) -> bool:
    """Whether the message looks up an address that the table is not known to hold."""
    most = max((*lookup.writable_indexes, *lookup.readonly_indexes), default=-1)
    return most >= len(table.addresses)


def _decode(key: Pubkey, account: AccountJson | None) -> AddressLookupTableAccount:
    if account is None or account.owner != LOOKUP_PROGRAM:
        raise ChainError(f"{key} is no lookup table", code="table_missing")
    try:
        table = AddressLookupTable.deserialize(account.data[0])
    except (BincodeError, ValueError) as error:
        raise ChainError(f"{key} is no lookup table", code="table_missing") from error
    if len(table.addresses) > MAX_ADDRESSES:
        raise ChainError(f"the lookup table {key} holds more than a table can", code="table_missing")
    if table.meta.deactivation_slot != _ACTIVE:
        raise ChainError(f"the lookup table {key} is being deactivated", code="table_missing")
    return AddressLookupTableAccount(key, table.addresses)
