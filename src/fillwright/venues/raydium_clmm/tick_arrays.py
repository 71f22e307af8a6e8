"""Tick arrays: which exist, by the pool's bitmaps, where they live, and what one account holds.

Bytes in; array numbers, addresses and initialised ticks out. An array's number is its first tick divided
by the ticks it spans. Rules: raydium-clmm `states/{tick_array,tickarray_bitmap_extension}.rs`,
`libraries/tick_array_bit_map.rs`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from struct import Struct

import msgspec
from solders.pubkey import Pubkey

from fillwright.domain.accounts import Account, Address
from fillwright.domain.clusters import program_ids
from fillwright.domain.errors import PoolRefused, Refusal
from fillwright.venues.raydium_clmm.tick_math import MAX_TICK, MIN_TICK

PROGRAM_ID = Address("CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK")
PROGRAM_IDS = program_ids(PROGRAM_ID, devnet="DRayAUgENGQBKVaX8owNhgzkEDyoHTGVEGHVJT1E9pfH")
"""As `lib.rs` declares them."""
TICKS_PER_ARRAY = 60
ARRAYS_PER_BITMAP = 512
"""Arrays on one side of zero in the pool's own bitmap, and in each bitmap of the extension."""

_ARRAY_SEED = b"tick_array"
_EXTENSION_SEED = b"pool_tick_array_bitmap_extension"
_CACHED_ADDRESSES = 65_536

_EXTENSION_DISCRIMINATOR = bytes((60, 150, 36, 219, 97, 128, 139, 153))
_EXTENSION_BYTES = 1832
_EXTENSION_POOL_AT = 8
_EXTENSION_ABOVE_AT = 40
_EXTENSION_BITMAPS = 14
_BITMAP_BYTES = ARRAYS_PER_BITMAP // 8
_EXTENSION_BELOW_AT = _EXTENSION_ABOVE_AT + _EXTENSION_BITMAPS * _BITMAP_BYTES

_ARRAY_DISCRIMINATOR = bytes((192, 155, 85, 205, 49, 249, 129, 42))
_ARRAY_BYTES = 10_240
_ARRAY_POOL_AT = 8
_ARRAY_START_AT = 40
_TICKS_AT = 44
_TICK_BYTES = 168
_TICKS_END = _TICKS_AT + TICKS_PER_ARRAY * _TICK_BYTES
# tick i32, liquidity_net i128, liquidity_gross u128, fee_growth_outside_{0,1}_x64 2 x u128,
# reward_growths_outside_x64 3 x u128, order_phase u64, orders_amount u64, part_filled_orders_remaining u64
_TICK = Struct("<i16s16s80s8x16s28x")
_GROWTHS = Struct("<10Q")
_NO_LIQUIDITY = bytes(16)
_NO_ORDERS = bytes(16)
_NO_GROWTH = bytes(80)


class TickArray(msgspec.Struct, frozen=True):
    """One array's initialised ticks, ascending, with the net liquidity that each adds when crossed upwards.

    The program fails when it crosses a tick of `stuck`: a growth beyond it exceeds the pool's.
    """

    start: int
    address: Address
    ticks: tuple[int, ...]
    nets: tuple[int, ...]
    stuck: tuple[int, ...] = ()


class Bitmap(msgspec.Struct, frozen=True, dict=True):
    """Which tick arrays are initialised. `packed` holds `bits`, little-endian, without zeros at its end.

    `lowest` .. `highest` is the known range: the pool's own bitmap alone, or with the extension all there are.
    """

    packed: bytes
    lowest: int
    highest: int
    complete: bool

    @classmethod
    def of(cls, bits: int, lowest: int, highest: int, *, complete: bool) -> Bitmap:
        # Bytes, as this many bits are more digits than Python reads or writes as decimal text.
        return cls(bits.to_bytes(-(-bits.bit_length() // 8), "little"), lowest, highest, complete)

    @cached_property
    def bits(self) -> int:
        """Array number n at bit n - `lowest`."""
        return int.from_bytes(self.packed, "little")

    def covers(self, number: int) -> bool:
        """Whether it is known if array `number` is initialised."""
        return self.lowest <= number <= self.highest

    def holds(self, number: int) -> bool:
        """Whether array `number` is initialised, as far as is known."""
        return self.covers(number) and bool(self.bits >> number - self.lowest & 1)

    def above(self, number: int) -> Iterator[int]:
        """The initialised arrays above `number`, nearest first."""
        at = max(number + 1, self.lowest)
        left = self.bits >> at - self.lowest
        while left:
            skip = (left & -left).bit_length() - 1
            at += skip
            yield at
            left >>= skip + 1
            at += 1

    def below(self, number: int) -> Iterator[int]:
        """The initialised arrays below `number`, nearest first."""
        count = min(number, self.highest + 1) - self.lowest
        left = self.bits & (1 << count) - 1 if count > 0 else 0
        while left:
            top = left.bit_length() - 1
            yield self.lowest + top
            left ^= 1 << top


def array_number(tick: int, tick_spacing: int) -> int:
    """The number of the array that spans `tick`, rounded down."""
    return tick // (TICKS_PER_ARRAY * tick_spacing)


@lru_cache(maxsize=_CACHED_ADDRESSES)
def array_address(pool: Address, start: int, program: Address = PROGRAM_ID) -> Address:
    """Where the array that begins at tick `start` lives, under the pool's `program`.

    Source: `TickArrayState::key`; the index is big-endian.
    """
    seeds = [_ARRAY_SEED, bytes(Pubkey.from_string(pool)), start.to_bytes(4, "big", signed=True)]
    return Address(str(Pubkey.find_program_address(seeds, Pubkey.from_string(program))[0]))


@lru_cache(maxsize=_CACHED_ADDRESSES)
def extension_address(pool: Address, program: Address = PROGRAM_ID) -> Address:
    """Where the pool's bitmap extension lives, under its `program` (`TickArrayBitmapExtension::key`)."""
    seeds = [_EXTENSION_SEED, bytes(Pubkey.from_string(pool))]
    return Address(str(Pubkey.find_program_address(seeds, Pubkey.from_string(program))[0]))


def read_bitmap(
    own: bytes, tick_spacing: int, pool: bytes, extension: Account | None, program: Address = PROGRAM_ID
) -> Bitmap:
    """The pool's bitmap of 1,024 arrays around zero, with the extension's where there is one.

    Raises PoolRefused `malformed` where `extension` is an account of something else, or of another program.
    """
    if extension is not None and extension.owner != program:
        raise PoolRefused(Refusal.MALFORMED, "the bitmap extension is not of the pool's program")
    bits = int.from_bytes(own, "little")
    # From this spacing on the pool's own bitmap covers every tick (`tick_array_start_index_range`).
    complete = ARRAYS_PER_BITMAP * TICKS_PER_ARRAY * tick_spacing > MAX_TICK
    if complete or extension is None:
        return Bitmap.of(bits, -ARRAYS_PER_BITMAP, ARRAYS_PER_BITMAP - 1, complete=complete)
    data = extension.data
    if (
        len(data) != _EXTENSION_BYTES
        or data[:8] != _EXTENSION_DISCRIMINATOR
        or data[_EXTENSION_POOL_AT:_EXTENSION_ABOVE_AT] != pool
    ):
        raise PoolRefused(Refusal.MALFORMED, "not the bitmap extension of this pool")
    above = int.from_bytes(data[_EXTENSION_ABOVE_AT:_EXTENSION_BELOW_AT], "little")
    # Bitmaps below zero are stored nearest first, each in ascending order.
    chunks = [data[at : at + _BITMAP_BYTES] for at in range(_EXTENSION_BELOW_AT, _EXTENSION_BYTES, _BITMAP_BYTES)]
    below = int.from_bytes(b"".join(reversed(chunks)), "little")
    arrays_beyond = _EXTENSION_BITMAPS * ARRAYS_PER_BITMAP
    bits = below | bits << arrays_beyond | above << arrays_beyond + 2 * ARRAYS_PER_BITMAP
    outermost = arrays_beyond + ARRAYS_PER_BITMAP
    return Bitmap.of(bits, -outermost, outermost - 1, complete=True)


def read_array(
    account: Account,
    pool: bytes,
    address: Address,
    start: int,
    tick_spacing: int,
    growths: tuple[int, ...],
    program: Address = PROGRAM_ID,
) -> TickArray:
    """The array at `address`, which begins at tick `start`.

    `growths` are the pool's: fees of token 0 and 1, three rewards. `TickState::cross` subtracts a tick's from
    them, checked. Raises PoolRefused: `malformed`, or `unsupported_feature` where a tick holds limit orders.
    """
    data = account.data
    if (
        account.owner != program
        or len(data) != _ARRAY_BYTES
        or data[:8] != _ARRAY_DISCRIMINATOR
        or data[_ARRAY_POOL_AT:_ARRAY_START_AT] != pool
        or int.from_bytes(data[_ARRAY_START_AT:_TICKS_AT], "little", signed=True) != start
    ):
        raise PoolRefused(Refusal.MALFORMED, f"not the tick array of this pool at tick {start}")
    ticks, nets, stuck = [], [], []
    expected = start
    for index, net, gross, outside, orders in _TICK.iter_unpack(data[_TICKS_AT:_TICKS_END]):
        if orders != _NO_ORDERS:
            raise PoolRefused(Refusal.UNSUPPORTED_FEATURE, f"limit orders at tick {expected}")
        if gross != _NO_LIQUIDITY:
            if index != expected or not MIN_TICK <= index <= MAX_TICK:
                raise PoolRefused(Refusal.MALFORMED, f"tick {index} stands in the place of tick {expected}")
            ticks.append(index)
            nets.append(int.from_bytes(net, "little", signed=True))
            if outside != _NO_GROWTH and _exceeds(outside, growths):
                stuck.append(index)
        expected += tick_spacing
    return TickArray(start, address, tuple(ticks), tuple(nets), tuple(stuck))


def _exceeds(outside: bytes, growths: tuple[int, ...]) -> bool:
    words = _GROWTHS.unpack(outside)
    return any(words[2 * at] + (words[2 * at + 1] << 64) > growth for at, growth in enumerate(growths))
