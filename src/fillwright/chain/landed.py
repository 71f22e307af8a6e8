"""A landed transaction as its metadata tells it: what left the wallet, what arrived, what it cost.

In: a node's getTransaction answer. Out: a LandedTransaction. Everything is derived from the bytes and the
balances, nothing from what was planned: it reads the same after a crash.

With Δ for post − pre, W the wallet's wSOL account and `rent` what went into accounts beside the wallet:
    SOL moved by the swap = Δwallet + Δtokens(W) + fee + tips + rent
so that the wallet's change is always fills − fees − rent, to the lamport.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from solders.errors import BincodeError
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from fillwright.chain.messages import Meta, TokenBalance, TransactionJson
from fillwright.chain.programs import SYSTEM, WSOL, marker_account, token_account
from fillwright.chain.reverts import explain
from fillwright.chain.swaps import SwapCall, decode_swap
from fillwright.domain.errors import ChainError
from fillwright.domain.transactions import LandedTransaction

MAX_SEED_BYTES = 32
_SIGNED_BYTES = 1 + 64
_TRANSFER = (2).to_bytes(4, "little")
_CREATE_WITH_SEED = (3).to_bytes(4, "little")


class Parsed(msgspec.Struct, frozen=True):
    """A message with its looked-up keys: `keys` in the order in which balances are listed."""

    keys: tuple[Pubkey, ...]
    instructions: tuple[tuple[Pubkey, bytes, tuple[Pubkey, ...]], ...]

    @property
    def wallet(self) -> Pubkey:
        return self.keys[0]

    def key(self, index: int) -> Pubkey:
        """Raises ChainError where the transaction lists no such account."""
        if index >= len(self.keys):
            raise ChainError("a balance of an account that the transaction does not list", code="metadata_missing")
        return self.keys[index]

    @property
    def program_ids(self) -> list[str]:
        return [str(program) for program, _, _ in self.instructions]

    @property
    def marker(self) -> Pubkey | None:
        """The account that the first instruction creates with a seed, if it is the wallet's own."""
        program, data, accounts = self.instructions[0]
        if program != SYSTEM or not data.startswith(_CREATE_WITH_SEED) or len(accounts) < 2 or len(data) < 44:
            return None
        seed = data[44 : 44 + int.from_bytes(data[36:44], "little")]
        if len(seed) > MAX_SEED_BYTES:
            return None
        try:
            return accounts[1] if marker_account(self.wallet, seed.decode()) == accounts[1] else None
        except (UnicodeDecodeError, ValueError):
            return None

    def swaps(self) -> list[SwapCall]:
        found = (decode_swap(*part) for part in self.instructions)
        return [swap for swap in found if swap is not None]

    def tips_lamports(self) -> int:
        """What the wallet transfers to accounts that are not its own wSOL account."""
        own = token_account(self.wallet, WSOL)
        return sum(
            int.from_bytes(data[4:12], "little")
            for program, data, accounts in self.instructions
            if program == SYSTEM and data.startswith(_TRANSFER) and accounts[0] == self.wallet and accounts[1] != own
        )


def parse(raw: bytes, loaded: Sequence[str]) -> Parsed:
    """A signed transaction's bytes; `loaded` are its looked-up addresses, writable first. Raises ChainError."""
    try:
        message = VersionedTransaction.from_bytes(raw).message
        keys = (*message.account_keys, *(Pubkey.from_string(address) for address in loaded))
        parts = tuple(
            (keys[part.program_id_index], bytes(part.data), tuple(keys[index] for index in part.accounts))
            for part in message.instructions
        )
    except (BincodeError, ValueError, IndexError) as error:
        raise ChainError("a transaction that can't be read", code="transaction_unreadable") from error
    if not isinstance(message, MessageV0) and loaded:
        raise ChainError("a legacy transaction has no looked-up addresses", code="transaction_unreadable")
    return Parsed(keys, parts)


def read_landed(signature: str, answer: TransactionJson) -> LandedTransaction:
    """Raises ChainError where the metadata is missing or does not belong to a swap of ours."""
    meta = answer.meta
    if meta is None:
        raise ChainError("the node keeps no metadata of this transaction", code="metadata_missing")
    loaded = meta.loaded_addresses
    raw = answer.transaction[0]
    parsed = parse(raw, () if loaded is None else (*loaded.writable, *loaded.readonly))
    signed = Signature.from_string(signature)
    if raw[:_SIGNED_BYTES] != b"\x01" + bytes(signed) or not signed.verify(parsed.wallet, raw[_SIGNED_BYTES:]):
        raise ChainError("the node told of another transaction", code="transaction_unreadable")
    marker = parsed.marker
    revert, detail = explain(meta.err, parsed.program_ids, meta.log_messages or (), marker is not None)
    amount_in = amount_out = rent = tips = 0
    if not revert:
        tips = parsed.tips_lamports()
        amount_in, amount_out, rent = movements(parsed, meta, tips)
    return LandedTransaction(
        signature=signature,
        slot=answer.slot,
        block_time_ms=(answer.block_time or 0) * 1_000,
        revert=revert,
        detail=detail,
        amount_in=amount_in,
        amount_out=amount_out,
        fee_lamports=meta.fee + tips,
        rent_lamports=rent,
    )


def movements(parsed: Parsed, meta: Meta, tips: int) -> tuple[int, int, int]:
    """(amount in, amount out, rent in lamports) of a transaction that succeeded. Raises ChainError."""
    swaps = parsed.swaps()
    if not swaps or len(meta.pre_balances) != len(parsed.keys) or len(meta.post_balances) != len(parsed.keys):
        raise ChainError("not a swap transaction, or its balances are missing", code="metadata_missing")
    wallet, own_wsol = parsed.wallet, token_account(parsed.wallet, WSOL)
    tokens = _token_changes(parsed, meta)
    lamports = {
        key: after - before
        for key, before, after in zip(parsed.keys, meta.pre_balances, meta.post_balances, strict=True)
    }
    source, destination = swaps[0].source, swaps[-1].destination
    sol_side = own_wsol in (source, destination)
    outside = lamports[wallet] + tokens.get(own_wsol, 0) + meta.fee + tips
    if not sol_side:
        # Dust of a hop through SOL comes back with its account's rent.
        return -tokens.get(source, 0), tokens.get(destination, 0), -outside
    others = {account for swap in swaps for account in (swap.source, swap.destination)} - {own_wsol}
    rent = sum(lamports.get(account, 0) for account in others)
    rent += lamports.get(own_wsol, 0) - tokens.get(own_wsol, 0)
    if parsed.marker is not None:
        rent += lamports[parsed.marker]
    sol = outside + rent
    if source == own_wsol:
        return -sol, tokens.get(destination, 0), rent
    return -tokens.get(source, 0), sol, rent


def reserves_before(parsed: Parsed, balances: tuple[TokenBalance, ...] | None) -> dict[str, int]:
    """What every token account beside the wallet's own held before; empty where the node does not tell."""
    own = {key for swap in parsed.swaps() for key in (swap.source, swap.destination)}
    held = {parsed.key(each.account_index): int(each.ui_token_amount.amount) for each in balances or ()}
    return {str(key): units for key, units in held.items() if key not in own}


def _token_changes(parsed: Parsed, meta: Meta) -> dict[Pubkey, int]:
    changes: dict[Pubkey, int] = {}
    for sign, balances in ((-1, meta.pre_token_balances), (1, meta.post_token_balances)):
        for balance in balances or ():
            key = parsed.key(balance.account_index)
            changes[key] = changes.get(key, 0) + sign * int(balance.ui_token_amount.amount)
    return changes
