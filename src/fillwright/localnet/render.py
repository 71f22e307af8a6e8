"""The runtime's values in the JSON that Solana's RPC speaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pybase64
from solders.account import Account
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_status import (
    InstructionErrorCustom,
    TransactionErrorDuplicateInstruction,
    TransactionErrorInstructionError,
    TransactionErrorInsufficientFundsForRent,
)

from fillwright.venues.token_program import TOKEN_2022_PROGRAM, TOKEN_PROGRAM

TOKEN_PROGRAMS = frozenset({TOKEN_PROGRAM, TOKEN_2022_PROGRAM})
_TOKEN_ACCOUNT_BYTES = 165
_MINT_BYTES = 82
_MAX_U64 = 2**64 - 1
_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
_SET_UNIT_PRICE = 3


def error_json(error: Any) -> Any:
    """A TransactionError as the RPC writes it, such as {"InstructionError": [2, {"Custom": 6005}]}."""
    if isinstance(error, TransactionErrorInstructionError):
        inner = error.err
        if isinstance(inner, InstructionErrorCustom):
            return {"InstructionError": [error.index, {"Custom": inner.code}]}
        return {"InstructionError": [error.index, _name(inner)]}
    if isinstance(error, TransactionErrorInsufficientFundsForRent):
        return {"InsufficientFundsForRent": {"account_index": error.account_index}}
    if isinstance(error, TransactionErrorDuplicateInstruction):
        return {"DuplicateInstruction": error.index}
    return _name(error)


def account_json(account: Account | None, data_slice: dict[str, int] | None = None) -> dict[str, Any] | None:
    if account is None:
        return None
    data = bytes(account.data)
    length = len(data)
    if data_slice is not None:
        data = data[data_slice["offset"] : data_slice["offset"] + data_slice["length"]]
    return {
        "lamports": account.lamports,
        "owner": str(account.owner),
        "data": [pybase64.b64encode(data).decode(), "base64"],
        "executable": account.executable,
        "rentEpoch": _MAX_U64,
        "space": length,
    }


def token_balances(keys: Sequence[Pubkey], accounts: Sequence[Account | None], decimals: dict[str, int]) -> list[Any]:
    """The token accounts among `accounts`, as transaction metadata lists them."""
    found = []
    for index, account in enumerate(accounts):
        if account is None or str(account.owner) not in TOKEN_PROGRAMS or not is_token_account(bytes(account.data)):
            continue
        data = bytes(account.data)
        mint, units = str(Pubkey.from_bytes(data[:32])), int.from_bytes(data[64:72], "little")
        places = decimals.get(mint, 0)
        found.append(
            {
                "accountIndex": index,
                "mint": mint,
                "owner": str(Pubkey.from_bytes(data[32:64])),
                "programId": str(account.owner),
                "uiTokenAmount": {
                    "amount": str(units),
                    "decimals": places,
                    "uiAmount": units / 10**places,
                    "uiAmountString": str(units / 10**places),
                },
            }
        )
    return found


def is_token_account(data: bytes) -> bool:
    """Whether the data is a token account's, not a mint's: Token-2022 marks the longer ones."""
    return len(data) == _TOKEN_ACCOUNT_BYTES or (len(data) > _TOKEN_ACCOUNT_BYTES and data[165] == 2)


def mint_decimals(data: bytes) -> int | None:
    """A mint's decimals, or None for anything else."""
    is_mint = len(data) == _MINT_BYTES or (len(data) > _TOKEN_ACCOUNT_BYTES and data[165] == 1)
    return data[44] if is_mint else None


def unit_price(transaction: VersionedTransaction) -> int:
    """What a transaction pays per compute unit, in micro-lamports."""
    message = transaction.message
    for part in message.instructions:
        data = bytes(part.data)
        if len(data) == 9 and data[0] == _SET_UNIT_PRICE and message.account_keys[part.program_id_index] == _BUDGET:
            return int.from_bytes(data[1:], "little")
    return 0


def _name(value: Any) -> str:
    return str(value).rpartition(".")[2]
