"""The program's swap instruction.

In: a pool, a swap, its limit and the trader's accounts; out: an instruction of `swap2`. Must not: quote.

Layout: cp-amm `instructions/swap/ix_swap.rs`, `SwapCtx` and `SwapParameters2`; `entrypoint.rs`.
"""

from __future__ import annotations

import struct

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from fillwright.domain.accounts import Address
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.meteora_damm_v2.layout import POOL_AUTHORITY, PROGRAM_ID, DammV2Pool
from fillwright.venues.meteora_damm_v2.quote import checked_amount
from fillwright.venues.venue import Swap, SwapAccounts

EXCEEDED_SLIPPAGE = 6002

_SWAP2 = struct.Struct("<8sQQB")
_SWAP2_DISCRIMINATOR = bytes.fromhex("414b3f4ceb5b5b88")
_MODES = {SwapMode.EXACT_IN: 0, SwapMode.EXACT_OUT: 2}

_PROGRAM = Pubkey.from_string(PROGRAM_ID)
_AUTHORITY = Pubkey.from_string(POOL_AUTHORITY)
_EVENT_AUTHORITY = Pubkey.find_program_address([b"__event_authority"], _PROGRAM)[0]
_SYSVAR_INSTRUCTIONS = Pubkey.from_string("Sysvar1nstructions1111111111111111111111111")


def swap_instruction(pool: DammV2Pool, swap: Swap, limit: int, accounts: SwapAccounts) -> Instruction:
    """`swap2` with `limit` as min-out or max-in, without a referral account.

    The instructions sysvar always comes along: an active rate limiter demands it, and whether one is active
    is known only when the transaction lands. Raises QuoteRefused not_in_pool, amount_too_small/large.
    """
    if swap.input_mint not in pool.mints:
        raise QuoteRefused(Refusal.NOT_IN_POOL, f"the pool does not trade {swap.input_mint}")
    if not 0 <= limit <= U64_MAX:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "a limit is between 0 and 2^64 - 1 base units")
    data = _SWAP2.pack(_SWAP2_DISCRIMINATOR, checked_amount(swap.amount), limit, _MODES[swap.mode])
    side_a, side_b = pool.side_a, pool.side_b
    metas = [
        _read(_AUTHORITY),
        _write(_key(pool.address)),
        _write(accounts.input_account),
        _write(accounts.output_account),
        _write(_key(side_a.vault)),
        _write(_key(side_b.vault)),
        _read(_key(side_a.mint)),
        _read(_key(side_b.mint)),
        AccountMeta(accounts.wallet, is_signer=True, is_writable=True),
        _read(_key(side_a.mint_info.program)),
        _read(_key(side_b.mint_info.program)),
        _read(_PROGRAM),
        _read(_EVENT_AUTHORITY),
        _read(_PROGRAM),
        _read(_SYSVAR_INSTRUCTIONS),
    ]
    return Instruction(_PROGRAM, data, metas)


def _key(address: Address | str) -> Pubkey:
    return Pubkey.from_string(address)


def _read(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=False, is_writable=False)


def _write(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=False, is_writable=True)
