"""What has become of an attempt's transactions, as far as a chain can be believed.

In: a committed attempt. Out: a Sight of it, with its Outcome once that is proven. Of an attempt's bids at most one
can succeed, so it ends when one has, or when none can any more: each has failed at `finalized`, or is absent by the
five steps of `prove_absent`. Must not: send, sign or write anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from fillwright.domain.errors import ChainError
from fillwright.domain.orders import Attempt, OrderError
from fillwright.domain.transactions import Commitment, LandedTransaction, RevertReason, SignatureStatus
from fillwright.ports import Chain

Transactions = dict[str, LandedTransaction]
"""By signature."""
_HISTORY_TOO_LONG = "history_too_long"


class Ending(StrEnum):
    SWAPPED = "swapped"
    REVERTED = "reverted"
    ABSENT = "absent"
    UNPROVABLE = "unprovable"


class Outcome(msgspec.Struct, frozen=True):
    """How an attempt ended. `transaction` where it landed; `error` where it did not swap; `fees_beside`: what others
    of its bids have paid for failing. `doubtful`: the chain contradicts itself, or does not tell what was paid; it may
    tell better later."""

    ending: Ending
    transaction: LandedTransaction | None = None
    error: OrderError | None = None
    fees_beside: int = 0
    doubtful: bool = False


class Sight(msgspec.Struct, frozen=True):
    """One look at an attempt. `outcome`: None while it is not final. `landed`: which of its transactions stands in a
    block as a success, and in which slot; `settling`: for good, but other bids may still fail and pay."""

    outcome: Outcome | None = None
    landed: tuple[str, int] | None = None
    settling: bool = False


class Outcomes:
    """Reads one chain. `witness` is a second, independent view of the same chain."""

    def __init__(self, chain: Chain, witness: Chain | None) -> None:
        self._chain = chain
        self._witness = witness

    async def look(self, attempt: Attempt, seen: dict[str, SignatureStatus]) -> Sight:
        """Raises ChainError; `seen` has then, too, what the chain has told of the attempt's signatures."""
        if attempt.bids:
            return await self._look_at_all(attempt, seen)
        signature = attempt.signature
        status = await self._chain.status(signature, search_history=True)
        if status is None:
            return Sight(await self.prove_absent(attempt, (signature,)))
        seen[signature] = status
        if status.revert:
            return Sight(await self._failing(attempt, seen))
        if status.commitment is not Commitment.FINALIZED:
            return Sight(None, (signature, status.slot))
        transaction = await self._chain.transaction(signature)
        if transaction is None or transaction.revert:
            return Sight(None if transaction is None else _reverted({signature: transaction}), (signature, status.slot))
        return Sight(Outcome(Ending.SWAPPED, transaction))

    async def _look_at_all(self, attempt: Attempt, seen: dict[str, SignatureStatus]) -> Sight:
        """`look` at an attempt with further bids."""
        for signature in attempt.signatures:
            status = await self._chain.status(signature, search_history=True)
            if status is not None:
                seen[signature] = status
        for signature, status in seen.items():
            if not status.revert:
                final = _is_final(status)
                outcome = await self._standing(attempt, signature, seen) if final else None
                return Sight(outcome, (signature, status.slot), final and outcome is None)
        return Sight(await self._failing(attempt, seen))

    async def prove_absent(self, attempt: Attempt, missing: Sequence[str]) -> Outcome | None:
        """Of those of the attempt's signatures that are `missing`: ABSENT if it is proven that none of them can ever
        land; what they came to where the witness knows it; UNPROVABLE if marker or history contradict their absence;
        None while any may still change. Raises ChainError.

        In this order: finalized block height past the last valid one; signatures absent with history on the
        same node; the witness, itself past that height, agrees; marker account absent at finalized, or,
        without a marker, the wallet's finalized history without the signature.
        """
        closed = await self._closed(attempt, missing)
        if closed is None:
            return None
        told, slot = closed
        swapped = next((each for each in told.values() if not each.revert), None)
        if swapped is not None:
            return Outcome(Ending.SWAPPED, swapped, fees_beside=_fees(told, but=swapped.signature))
        unknown = [signature for signature in missing if signature not in told]
        if unknown and attempt.marker_seed:
            if await self._chain.marker_exists(attempt.marker_seed, slot):
                return await self._contradicted(unknown, told, "the order's marker account exists")
        elif unknown and await self._chain.signature_in_history(attempt.signature, slot):
            return await self._contradicted(unknown, told, "the wallet's history holds the signature")
        return await self._without_swap(unknown, told)

    async def _standing(self, attempt: Attempt, landed: str, seen: Mapping[str, SignatureStatus]) -> Outcome | None:
        """The outcome where `landed` is called a final success, once its metadata can be read and every other bid
        has failed or is gone: what those have paid is part of the order's books."""
        transaction = await self._chain.transaction(landed)
        if transaction is None:
            return None
        if transaction.revert:
            failed = {**seen, landed: msgspec.structs.replace(seen[landed], revert=transaction.revert)}
            return await self._failing(attempt, failed)
        others = [signature for signature in attempt.signatures if signature != landed]
        failed_too = await self._read([signature for signature in others if signature in seen], seen)
        missing = [signature for signature in others if signature not in seen]
        closed = await self._closed(attempt, missing) if missing else ({}, 0)
        if failed_too is None or closed is None:
            return None
        told, slot = closed
        doubtful = False
        for signature in missing:
            if signature not in told and await self._is_in_history(signature, slot):
                late = await self._chain.transaction(signature)
                doubtful = doubtful or late is None
                told |= {signature: late} if late is not None else {}
        fees = _fees(failed_too) + _fees(told)
        return Outcome(Ending.SWAPPED, transaction, fees_beside=fees, doubtful=doubtful)

    async def _failing(self, attempt: Attempt, seen: Mapping[str, SignatureStatus]) -> Outcome | None:
        """The outcome where none of the signatures is seen as a success."""
        failed = await self._read(list(seen), seen)
        if failed is None:
            return None
        missing = [signature for signature in attempt.signatures if signature not in seen]
        if not missing:
            return _reverted(failed)
        rival = await self._behind_marker(failed, missing)
        if rival is not None:
            return await self._standing(attempt, rival.signature, {**seen, rival.signature: _final_status(rival)})
        outcome = await self.prove_absent(attempt, missing)
        if outcome is None or not failed:
            return outcome
        if outcome.ending in (Ending.SWAPPED, Ending.UNPROVABLE):
            return msgspec.structs.replace(outcome, fees_beside=outcome.fees_beside + _fees(failed))
        told = {outcome.transaction.signature: outcome.transaction} if outcome.transaction is not None else {}
        both = _reverted({**failed, **told}) or outcome
        fees = both.fees_beside + outcome.fees_beside
        return msgspec.structs.replace(both, fees_beside=fees, doubtful=outcome.doubtful)

    async def _behind_marker(self, failed: Transactions, missing: Sequence[str]) -> LandedTransaction | None:
        """The bid that made the marker on which another one has failed for good: it is as final as that one."""
        marked = [each.slot for each in failed.values() if each.revert == RevertReason.MARKER_EXISTS]
        for signature in missing if marked else ():
            found = await self._chain.transaction(signature)
            if found is not None and not found.revert and found.slot <= max(marked):
                return found
        return None

    async def _read(self, signatures: Sequence[str], seen: Mapping[str, SignatureStatus]) -> Transactions | None:
        """These transactions, all of which must be final and readable; None otherwise."""
        found: Transactions = {}
        for signature in signatures:
            transaction = await self._chain.transaction(signature) if _is_final(seen[signature]) else None
            if transaction is None:
                return None
            status = seen[signature]
            if not transaction.revert and status.revert:
                transaction = msgspec.structs.replace(transaction, revert=status.revert, detail=status.detail)
            found[signature] = transaction
        return found

    async def _closed(self, attempt: Attempt, missing: Sequence[str]) -> tuple[Transactions, int] | None:
        """What the witness knows of the missing ones, none of which can land any more or is known to this node, as of
        a finalized slot. None where that is not so yet. Raises ChainError."""
        chain, last = self._chain, attempt.last_valid_block_height
        if await chain.block_height(Commitment.FINALIZED) <= last:
            return None
        slot = await chain.slot(Commitment.FINALIZED)
        for signature in missing:
            if await chain.status(signature, search_history=True) is not None:
                return None
        told: Transactions = {}
        witness = self._witness
        if witness is None:
            return told, slot
        if await witness.block_height(Commitment.FINALIZED) <= last:
            return None
        for signature in missing:
            status = await witness.status(signature, search_history=True)
            if status is None:
                continue
            transaction = await witness.transaction(signature) if _is_final(status) else None
            if transaction is None:
                return None
            revert = transaction.revert or status.revert
            told[signature] = msgspec.structs.replace(transaction, revert=revert)
        return told, slot

    async def _contradicted(self, unknown: Sequence[str], told: Transactions, evidence: str) -> Outcome | None:
        """There is evidence of a landing, but no status: the metadata decides, where it can be had."""
        found = {signature: await self._chain.transaction(signature) for signature in unknown}
        for transaction in found.values():
            if transaction is not None and not transaction.revert:
                known = {**told, **{each.signature: each for each in found.values() if each is not None}}
                return Outcome(Ending.SWAPPED, transaction, fees_beside=_fees(known, but=transaction.signature))
        if None in found.values():
            error = OrderError("outcome_unprovable", f"{evidence}, but the transaction can't be read")
            return Outcome(Ending.UNPROVABLE, error=error, doubtful=True)
        return None

    async def _without_swap(self, unknown: Sequence[str], told: Transactions) -> Outcome | None:
        """The outcome where none has swapped. Those that no status tells of may have failed and paid all the same:
        their metadata is asked for. Only a fee hangs on it: where a node does not answer, the outcome is doubtful."""
        doubtful = False
        for signature in unknown:
            try:
                late = await self._chain.transaction(signature)
            except ChainError:
                doubtful = True
                continue
            if late is not None and not late.revert:
                return None
            told |= {signature: late} if late is not None else {}
        outcome = _reverted(told) or _absent()
        return msgspec.structs.replace(outcome, doubtful=True) if doubtful else outcome

    async def _is_in_history(self, signature: str, slot: int) -> bool:
        """Whether a bid beside the one that succeeded has landed: only its fee hangs on it, so a history that is too
        long to search counts as one without it."""
        try:
            return await self._chain.signature_in_history(signature, slot)
        except ChainError as error:
            if error.code != _HISTORY_TOO_LONG:
                raise
            return False


def unprovable(message: str) -> Outcome:
    return Outcome(Ending.UNPROVABLE, error=OrderError("outcome_unprovable", message))


def _is_final(status: SignatureStatus) -> bool:
    return status.commitment is Commitment.FINALIZED


def _final_status(transaction: LandedTransaction) -> SignatureStatus:
    return SignatureStatus(transaction.slot, Commitment.FINALIZED)


def _fees(transactions: Transactions, but: str = "") -> int:
    return sum(each.fee_lamports for signature, each in transactions.items() if signature != but)


def _absent() -> Outcome:
    return Outcome(Ending.ABSENT, error=OrderError("attempt_expired", "the transaction expired before it landed"))


def _reverted(failed: Transactions) -> Outcome | None:
    """The outcome of bids that have all failed, for the reason of one that did not fail on the marker, if any did."""
    if not failed:
        return None
    first = min(failed.values(), key=lambda each: (each.revert == RevertReason.MARKER_EXISTS, each.slot))
    error = OrderError(first.revert, first.detail)
    return Outcome(Ending.REVERTED, first, error, _fees(failed, but=first.signature))
