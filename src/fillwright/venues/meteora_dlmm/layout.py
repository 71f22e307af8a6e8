"""Account bytes to a pool: LbPair, BinArray and BinArrayBitmapExtension of lb_clmm.

In: raw accounts. Out: frozen values that hold all that quotes and instructions need. Accounts that the maths
does not cover are refused here, never guessed at.
"""

from __future__ import annotations

import struct

import msgspec

from fillwright.domain.accounts import Account, Accounts, Address, Mint
from fillwright.domain.errors import PoolRefused, Refusal
from fillwright.venues.meteora_dlmm.bitmap import (
    EXTENSION_BLOCKS,
    INTERNAL_ARRAYS,
    PROGRAM_ID,
    array_address,
    array_index,
    arrays_from,
    extension_address,
    first_bin,
    merged_bitmap,
)
from fillwright.venues.meteora_dlmm.price_math import BPS
from fillwright.venues.reading import required, tradable_mint, u64_at
from fillwright.venues.token_program import MintInfo, decode_balance, pubkey_at
from fillwright.venues.venue import PoolShape

POOL_DISCRIMINATOR = bytes([33, 11, 49, 98, 181, 101, 177, 13])
ARRAY_DISCRIMINATOR = bytes([92, 142, 92, 220, 5, 148, 70, 181])
EXTENSION_DISCRIMINATOR = bytes([80, 111, 124, 113, 55, 237, 18, 5])

POOL_BYTES = 904
ARRAY_BYTES = 10_136
EXTENSION_BYTES = 1_576

# lb_clmm `state/lb_pair.rs` StaticParameters: base factor, filter, decay, reduction, variable fee control,
# max volatility accumulator, min id, max id, protocol share, power factor, function type, collect fee mode.
_PARAMETERS = struct.Struct("<HHHHIIiiHBBB")
_PARAMETERS_AT = 8
# VariableParameters: volatility accumulator, reference, index reference, (padding), last update.
_VOLATILITY = struct.Struct("<IIi4xq")
_VOLATILITY_AT = 40
# Pair type, active id, bin step, status, (seeds), activation type.
_STATE = struct.Struct("<BiHB3xB")
_STATE_AT = 75
_MINT_X_AT = 88
_MINT_Y_AT = 120
POOL_SHAPE = PoolShape(POOL_BYTES, (_MINT_X_AT, _MINT_Y_AT))
_RESERVE_X_AT = 152
_RESERVE_Y_AT = 184
_REWARD_MINTS_AT = (264, 408)
_ORACLE_AT = 552
_BITMAP_AT = 584
_BITMAP_BYTES = 128
_ACTIVATION_POINT_AT = 816

# `state/bin.rs` BinArray: index, version, pool, bins.
_ARRAY_INDEX_AT = 8
_ARRAY_POOL_AT = 24
_ARRAY_BINS_AT = 56
# Bin: amounts x and y, price and liquidity shares (low and high half), (fulfilled orders, their fees, fees
# per share), open orders, (processing total), processed remaining, (age), side of the orders, (padding).
_BIN = struct.Struct("<6Q64xQ8xQ4xB3x")

# `state/bin_array_bitmap_extension.rs`: pool, then blocks of 512 bits above and below the internal bitmap.
_EXTENSION_POOL_AT = 8
_EXTENSION_POSITIVE_AT = 40
_EXTENSION_SIDE_BYTES = EXTENSION_BLOCKS * INTERNAL_ARRAYS // 8
_EXTENSION_NEGATIVE_AT = _EXTENSION_POSITIVE_AT + _EXTENSION_SIDE_BYTES

_NO_KEY = bytes(32)

MAX_ARRAYS_A_SIDE = 48
"""More arrays than one transaction can name are never reached by one swap."""

COMPANION_ARRAYS_A_SIDE = 12
"""How many arrays on each side are asked for: those that swaps reach, and those after a price move."""

# Enumerations of lb_clmm. Values beyond them belong to a program newer than this code.
_STATUS_ENABLED, _STATUS_DISABLED = 0, 1
_PAIR_PERMISSION, _PAIR_CUSTOMIZABLE, _PAIR_LAST = 1, 2, 3
_FUNCTION_UNDETERMINED, _FUNCTION_LIMIT_ORDER = 0, 2
_COLLECT_INPUT, _COLLECT_Y = 0, 1
_ACTIVATION_SLOT, _ACTIVATION_TIME = 0, 1


class Bin(msgspec.Struct, frozen=True):
    """A bin with something in it. Amounts in base units; `price` is base units of Y for one of X, 64.64.

    Limit orders are `open_orders` and what remains of `processed_orders`, all on one side: those that sell
    X (`orders_sell_x`) or those that sell Y.
    """

    id: int
    amount_x: int
    amount_y: int
    price: int
    open_orders: int
    processed_orders: int
    orders_sell_x: bool


class BinArray(msgspec.Struct, frozen=True):
    """An array of 70 bins; only those that hold something, in ascending order.

    `has_shares`: some bin, empty or not, has liquidity shares outstanding.
    """

    index: int
    bins: tuple[Bin, ...]
    has_shares: bool


class FeeParameters(msgspec.Struct, frozen=True):
    """What sets the fee rate. Periods in seconds, `protocol_share` and `reduction_factor` of 10⁴."""

    bin_step: int
    base_factor: int
    base_power: int
    filter_period: int
    decay_period: int
    reduction_factor: int
    variable_fee_control: int
    max_accumulator: int
    protocol_share: int


class Volatility(msgspec.Struct, frozen=True):
    """The pool's memory of bins crossed, in 10⁻⁴ bins; `updated_at` in unix seconds."""

    accumulator: int
    reference: int
    index_reference: int
    updated_at: int


class DlmmPool(msgspec.Struct, frozen=True):
    """A DLMM pool. `bitmap` as `bitmap.merged_bitmap`; `arrays` by index, those present among the accounts.

    `opens_at_slot` and `opens_at_time` are 0 where the pair has no activation point of that kind.
    """

    address: Address
    mint_x: Mint
    mint_y: Mint
    info_x: MintInfo
    info_y: MintInfo
    reserve_x: Address
    reserve_y: Address
    balance_x: int
    balance_y: int
    oracle: Address
    extension: Address | None
    enabled: bool
    opens_at_slot: int
    opens_at_time: int
    fee: FeeParameters
    volatility: Volatility
    active_id: int
    min_bin_id: int
    max_bin_id: int
    has_limit_orders: bool
    fee_on_y: bool
    bitmap: int
    arrays: dict[int, BinArray]

    @property
    def venue(self) -> str:
        return "meteora_dlmm"

    @property
    def mints(self) -> tuple[Mint, Mint]:
        return self.mint_x, self.mint_y

    @property
    def decimals(self) -> tuple[int, int]:
        return self.info_x.decimals, self.info_y.decimals

    @property
    def token_programs(self) -> tuple[Address, Address]:
        return self.info_x.program, self.info_y.program


def is_pool(account: Account) -> bool:
    """Whether `account` is an LbPair."""
    data = account.data
    return account.owner == PROGRAM_ID and len(data) == POOL_BYTES and data[:8] == POOL_DISCRIMINATOR


def companions(address: Address, accounts: Accounts) -> tuple[Address, ...]:
    """The mints, reserves, bitmap extension and nearest bin arrays on both sides.

    Which arrays exist beyond the internal bitmap is known only once the extension is among `accounts`.
    """
    account = required(accounts, address)
    if not is_pool(account):
        raise PoolRefused(Refusal.MALFORMED, f"{address} is no DLMM pool")
    data = account.data
    extension = extension_address(address)
    named = [pubkey_at(data, at) for at in (_MINT_X_AT, _MINT_Y_AT, _RESERVE_X_AT, _RESERVE_Y_AT)]
    bits, _ = _bitmap(address, data, accounts)
    indexes = _near_arrays(bits, _STATE.unpack_from(data, _STATE_AT)[1], COMPANION_ARRAYS_A_SIDE)
    return (*named, extension, *(array_address(address, index) for index in indexes))


def decode(address: Address, accounts: Accounts) -> DlmmPool:
    """The pool at `address`. Bin arrays that are absent refuse the swaps that reach them, not the pool.

    Raises PoolRefused `malformed`, `missing_account` or `unsupported_feature`.
    """
    account = required(accounts, address)
    if not is_pool(account):
        raise PoolRefused(Refusal.MALFORMED, f"{address} is no DLMM pool")
    data = account.data
    parameters = _PARAMETERS.unpack_from(data, _PARAMETERS_AT)
    base, filter_s, decay_s, reduction, control, max_va, min_id, max_id, share, power, function, collect = parameters
    pair_type, active_id, bin_step, status, activation = _STATE.unpack_from(data, _STATE_AT)
    _refuse_unknown(pair_type, status, activation, function, collect)
    if share > BPS:
        raise PoolRefused(Refusal.MALFORMED, "the protocol's share exceeds the whole fee")
    opens_at = 0
    if pair_type in (_PAIR_PERMISSION, _PAIR_CUSTOMIZABLE):
        opens_at = u64_at(data, _ACTIVATION_POINT_AT)
    mint_x, mint_y = pubkey_at(data, _MINT_X_AT), pubkey_at(data, _MINT_Y_AT)
    info_x, info_y = tradable_mint(accounts, mint_x), tradable_mint(accounts, mint_y)
    reserve_x, reserve_y = pubkey_at(data, _RESERVE_X_AT), pubkey_at(data, _RESERVE_Y_AT)
    bits, has_extension = _bitmap(address, data, accounts)
    rewards = any(data[at : at + 32] != _NO_KEY for at in _REWARD_MINTS_AT)
    return DlmmPool(
        address=address,
        mint_x=Mint(mint_x),
        mint_y=Mint(mint_y),
        info_x=info_x,
        info_y=info_y,
        reserve_x=reserve_x,
        reserve_y=reserve_y,
        balance_x=decode_balance(required(accounts, reserve_x)),
        balance_y=decode_balance(required(accounts, reserve_y)),
        oracle=pubkey_at(data, _ORACLE_AT),
        extension=extension_address(address) if has_extension else None,
        enabled=status == _STATUS_ENABLED,
        opens_at_slot=opens_at if activation == _ACTIVATION_SLOT else 0,
        opens_at_time=opens_at if activation == _ACTIVATION_TIME else 0,
        fee=FeeParameters(bin_step, base, power, filter_s, decay_s, reduction, control, max_va, share),
        volatility=Volatility(*_VOLATILITY.unpack_from(data, _VOLATILITY_AT)),
        active_id=active_id,
        min_bin_id=min_id,
        max_bin_id=max_id,
        has_limit_orders=function == _FUNCTION_LIMIT_ORDER or (function == _FUNCTION_UNDETERMINED and not rewards),
        fee_on_y=collect == _COLLECT_Y,
        bitmap=bits,
        arrays=_arrays(address, bits, active_id, accounts),
    )


def decode_array(pool: Address, index: int, account: Account) -> BinArray:
    """Bin array `index` of `pool`. Raises PoolRefused `malformed`."""
    data = account.data
    if account.owner != PROGRAM_ID or len(data) != ARRAY_BYTES or data[:8] != ARRAY_DISCRIMINATOR:
        raise PoolRefused(Refusal.MALFORMED, f"bin array {index} of {pool} is no bin array")
    if int.from_bytes(data[_ARRAY_INDEX_AT : _ARRAY_INDEX_AT + 8], "little", signed=True) != index:
        raise PoolRefused(Refusal.MALFORMED, f"bin array {index} of {pool} has another index")
    if pubkey_at(data, _ARRAY_POOL_AT) != pool:
        raise PoolRefused(Refusal.MALFORMED, f"bin array {index} belongs to another pool than {pool}")
    bins, has_shares = [], False
    rows = _BIN.iter_unpack(memoryview(data)[_ARRAY_BINS_AT:])
    for bin_id, (x, y, low, high, shares, more_shares, opened, processed, side) in enumerate(rows, first_bin(index)):
        if x or y or opened or processed:
            bins.append(Bin(bin_id, x, y, low | high << 64, opened, processed, side != 0))
        if shares or more_shares:
            has_shares = True
    return BinArray(index, tuple(bins), has_shares)


def _refuse_unknown(pair_type: int, status: int, activation: int, function: int, collect: int) -> None:
    for name, value, last in (
        ("pair type", pair_type, _PAIR_LAST),
        ("status", status, _STATUS_DISABLED),
        ("activation type", activation, _ACTIVATION_TIME),
        ("function type", function, _FUNCTION_LIMIT_ORDER),
        ("fee collection mode", collect, _COLLECT_Y),
    ):
        if value > last:
            raise PoolRefused(Refusal.UNSUPPORTED_FEATURE, f"{name} {value} is newer than this code")


def _bitmap(address: Address, data: bytes, accounts: Accounts) -> tuple[int, bool]:
    """The merged bitmap, and whether the extension account is there."""
    internal = data[_BITMAP_AT : _BITMAP_AT + _BITMAP_BYTES]
    extension = accounts.get(extension_address(address))
    if extension is None or extension.owner != PROGRAM_ID:
        return merged_bitmap(internal), False
    raw = extension.data
    if len(raw) != EXTENSION_BYTES or raw[:8] != EXTENSION_DISCRIMINATOR:
        raise PoolRefused(Refusal.MALFORMED, f"the bitmap extension of {address} is malformed")
    if pubkey_at(raw, _EXTENSION_POOL_AT) != address:
        raise PoolRefused(Refusal.MALFORMED, f"the bitmap extension belongs to another pool than {address}")
    positive = raw[_EXTENSION_POSITIVE_AT:_EXTENSION_NEGATIVE_AT]
    negative = raw[_EXTENSION_NEGATIVE_AT : _EXTENSION_NEGATIVE_AT + _EXTENSION_SIDE_BYTES]
    return merged_bitmap(internal, positive, negative), True


def _near_arrays(bits: int, active_id: int, limit: int) -> list[int]:
    start = array_index(active_id)
    return [*arrays_from(bits, start, True, limit), *arrays_from(bits, start + 1, False, limit)]


def _arrays(address: Address, bits: int, active_id: int, accounts: Accounts) -> dict[int, BinArray]:
    found = {}
    for index in _near_arrays(bits, active_id, MAX_ARRAYS_A_SIDE):
        account = accounts.get(array_address(address, index))
        if account is not None:
            found[index] = decode_array(address, index, account)
    return found
