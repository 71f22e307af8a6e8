"""What the venues' swap instructions say: a program, its data and accounts in; whose tokens move, how many, out.

The counterpart of the venues' builders, written apart from them on purpose: the signer judges with it what
the engine has built. Anything that is not exactly one of these shapes is no swap.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from solders.pubkey import Pubkey

from fillwright.domain.accounts import Address
from fillwright.domain.amounts import SwapMode
from fillwright.domain.clusters import Cluster


class SwapCall(msgspec.Struct, frozen=True):
    """One swap as the chain will run it, by the instruction that begins with `tag`. At most `max_in` leaves `source`,
    at least `min_out` reaches `destination`, both in base units."""

    venue: str
    tag: bytes
    pool: Pubkey
    wallet: Pubkey
    source: Pubkey
    destination: Pubkey
    mode: SwapMode
    max_in: int
    min_out: int


class Shape(msgspec.Struct, frozen=True):
    """Where a swap instruction keeps what. `counts`: allowed numbers of accounts (min, max).

    `fixed` is the byte string that must follow the two amounts, `modes` what the last byte means instead.
    `absent`: optional accounts that must be absent, which the program writes as its own id.
    """

    venue: str
    program: Address
    tag: bytes
    pool: int
    wallet: int
    source: int
    destination: int
    counts: tuple[int, int]
    mode: SwapMode = SwapMode.EXACT_IN
    out_first: bool = False
    fixed: bytes = b""
    modes: tuple[tuple[int, SwapMode], ...] = ()
    absent: tuple[int, ...] = ()


_V4 = Address("675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8")
_CPMM = Address("CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C")
_CLMM = Address("CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK")
_DLMM = Address("LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo")
_DAMM1 = Address("Eo7WjKq67rjJQSZxS6z3YkapzY3eMj6Xy8X5EQVn5UaB")
_DAMM2 = Address("cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG")
_OUT = SwapMode.EXACT_OUT

_DEVNET = {
    "DRaya7Kj3aMWQSy19kSjvmuwq9docCHofyP9kanQGaav": _V4,
    "DRaycpLY18LhpbydsBWbVJtxpNv9oXPgjRSfpF2bWpYb": _CPMM,
    "DRayAUgENGQBKVaX8owNhgzkEDyoHTGVEGHVJT1E9pfH": _CLMM,
}
"""Programs of devnet under other ids than mainnet's, and whose instructions they take. Meteora's ids are the same."""


def _hex(text: str) -> bytes:
    return bytes.fromhex(text)


def _v4(tag: int, mode: SwapMode, counts: tuple[int, int]) -> Shape:
    return Shape("raydium_amm_v4", _V4, bytes([tag]), 1, -1, -3, -2, counts, mode)


def _clmm(tag: str, counts: tuple[int, int]) -> Shape:
    modes = ((1, SwapMode.EXACT_IN), (0, _OUT))
    return Shape(
        "raydium_clmm", _CLMM, _hex(tag), 2, 0, 3, 4, counts, out_first=True, fixed=bytes(16), modes=modes
    )  # fixed: no price limit, so that the amount is swapped whole


SHAPES: tuple[Shape, ...] = (
    _v4(9, SwapMode.EXACT_IN, (17, 18)),
    _v4(11, _OUT, (17, 18)),
    _v4(16, SwapMode.EXACT_IN, (8, 8)),
    _v4(17, _OUT, (8, 8)),
    Shape("raydium_cpmm", _CPMM, _hex("8fbe5adac41e33de"), 3, 0, 4, 5, (13, 13)),
    Shape("raydium_cpmm", _CPMM, _hex("37d96256a34ab4ad"), 3, 0, 4, 5, (13, 13), _OUT),
    _clmm("f8c69e91e17587c8", (10, 40)),
    _clmm("2b04ed0b1ac91e62", (14, 40)),
    Shape("meteora_dlmm", _DLMM, _hex("414b3f4ceb5b5b88"), 0, 10, 4, 5, (16, 50), fixed=bytes(4), absent=(9,)),
    Shape("meteora_dlmm", _DLMM, _hex("2bd7f784893cf351"), 0, 10, 4, 5, (16, 50), _OUT, fixed=bytes(4), absent=(9,)),
    Shape("meteora_damm_v1", _DAMM1, _hex("f8c69e91e17587c8"), 0, 12, 1, 2, (15, 16)),
    Shape(
        "meteora_damm_v2",
        _DAMM2,
        _hex("414b3f4ceb5b5b88"),
        1,
        8,
        2,
        3,
        (14, 15),
        out_first=True,
        modes=((0, SwapMode.EXACT_IN), (2, _OUT)),
        absent=(11,),
    ),
)


def decode_swap(
    program: Pubkey, data: bytes, accounts: Sequence[Pubkey], cluster: Cluster | None = None
) -> SwapCall | None:
    """The swap that the instruction asks for, or None where it is not exactly one of `SHAPES`.

    `cluster` mainnet: of mainnet's programs alone. Else devnet's are known beside them, as a chain of one's own may
    run either.
    """
    name = str(program)
    if cluster is not Cluster.MAINNET:
        name = _DEVNET.get(name, name)
    for shape in SHAPES:
        if shape.program == name and data.startswith(shape.tag):
            return _read(shape, program, data[len(shape.tag) :], accounts)
    return None


def _read(shape: Shape, program: Pubkey, data: bytes, accounts: Sequence[Pubkey]) -> SwapCall | None:
    if not shape.counts[0] <= len(accounts) <= shape.counts[1]:
        return None
    if any(accounts[index] != program for index in shape.absent):
        return None
    length = 16 + len(shape.fixed) + (1 if shape.modes else 0)
    if len(data) != length or not data[16:].startswith(shape.fixed):
        return None
    mode = dict(shape.modes).get(data[-1]) if shape.modes else shape.mode
    if mode is None:
        return None
    first, second = int.from_bytes(data[:8], "little"), int.from_bytes(data[8:16], "little")
    # Usually the input comes first. `out_first`: the fixed amount does, whichever side it is on.
    swapped = shape.out_first and mode is SwapMode.EXACT_OUT
    max_in, min_out = (second, first) if swapped else (first, second)
    return SwapCall(
        venue=shape.venue,
        tag=shape.tag,
        pool=accounts[shape.pool],
        wallet=accounts[shape.wallet],
        source=accounts[shape.source],
        destination=accounts[shape.destination],
        mode=mode,
        max_in=max_in,
        min_out=min_out,
    )
