"""The programs beside the venues that a swap's transaction calls: their ids and small instructions.

Sources: associated-token-account `instruction.rs`, spl-token `instruction.rs`, solana-system-interface.
"""

from __future__ import annotations

from functools import lru_cache

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import (
    CreateAccountWithSeedParams,
    TransferParams,
    TransferWithSeedParams,
    create_account_with_seed,
    transfer,
    transfer_with_seed,
)

from fillwright.domain.accounts import WRAPPED_SOL
from fillwright.venues.token_program import (
    ASSOCIATED_TOKEN_PROGRAM,
    TOKEN_2022_PROGRAM,
    TOKEN_PROGRAM,
    associated_account,
)

SYSTEM = Pubkey.from_string("11111111111111111111111111111111")
COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
ASSOCIATED_TOKEN = Pubkey.from_string(ASSOCIATED_TOKEN_PROGRAM)
TOKEN = Pubkey.from_string(TOKEN_PROGRAM)
TOKEN_2022 = Pubkey.from_string(TOKEN_2022_PROGRAM)
WSOL = Pubkey.from_string(WRAPPED_SOL)

CREATE_IDEMPOTENT = b"\x01"
SYNC_NATIVE = b"\x11"
CLOSE_ACCOUNT = b"\x09"
_CACHE = 16_384


def token_account(wallet: Pubkey, mint: Pubkey, token_program: Pubkey = TOKEN) -> Pubkey:
    """The wallet's associated token account of `mint`."""
    return associated_account(wallet, mint, token_program)


@lru_cache(maxsize=_CACHE)
def marker_account(wallet: Pubkey, seed: str) -> Pubkey:
    """Where the wallet's marker with this seed stands."""
    return Pubkey.create_with_seed(wallet, seed, SYSTEM)


def create_marker(wallet: Pubkey, seed: str, rent_lamports: int) -> Instruction:
    """Fails where the account exists: a second transaction of the same order can't succeed."""
    return create_account_with_seed(
        CreateAccountWithSeedParams(
            from_pubkey=wallet,
            to_pubkey=marker_account(wallet, seed),
            base=wallet,
            seed=seed,
            lamports=rent_lamports,
            space=0,
            owner=SYSTEM,
        )
    )


def sweep_marker(wallet: Pubkey, seed: str, lamports: int) -> Instruction:
    """Give a marker's rent back to the wallet. The order is unprotected afterwards."""
    return transfer_with_seed(
        TransferWithSeedParams(
            from_pubkey=marker_account(wallet, seed),
            from_base=wallet,
            from_seed=seed,
            from_owner=SYSTEM,
            to_pubkey=wallet,
            lamports=lamports,
        )
    )


def create_token_account(wallet: Pubkey, mint: Pubkey, token_program: Pubkey) -> Instruction:
    """Create the wallet's associated token account unless it is there."""
    return Instruction(
        ASSOCIATED_TOKEN,
        CREATE_IDEMPOTENT,
        [
            AccountMeta(wallet, is_signer=True, is_writable=True),
            AccountMeta(token_account(wallet, mint, token_program), is_signer=False, is_writable=True),
            AccountMeta(wallet, is_signer=False, is_writable=False),
            AccountMeta(mint, is_signer=False, is_writable=False),
            AccountMeta(SYSTEM, is_signer=False, is_writable=False),
            AccountMeta(token_program, is_signer=False, is_writable=False),
        ],
    )


def wrap(wallet: Pubkey, lamports: int) -> list[Instruction]:
    """Move `lamports` into the wallet's wSOL account, which must exist by then."""
    account = token_account(wallet, WSOL)
    return [
        transfer(TransferParams(from_pubkey=wallet, to_pubkey=account, lamports=lamports)),
        Instruction(TOKEN, SYNC_NATIVE, [AccountMeta(account, is_signer=False, is_writable=True)]),
    ]


def unwrap(wallet: Pubkey) -> Instruction:
    """Close the wallet's wSOL account: all that is in it, rent included, becomes the wallet's SOL."""
    return Instruction(
        TOKEN,
        CLOSE_ACCOUNT,
        [
            AccountMeta(token_account(wallet, WSOL), is_signer=False, is_writable=True),
            AccountMeta(wallet, is_signer=False, is_writable=True),
            AccountMeta(wallet, is_signer=True, is_writable=False),
        ],
    )


def tip(wallet: Pubkey, receiver: Pubkey, lamports: int) -> Instruction:
    return transfer(TransferParams(from_pubkey=wallet, to_pubkey=receiver, lamports=lamports))
