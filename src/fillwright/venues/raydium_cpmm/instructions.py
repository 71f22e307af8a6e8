"""The CPMM swap instructions: a pool, a swap, its limit and the trader's accounts in; one instruction out.

Source: raydium-cp-swap `lib.rs` swap_base_input and swap_base_output, accounts of
`instructions/swap_base_input.rs` Swap.
"""

from __future__ import annotations

from functools import lru_cache

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from fillwright.domain.accounts import Address
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.raydium_cpmm.layout import CpmmPool
from fillwright.venues.venue import Swap, SwapAccounts

_SWAP_BASE_INPUT = bytes.fromhex("8fbe5adac41e33de")
_SWAP_BASE_OUTPUT = bytes.fromhex("37d96256a34ab4ad")
_AUTHORITY_SEED = b"vault_and_lp_mint_auth_seed"
_CACHED_PROGRAMS = 16

EXCEEDED_SLIPPAGE = 6005


@lru_cache(maxsize=_CACHED_PROGRAMS)
def authority(program: Address) -> Pubkey:
    """The one authority that owns the vaults of every pool of `program`."""
    return Pubkey.find_program_address([_AUTHORITY_SEED], Pubkey.from_string(program))[0]


def swap_instruction(pool: CpmmPool, swap: Swap, limit: int, accounts: SwapAccounts) -> Instruction:
    """`limit` is the least output for exact-in, the most input for exact-out, in base units of the wallet.

    Raises QuoteRefused `not_in_pool`, or `amount_too_large` where amount or limit doesn't fit 64 bits.
    """
    if swap.input_mint not in pool.mints:
        raise QuoteRefused(Refusal.NOT_IN_POOL, f"{swap.input_mint} is not in this pool")
    if not 0 <= swap.amount <= U64_MAX or not 0 <= limit <= U64_MAX:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "amount and limit are at most 2^64 - 1 base units")
    side = pool.mints.index(swap.input_mint)
    other = 1 - side
    if swap.mode is SwapMode.EXACT_IN:
        data = _SWAP_BASE_INPUT + swap.amount.to_bytes(8, "little") + limit.to_bytes(8, "little")
    else:
        data = _SWAP_BASE_OUTPUT + limit.to_bytes(8, "little") + swap.amount.to_bytes(8, "little")
    return Instruction(
        Pubkey.from_string(pool.program),
        data,
        [
            AccountMeta(accounts.wallet, is_signer=True, is_writable=True),
            AccountMeta(authority(pool.program), is_signer=False, is_writable=False),
            _readonly(pool.config),
            _writable(pool.address),
            AccountMeta(accounts.input_account, is_signer=False, is_writable=True),
            AccountMeta(accounts.output_account, is_signer=False, is_writable=True),
            _writable(pool.vaults[side]),
            _writable(pool.vaults[other]),
            _readonly(pool.mint_infos[side].program),
            _readonly(pool.mint_infos[other].program),
            _readonly(pool.mints[side]),
            _readonly(pool.mints[other]),
            _writable(pool.observation),
        ],
    )


def _readonly(address: str) -> AccountMeta:
    return AccountMeta(Pubkey.from_string(address), is_signer=False, is_writable=False)


def _writable(address: str) -> AccountMeta:
    return AccountMeta(Pubkey.from_string(address), is_signer=False, is_writable=True)
