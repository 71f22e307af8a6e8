"""One transaction: build > simulate > sign > commit > send > confirm.

In: a routed order in a worker's hands. Out: an Outcome that has been proven, or UNPROVABLE. It commits the
signed bytes before it sends any, sends only those bytes, and calls an attempt dead only after the five
steps of `prove_absent`.
"""

from __future__ import annotations

import asyncio
import hmac
from enum import StrEnum

import msgspec

from fillwright import observe
from fillwright.domain.errors import AlreadyProcessed, ChainError
from fillwright.domain.orders import Attempt, AttemptStatus, Built, Landed, OrderError, OrderId, RolledBack, Submitted
from fillwright.domain.routes import Route
from fillwright.domain.transactions import Blockhash, Commitment, LandedTransaction, SignatureStatus, SwapPlan
from fillwright.execution.held import HeldOrder
from fillwright.ports import Chain, Clock, Signer

MAX_LANDING_ROUNDS = 3_600
"""Rounds of send and look before an attempt is given to a person; the window closes long before."""
MAX_CONTRADICTIONS = 30
"""Rounds in which the chain contradicts itself about an attempt before a person must look."""
NULLS_BEFORE_ROLLBACK = 3
"""Consecutive missing statuses after which a provisional landing counts as rolled back."""


class Ending(StrEnum):
    SWAPPED = "swapped"
    REVERTED = "reverted"
    ABSENT = "absent"
    UNPROVABLE = "unprovable"


class Outcome(msgspec.Struct, frozen=True):
    """How an attempt ended. `transaction` where it landed; `error` where it did not swap."""

    ending: Ending
    transaction: LandedTransaction | None = None
    error: OrderError | None = None


def marker_seed(secret: bytes, order_id: OrderId) -> str:
    """The seed of an order's marker account: 32 hex characters of HMAC-SHA256(secret, order id)."""
    return hmac.digest(secret, order_id.encode(), "sha256").hex()[:32]


class Attempts:
    """Builds and lands attempts on one chain. `witness` is a second, independent view of the same chain.

    `prompt`: the chain builds and simulates within milliseconds, so that a route is written together with what
    came of it; otherwise it is written first, for those who watch.
    """

    def __init__(
        self,
        *,
        chain: Chain,
        signer: Signer,
        clock: Clock,
        marker_secret: bytes,
        rebroadcast_s: float,
        witness: Chain | None = None,
        prompt: bool = False,
    ) -> None:
        self._chain = chain
        self._signer = signer
        self._clock = clock
        self._marker_secret = marker_secret
        self._rebroadcast_s = rebroadcast_s
        self._witness = witness
        self._prompt = prompt

    async def prepare(self, held: HeldOrder, route: Route) -> None:
        """Build, simulate, sign and commit the next attempt; nothing is sent.

        Raises ChainError, SimulationFailed before anything is signed, and what `HeldOrder.record` raises.
        """
        order = held.order
        number = order.attempt + 1
        seed = marker_seed(self._marker_secret, order.id) if order.spec.marker else ""
        plan = SwapPlan(
            order_id=order.id,
            attempt=number,
            owner=order.spec.wallet,
            mode=route.mode,
            input_mint=route.input_mint,
            output_mint=route.output_mint,
            amount_in=route.amount_in,
            amount_out=route.amount_out,
            limit=route.limit,
            legs=route.legs,
            marker_seed=seed,
        )
        message, blockhash = await self._built(held, plan)
        signed = await self._signer.sign(message, plan)
        attempt = Attempt(
            order_id=order.id,
            number=number,
            status=AttemptStatus.BUILT,
            signature=signed.signature,
            raw=signed.raw,
            last_valid_block_height=blockhash.last_valid_block_height,
            limit=route.limit,
            marker_seed=seed,
            created_ms=self._clock.now_ms(),
        )
        built = Built(number, signed.signature, blockhash.last_valid_block_height, route.limit)
        await held.record(built, attempt=attempt)
        observe.attempt_built(order.id, number, signed.signature)

    async def _built(self, held: HeldOrder, plan: SwapPlan) -> tuple[bytes, Blockhash]:
        """The plan's message, simulated, and its blockhash. Where the chain takes its time, the route is written
        meanwhile; it is durable before this returns or raises."""
        if self._prompt:
            await asyncio.sleep(0)
            return await self._simulated(plan)
        writing = asyncio.ensure_future(held.write_noted())
        try:
            return await self._simulated(plan)
        finally:
            await writing

    async def _simulated(self, plan: SwapPlan) -> tuple[bytes, Blockhash]:
        blockhash = await self._chain.latest_blockhash()
        message = await self._chain.build(plan, blockhash)
        await self._chain.simulate(message)
        return message, blockhash

    async def land(self, held: HeldOrder) -> Outcome:
        """Send the committed attempt until its outcome is proven. Raises what `HeldOrder.record` raises."""
        attempt = held.attempt
        if attempt is None:
            raise RuntimeError("only a committed attempt can be sent")
        nulls = contradictions = 0
        for _ in range(MAX_LANDING_ROUNDS):
            if held.attempt is not None and held.attempt.status is not AttemptStatus.LANDED:
                await self._send(held, attempt)
            await self._chain.wait_for_news(attempt.signature, self._rebroadcast_s)
            try:
                outcome, seen = await self._look(held, attempt)
            except ChainError as error:
                observe.chain_unusable(attempt.order_id, error.code)
                continue
            if outcome is not None and outcome.ending is Ending.UNPROVABLE and contradictions < MAX_CONTRADICTIONS:
                contradictions += 1
                continue
            if outcome is not None:
                return outcome
            nulls = 0 if seen else nulls + 1
            if nulls >= NULLS_BEFORE_ROLLBACK and held.attempt and held.attempt.status is AttemptStatus.LANDED:
                rolled_back = RolledBack(attempt.number, attempt.signature)
                await held.record(rolled_back, attempt=held.attempt_as(AttemptStatus.SENT))
                observe.attempt_rolled_back(attempt.order_id, attempt.number)
        return _unprovable("the chain gave no usable answer in time")

    async def _send(self, held: HeldOrder, attempt: Attempt) -> None:
        """Send the committed bytes once. An error says nothing about whether they arrived."""
        try:
            await self._chain.send(attempt.raw)
        except AlreadyProcessed:
            pass
        except ChainError as error:
            observe.send_failed(attempt.order_id, error.code)
            return
        if held.attempt is not None and held.attempt.status is AttemptStatus.BUILT:
            submitted = Submitted(attempt.number, attempt.signature)
            await held.record(submitted, attempt=held.attempt_as(AttemptStatus.SENT))
            observe.attempt_sent(attempt.order_id, attempt.number)

    async def _look(self, held: HeldOrder, attempt: Attempt) -> tuple[Outcome | None, bool]:
        """The outcome if it is final by now, and whether the signature was seen. Raises ChainError."""
        status = await self._chain.status(attempt.signature, search_history=True)
        if status is None:
            return await self.prove_absent(attempt), False
        if status.commitment is Commitment.FINALIZED:
            return await self._final(self._chain, attempt, status), True
        if held.attempt is not None and held.attempt.status is not AttemptStatus.LANDED and not status.revert:
            landed = Landed(attempt.number, attempt.signature, status.slot)
            await held.record(landed, attempt=held.attempt_as(AttemptStatus.LANDED, slot=status.slot))
        return None, True

    @staticmethod
    async def _final(chain: Chain, attempt: Attempt, status: SignatureStatus) -> Outcome | None:
        """The outcome of a signature that `chain` calls finalized, once its metadata can be read."""
        transaction = await chain.transaction(attempt.signature)
        if transaction is None:
            return None
        if status.revert or transaction.revert:
            error = OrderError(transaction.revert or status.revert, transaction.detail or status.detail)
            return Outcome(Ending.REVERTED, transaction, error)
        return Outcome(Ending.SWAPPED, transaction)

    async def prove_absent(self, attempt: Attempt) -> Outcome | None:
        """ABSENT if it is proven that the attempt can never land; its true outcome where the witness knows it;
        UNPROVABLE if marker or history contradict its absence; None while any may still change. Raises ChainError.

        In this order: finalized block height past the last valid one; signature absent with history on the
        same node; the witness, itself past that height, agrees; marker account absent at finalized, or,
        without a marker, the wallet's finalized history without the signature.
        """
        chain = self._chain
        if await chain.block_height(Commitment.FINALIZED) <= attempt.last_valid_block_height:
            return None
        slot = await chain.slot(Commitment.FINALIZED)
        if await chain.status(attempt.signature, search_history=True) is not None:
            return None
        witness = self._witness
        if witness is not None:
            if await witness.block_height(Commitment.FINALIZED) <= attempt.last_valid_block_height:
                return None
            seen = await witness.status(attempt.signature, search_history=True)
            if seen is not None:
                return await self._final(witness, attempt, seen) if seen.commitment is Commitment.FINALIZED else None
        if attempt.marker_seed:
            if await chain.marker_exists(attempt.marker_seed, slot):
                return await self._contradicted(attempt, "the order's marker account exists")
        elif await chain.signature_in_history(attempt.signature, slot):
            return await self._contradicted(attempt, "the wallet's history holds the signature")
        return Outcome(Ending.ABSENT, error=OrderError("attempt_expired", "the transaction expired before it landed"))

    async def _contradicted(self, attempt: Attempt, evidence: str) -> Outcome | None:
        """There is evidence of a landing, but no status: the metadata decides, where it can be had."""
        transaction = await self._chain.transaction(attempt.signature)
        if transaction is None:
            return _unprovable(f"{evidence}, but the transaction can't be read")
        return None if transaction.revert else Outcome(Ending.SWAPPED, transaction)


def _unprovable(message: str) -> Outcome:
    return Outcome(Ending.UNPROVABLE, error=OrderError("outcome_unprovable", message))
