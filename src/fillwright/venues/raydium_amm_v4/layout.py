"""Raydium AMM v4 accounts: AmmInfo and its two vaults, decoded into one frozen pool.

Layout: raydium-amm `state.rs` AmmInfo, packed, without a discriminator. Account bytes in, `AmmV4Pool` out;
must not judge whether it can be traded now.
"""

from __future__ import annotations

import msgspec

from fillwright.domain.accounts import Account, Accounts, Address, Mint
from fillwright.domain.errors import PoolRefused, Refusal
from fillwright.venues.token_program import TOKEN_PROGRAM, decode_balance, pubkey_at
from fillwright.venues.venue import PoolShape

PROGRAM_ID = Address("675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8")
VENUE_ID = "raydium_amm_v4"

AMM_INFO_BYTES = 752
_STATUS = 0
_NONCE = 8
_DECIMALS = (32, 40)
_SWAP_FEE_NUMERATOR = 176
_SWAP_FEE_DENOMINATOR = 184
_NEED_TAKE_PNL = (192, 200)
_POOL_OPEN_TIME = 224
_VAULTS = (336, 368)
_MINTS = (400, 432)
POOL_SHAPE = PoolShape(AMM_INFO_BYTES, _MINTS)
_MARKET = 528
_MARKET_PROGRAM = 560
_TARGET_ORDERS = 592

_TOKEN_MINT = 0
_TOKEN_STATE = 108
_TOKEN_INITIALISED = 1
_MAX_DECIMALS = 255

STATUS_INITIALISED = 1
STATUS_ORDER_BOOK_ONLY = 5
STATUS_SWAP_ONLY = 6
STATUS_WAITING_TRADE = 7

AUTHORITY_NONCE = 254
"""The bump of the one authority that owns every pool's vaults: seed `amm authority`."""

Pair = tuple[int, int]


class AmmV4Pool(msgspec.Struct, frozen=True):
    """One pool. Pairs are (coin, pc), the program's names for its sides; amounts in base units.

    `need_take_pnl` lies in the vaults but belongs to nobody's liquidity.
    """

    address: Address
    mints: tuple[Mint, Mint]
    decimals: Pair
    vaults: tuple[Address, Address]
    market: Address
    market_program: Address
    target_orders: Address
    status: int
    open_time: int
    balances: Pair
    need_take_pnl: Pair
    fee_numerator: int
    fee_denominator: int

    @property
    def venue(self) -> str:
        return VENUE_ID


def is_pool(account: Account) -> bool:
    """Whether `account` is an AmmInfo of this program: the only one of its accounts with that size."""
    return account.owner == PROGRAM_ID and len(account.data) == AMM_INFO_BYTES


def companions(address: Address, accounts: Accounts) -> tuple[Address, ...]:
    """The pool's vaults. Raises PoolRefused where there is no such pool."""
    data = _pool_data(address, accounts)
    return tuple(pubkey_at(data, at) for at in _VAULTS)


def decode_pool(address: Address, accounts: Accounts) -> AmmV4Pool:
    """The pool at `address` with its vaults.

    Raises PoolRefused: `missing_account`; `malformed` (also where the accounts contradict each other);
    `unsupported_feature` (a status whose swaps may read an order book, a frozen vault).
    """
    data = _pool_data(address, accounts)
    status = _u64(data, _STATUS)
    if status in (STATUS_INITIALISED, STATUS_ORDER_BOOK_ONLY):
        raise PoolRefused(Refusal.UNSUPPORTED_FEATURE, f"status {status}: liquidity may rest in an order book")
    if not 0 < status <= STATUS_WAITING_TRADE:
        raise PoolRefused(Refusal.MALFORMED, f"status {status} is unknown")
    if _u64(data, _NONCE) & 0xFF != AUTHORITY_NONCE:
        raise PoolRefused(Refusal.MALFORMED, "the authority's nonce is not the program's")
    decimals = _u64_pair(data, _DECIMALS)
    if max(decimals) > _MAX_DECIMALS:
        raise PoolRefused(Refusal.MALFORMED, "a token of more than 255 decimals")
    mints, vaults = _addresses(data, _MINTS), _addresses(data, _VAULTS)
    if mints[0] == mints[1]:
        raise PoolRefused(Refusal.MALFORMED, "both sides are the same mint")
    return AmmV4Pool(
        address=address,
        mints=(Mint(mints[0]), Mint(mints[1])),
        decimals=decimals,
        vaults=vaults,
        market=pubkey_at(data, _MARKET),
        market_program=pubkey_at(data, _MARKET_PROGRAM),
        target_orders=pubkey_at(data, _TARGET_ORDERS),
        status=status,
        open_time=_u64(data, _POOL_OPEN_TIME),
        balances=(_balance(accounts, vaults[0], mints[0]), _balance(accounts, vaults[1], mints[1])),
        need_take_pnl=_u64_pair(data, _NEED_TAKE_PNL),
        fee_numerator=_u64(data, _SWAP_FEE_NUMERATOR),
        fee_denominator=_u64(data, _SWAP_FEE_DENOMINATOR),
    )


def _pool_data(address: Address, accounts: Accounts) -> bytes:
    account = _need(accounts, address)
    if not is_pool(account):
        raise PoolRefused(Refusal.MALFORMED, "not a Raydium AMM v4 pool account")
    return account.data


def _need(accounts: Accounts, address: Address) -> Account:
    account = accounts.get(address)
    if account is None:
        raise PoolRefused(Refusal.MISSING_ACCOUNT, f"account {address} is missing")
    return account


def _balance(accounts: Accounts, vault: Address, mint: Address) -> int:
    account = _need(accounts, vault)
    balance = decode_balance(account)
    if account.owner != TOKEN_PROGRAM or pubkey_at(account.data, _TOKEN_MINT) != mint:
        raise PoolRefused(Refusal.MALFORMED, f"vault {vault} is not of the pool's mint {mint}")
    if account.data[_TOKEN_STATE] != _TOKEN_INITIALISED:
        raise PoolRefused(Refusal.UNSUPPORTED_FEATURE, f"vault {vault} is frozen")
    return balance


def _addresses(data: bytes, offsets: tuple[int, int]) -> tuple[Address, Address]:
    return pubkey_at(data, offsets[0]), pubkey_at(data, offsets[1])


def _u64(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 8], "little")


def _u64_pair(data: bytes, offsets: tuple[int, int]) -> Pair:
    return _u64(data, offsets[0]), _u64(data, offsets[1])
