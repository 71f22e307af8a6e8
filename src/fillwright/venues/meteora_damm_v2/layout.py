"""The pool account, and the decoded pool.

In: the pool account with its two mints and vaults; out: a frozen `DammV2Pool`. Must not: price anything.

Layout: cp-amm `state/pool.rs`, `Pool` (zero-copy, 8 bytes of discriminator + 1,104), with `state/fee.rs`
`PoolFeesStruct` at its start. The first 32 bytes of fees are read by base fee mode: `base_fee/*.rs`, `PodAligned…`.
"""

from __future__ import annotations

import struct

import msgspec

from fillwright.domain.accounts import Account, Accounts, Address, Mint
from fillwright.domain.errors import PoolRefused, Refusal
from fillwright.venues.meteora_damm_v2.dynamic_fee import DynamicFee
from fillwright.venues.meteora_damm_v2.rate_limiter import RateLimiter
from fillwright.venues.meteora_damm_v2.schedulers import MarketCapScheduler, TimeScheduler
from fillwright.venues.reading import required, tradable_mint, u128_at, u256_at
from fillwright.venues.token_program import MintInfo, decode_balance, pubkey_at
from fillwright.venues.venue import PoolShape

VENUE = "meteora_damm_v2"
PROGRAM_ID = Address("cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG")
POOL_AUTHORITY = Address("HLnpSz9h2S4hiLQ43rnSD9XkcUThA7B8hQMKmDaiTLcC")
POOL_DISCRIMINATOR = bytes.fromhex("f19a6d0411b16dbc")
POOL_BYTES = 1112

_BASE_FEE = struct.Struct("<QB5x")  # cliff fee numerator, mode
_BASE_FEE_AT = 8
_BASE_FEE_MODE_AT = 16
_PERIODS_OR_INCREMENT_AT = 22  # u16, then 16 bytes by mode
_TIME_SCHEDULE = struct.Struct("<HQQ")  # periods, period, reduction
_LIMITER_OR_MARKET_CAP = struct.Struct("<HIIQ")
_FEE_SHARES = struct.Struct("<BxBxxxH")  # protocol %, referral %, compounding bps
_FEE_SHARES_AT = 48
_DYNAMIC_FEE = struct.Struct("<B7xIIHHHHQ")
_DYNAMIC_FEE_AT = 56
_DYNAMIC_FEE_U128_AT = 88  # bin step, reference, volatility, volatility reference
_FIRST_SQRT_PRICE_AT = 152
_MINT_A_AT = 168
_MINT_B_AT = 200
POOL_SHAPE = PoolShape(POOL_BYTES, (_MINT_A_AT, _MINT_B_AT))
_VAULT_A_AT = 232
_VAULT_B_AT = 264
_LIQUIDITY_AT = 360
_PROTOCOL_FEES = struct.Struct("<QQ")
_PROTOCOL_FEES_AT = 392
_SQRT_MIN_PRICE_AT = 424
_SQRT_MAX_PRICE_AT = 440
_SQRT_PRICE_AT = 456
_STATUS = struct.Struct("<QBBBBBBB")  # activation point, type; status; 2 token flags; fee mode; pool type; fee version
_STATUS_AT = 472
_FEE_A_PER_LIQUIDITY_AT = 488
_FEE_B_PER_LIQUIDITY_AT = 520
_TOTAL_LP_FEE_A_AT = 568
_TOTAL_LP_FEE_B_AT = 584
_TOTAL_PROTOCOL_FEES_AT = 600
_RESERVES = struct.Struct("<QQB")  # A, B, layout version
_RESERVES_AT = 680

_TOKEN_ACCOUNT_MINT_AT = 0
_TOKEN_ACCOUNT_OWNER_AT = 32
_TOKEN_ACCOUNT_STATE_AT = 108
_TOKEN_ACCOUNT_USABLE = 1

FEES_IN_OUTPUT, FEES_IN_B, COMPOUNDING = range(3)
BY_SLOT, BY_TIME = range(2)
MAX_FEE_BY_VERSION = (500_000_000, 990_000_000)
_LAYOUT_VERSIONS = 2

BaseFee = TimeScheduler | MarketCapScheduler | RateLimiter


class Side(msgspec.Struct, frozen=True):
    """What stays as it is of one side of a pool."""

    mint: Mint
    mint_info: MintInfo
    vault: Address


class Accrued(msgspec.Struct, frozen=True):
    """One side's running fee totals; they enter a quote only by overflowing."""

    protocol: int
    per_liquidity: int
    total_lp: int
    total_protocol: int


class DammV2Pool(msgspec.Struct, frozen=True):
    """A decoded pool. √prices are Q64.64, fee numerators over 10⁹, amounts in base units.

    `reserve_a` and `reserve_b` are the program's own account of its holdings; they are meaningless while
    `tracks_reserves` is false (layout version 0). `balance_a` and `balance_b` lie in the vaults.
    """

    address: Address
    side_a: Side
    side_b: Side
    base_fee: BaseFee
    dynamic_fee: DynamicFee | None
    protocol_fee_percent: int
    compounding_fee_bps: int
    max_fee: int
    fee_mode: int
    first_sqrt_price: int
    liquidity: int
    sqrt_min_price: int
    sqrt_max_price: int
    sqrt_price: int
    enabled: bool
    activation_point: int
    activates_by: int
    reserve_a: int
    reserve_b: int
    tracks_reserves: bool
    balance_a: int
    balance_b: int
    accrued_a: Accrued
    accrued_b: Accrued

    @property
    def venue(self) -> str:
        return VENUE

    @property
    def mints(self) -> tuple[Mint, Mint]:
        return self.side_a.mint, self.side_b.mint

    @property
    def decimals(self) -> tuple[int, int]:
        return self.side_a.mint_info.decimals, self.side_b.mint_info.decimals

    @property
    def token_programs(self) -> tuple[Address, Address]:
        return self.side_a.mint_info.program, self.side_b.mint_info.program


def is_pool(account: Account) -> bool:
    """Whether the owner, the discriminator and the size are those of a pool."""
    data = account.data
    return account.owner == PROGRAM_ID and len(data) >= POOL_BYTES and data.startswith(POOL_DISCRIMINATOR)


def companion_addresses(account: Account) -> tuple[Address, ...]:
    """Both mints and both vaults of a pool account. Raises PoolRefused `malformed`."""
    if not is_pool(account):
        raise PoolRefused(Refusal.MALFORMED, "not a DAMM v2 pool account")
    return tuple(pubkey_at(account.data, at) for at in (_MINT_A_AT, _MINT_B_AT, _VAULT_A_AT, _VAULT_B_AT))


def decode_pool(address: Address, accounts: Accounts) -> DammV2Pool:
    """The pool at `address`. Raises PoolRefused (missing_account, malformed, unsupported_feature)."""
    pool_account = required(accounts, address)
    addresses = companion_addresses(pool_account)
    data = pool_account.data
    side_a, balance_a = _side(accounts, addresses[0], addresses[2])
    side_b, balance_b = _side(accounts, addresses[1], addresses[3])
    protocol_percent, _, compounding_bps = _FEE_SHARES.unpack_from(data, _FEE_SHARES_AT)
    activation_point, activates_by, status, _, _, fee_mode, _, fee_version = _STATUS.unpack_from(data, _STATUS_AT)
    reserve_a, reserve_b, layout_version = _RESERVES.unpack_from(data, _RESERVES_AT)
    if fee_mode > COMPOUNDING:
        raise _unsupported(f"fee collection mode {fee_mode}")
    if fee_version >= len(MAX_FEE_BY_VERSION):
        raise _unsupported(f"fee version {fee_version}")
    if layout_version >= _LAYOUT_VERSIONS:
        raise _unsupported(f"layout version {layout_version}")
    if activates_by > BY_TIME:
        raise _unsupported(f"activation type {activates_by}")
    accrued_a, accrued_b = _accrued(data)
    return DammV2Pool(
        address=address,
        side_a=side_a,
        side_b=side_b,
        base_fee=_base_fee(data),
        dynamic_fee=_dynamic_fee(data),
        protocol_fee_percent=protocol_percent,
        compounding_fee_bps=compounding_bps,
        max_fee=MAX_FEE_BY_VERSION[fee_version],
        fee_mode=fee_mode,
        first_sqrt_price=u128_at(data, _FIRST_SQRT_PRICE_AT),
        liquidity=u128_at(data, _LIQUIDITY_AT),
        sqrt_min_price=u128_at(data, _SQRT_MIN_PRICE_AT),
        sqrt_max_price=u128_at(data, _SQRT_MAX_PRICE_AT),
        sqrt_price=u128_at(data, _SQRT_PRICE_AT),
        enabled=status == 0,
        activation_point=activation_point,
        activates_by=activates_by,
        reserve_a=reserve_a,
        reserve_b=reserve_b,
        tracks_reserves=layout_version != 0,
        balance_a=balance_a,
        balance_b=balance_b,
        accrued_a=accrued_a,
        accrued_b=accrued_b,
    )


def _base_fee(data: bytes) -> BaseFee:
    cliff, mode = _BASE_FEE.unpack_from(data, _BASE_FEE_AT)
    if mode in (0, 1):
        periods, period, reduction = _TIME_SCHEDULE.unpack_from(data, _PERIODS_OR_INCREMENT_AT)
        return TimeScheduler(cliff, periods, period, reduction, exponential=mode == 1)
    first, second, third, fourth = _LIMITER_OR_MARKET_CAP.unpack_from(data, _PERIODS_OR_INCREMENT_AT)
    if mode == 2:
        return RateLimiter(cliff, first, second, third, fourth)
    if mode in (3, 4):
        return MarketCapScheduler(cliff, first, second, third, fourth, exponential=mode == 4)
    raise _unsupported(f"base fee mode {mode}")


def _dynamic_fee(data: bytes) -> DynamicFee | None:
    enabled, *parameters = _DYNAMIC_FEE.unpack_from(data, _DYNAMIC_FEE_AT)
    if not enabled:
        return None
    return DynamicFee(*parameters, *(u128_at(data, _DYNAMIC_FEE_U128_AT + 16 * index) for index in range(4)))


def _accrued(data: bytes) -> tuple[Accrued, Accrued]:
    owed = _PROTOCOL_FEES.unpack_from(data, _PROTOCOL_FEES_AT)
    total = _PROTOCOL_FEES.unpack_from(data, _TOTAL_PROTOCOL_FEES_AT)
    side_a = Accrued(owed[0], u256_at(data, _FEE_A_PER_LIQUIDITY_AT), u128_at(data, _TOTAL_LP_FEE_A_AT), total[0])
    side_b = Accrued(owed[1], u256_at(data, _FEE_B_PER_LIQUIDITY_AT), u128_at(data, _TOTAL_LP_FEE_B_AT), total[1])
    return side_a, side_b


def _side(accounts: Accounts, mint: Address, vault: Address) -> tuple[Side, int]:
    """One side and its vault's balance, after the checks that the program and the token program make."""
    info, vault_account = tradable_mint(accounts, mint), required(accounts, vault)
    balance = decode_balance(vault_account)
    data = vault_account.data
    if vault_account.owner != info.program or pubkey_at(data, _TOKEN_ACCOUNT_MINT_AT) != mint:
        raise PoolRefused(Refusal.MALFORMED, "a vault of another token")
    if pubkey_at(data, _TOKEN_ACCOUNT_OWNER_AT) != POOL_AUTHORITY:
        raise PoolRefused(Refusal.MALFORMED, "a vault that the program can't spend from")
    if data[_TOKEN_ACCOUNT_STATE_AT] != _TOKEN_ACCOUNT_USABLE:
        raise PoolRefused(Refusal.PAUSED, "a vault is frozen")
    return Side(Mint(mint), info, vault), balance


def _unsupported(what: str) -> PoolRefused:
    return PoolRefused(Refusal.UNSUPPORTED_FEATURE, f"not supported: {what}")
