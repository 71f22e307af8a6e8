"""Which bin arrays hold liquidity: the pool's bitmap and its extension as one integer, and array addresses.

Bit `index + BITMAP_OFFSET` stands for bin array `index`. lb_clmm keeps arrays -512..511 in the pool account
and twelve blocks of 512 on each side in an extension account that exists only where it was needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from solders.pubkey import Pubkey

from fillwright.domain.accounts import Address

PROGRAM_ID = Address("LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo")
BINS_PER_ARRAY = 70
INTERNAL_ARRAYS = 512
EXTENSION_BLOCKS = 12
BITMAP_OFFSET = INTERNAL_ARRAYS * (EXTENSION_BLOCKS + 1)
_BLOCK_BYTES = INTERNAL_ARRAYS // 8
_EXTENSION_BYTES = EXTENSION_BLOCKS * _BLOCK_BYTES
_PROGRAM = Pubkey.from_string(PROGRAM_ID)
_REVERSED_BYTES = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def merged_bitmap(internal: bytes, positive: bytes = b"", negative: bytes = b"") -> int:
    """One integer of both accounts' bits. Negative blocks count downwards from array -513."""
    bits = int.from_bytes(internal, "little") << (BITMAP_OFFSET - INTERNAL_ARRAYS)
    bits |= int.from_bytes(positive, "little") << (BITMAP_OFFSET + INTERNAL_ARRAYS)
    # Mirroring every bit turns "downwards from -513" into "upwards to -513".
    mirrored = negative.ljust(_EXTENSION_BYTES, b"\0").translate(_REVERSED_BYTES)[::-1]
    return bits | int.from_bytes(mirrored, "little")


def is_internal(index: int) -> bool:
    """Whether the pool account itself holds the bit of array `index`."""
    return -INTERNAL_ARRAYS <= index < INTERNAL_ARRAYS


def array_index(bin_id: int) -> int:
    """The array that holds `bin_id`, rounded down (lb_clmm `bin_id_to_bin_array_index`)."""
    return bin_id // BINS_PER_ARRAY


def first_bin(index: int) -> int:
    """The lowest bin of array `index`."""
    return index * BINS_PER_ARRAY


def next_array(bitmap: int, start: int, downwards: bool) -> int | None:
    """The first array with liquidity from `start` on, `start` included, or None."""
    offset = start + BITMAP_OFFSET
    if offset < 0 or offset >= 2 * BITMAP_OFFSET:
        return None
    if downwards:
        below = bitmap & ((2 << offset) - 1)
        return below.bit_length() - 1 - BITMAP_OFFSET if below else None
    above = bitmap >> offset
    return start + (above & -above).bit_length() - 1 if above else None


def arrays_from(bitmap: int, start: int, downwards: bool, limit: int) -> Iterator[int]:
    """At most `limit` arrays with liquidity in walking order."""
    return islice(_walk(bitmap, start, downwards), limit)


def _walk(bitmap: int, start: int, downwards: bool) -> Iterator[int]:
    step = -1 if downwards else 1
    index = next_array(bitmap, start, downwards)
    while index is not None:
        yield index
        index = next_array(bitmap, index + step, downwards)


@lru_cache(maxsize=65_536)
def array_address(pool: Address, index: int) -> Address:
    """The account of bin array `index` (lb_clmm seeds `bin_array`, pool, i64 index)."""
    seeds = [b"bin_array", bytes(Pubkey.from_string(pool)), index.to_bytes(8, "little", signed=True)]
    return Address(str(Pubkey.find_program_address(seeds, _PROGRAM)[0]))


@lru_cache(maxsize=16_384)
def extension_address(pool: Address) -> Address:
    """The account of the bitmap extension (lb_clmm seeds `bitmap`, pool)."""
    return Address(str(Pubkey.find_program_address([b"bitmap", bytes(Pubkey.from_string(pool))], _PROGRAM)[0]))
