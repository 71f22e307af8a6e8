"""The program's swap instructions.

A pool, amounts and the trader's accounts in, an `Instruction` out. Account orders and flags:
raydium-clmm `instructions/swap_v2.rs` (both token programs) and `instructions/swap.rs` (SPL Token only).
"""

from __future__ import annotations

from collections.abc import Sequence

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from fillwright.domain.accounts import Mint
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.raydium_clmm.layout import ClmmPool
from fillwright.venues.raydium_clmm.tick_arrays import array_number
from fillwright.venues.token_program import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from fillwright.venues.venue import SwapAccounts

MEMO_PROGRAM = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"
MAX_TICK_ARRAYS = 9
"""Arrays named in one instruction unless its caller wants fewer or the swap itself needs more: the price can move
on while it is on its way."""

_SWAP = bytes((248, 198, 158, 145, 225, 117, 135, 200))
_SWAP_V2 = bytes((43, 4, 237, 11, 26, 201, 30, 98))
_NO_PRICE_LIMIT = bytes(16)


def swap_v2(
    pool: ClmmPool, input_mint: Mint, amount: int, limit: int, accounts: SwapAccounts, *, exact_in: bool, arrays: int
) -> Instruction:
    """`swap_v2`, for mints of either token program, naming the `arrays` nearest tick arrays in swap direction.

    `limit` is the least output for exact-in, the most input for exact-out, transfer fees included.
    Raises QuoteRefused `missing_account` where no tick array is known in that direction.
    """
    mint_0_in = input_mint == pool.mint_0
    mint_in, mint_out = (pool.mint_0, pool.mint_1) if mint_0_in else (pool.mint_1, pool.mint_0)
    metas = [
        *_leading_accounts(pool, mint_0_in, accounts),
        _read(TOKEN_PROGRAM),
        _read(TOKEN_2022_PROGRAM),
        _read(MEMO_PROGRAM),
        _read(mint_in),
        _read(mint_out),
        *_extension(pool),
        *(_write(address) for address in arrays_ahead(pool, mint_0_in, arrays)),
    ]
    return _instruction(pool, _SWAP_V2, amount, limit, exact_in, metas)


def swap(
    pool: ClmmPool, input_mint: Mint, amount: int, limit: int, accounts: SwapAccounts, *, exact_in: bool, arrays: int
) -> Instruction:
    """The older `swap`, four accounts shorter, for pools whose mints both belong to SPL Token.

    `limit` and `arrays` as for `swap_v2`. Raises QuoteRefused: `unsupported_feature` for Token-2022 mints,
    `missing_account`.
    """
    if TOKEN_2022_PROGRAM in (pool.info_0.program, pool.info_1.program):
        raise QuoteRefused(Refusal.UNSUPPORTED_FEATURE, "`swap` takes no Token-2022 mints")
    mint_0_in = input_mint == pool.mint_0
    first, *others = arrays_ahead(pool, mint_0_in, arrays)
    metas = [
        *_leading_accounts(pool, mint_0_in, accounts),
        _read(TOKEN_PROGRAM),
        _write(first),
        *_extension(pool),
        *(_write(address) for address in others),
    ]
    return _instruction(pool, _SWAP, amount, limit, exact_in, metas)


def arrays_ahead(pool: ClmmPool, zero_for_one: bool, most: int) -> list[str]:
    """Up to `most` held tick arrays in swap direction, nearest first: the current one, if initialised, leads.

    Raises QuoteRefused `missing_account` where there are none.
    """
    current = array_number(pool.tick, pool.tick_spacing)
    ahead = [
        array.address
        for array in (reversed(pool.arrays) if zero_for_one else pool.arrays)
        if _is_ahead(array_number(array.start, pool.tick_spacing), current, zero_for_one)
    ]
    if not ahead:
        raise QuoteRefused(Refusal.MISSING_ACCOUNT, "no tick array is known in this direction")
    return list(ahead[:most])


def arrays_crossed(pool: ClmmPool, zero_for_one: bool, tick_after: int) -> int:
    """How many of `arrays_ahead` a swap reads that ends at `tick_after`, the one it ends in included."""
    current = array_number(pool.tick, pool.tick_spacing)
    last = array_number(tick_after, pool.tick_spacing)
    numbers = [array_number(array.start, pool.tick_spacing) for array in pool.arrays]
    between = sum(1 for number in numbers if min(current, last) <= number <= max(current, last))
    # From a gap the program looks for its next tick in the array beyond.
    return between + (last not in numbers)


def _is_ahead(number: int, current: int, zero_for_one: bool) -> bool:
    return number <= current if zero_for_one else number >= current


def _leading_accounts(pool: ClmmPool, mint_0_in: bool, accounts: SwapAccounts) -> Sequence[AccountMeta]:
    vault_in, vault_out = (pool.vault_0, pool.vault_1) if mint_0_in else (pool.vault_1, pool.vault_0)
    return (
        AccountMeta(accounts.wallet, is_signer=True, is_writable=True),
        _read(pool.config),
        _write(pool.address),
        AccountMeta(accounts.input_account, is_signer=False, is_writable=True),
        AccountMeta(accounts.output_account, is_signer=False, is_writable=True),
        _write(vault_in),
        _write(vault_out),
        _write(pool.observation),
    )


def _extension(pool: ClmmPool) -> tuple[AccountMeta, ...]:
    return () if pool.extension is None else (_read(pool.extension),)


def _read(address: str) -> AccountMeta:
    return AccountMeta(Pubkey.from_string(address), is_signer=False, is_writable=False)


def _write(address: str) -> AccountMeta:
    return AccountMeta(Pubkey.from_string(address), is_signer=False, is_writable=True)


def _instruction(
    pool: ClmmPool, tag: bytes, amount: int, limit: int, exact_in: bool, metas: Sequence[AccountMeta]
) -> Instruction:
    data = b"".join(
        (tag, amount.to_bytes(8, "little"), limit.to_bytes(8, "little"), _NO_PRICE_LIMIT, bytes((exact_in,)))
    )
    return Instruction(Pubkey.from_string(pool.program), data, list(metas))
