"""Markers' rent given back, many in one transaction.

In: the seeds of orders whose every attempt is finalized, or expired at finalized; the caller vouches for that.
Out: unsigned messages. Sweeping earlier would unlock an order that may still land twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from solders.compute_budget import set_compute_unit_limit
from solders.pubkey import Pubkey

from fillwright.chain import programs
from fillwright.chain.messages import AccountJson, InContext
from fillwright.chain.rpc import Rpc
from fillwright.chain.transaction import compile_message
from fillwright.domain.errors import ChainError
from fillwright.domain.transactions import Blockhash

MARKERS_PER_TRANSACTION = 8
"""Each takes a key of 32 bytes and an instruction of about 90."""
MARKERS_PER_QUESTION = 100
_UNITS_EACH = 500
_UNITS_BASE = 1_000


async def existing_markers(rpc: Rpc, wallet: Pubkey, seeds: Sequence[str]) -> list[tuple[str, int]]:
    """(seed, lamports) of those markers that stand at `finalized`. Raises ChainError."""
    found: list[tuple[str, int]] = []
    for at in range(0, len(seeds), MARKERS_PER_QUESTION):
        part = seeds[at : at + MARKERS_PER_QUESTION]
        keys = [str(programs.marker_account(wallet, seed)) for seed in part]
        params = [keys, {"encoding": "base64", "commitment": "finalized"}]
        answer = await rpc.call("getMultipleAccounts", params, InContext[list[AccountJson | None]])
        if len(answer.value) != len(part):
            raise ChainError("the node answered for another number of accounts")
        held = zip(part, answer.value, strict=True)
        found += [(seed, account.lamports) for seed, account in held if account is not None and account.lamports]
    return found


def sweep_messages(wallet: Pubkey, markers: Sequence[tuple[str, int]], blockhash: Blockhash) -> Iterator[bytes]:
    """Messages that move each marker's lamports to the wallet, MARKERS_PER_TRANSACTION at a time."""
    for at in range(0, len(markers), MARKERS_PER_TRANSACTION):
        part = markers[at : at + MARKERS_PER_TRANSACTION]
        moves = [programs.sweep_marker(wallet, seed, lamports) for seed, lamports in part]
        yield compile_message(
            [set_compute_unit_limit(_UNITS_BASE + _UNITS_EACH * len(part)), *moves], wallet, blockhash
        )
