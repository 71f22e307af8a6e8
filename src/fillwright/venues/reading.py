"""What the venues' layouts read alike: accounts that must be there, mints, vaults, little-endian integers.

In: account bytes. Out: plain values, or PoolRefused. Must not know any venue's layout.
"""

from __future__ import annotations

from fillwright.domain.accounts import Account, Accounts, Address
from fillwright.domain.errors import PoolRefused, Refusal
from fillwright.venues.token_program import MintInfo, decode_balance, decode_mint, pubkey_at

_HOLDING_MINT = 0
_HOLDING_STATE = 108
_INITIALISED = 1
"""`AccountState` of the token programs; 2 is frozen."""


def required(accounts: Accounts, address: Address) -> Account:
    """The account. Raises PoolRefused `missing_account`."""
    account = accounts.get(address)
    if account is None:
        raise PoolRefused(Refusal.MISSING_ACCOUNT, f"account {address} is missing")
    return account


def tradable_mint(accounts: Accounts, mint: Address) -> MintInfo:
    """A mint whose transfers run no code but the token program's. Raises PoolRefused: `missing_account`, `malformed`,
    and `unsupported_feature` where it has a transfer hook."""
    info = decode_mint(required(accounts, mint))
    if info.has_transfer_hook:
        raise PoolRefused(Refusal.UNSUPPORTED_FEATURE, f"mint {mint} has a transfer hook")
    return info


def vault_balance(accounts: Accounts, vault: Address, mint: Address, token_program: Address) -> int:
    """Base units in a pool's vault. Raises PoolRefused: `missing_account`, `malformed` where it is not of `mint`, and
    `unsupported_feature` where it is frozen."""
    account = required(accounts, vault)
    balance = decode_balance(account)
    if account.owner != token_program or pubkey_at(account.data, _HOLDING_MINT) != mint:
        raise PoolRefused(Refusal.MALFORMED, f"vault {vault} is not of the pool's mint {mint}")
    if account.data[_HOLDING_STATE] != _INITIALISED:
        raise PoolRefused(Refusal.UNSUPPORTED_FEATURE, f"vault {vault} is frozen")
    return balance


def pubkey_pair_at(data: bytes, offsets: tuple[int, int]) -> tuple[Address, Address]:
    return pubkey_at(data, offsets[0]), pubkey_at(data, offsets[1])


def u16_at(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 2], "little")


def u32_at(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "little")


def i32_at(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "little", signed=True)


def u64_at(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 8], "little")


def u64_pair_at(data: bytes, offsets: tuple[int, int]) -> tuple[int, int]:
    return u64_at(data, offsets[0]), u64_at(data, offsets[1])


def u128_at(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 16], "little")


def u256_at(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 32], "little")
