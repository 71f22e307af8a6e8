"""On-chain accounts and the chain's clock, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NewType

import msgspec

Address = NewType("Address", str)
"""A base58 public key of 32 bytes, in canonical spelling."""

Mint = NewType("Mint", str)
"""The address of a token's mint account."""

WRAPPED_SOL = Mint("So11111111111111111111111111111111111111112")
"""The mint of wSOL. Native SOL is traded as wSOL and wrapped on the way."""


class Account(msgspec.Struct, frozen=True):
    """One account as a node returns it. `owner` is the owning program."""

    owner: Address
    data: bytes
    lamports: int = 0


Accounts = Mapping[Address, Account]


class ChainClock(msgspec.Struct, frozen=True):
    """The Clock sysvar while a swap runs. `unix_timestamp` in whole seconds."""

    slot: int
    epoch: int
    unix_timestamp: int
