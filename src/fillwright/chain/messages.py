"""The JSON of Solana's RPC, as far as it is read here. Base64 account data is decoded in place by msgspec.

A number that can't be (below zero, beyond what is ever told) can't be read, nor can what has landed without its `err`:
what is left out is not taken for success.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeAlias, TypeVar

import msgspec

T = TypeVar("T")
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""Slots, heights, lamports, units: none ever exceeds what a signed number of 64 bits holds."""


class RpcErrorBody(msgspec.Struct):
    code: int
    message: str = ""
    data: Any = None


class Reply(msgspec.Struct, Generic[T]):
    """Either `result` (kept raw until its type is known) or `error`."""

    result: msgspec.Raw = msgspec.Raw(b"")
    error: RpcErrorBody | None = None


class Context(msgspec.Struct):
    slot: Count


class InContext(msgspec.Struct, Generic[T]):
    """A value and the slot at which the node read it."""

    context: Context
    value: T


class AccountJson(msgspec.Struct):
    """`data` is (bytes, "base64")."""

    lamports: Count
    owner: str
    data: tuple[bytes, str]
    executable: bool = False


class KeyedAccountJson(msgspec.Struct):
    pubkey: str
    account: AccountJson


class BlockhashJson(msgspec.Struct, rename="camel"):
    blockhash: str
    last_valid_block_height: Count


class EpochInfo(msgspec.Struct, rename="camel"):
    absolute_slot: Count
    block_height: Count
    epoch: Count


class StatusJson(msgspec.Struct, rename="camel"):
    """`confirmations` null: rooted, for nodes that tell no `confirmation_status`."""

    slot: Count
    err: Any
    confirmation_status: str | None = None
    confirmations: int | msgspec.UnsetType | None = msgspec.UNSET


class HistoryEntry(msgspec.Struct, rename="camel"):
    signature: str
    slot: Count
    err: Any = None


class UiAmount(msgspec.Struct):
    amount: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,20}$")]


class TokenBalance(msgspec.Struct, rename="camel"):
    account_index: Count
    mint: str
    ui_token_amount: UiAmount
    owner: str = ""


class LoadedAddresses(msgspec.Struct):
    writable: tuple[str, ...] = ()
    readonly: tuple[str, ...] = ()


class Meta(msgspec.Struct, rename="camel"):
    """A landed transaction's metadata. Balances are by account: static keys, then loaded ones."""

    fee: Count
    pre_balances: tuple[Count, ...]
    post_balances: tuple[Count, ...]
    err: Any
    pre_token_balances: tuple[TokenBalance, ...] | None = ()
    post_token_balances: tuple[TokenBalance, ...] | None = ()
    loaded_addresses: LoadedAddresses | None = None
    log_messages: tuple[str, ...] | None = ()
    compute_units_consumed: Count | None = None


class TransactionJson(msgspec.Struct, rename="camel"):
    """`transaction` is (bytes, "base64")."""

    slot: Count
    transaction: tuple[bytes, str]
    meta: Meta | None = None
    block_time: Count | None = None


class SimulationJson(msgspec.Struct, rename="camel"):
    """The balances came with newer nodes; older ones leave them out."""

    err: Any = None
    logs: tuple[str, ...] | None = ()
    units_consumed: Count | None = None
    fee: Count | None = None
    pre_balances: tuple[Count, ...] | None = None
    post_balances: tuple[Count, ...] | None = None
    pre_token_balances: tuple[TokenBalance, ...] | None = None
    post_token_balances: tuple[TokenBalance, ...] | None = None
    loaded_addresses: LoadedAddresses | None = None


class FeeSample(msgspec.Struct, rename="camel"):
    slot: Count
    prioritization_fee: Count
