"""Raydium AMM v4 accounts: AmmInfo and its two vaults, decoded into one frozen pool.

Layout: raydium-amm `state.rs` AmmInfo, packed, without a discriminator. Account bytes in, `AmmV4Pool` out;
must not judge whether it can be traded now.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec
from solders.pubkey import Pubkey

from fillwright.domain.accounts import Account, Accounts, Address, Mint
from fillwright.domain.clusters import program_ids
from fillwright.domain.errors import PoolRefused, Refusal
from fillwright.venues.reading import pubkey_pair_at, required, u64_at, u64_pair_at, vault_balance
from fillwright.venues.token_program import TOKEN_PROGRAM, pubkey_at
from fillwright.venues.venue import PoolShape

PROGRAM_ID = Address("675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8")
PROGRAM_IDS = program_ids(PROGRAM_ID, devnet="DRaya7Kj3aMWQSy19kSjvmuwq9docCHofyP9kanQGaav")
"""As `lib.rs` declares them. An older deployment on devnet, `HWy1jotHpo6UqeQxx49dpYYdQB8wj9Qk9MdxwjLvDHB8`, is none
of them: no source says which rules it runs."""
_KNOWN = {program: program for program in PROGRAM_IDS.values()}
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

_MAX_DECIMALS = 255

STATUS_INITIALISED = 1
STATUS_ORDER_BOOK_ONLY = 5
STATUS_SWAP_ONLY = 6
STATUS_WAITING_TRADE = 7

_AUTHORITY_SEED = b"amm authority"
_CACHED_PROGRAMS = 16

Pair = tuple[int, int]


class AmmV4Pool(msgspec.Struct, frozen=True, omit_defaults=True):
    """One pool. Pairs are (coin, pc), the program's names for its sides; amounts in base units.

    `need_take_pnl` lies in the vaults but belongs to nobody's liquidity. `program` owns the pool.
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
    program: Address = PROGRAM_ID

    @property
    def venue(self) -> str:
        return VENUE_ID

    @property
    def token_programs(self) -> tuple[Address, Address]:
        return TOKEN_PROGRAM, TOKEN_PROGRAM


@lru_cache(maxsize=_CACHED_PROGRAMS)
def authority(program: Address) -> tuple[Pubkey, int]:
    """The one authority that owns the vaults of every pool of `program`, and its bump, which each pool repeats."""
    return Pubkey.find_program_address([_AUTHORITY_SEED], Pubkey.from_string(program))


def is_pool(account: Account) -> bool:
    """Whether `account` is an AmmInfo of this program: the only one of its accounts with that size."""
    return account.owner in _KNOWN and len(account.data) == AMM_INFO_BYTES


def companions(address: Address, accounts: Accounts) -> tuple[Address, ...]:
    """The pool's vaults. Raises PoolRefused where there is no such pool."""
    data = _pool_account(address, accounts).data
    return tuple(pubkey_at(data, at) for at in _VAULTS)


def decode_pool(address: Address, accounts: Accounts) -> AmmV4Pool:
    """The pool at `address` with its vaults.

    Raises PoolRefused: `missing_account`; `malformed` (also where the accounts contradict each other);
    `unsupported_feature` (a status whose swaps may read an order book, a frozen vault).
    """
    account = _pool_account(address, accounts)
    data, program = account.data, _KNOWN[account.owner]
    status = u64_at(data, _STATUS)
    if status in (STATUS_INITIALISED, STATUS_ORDER_BOOK_ONLY):
        raise PoolRefused(Refusal.UNSUPPORTED_FEATURE, f"status {status}: liquidity may rest in an order book")
    if not 0 < status <= STATUS_WAITING_TRADE:
        raise PoolRefused(Refusal.MALFORMED, f"status {status} is unknown")
    if u64_at(data, _NONCE) & 0xFF != authority(program)[1]:
        raise PoolRefused(Refusal.MALFORMED, "the authority's nonce is not the program's")
    decimals = u64_pair_at(data, _DECIMALS)
    if max(decimals) > _MAX_DECIMALS:
        raise PoolRefused(Refusal.MALFORMED, "a token of more than 255 decimals")
    mints, vaults = pubkey_pair_at(data, _MINTS), pubkey_pair_at(data, _VAULTS)
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
        open_time=u64_at(data, _POOL_OPEN_TIME),
        balances=(
            vault_balance(accounts, vaults[0], mints[0], TOKEN_PROGRAM),
            vault_balance(accounts, vaults[1], mints[1], TOKEN_PROGRAM),
        ),
        need_take_pnl=u64_pair_at(data, _NEED_TAKE_PNL),
        fee_numerator=u64_at(data, _SWAP_FEE_NUMERATOR),
        fee_denominator=u64_at(data, _SWAP_FEE_DENOMINATOR),
        program=program,
    )


def _pool_account(address: Address, accounts: Accounts) -> Account:
    account = required(accounts, address)
    if not is_pool(account):
        raise PoolRefused(Refusal.MALFORMED, "not a Raydium AMM v4 pool account")
    return account
