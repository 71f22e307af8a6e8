"""The swap instruction of DAMM v1.

In: a pool, a swap, a bound and the trader's accounts. Out: an instruction. Must not quote: the bound is given.
Layout: `dynamic-amm` `swap` (Anchor discriminator `global:swap`, then in_amount and minimum_out_amount as u64).
"""

from __future__ import annotations

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from fillwright.domain.accounts import Address
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.meteora_damm_v1.layout import PROGRAM_ID, VAULT_PROGRAM_ID, DammV1Pool
from fillwright.venues.meteora_damm_v1.quote import index_of
from fillwright.venues.token_program import TOKEN_PROGRAM
from fillwright.venues.venue import Swap, SwapAccounts

SLIPPAGE_CODES = frozenset({6004})
"""`ExceededSlippage` of the pool's program. The vault's program says MathOverflow with the same number."""

_SWAP = bytes.fromhex("f8c69e91e17587c8")
_PROGRAM = Pubkey.from_string(PROGRAM_ID)
_VAULT_PROGRAM = Pubkey.from_string(VAULT_PROGRAM_ID)
_TOKEN_PROGRAM = Pubkey.from_string(TOKEN_PROGRAM)


def swap_instruction(pool: DammV1Pool, swap: Swap, limit: int, accounts: SwapAccounts) -> Instruction:
    """Swap exactly `swap.amount` for at least `limit`. Raises QuoteRefused.

    The program compares `limit` before the lending vault rounds the withdrawal, so the wallet can receive
    one share's worth less. A depeg pool's stake account goes last, whether its price is stale or not.
    """
    if swap.mode is not SwapMode.EXACT_IN:
        raise QuoteRefused(Refusal.UNSUPPORTED_MODE, "DAMM v1 swaps an exact input only")
    given = index_of(pool, swap.input_mint)
    if not (0 < swap.amount <= U64_MAX and 0 <= limit <= U64_MAX):
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "the amount or its bound does not fit 64 bits")
    vault_a, vault_b = pool.vaults
    metas = [
        _writable(pool.address),
        AccountMeta(accounts.input_account, is_signer=False, is_writable=True),
        AccountMeta(accounts.output_account, is_signer=False, is_writable=True),
        _writable(vault_a.address),
        _writable(vault_b.address),
        _writable(vault_a.token_vault),
        _writable(vault_b.token_vault),
        _writable(vault_a.lp_mint),
        _writable(vault_b.lp_mint),
        _writable(pool.lp_accounts[0]),
        _writable(pool.lp_accounts[1]),
        _writable(pool.protocol_fee_accounts[given]),
        AccountMeta(accounts.wallet, is_signer=True, is_writable=True),
        AccountMeta(_VAULT_PROGRAM, is_signer=False, is_writable=False),
        AccountMeta(_TOKEN_PROGRAM, is_signer=False, is_writable=False),
    ]
    if pool.stable is not None and pool.stable.depeg is not None:
        stake_account = Pubkey.from_string(pool.stable.depeg.stake_account)
        metas.append(AccountMeta(stake_account, is_signer=False, is_writable=False))
    data = _SWAP + swap.amount.to_bytes(8, "little") + limit.to_bytes(8, "little")
    return Instruction(_PROGRAM, data, metas)


def _writable(address: Address) -> AccountMeta:
    return AccountMeta(Pubkey.from_string(address), is_signer=False, is_writable=True)
