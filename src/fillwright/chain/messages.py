"""The JSON of Solana's RPC, as far as it is read here. Base64 account data is decoded in place by msgspec."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class RpcErrorBody(msgspec.Struct):
    code: int
    message: str = ""
    data: Any = None


class Reply(msgspec.Struct, Generic[T]):
    """Either `result` (kept raw until its type is known) or `error`."""

    result: msgspec.Raw = msgspec.Raw(b"")
    error: RpcErrorBody | None = None


class Context(msgspec.Struct):
    slot: int


class InContext(msgspec.Struct, Generic[T]):
    """A value and the slot at which the node read it."""

    context: Context
    value: T


class AccountJson(msgspec.Struct):
    """`data` is (bytes, "base64")."""

    lamports: int
    owner: str
    data: tuple[bytes, str]
    executable: bool = False


class KeyedAccountJson(msgspec.Struct):
    pubkey: str
    account: AccountJson


class BlockhashJson(msgspec.Struct, rename="camel"):
    blockhash: str
    last_valid_block_height: int


class EpochInfo(msgspec.Struct, rename="camel"):
    absolute_slot: int
    block_height: int
    epoch: int


class StatusJson(msgspec.Struct, rename="camel"):
    slot: int
    err: Any = None
    confirmation_status: str | None = None
    confirmations: int | None = None


class HistoryEntry(msgspec.Struct, rename="camel"):
    signature: str
    slot: int
    err: Any = None


class UiAmount(msgspec.Struct):
    amount: str


class TokenBalance(msgspec.Struct, rename="camel"):
    account_index: int
    mint: str
    ui_token_amount: UiAmount
    owner: str = ""


class LoadedAddresses(msgspec.Struct):
    writable: tuple[str, ...] = ()
    readonly: tuple[str, ...] = ()


class Meta(msgspec.Struct, rename="camel"):
    """A landed transaction's metadata. Balances are by account: static keys, then loaded ones."""

    fee: int
    pre_balances: tuple[int, ...]
    post_balances: tuple[int, ...]
    err: Any = None
    pre_token_balances: tuple[TokenBalance, ...] | None = ()
    post_token_balances: tuple[TokenBalance, ...] | None = ()
    loaded_addresses: LoadedAddresses | None = None
    log_messages: tuple[str, ...] | None = ()
    compute_units_consumed: int | None = None


class TransactionJson(msgspec.Struct, rename="camel"):
    """`transaction` is (bytes, "base64")."""

    slot: int
    transaction: tuple[bytes, str]
    meta: Meta | None = None
    block_time: int | None = None


class SimulationJson(msgspec.Struct, rename="camel"):
    """The balances came with newer nodes; older ones leave them out."""

    err: Any = None
    logs: tuple[str, ...] | None = ()
    units_consumed: int | None = None
    fee: int | None = None
    pre_balances: tuple[int, ...] | None = None
    post_balances: tuple[int, ...] | None = None
    pre_token_balances: tuple[TokenBalance, ...] | None = None
    post_token_balances: tuple[TokenBalance, ...] | None = None
    loaded_addresses: LoadedAddresses | None = None


class FeeSample(msgspec.Struct, rename="camel"):
    slot: int
    prioritization_fee: int
