"""SPL Token and Token-2022 accounts: mints, balances, transfer fees.

Layouts: spl-token `state.rs`; Token-2022 extensions `extension/transfer_fee/mod.rs` (type-length-value
records after byte 166).
"""

from __future__ import annotations

from functools import lru_cache

import msgspec
from solders.pubkey import Pubkey

from fillwright.domain.accounts import Account, Address
from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import PoolRefused, QuoteRefused, Refusal

TOKEN_PROGRAM = Address("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022_PROGRAM = Address("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
ASSOCIATED_TOKEN_PROGRAM = Address("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")

_CACHE = 16_384
_MINT_BYTES = 82
_ACCOUNT_BYTES = 165
_ACCOUNT_TYPE_MINT = 1
_EXTENSIONS_AT = 166
_TRANSFER_FEE_CONFIG = 1
_TRANSFER_FEE_CONFIG_BYTES = 108
_TRANSFER_HOOK = 14
_BPS = 10_000


class TransferFee(msgspec.Struct, frozen=True):
    """A Token-2022 transfer fee: `bps` of the amount, rounded up, at most `maximum` base units."""

    epoch: int
    maximum: int
    bps: int

    def on(self, amount: int) -> int:
        """The fee taken when `amount` is sent."""
        if self.bps == 0 or amount == 0:
            return 0
        return min(-(-amount * self.bps // _BPS), self.maximum)

    def gross(self, net: int) -> int:
        """The smallest amount to send so that `net` arrives. Raises QuoteRefused beyond 2^64 - 1.

        Rule: `calculate_pre_fee_amount` of Token-2022: ceil(net · 10⁴ / (10⁴ - bps)), or net + maximum
        where that fee would exceed the maximum; 100 % always pays the maximum.
        """
        if self.bps == 0 or net == 0:
            return net
        if self.bps >= _BPS:
            gross = net + self.maximum
        else:
            gross = -(-net * _BPS // (_BPS - self.bps))
            if gross - net >= self.maximum:
                gross = net + self.maximum
        if gross > U64_MAX:
            raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "the amount with its transfer fee exceeds 2^64 - 1")
        return gross


NO_TRANSFER_FEE = TransferFee(epoch=0, maximum=0, bps=0)


class MintInfo(msgspec.Struct, frozen=True):
    """What a venue needs of a mint account. `older`/`newer` are the two scheduled transfer fees."""

    program: Address
    decimals: int
    supply: int
    older: TransferFee = NO_TRANSFER_FEE
    newer: TransferFee = NO_TRANSFER_FEE
    has_transfer_hook: bool = False

    def transfer_fee(self, epoch: int) -> TransferFee:
        """The fee in force: the newer one from its epoch on."""
        return self.newer if epoch >= self.newer.epoch else self.older


@lru_cache(maxsize=_CACHE)
def associated_account(wallet: Pubkey, mint: Pubkey, token_program: Pubkey) -> Pubkey:
    """The wallet's associated token account of `mint`, which is of `token_program`."""
    seeds = [bytes(wallet), bytes(token_program), bytes(mint)]
    return Pubkey.find_program_address(seeds, Pubkey.from_string(ASSOCIATED_TOKEN_PROGRAM))[0]


def decode_mint(account: Account) -> MintInfo:
    """Read a mint of either token program. Raises PoolRefused `malformed`."""
    data = account.data
    if account.owner not in (TOKEN_PROGRAM, TOKEN_2022_PROGRAM) or len(data) < _MINT_BYTES or data[45] != 1:
        raise PoolRefused(Refusal.MALFORMED, "not an initialised token mint")
    supply = int.from_bytes(data[36:44], "little")
    decimals = data[44]
    if account.owner == TOKEN_PROGRAM:
        if len(data) != _MINT_BYTES:
            raise PoolRefused(Refusal.MALFORMED, "a mint of the token program has 82 bytes")
        return MintInfo(TOKEN_PROGRAM, decimals, supply)
    older, newer, hook = NO_TRANSFER_FEE, NO_TRANSFER_FEE, False
    for kind, value in extensions(data):
        if kind == _TRANSFER_FEE_CONFIG:
            if len(value) != _TRANSFER_FEE_CONFIG_BYTES:
                raise PoolRefused(Refusal.MALFORMED, "a transfer-fee extension of unexpected length")
            older, newer = _fee(value[72:90]), _fee(value[90:108])
        elif kind == _TRANSFER_HOOK:
            hook = any(value[32:64])
    return MintInfo(TOKEN_2022_PROGRAM, decimals, supply, older, newer, hook)


def decode_balance(account: Account) -> int:
    """The balance of a token account of either program. Raises PoolRefused `malformed`."""
    if account.owner not in (TOKEN_PROGRAM, TOKEN_2022_PROGRAM) or len(account.data) < _ACCOUNT_BYTES:
        raise PoolRefused(Refusal.MALFORMED, "not a token account")
    return int.from_bytes(account.data[64:72], "little")


def pubkey_at(data: bytes, offset: int) -> Address:
    """The 32 bytes at `offset` as an address."""
    return Address(str(Pubkey.from_bytes(data[offset : offset + 32])))


def _fee(raw: bytes) -> TransferFee:
    bps = int.from_bytes(raw[16:18], "little")
    if bps > _BPS:
        raise PoolRefused(Refusal.MALFORMED, "a transfer fee above 100 %")
    return TransferFee(int.from_bytes(raw[0:8], "little"), int.from_bytes(raw[8:16], "little"), bps)


def extensions(data: bytes) -> list[tuple[int, bytes]]:
    """The type-length-value records of a Token-2022 mint, in order. Raises PoolRefused `malformed`."""
    if len(data) == _MINT_BYTES:
        return []
    if len(data) < _EXTENSIONS_AT or data[_EXTENSIONS_AT - 1] != _ACCOUNT_TYPE_MINT:
        raise PoolRefused(Refusal.MALFORMED, "not a Token-2022 mint")
    found, at = [], _EXTENSIONS_AT
    while at + 4 <= len(data):
        kind = int.from_bytes(data[at : at + 2], "little")
        length = int.from_bytes(data[at + 2 : at + 4], "little")
        if kind == 0:
            break
        if at + 4 + length > len(data):
            raise PoolRefused(Refusal.MALFORMED, "a token extension runs past its account")
        found.append((kind, data[at + 4 : at + 4 + length]))
        at += 4 + length
    return found
