"""The swap instruction: `swap2` for exact-in, `swap_exact_out2` for exact-out.

In: a pool, a swap, its limit and the trader's accounts. Out: one instruction. Host fees are not offered.
"""

from __future__ import annotations

import struct
from itertools import takewhile

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from fillwright.domain.accounts import Address, ChainClock
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.meteora_dlmm.bitmap import PROGRAM_ID, array_address, array_index, arrays_from, is_internal
from fillwright.venues.meteora_dlmm.layout import MAX_ARRAYS_A_SIDE, DlmmPool
from fillwright.venues.meteora_dlmm.quote import arrays_crossed, direction
from fillwright.venues.venue import Swap, SwapAccounts

SLIPPAGE_CODES = frozenset({6003, 6104})
SPARE_ARRAYS = 2
"""Bin arrays named beyond those that the swap needs now, in case the price moves before it lands."""

_SWAP2 = bytes([65, 75, 63, 76, 235, 91, 91, 136])
_SWAP_EXACT_OUT2 = bytes([43, 215, 247, 132, 137, 60, 243, 81])
# Two amounts, then an empty list of extra accounts for transfer hooks.
_ARGUMENTS = struct.Struct("<QQI")
_PROGRAM = Pubkey.from_string(PROGRAM_ID)
_MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
_EVENT_AUTHORITY = Pubkey.find_program_address([b"__event_authority"], _PROGRAM)[0]


def swap_instruction(pool: DlmmPool, swap: Swap, limit: int, accounts: SwapAccounts, clock: ChainClock) -> Instruction:
    """lb_clmm `swap2` / `swap_exact_out2`. `limit`: minimum output for exact-in, maximum input for exact-out.

    Bin arrays go last, in walking order: those that the swap crosses in this state and SPARE_ARRAYS more, as
    far as they are at hand.
    Raises QuoteRefused where the swap itself is refused.
    """
    if not 0 <= limit <= U64_MAX:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "a limit is at most 2^64 - 1")
    exact_in = swap.mode is SwapMode.EXACT_IN
    needed = arrays_crossed(pool, swap, clock)
    x_to_y = direction(pool, swap.input_mint, clock).x_to_y
    room = min(needed + SPARE_ARRAYS, MAX_ARRAYS_A_SIDE)
    start = array_index(pool.active_id)
    indexes = list(arrays_from(pool.bitmap, start, x_to_y, room))
    # The program asks for the extension as soon as its walk leaves the internal bitmap.
    leaves_internal = len(indexes) < room or not all(is_internal(index) for index in (start, *indexes))
    extension = pool.extension if leaves_internal else None
    amounts = (swap.amount, limit) if exact_in else (limit, swap.amount)
    metas = [
        _writable(pool.address),
        _writable(extension) if extension else _readable(PROGRAM_ID),
        _writable(pool.reserve_x),
        _writable(pool.reserve_y),
        AccountMeta(accounts.input_account, is_signer=False, is_writable=True),
        AccountMeta(accounts.output_account, is_signer=False, is_writable=True),
        _readable(Address(pool.mint_x)),
        _readable(Address(pool.mint_y)),
        _writable(pool.oracle),
        _readable(PROGRAM_ID),
        AccountMeta(accounts.wallet, is_signer=True, is_writable=True),
        _readable(pool.info_x.program),
        _readable(pool.info_y.program),
        AccountMeta(_MEMO, is_signer=False, is_writable=False),
        AccountMeta(_EVENT_AUTHORITY, is_signer=False, is_writable=False),
        _readable(PROGRAM_ID),
        *(_writable(array_address(pool.address, index)) for index in takewhile(pool.arrays.__contains__, indexes)),
    ]
    return Instruction(_PROGRAM, (_SWAP2 if exact_in else _SWAP_EXACT_OUT2) + _ARGUMENTS.pack(*amounts, 0), metas)


def _writable(address: Address) -> AccountMeta:
    return AccountMeta(Pubkey.from_string(address), is_signer=False, is_writable=True)


def _readable(address: Address) -> AccountMeta:
    return AccountMeta(Pubkey.from_string(address), is_signer=False, is_writable=False)
