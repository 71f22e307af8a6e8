"""Address lookup tables: fetched once, kept; a table only ever grows while its address lives.

In: table addresses. Out: their contents. Source: address-lookup-table interface `state.rs`.
"""

from __future__ import annotations

from collections.abc import Sequence

from solders.address_lookup_table_account import AddressLookupTable, AddressLookupTableAccount
from solders.errors import BincodeError
from solders.pubkey import Pubkey

from fillwright.chain.messages import AccountJson, InContext
from fillwright.chain.rpc import Rpc
from fillwright.domain.errors import ChainError

LOOKUP_PROGRAM = "AddressLookupTab1e1111111111111111111111111"
MAX_TABLES = 256


class LookupTables:
    """Reads tables at `finalized`: what is final can't be forked into something else."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._known: dict[Pubkey, AddressLookupTableAccount] = {}

    async def get(self, keys: Sequence[Pubkey], refresh: bool = False) -> list[AddressLookupTableAccount]:
        """The tables at `keys`, in order. Raises ChainError `table_missing`; ValueError beyond MAX_TABLES."""
        missing = [key for key in keys if refresh or key not in self._known]
        if len(missing) + len(self._known) > MAX_TABLES:
            raise ValueError(f"more than {MAX_TABLES} lookup tables")
        if missing:
            options = {"encoding": "base64", "commitment": "finalized"}
            params = [[str(key) for key in missing], options]
            answer = await self._rpc.call("getMultipleAccounts", params, InContext[list[AccountJson | None]])
            for key, account in zip(missing, answer.value, strict=True):
                self._known[key] = _decode(key, account)
        return [self._known[key] for key in keys]


def _decode(key: Pubkey, account: AccountJson | None) -> AddressLookupTableAccount:
    if account is None or account.owner != LOOKUP_PROGRAM:
        raise ChainError(f"{key} is no lookup table", code="table_missing")
    try:
        table = AddressLookupTable.deserialize(account.data[0])
    except (BincodeError, ValueError) as error:
        raise ChainError(f"{key} is no lookup table", code="table_missing") from error
    if table.meta.deactivation_slot != 2**64 - 1:
        raise ChainError(f"the lookup table {key} is being deactivated", code="table_missing")
    return AddressLookupTableAccount(key, table.addresses)
