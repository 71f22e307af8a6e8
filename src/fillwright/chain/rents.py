"""Markers' rent, asked back on a real chain: which markers still stand, and transactions that empty them.

In: marker seeds whose orders can't land any more; the caller vouches for that. Out: what stands at `finalized`, and
whether a sweep landed. Must not: decide which order is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from solders.pubkey import Pubkey

from fillwright.chain.rpc import Rpc
from fillwright.chain.sweep import MARKERS_PER_TRANSACTION, existing_markers, sweep_messages
from fillwright.domain.errors import AlreadyProcessed, ChainError
from fillwright.domain.transactions import Signed
from fillwright.ports import Chain

SENDS = 30
"""How often a sweep's bytes are handed over before it is left to the next turn."""
PAUSE_S = 1.0


class SweepSigner(Protocol):
    @property
    def wallet(self) -> str: ...

    async def sweep(self, message: bytes) -> Signed:
        """Raises SignerRefused."""


class MarkerRents:
    """Implements `execution.sweeper.Rents`."""

    batch = MARKERS_PER_TRANSACTION

    def __init__(self, *, rpc: Rpc, chain: Chain, signer: SweepSigner) -> None:
        self._rpc = rpc
        self._chain = chain
        self._signer = signer
        self._wallet = Pubkey.from_string(signer.wallet)

    async def standing(self, seeds: Sequence[str]) -> list[tuple[str, int]]:
        """(seed, lamports) of those markers that stand at `finalized`. Raises ChainError."""
        return await existing_markers(self._rpc, self._wallet, seeds)

    async def give_back(self, markers: Sequence[tuple[str, int]]) -> bool:
        """Empty at most `batch` markers in one transaction; whether it was seen to land. Not seen, it may still:
        what stands then is found by the next turn. Raises ChainError, SignerRefused."""
        blockhash = await self._chain.latest_blockhash()
        (message,) = sweep_messages(self._wallet, markers[: self.batch], blockhash)
        signed = await self._signer.sweep(message)
        for _ in range(SENDS):
            try:
                await self._chain.send(signed.raw)
            except AlreadyProcessed:
                pass
            except ChainError:
                # Whether the bytes arrived is what the status says.
                pass
            await self._chain.wait_for_news(signed.signature, PAUSE_S)
            try:
                status = await self._chain.status(signed.signature, search_history=False)
            except ChainError:
                continue
            if status is not None:
                return not status.revert
        return False
