"""A chain behind a bad network, for tests: sends and answers go wrong as told.

In: a chain and a `Faults` record, all off by default. Out: the same port. Must not: touch the chain's own state.
"""

from __future__ import annotations

from dataclasses import dataclass

from fillwright.domain.errors import AlreadyProcessed, ChainError
from fillwright.domain.transactions import (
    Blockhash,
    Commitment,
    LandedTransaction,
    SignatureStatus,
    Simulation,
    SwapPlan,
)
from fillwright.ports import Chain


@dataclass(slots=True)
class Faults:
    """Counts say how many of the next calls go wrong; each is used up by one.

    `drop_sends`: nothing arrives, and nobody is told. `refuse_sends`: nothing arrives, and the caller gets an
    error. `duplicate_sends`: the bytes arrive twice. `lose_replies`: the bytes arrive, and the caller gets an
    error. `null_statuses`: a status that exists is denied. `lag_slots`: statuses are this far behind, while
    heights are not, as of two nodes behind one address.
    """

    drop_sends: int = 0
    refuse_sends: int = 0
    duplicate_sends: int = 0
    lose_replies: int = 0
    null_statuses: int = 0
    lag_slots: int = 0


class FaultyChain:
    """Implements `ports.Chain` over another chain."""

    def __init__(self, chain: Chain, faults: Faults) -> None:
        self._chain = chain
        self._faults = faults

    async def latest_blockhash(self) -> Blockhash:
        return await self._chain.latest_blockhash()

    async def block_height(self, commitment: Commitment) -> int:
        return await self._chain.block_height(commitment)

    async def build(self, plan: SwapPlan, blockhash: Blockhash) -> bytes:
        return await self._chain.build(plan, blockhash)

    async def simulate(self, message: bytes) -> Simulation:
        return await self._chain.simulate(message)

    async def send(self, raw: bytes) -> None:
        if self._strikes("drop_sends"):
            return
        if self._strikes("refuse_sends"):
            raise ChainError("connection refused")
        await self._chain.send(raw)
        if self._strikes("duplicate_sends"):
            try:
                await self._chain.send(raw)
            except AlreadyProcessed:
                # The network's second copy meets the first one: nobody hears of it.
                return
        if self._strikes("lose_replies"):
            raise ChainError("connection reset before the reply")

    async def status(self, signature: str, search_history: bool) -> SignatureStatus | None:
        status = await self._chain.status(signature, search_history)
        if status is None:
            return None
        if self._strikes("null_statuses"):
            return None
        if await self._chain.slot(Commitment.PROCESSED) - status.slot < self._faults.lag_slots:
            return None
        return status

    async def transaction(self, signature: str) -> LandedTransaction | None:
        return await self._chain.transaction(signature)

    async def marker_exists(self, marker_seed: str, min_context_slot: int) -> bool:
        return await self._chain.marker_exists(marker_seed, min_context_slot)

    async def signature_in_history(self, signature: str, min_context_slot: int) -> bool:
        return await self._chain.signature_in_history(signature, min_context_slot)

    async def slot(self, commitment: Commitment) -> int:
        return await self._chain.slot(commitment)

    async def wait_for_news(self, signature: str, timeout_s: float) -> None:
        await self._chain.wait_for_news(signature, timeout_s)

    def _strikes(self, fault: str) -> bool:
        left: int = getattr(self._faults, fault)
        if left <= 0:
            return False
        setattr(self._faults, fault, left - 1)
        return True
