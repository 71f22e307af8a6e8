"""The engine with one known bug each. The simulation must catch every one of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from fillwright.domain.errors import AlreadyProcessed, BlockhashNotFound, ChainError, StoreError, Unavailable
from fillwright.domain.orders import Attempt, AttemptStatus, OrderError, Rebid, Submitted
from fillwright.domain.transactions import Commitment, SignatureStatus
from fillwright.execution.attempt import Attempts
from fillwright.execution.bids import Bids
from fillwright.execution.held import HeldOrder
from fillwright.execution.journey import Journey
from fillwright.execution.outcomes import Ending, Outcome, Outcomes, Sight
from fillwright.execution.worker import Worker

_GONE = Outcome(Ending.ABSENT, error=OrderError("attempt_expired", "believed gone"))


class _Reads(Outcomes):
    """Asks the attempts that it belongs to."""

    def __init__(self, attempts: Believing, chain: Any, witness: Any) -> None:
        super().__init__(chain, witness)
        self._attempts = attempts

    async def prove_absent(self, attempt: Attempt, missing: Sequence[str]) -> Outcome | None:
        return await self._attempts.prove_absent(attempt, missing)


class Believing(Attempts, ABC):
    """Proves absence in a way of its own."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._outcomes: Outcomes = _Reads(self, given["chain"], given["witness"])

    @abstractmethod
    async def prove_absent(self, attempt: Attempt, missing: Sequence[str]) -> Outcome | None:
        """As `Outcomes.prove_absent`."""


class Looking(Attempts):
    """Reads the chain in a way of its own."""

    outcomes: type[Outcomes]

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._outcomes = self.outcomes(given["chain"], given["witness"])


class SignAgainOnTimeout(Believing):
    """Calls an attempt dead when ten seconds have passed without a status."""

    async def prove_absent(self, attempt: Attempt, missing: Sequence[str]) -> Outcome | None:
        return _GONE if self._clock.now_ms() - attempt.created_ms > 10_000 else None


class SignAgainOnBlockhashNotFound(Believing):
    """Takes BlockhashNotFound for a proof that the attempt did not land."""

    _expired = False

    async def _send(self, held: HeldOrder, attempt: Attempt) -> None:
        try:
            await self._chain.send(attempt.newest_raw)
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

    async def prove_absent(self, attempt: Attempt, missing: Sequence[str]) -> Outcome | None:
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


class ExpiryByWallClock(Believing):
    """Counts the window in seconds instead of blocks."""

    async def prove_absent(self, attempt: Attempt, missing: Sequence[str]) -> Outcome | None:
        if self._clock.now_ms() - attempt.created_ms <= 60_000:
            return None
        for signature in missing:
            if await self._chain.status(signature, search_history=True) is not None:
                return None
        return _GONE


class ExpiryAtConfirmed(Believing):
    """Looks at the confirmed height, and at nothing but statuses."""

    async def prove_absent(self, attempt: Attempt, missing: Sequence[str]) -> Outcome | None:
        if await self._chain.block_height(Commitment.CONFIRMED) <= attempt.last_valid_block_height:
            return None
        for signature in missing:
            if await self._chain.status(signature, search_history=True) is not None:
                return None
        return _GONE


class NoHistorySearch(Believing):
    """Asks only the recent-status cache, and believes it."""

    async def prove_absent(self, attempt: Attempt, missing: Sequence[str]) -> Outcome | None:
        if await self._chain.block_height(Commitment.FINALIZED) <= attempt.last_valid_block_height:
            return None
        for signature in missing:
            if await self._chain.status(signature, search_history=False) is not None:
                return None
        return _GONE


class SingleRpcBelieved(Believing):
    """Takes one node's word, without witness, marker or history."""

    async def prove_absent(self, attempt: Attempt, missing: Sequence[str]) -> Outcome | None:
        if await self._chain.block_height(Commitment.FINALIZED) <= attempt.last_valid_block_height:
            return None
        for signature in missing:
            if await self._chain.status(signature, search_history=True) is not None:
                return None
        return _GONE


class _Hasty(Outcomes):
    """Takes the first status for the last word, though a fork can still abandon the block."""

    async def look(self, attempt: Attempt, seen: dict[str, SignatureStatus]) -> Sight:
        sight = await super().look(attempt, seen)
        if sight.outcome is not None or sight.landed is None:
            return sight
        signature, slot = sight.landed
        final = {**seen, signature: SignatureStatus(slot, Commitment.FINALIZED)}
        return Sight(await self._standing(attempt, signature, final), sight.landed)


class ConfirmedWhenProcessed(Looking):
    outcomes = _Hasty


class _Despairing(Outcomes):
    """Takes the first provisional failure for the last word, though a fork can let the same bytes succeed."""

    async def look(self, attempt: Attempt, seen: dict[str, SignatureStatus]) -> Sight:
        sight = await super().look(attempt, seen)
        if sight.landed is None and any(status.revert for status in seen.values()):
            return Sight(Outcome(Ending.REVERTED, error=OrderError("program_error", "")))
        return sight


class RevertedWhenProcessed(Looking):
    outcomes = _Despairing


class ForgetsOpenAttempts(Journey):
    """After a restart, signs anew instead of settling what an earlier life committed."""

    async def _resume(self, held: HeldOrder) -> None:
        attempts = await self._store.attempts(held.order.id)
        held.attempt = attempts[-1]
        await self._settle(held, _GONE)


class _Unmarked(Bids):
    def _may_follow(self, attempt: Attempt) -> bool:
        return super()._may_follow(msgspec.structs.replace(attempt, marker_seed="any"))


class BidsWithoutMarker(Attempts):
    """Bids again though nothing stops two bids from succeeding both."""

    def _bids(self, attempt: Attempt) -> Bids | None:
        if self._bidding is None:
            return None
        return _Unmarked(self._bidding, chain=self._chain, signer=self._signer, clock=self._clock)


class SendsBidBeforeCommit(Attempts):
    """Sends a bid as soon as it is signed, and commits it afterwards."""

    async def _bid_again(self, held: HeldOrder, bids: Bids) -> None:  # type: ignore[override]
        attempt = held.attempt
        bid = await bids.next(held.order, attempt) if attempt is not None else None
        if bid is None or attempt is None:
            return
        try:
            await self._chain.send(bid.raw)
        except ChainError:
            pass
        await held.record(Rebid(attempt.number, bid.number, bid.signature, bid.unit_price), bid=bid)


class SendsBidOfUnknownCommit(Attempts):
    """Goes on with a bid although the store has not answered that it was committed."""

    async def _bid_again(self, held: HeldOrder, bids: Bids) -> None:  # type: ignore[override]
        attempt = held.attempt
        bid = await bids.next(held.order, attempt) if attempt is not None else None
        if bid is None or attempt is None:
            return
        try:
            await held.record(Rebid(attempt.number, bid.number, bid.signature, bid.unit_price), bid=bid)
        except (StoreError, Unavailable):
            held.attempt = msgspec.structs.replace(attempt, bids=(*attempt.bids, bid))


class _OneFailed(Outcomes):
    """Calls an attempt dead once one of its bids has failed for good, though another can still land."""

    async def _failing(self, attempt: Attempt, seen: Mapping[str, SignatureStatus]) -> Outcome | None:
        failed = [signature for signature, status in seen.items() if status.commitment is Commitment.FINALIZED]
        transaction = await self._chain.transaction(failed[0]) if failed else None
        if transaction is None:
            return await super()._failing(attempt, seen)
        return Outcome(Ending.REVERTED, transaction, OrderError(transaction.revert, ""))


class EndsWithOneFailedBid(Looking):
    outcomes = _OneFailed


class _NewestOnly(Outcomes):
    """Looks at the newest bid, as if no older one could land any more."""

    async def look(self, attempt: Attempt, seen: dict[str, SignatureStatus]) -> Sight:
        signature, raw = attempt.signatures[-1], attempt.newest_raw
        return await super().look(msgspec.structs.replace(attempt, signature=signature, raw=raw, bids=()), seen)


class LooksAtNewestBidOnly(Looking):
    outcomes = _NewestOnly


class _WinnerOnly(Outcomes):
    """Takes an attempt for over once one bid has swapped, though others can still fail, and pay for it."""

    async def _standing(self, attempt: Attempt, landed: str, seen: Mapping[str, SignatureStatus]) -> Outcome | None:
        only = msgspec.structs.replace(attempt, signature=landed, bids=())
        return (await super().look(only, dict(seen))).outcome


class BooksTheWinnerOnly(Looking):
    outcomes = _WinnerOnly


class _Blind(Outcomes):
    async def look(self, attempt: Attempt, seen: dict[str, SignatureStatus]) -> Sight:
        return await super().look(attempt, {})


class BidsOnAfterSeen(Looking):
    """Bids more although a transaction of the attempt stands in a block."""

    outcomes = _Blind


class ForgetsBids(Journey):
    """After a restart, settles only the first transaction of what an earlier life committed."""

    async def _resume(self, held: HeldOrder) -> None:
        store = self._store

        class Forgetful:
            async def attempts(self, order_id: Any) -> list[Attempt]:
                return [msgspec.structs.replace(each, bids=()) for each in await store.attempts(order_id)]

        self._store = Forgetful()  # type: ignore[assignment]
        try:
            await super()._resume(held)
        finally:
            self._store = store


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
    guards_bids: bool = True
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
    Mutant("bids_without_marker", attempts=BidsWithoutMarker, guards_bids=False),
    Mutant("sends_bid_before_commit", attempts=SendsBidBeforeCommit),
    Mutant("sends_bid_of_unknown_commit", attempts=SendsBidOfUnknownCommit),
    Mutant("ends_with_one_failed_bid", attempts=EndsWithOneFailedBid),
    Mutant("looks_at_newest_bid_only", attempts=LooksAtNewestBidOnly),
    Mutant("books_the_winner_only", attempts=BooksTheWinnerOnly),
    Mutant("bids_on_after_seen", attempts=BidsOnAfterSeen),
    Mutant("forgets_bids", journey=ForgetsBids),
)
