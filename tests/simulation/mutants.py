"""The engine with one known bug each. The simulation must catch every one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from fillwright.domain.errors import AlreadyProcessed, BlockhashNotFound, ChainError
from fillwright.domain.orders import Attempt, AttemptStatus, OrderError, Submitted
from fillwright.domain.transactions import Commitment, SignatureStatus
from fillwright.execution.attempt import Attempts, Ending, Outcome
from fillwright.execution.held import HeldOrder
from fillwright.execution.journey import Journey
from fillwright.execution.worker import Worker

_GONE = Outcome(Ending.ABSENT, error=OrderError("attempt_expired", "believed gone"))


class SignAgainOnTimeout(Attempts):
    """Calls an attempt dead when ten seconds have passed without a status."""

    async def prove_absent(self, attempt: Attempt) -> Outcome | None:
        return _GONE if self._clock.now_ms() - attempt.created_ms > 10_000 else None


class SignAgainOnBlockhashNotFound(Attempts):
    """Takes BlockhashNotFound for a proof that the attempt did not land."""

    _expired = False

    async def _send(self, held: HeldOrder, attempt: Attempt) -> None:
        try:
            await self._chain.send(attempt.raw)
        except AlreadyProcessed:
            pass
        except BlockhashNotFound:
            self._expired_signatures.add(attempt.signature)
            return
        except ChainError:
            return
        if held.attempt is not None and held.attempt.status is AttemptStatus.BUILT:
            submitted = Submitted(attempt.number, attempt.signature)
            await held.record(submitted, attempt=held.attempt_as(AttemptStatus.SENT))

    @property
    def _expired_signatures(self) -> set[str]:
        return self.__dict__.setdefault("_gone", set())

    async def prove_absent(self, attempt: Attempt) -> Outcome | None:
        return _GONE if attempt.signature in self._expired_signatures else None


class SendBeforeCommit(Attempts):
    """Sends as soon as it has signed, and commits afterwards."""

    async def prepare(self, held: HeldOrder, route: object) -> None:
        signer, chain = self._signer, self._chain

        class Eager:
            wallet = signer.wallet

            async def sign(self, message: bytes, plan: object) -> object:
                signed = await signer.sign(message, plan)
                try:
                    await chain.send(signed.raw)
                except ChainError:
                    pass
                return signed

        self._signer = Eager()  # type: ignore[assignment]
        try:
            await super().prepare(held, route)  # type: ignore[arg-type]
        finally:
            self._signer = signer


class ExpiryByWallClock(Attempts):
    """Counts the window in seconds instead of blocks."""

    async def prove_absent(self, attempt: Attempt) -> Outcome | None:
        if self._clock.now_ms() - attempt.created_ms <= 60_000:
            return None
        if await self._chain.status(attempt.signature, search_history=True) is not None:
            return None
        return _GONE


class ExpiryAtConfirmed(Attempts):
    """Looks at the confirmed height, and at nothing but statuses."""

    async def prove_absent(self, attempt: Attempt) -> Outcome | None:
        if await self._chain.block_height(Commitment.CONFIRMED) <= attempt.last_valid_block_height:
            return None
        if await self._chain.status(attempt.signature, search_history=True) is not None:
            return None
        return _GONE


class NoHistorySearch(Attempts):
    """Asks only the recent-status cache, and believes it."""

    async def prove_absent(self, attempt: Attempt) -> Outcome | None:
        if await self._chain.block_height(Commitment.FINALIZED) <= attempt.last_valid_block_height:
            return None
        if await self._chain.status(attempt.signature, search_history=False) is not None:
            return None
        return _GONE


class SingleRpcBelieved(Attempts):
    """Takes one node's word, without witness, marker or history."""

    async def prove_absent(self, attempt: Attempt) -> Outcome | None:
        if await self._chain.block_height(Commitment.FINALIZED) <= attempt.last_valid_block_height:
            return None
        if await self._chain.status(attempt.signature, search_history=True) is not None:
            return None
        return _GONE


class ConfirmedWhenProcessed(Attempts):
    """Takes the first status for the last word, though a fork can still abandon the block."""

    async def _look(self, held: HeldOrder, attempt: Attempt) -> tuple[Outcome | None, bool]:
        status = await self._chain.status(attempt.signature, search_history=True)
        if status is None:
            return await self.prove_absent(attempt), False
        final = SignatureStatus(status.slot, Commitment.FINALIZED, status.revert)
        return await self._final(self._chain, attempt, final), True


class RevertedWhenProcessed(Attempts):
    """Signs again on a provisional failure, though a fork can let the same bytes succeed."""

    async def _look(self, held: HeldOrder, attempt: Attempt) -> tuple[Outcome | None, bool]:
        status = await self._chain.status(attempt.signature, search_history=True)
        if status is not None and status.revert:
            return Outcome(Ending.REVERTED, error=OrderError(status.revert, "")), True
        return await super()._look(held, attempt)


class ForgetsOpenAttempts(Journey):
    """After a restart, signs anew instead of settling what an earlier life committed."""

    async def _resume(self, held: HeldOrder) -> None:
        attempts = await self._store.attempts(held.order.id)
        held.attempt = attempts[-1]
        await self._settle(held, _GONE)


class AsksNoWitness(Attempts):
    """Gives an order to a person though the witness that it was given could tell."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{**given, "witness": None})


class ForgetsLostClaims(Worker):
    """Never looks for orders that it was given in an answer it did not get."""

    async def _adopt(self) -> None: ...


class Mutant(msgspec.Struct, frozen=True):
    """`engine` is None where the bug sits in the store."""

    name: str
    attempts: type[Attempts] = Attempts
    journey: type[Journey] = Journey
    worker: type[Worker] = Worker
    fencing: bool = True
    idempotent: bool = True
    alter: Callable[[], None] | None = None


SOUND = Mutant("sound")
MUTANTS = (
    Mutant("sign_again_on_timeout", attempts=SignAgainOnTimeout),
    Mutant("sign_again_on_blockhash_not_found", attempts=SignAgainOnBlockhashNotFound),
    Mutant("send_before_commit", attempts=SendBeforeCommit),
    Mutant("expiry_by_wall_clock", attempts=ExpiryByWallClock),
    Mutant("expiry_at_confirmed", attempts=ExpiryAtConfirmed),
    Mutant("no_fencing", fencing=False),
    Mutant("no_idempotency_key", idempotent=False),
    Mutant("no_history_search", attempts=NoHistorySearch),
    Mutant("single_rpc_believed", attempts=SingleRpcBelieved),
    Mutant("confirmed_when_processed", attempts=ConfirmedWhenProcessed),
    Mutant("reverted_when_processed", attempts=RevertedWhenProcessed),
    Mutant("forgets_open_attempts", journey=ForgetsOpenAttempts),
    Mutant("asks_no_witness", attempts=AsksNoWitness),
    Mutant("forgets_lost_claims", worker=ForgetsLostClaims),
)
