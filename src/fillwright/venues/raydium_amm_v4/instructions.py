"""The AMM v4 swap instructions: a pool, a swap, its limit and the trader's accounts in; one instruction out.

Source: raydium-amm `instruction.rs` swap_base_in, swap_base_out and their v2 forms. Pools in status 6 or 7
read nothing of their former market, so its accounts are filled with keys that the instruction names anyway:
each spares the transaction a key.
"""

from __future__ import annotations

from enum import StrEnum

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.raydium_amm_v4.layout import AmmV4Pool, authority
from fillwright.venues.token_program import TOKEN_PROGRAM
from fillwright.venues.venue import Swap, SwapAccounts

_TOKEN_PROGRAM = Pubkey.from_string(TOKEN_PROGRAM)

EXCEEDED_SLIPPAGE = 30


class SwapForm(StrEnum):
    """The account lists that the program takes for the same swap."""

    MARKET = "market"
    """17 accounts, seven of them the former market's."""
    TARGET_ORDERS = "target_orders"
    """18 accounts: the pool's target orders come before the vaults."""
    V2 = "v2"
    """8 accounts and no market: smallest, but not proven on the bytecode that the others are proven on."""


_TAGS = {
    (SwapMode.EXACT_IN, False): 9,
    (SwapMode.EXACT_OUT, False): 11,
    (SwapMode.EXACT_IN, True): 16,
    (SwapMode.EXACT_OUT, True): 17,
}


def swap_instruction(pool: AmmV4Pool, swap: Swap, limit: int, accounts: SwapAccounts, form: SwapForm) -> Instruction:
    """`limit` is the least output for exact-in, the most input for exact-out, in base units of the wallet.

    Raises QuoteRefused `not_in_pool`, or `amount_too_large` where amount or limit doesn't fit 64 bits.
    """
    if swap.input_mint not in pool.mints:
        raise QuoteRefused(Refusal.NOT_IN_POOL, f"{swap.input_mint} is not in this pool")
    if not 0 <= swap.amount <= U64_MAX or not 0 <= limit <= U64_MAX:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "amount and limit are at most 2^64 - 1 base units")
    first, second = (swap.amount, limit) if swap.mode is SwapMode.EXACT_IN else (limit, swap.amount)
    tag = _TAGS[swap.mode, form is SwapForm.V2]
    data = bytes([tag]) + first.to_bytes(8, "little") + second.to_bytes(8, "little")
    amm, market = Pubkey.from_string(pool.address), Pubkey.from_string(pool.market)
    metas = [_readonly(_TOKEN_PROGRAM), _writable(amm), _readonly(authority(pool.program)[0])]
    if form is not SwapForm.V2:
        metas.append(_writable(amm))  # open orders
    if form is SwapForm.TARGET_ORDERS:
        metas.append(_writable(Pubkey.from_string(pool.target_orders)))
    metas += [_writable(Pubkey.from_string(vault)) for vault in pool.vaults]
    if form is not SwapForm.V2:
        metas.append(_readonly(Pubkey.from_string(pool.market_program)))
        metas += [_writable(market)] * 6  # market, bids, asks, event queue and its two vaults
        metas.append(_readonly(market))  # vault signer
    metas += [
        _writable(accounts.input_account),
        _writable(accounts.output_account),
        AccountMeta(accounts.wallet, is_signer=True, is_writable=True),
    ]
    return Instruction(Pubkey.from_string(pool.program), data, metas)


def _readonly(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=False, is_writable=False)


def _writable(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=False, is_writable=True)
