"""Raydium CLMM accounts, decoded: pool, config, bitmap extension, tick arrays and mints to one frozen value.

Account bytes in, `ClmmPool` out; PoolRefused where the bytes are no such pool, an account that every swap
needs is missing, or the pool uses what the maths here do not cover. Offsets: raydium-clmm
`states/{pool,config,tick_array,tickarray_bitmap_extension}.rs`.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from solders.pubkey import Pubkey

from fillwright.domain.accounts import Account, Accounts, Address, Mint
from fillwright.domain.errors import PoolRefused, Refusal
from fillwright.venues.raydium_clmm.tick_arrays import (
    PROGRAM_ID,
    PROGRAM_IDS,
    TICKS_PER_ARRAY,
    Bitmap,
    TickArray,
    array_address,
    array_number,
    extension_address,
    read_array,
    read_bitmap,
)
from fillwright.venues.raydium_clmm.tick_math import MAX_SQRT_PRICE, MAX_TICK, MIN_SQRT_PRICE, MIN_TICK, U128_MAX
from fillwright.venues.reading import i32_at, tradable_mint, u16_at, u32_at, u64_at, u128_at
from fillwright.venues.token_program import MintInfo, decode_balance, pubkey_at
from fillwright.venues.venue import PoolShape

VENUE_ID = "raydium_clmm"
_KNOWN = {program: program for program in PROGRAM_IDS.values()}
FEE_DENOMINATOR = 1_000_000
SWAP_DISABLED = 1 << 4
"""Bit of `status`: `PoolStatusBitIndex::Swap`."""
FROZEN = 255
"""`status` of a pool whose vault a swap has emptied: everything is disabled."""

ARRAYS_EACH_WAY = 9
"""How many arrays beyond the current one are worth keeping at hand for each direction."""

_POOL_DISCRIMINATOR = bytes((247, 237, 227, 245, 215, 195, 222, 70))
_POOL_BYTES = 1544
_CONFIG_AT = 9
_MINT_0_AT = 73
_MINT_1_AT = 105
POOL_SHAPE = PoolShape(_POOL_BYTES, (_MINT_0_AT, _MINT_1_AT))
_VAULT_0_AT = 137
_VAULT_1_AT = 169
_OBSERVATION_AT = 201
_DECIMALS_0_AT = 233
_DECIMALS_1_AT = 234
_TICK_SPACING_AT = 235
_LIQUIDITY_AT = 237
_SQRT_PRICE_AT = 253
_TICK_AT = 269
_FEE_GROWTH_0_AT = 277
_FEE_GROWTH_1_AT = 293
_PROTOCOL_FEES_AT = 309
_SWAP_IN_0_AT = 325
_SWAP_OUT_1_AT = 341
_SWAP_IN_1_AT = 357
_SWAP_OUT_0_AT = 373
_STATUS_AT = 389
_FEE_ON_AT = 390
_REWARDS_AT = 397
_BITMAP_AT = 904
_TOTAL_FEES_0_AT = 1032
_TOTAL_FEES_1_AT = 1048
_FUND_FEES_0_AT = 1064
_FUND_FEES_1_AT = 1072
_OPEN_TIME_AT = 1080
_DYNAMIC_FEE_AT = 1096
_DYNAMIC_FEE_END = 1176

_NAMED_AT = (_CONFIG_AT, _MINT_0_AT, _MINT_1_AT, _VAULT_0_AT, _VAULT_1_AT)

_REWARDS = 3
_REWARD_BYTES = 169
_REWARD_OPEN_AT = 1
_REWARD_END_AT = 9
_REWARD_UPDATED_AT = 17
_REWARD_EMISSIONS_AT = 25
_REWARD_EMITTED_AT = 41
_REWARD_MINT_AT = 57
_REWARD_GROWTH_AT = 153

_CONFIG_DISCRIMINATOR = bytes((218, 244, 33, 104, 203, 203, 43, 111))
_CONFIG_BYTES = 117
_CONFIG_PROTOCOL_FEE_AT = 43
_CONFIG_TRADE_FEE_AT = 47
_CONFIG_FUND_FEE_AT = 53


class Reward(msgspec.Struct, frozen=True):
    """A farming reward. It does not enter a price, but its bookkeeping can make a swap fail."""

    open_time: int
    end_time: int
    last_update_time: int
    emissions_per_second_x64: int
    total_emitted: int
    growth_x64: int


class Books(msgspec.Struct, frozen=True):
    """The pool's running totals, token 0 first: they only matter because the program checks their overflow."""

    fee_growth_x64: tuple[int, int]
    lp_fees: tuple[int, int]
    protocol_fees: tuple[int, int]
    fund_fees: tuple[int, int]
    swapped_in: tuple[int, int]
    swapped_out: tuple[int, int]
    rewards: tuple[Reward, ...]


class End(msgspec.Struct, frozen=True):
    """Why no swap can go beyond the held ticks on one side."""

    reason: Refusal
    message: str


class ClmmPool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pool at one moment. `ticks` are all initialised ticks of the held arrays, ascending.

    `balances` are the vaults', where those are at hand. `program` owns the pool, its config and its tick arrays.
    Fees are in millionths: `trade_fee_rate` of the input; `protocol_fee_rate` and `fund_fee_rate` of that fee.
    `sqrt_price` is √(token 1 / token 0) in Q64.64, of base units.
    """

    address: Address
    config: Address
    mint_0: Mint
    mint_1: Mint
    info_0: MintInfo
    info_1: MintInfo
    vault_0: Address
    vault_1: Address
    observation: Address
    extension: Address | None
    decimals: tuple[int, int]
    tick_spacing: int
    status: int
    open_time: int
    trade_fee_rate: int
    protocol_fee_rate: int
    fund_fee_rate: int
    bitmap: Bitmap
    arrays: tuple[TickArray, ...]
    ticks: tuple[int, ...]
    nets: tuple[int, ...]
    stuck: frozenset[int]
    below: End
    above: End
    liquidity: int
    sqrt_price: int
    tick: int
    balances: tuple[int, int] | None
    books: Books
    program: Address = PROGRAM_ID

    @property
    def venue(self) -> str:
        return VENUE_ID

    @property
    def mints(self) -> tuple[Mint, Mint]:
        return self.mint_0, self.mint_1

    @property
    def token_programs(self) -> tuple[Address, Address]:
        return self.info_0.program, self.info_1.program


_NO_MORE_LIQUIDITY = End(Refusal.LIQUIDITY_EXHAUSTED, "no initialised tick is left in this direction")
_UNKNOWN_BITMAP = End(Refusal.MISSING_ACCOUNT, "the bitmap extension, which says what follows, is missing")


def is_pool(account: Account) -> bool:
    """Whether `account` has the owner, size and discriminator of a pool."""
    data = account.data
    return account.owner in _KNOWN and len(data) == _POOL_BYTES and data[:8] == _POOL_DISCRIMINATOR


def companions(address: Address, accounts: Accounts) -> tuple[Address, ...]:
    """Config, mints, vaults, bitmap extension and the tick arrays around the price: what `decode_pool` reads.

    The arrays are those known from the bitmaps in `accounts`, `ARRAYS_EACH_WAY` beyond the current one on each
    side. Nothing where the pool itself is not in `accounts`, or is none.
    """
    account = accounts.get(address)
    if account is None or not is_pool(account):
        return ()
    data, program = account.data, _KNOWN[account.owner]
    extension = extension_address(address, program)
    found = [pubkey_at(data, at) for at in _NAMED_AT]
    found.append(extension)
    tick, tick_spacing = i32_at(data, _TICK_AT), u16_at(data, _TICK_SPACING_AT)
    if tick_spacing == 0 or not MIN_TICK <= tick <= MAX_TICK:
        return tuple(found)
    bitmap = _bitmap(address, account, tick_spacing, accounts)
    current = array_number(tick, tick_spacing)
    numbers = [current] if bitmap.holds(current) else []
    for side in (bitmap.below(current), bitmap.above(current)):
        numbers += [number for _, number in zip(range(ARRAYS_EACH_WAY), side, strict=False)]
    span = TICKS_PER_ARRAY * tick_spacing
    return (*found, *(array_address(address, number * span, program) for number in numbers))


def decode_pool(address: Address, accounts: Accounts) -> ClmmPool:
    """The pool at `address`, with every tick array that is reachable through `accounts`.

    Raises PoolRefused: `missing_account` without the pool, its config or a mint; `malformed`;
    `unsupported_feature` for a fee side, dynamic fee, limit orders or a transfer hook. A missing tick array is
    no refusal: it ends what can be quoted.
    """
    account = _required(accounts, address, "pool")
    if not is_pool(account):
        raise PoolRefused(Refusal.MALFORMED, "not a Raydium CLMM pool")
    data, program = account.data, _KNOWN[account.owner]
    if data[_FEE_ON_AT] != 0:
        raise PoolRefused(Refusal.UNSUPPORTED_FEATURE, "a pool that takes its fee on a fixed token")
    if any(data[_DYNAMIC_FEE_AT:_DYNAMIC_FEE_END]):
        raise PoolRefused(Refusal.UNSUPPORTED_FEATURE, "a pool with a dynamic fee")
    tick, tick_spacing = i32_at(data, _TICK_AT), u16_at(data, _TICK_SPACING_AT)
    sqrt_price = u128_at(data, _SQRT_PRICE_AT)
    if tick_spacing == 0 or not MIN_TICK <= tick <= MAX_TICK or not MIN_SQRT_PRICE <= sqrt_price <= MAX_SQRT_PRICE:
        raise PoolRefused(Refusal.MALFORMED, "a pool whose price is out of range")
    config = pubkey_at(data, _CONFIG_AT)
    trade_fee_rate, protocol_fee_rate, fund_fee_rate = _read_config(_required(accounts, config, "config"), program)
    mint_0, mint_1 = Mint(pubkey_at(data, _MINT_0_AT)), Mint(pubkey_at(data, _MINT_1_AT))
    vault_0, vault_1 = pubkey_at(data, _VAULT_0_AT), pubkey_at(data, _VAULT_1_AT)
    books = _read_books(data)
    bitmap = _bitmap(address, account, tick_spacing, accounts)
    extension = extension_address(address, program)
    reader = _ArrayReader(address, program, tick_spacing, bitmap, accounts, _growths(data))
    arrays, below, above = reader.read(array_number(tick, tick_spacing))
    return ClmmPool(
        address=address,
        config=config,
        mint_0=mint_0,
        mint_1=mint_1,
        info_0=tradable_mint(accounts, Address(mint_0)),
        info_1=tradable_mint(accounts, Address(mint_1)),
        vault_0=vault_0,
        vault_1=vault_1,
        observation=pubkey_at(data, _OBSERVATION_AT),
        extension=None if _held(accounts, extension) is None else extension,
        decimals=(data[_DECIMALS_0_AT], data[_DECIMALS_1_AT]),
        tick_spacing=tick_spacing,
        status=data[_STATUS_AT],
        open_time=u64_at(data, _OPEN_TIME_AT),
        trade_fee_rate=trade_fee_rate,
        protocol_fee_rate=protocol_fee_rate,
        fund_fee_rate=fund_fee_rate,
        bitmap=bitmap,
        arrays=arrays,
        ticks=tuple(tick for array in arrays for tick in array.ticks),
        nets=tuple(net for array in arrays for net in array.nets),
        stuck=frozenset(tick for array in arrays for tick in array.stuck),
        below=below,
        above=above,
        liquidity=u128_at(data, _LIQUIDITY_AT),
        sqrt_price=sqrt_price,
        tick=tick,
        balances=_read_balances(accounts, vault_0, vault_1),
        books=books,
        program=program,
    )


class _ArrayReader:
    """Reads a pool's arrays outwards from the current one, as far as they are at hand without a gap."""

    def __init__(
        self,
        pool: Address,
        program: Address,
        tick_spacing: int,
        bitmap: Bitmap,
        accounts: Accounts,
        growths: tuple[int, ...],
    ) -> None:
        self._pool = pool
        self._program = program
        self._pool_bytes = bytes(Pubkey.from_string(pool))
        self._tick_spacing = tick_spacing
        self._bitmap = bitmap
        self._accounts = accounts
        self._growths = growths

    def read(self, current: int) -> tuple[tuple[TickArray, ...], End, End]:
        """The held arrays, ascending, and what bounds them below and above."""
        if not self._bitmap.covers(current):
            return (), _UNKNOWN_BITMAP, _UNKNOWN_BITMAP
        middle: list[TickArray] = []
        if self._bitmap.holds(current):
            found = self._array(current)
            if isinstance(found, End):
                return (), found, found
            middle.append(found)
        lower, below = self._outwards(self._bitmap.below(current))
        upper, above = self._outwards(self._bitmap.above(current))
        return (*reversed(lower), *middle, *upper), below, above

    def _outwards(self, numbers: Iterator[int]) -> tuple[list[TickArray], End]:
        arrays: list[TickArray] = []
        for number in numbers:
            found = self._array(number)
            if isinstance(found, End):
                return arrays, found
            if not found.ticks:
                # `first_initialized_tick` fails in an array that the bitmap promises and that holds none.
                return arrays, End(Refusal.MALFORMED, f"the tick array at {found.start} is empty")
            arrays.append(found)
        return arrays, _NO_MORE_LIQUIDITY if self._bitmap.complete else _UNKNOWN_BITMAP

    def _array(self, number: int) -> TickArray | End:
        start = number * TICKS_PER_ARRAY * self._tick_spacing
        address = array_address(self._pool, start, self._program)
        account = _held(self._accounts, address)
        if account is None:
            return End(Refusal.MISSING_ACCOUNT, f"the tick array at {start} is missing")
        return read_array(account, self._pool_bytes, address, start, self._tick_spacing, self._growths, self._program)


def _held(accounts: Accounts, address: Address) -> Account | None:
    """The account, or None where it is unknown or was never created."""
    account = accounts.get(address)
    return account if account is not None and account.data else None


def _required(accounts: Accounts, address: Address, what: str) -> Account:
    account = _held(accounts, address)
    if account is None:
        raise PoolRefused(Refusal.MISSING_ACCOUNT, f"the {what} account {address} is missing")
    return account


def _bitmap(address: Address, pool: Account, tick_spacing: int, accounts: Accounts) -> Bitmap:
    own, program = pool.data[_BITMAP_AT:_TOTAL_FEES_0_AT], _KNOWN[pool.owner]
    extension = _held(accounts, extension_address(address, program))
    return read_bitmap(own, tick_spacing, bytes(Pubkey.from_string(address)), extension, program)


def _read_config(account: Account, program: Address) -> tuple[int, int, int]:
    """Trade, protocol and fund fee rates, within the bounds that `update_amm_config` keeps."""
    data = account.data
    if account.owner != program or len(data) != _CONFIG_BYTES or data[:8] != _CONFIG_DISCRIMINATOR:
        raise PoolRefused(Refusal.MALFORMED, "not a Raydium CLMM config")
    trade, protocol = u32_at(data, _CONFIG_TRADE_FEE_AT), u32_at(data, _CONFIG_PROTOCOL_FEE_AT)
    fund = u32_at(data, _CONFIG_FUND_FEE_AT)
    if trade >= FEE_DENOMINATOR or protocol + fund > FEE_DENOMINATOR:
        raise PoolRefused(Refusal.MALFORMED, "fee rates above 100 %")
    return trade, protocol, fund


def _read_balances(accounts: Accounts, vault_0: Address, vault_1: Address) -> tuple[int, int] | None:
    held_0, held_1 = _held(accounts, vault_0), _held(accounts, vault_1)
    if held_0 is None or held_1 is None:
        return None
    return decode_balance(held_0), decode_balance(held_1)


def _read_books(data: bytes) -> Books:
    rewards = (data[at : at + _REWARD_BYTES] for at in _reward_offsets())
    return Books(
        fee_growth_x64=(u128_at(data, _FEE_GROWTH_0_AT), u128_at(data, _FEE_GROWTH_1_AT)),
        lp_fees=(u64_at(data, _TOTAL_FEES_0_AT), u64_at(data, _TOTAL_FEES_1_AT)),
        protocol_fees=(u64_at(data, _PROTOCOL_FEES_AT), u64_at(data, _PROTOCOL_FEES_AT + 8)),
        fund_fees=(u64_at(data, _FUND_FEES_0_AT), u64_at(data, _FUND_FEES_1_AT)),
        swapped_in=(u128_at(data, _SWAP_IN_0_AT), u128_at(data, _SWAP_IN_1_AT)),
        swapped_out=(u128_at(data, _SWAP_OUT_0_AT), u128_at(data, _SWAP_OUT_1_AT)),
        rewards=tuple(_read_reward(raw) for raw in rewards if _is_set_up(raw)),
    )


def _growths(data: bytes) -> tuple[int, ...]:
    """The growths that a tick's may not exceed. A reward that is not set up is not looked at: no bound."""
    rewards = [data[at : at + _REWARD_BYTES] for at in _reward_offsets()]
    bounds = [u128_at(raw, _REWARD_GROWTH_AT) if _is_set_up(raw) else U128_MAX for raw in rewards]
    return (u128_at(data, _FEE_GROWTH_0_AT), u128_at(data, _FEE_GROWTH_1_AT), *bounds)


def _reward_offsets() -> range:
    return range(_REWARDS_AT, _REWARDS_AT + _REWARDS * _REWARD_BYTES, _REWARD_BYTES)


def _is_set_up(raw: bytes) -> bool:
    """`RewardInfo::initialized`: it has a mint."""
    return any(raw[_REWARD_MINT_AT : _REWARD_MINT_AT + 32])


def _read_reward(raw: bytes) -> Reward:
    return Reward(
        open_time=u64_at(raw, _REWARD_OPEN_AT),
        end_time=u64_at(raw, _REWARD_END_AT),
        last_update_time=u64_at(raw, _REWARD_UPDATED_AT),
        emissions_per_second_x64=u128_at(raw, _REWARD_EMISSIONS_AT),
        total_emitted=u64_at(raw, _REWARD_EMITTED_AT),
        growth_x64=u128_at(raw, _REWARD_GROWTH_AT),
    )
