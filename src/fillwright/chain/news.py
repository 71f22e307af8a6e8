"""Hints that a signature's status may have changed, over one node's WebSocket; a plain wait where there is none.

In: signatures. Out: waits that end early. A signature is followed from the first wait on, and each of its
commitments is told once: whoever asks again and again does not hear the same news for ever.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from fillwright.chain.stream import Stream, Subscription
from fillwright.domain.transactions import Commitment
from fillwright.ports import Clock

MAX_FOLLOWED = 2_048
"""Signatures followed at the same time; the one that was asked for least lately gives way."""
TOLD = (Commitment.CONFIRMED, Commitment.FINALIZED)


class SignatureNews:
    """`stream` None: there are no hints."""

    def __init__(self, stream: Stream | None, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._followed: OrderedDict[str, _Followed] = OrderedDict()

    async def wait(self, signature: str, timeout_s: float) -> None:
        """Return at the next news of `signature` that was not told yet, or after `timeout_s`."""
        stream = self._stream
        if stream is None or not stream.is_connected:
            await self._clock.sleep(timeout_s)
            return
        followed = self._follow(stream, signature)
        timer = asyncio.create_task(self._clock.sleep(timeout_s))
        waiter = asyncio.create_task(followed.news.wait())
        try:
            await asyncio.wait((timer, waiter), return_when=asyncio.FIRST_COMPLETED)
            followed.news.clear()
        finally:
            for task in (timer, waiter):
                task.cancel()
            await asyncio.gather(timer, waiter, return_exceptions=True)

    def _follow(self, stream: Stream, signature: str) -> _Followed:
        followed = self._followed.get(signature)
        if followed is None:
            followed = self._followed[signature] = _Followed(stream, signature)
        self._followed.move_to_end(signature)
        while len(self._followed) > MAX_FOLLOWED:
            self._followed.popitem(last=False)[1].close()
        return followed


class _Followed:
    """One signature's subscriptions, one for each commitment that has not been told."""

    def __init__(self, stream: Stream, signature: str) -> None:
        self.news = asyncio.Event()
        self._subscriptions: dict[Commitment, Subscription] = {}
        for commitment in TOLD:
            params = [signature, {"commitment": commitment}]
            self._subscriptions[commitment] = stream.subscribe(
                "signatureSubscribe",
                params,
                lambda _, told=commitment: self._tell(told),  # type: ignore[misc]
            )

    def close(self) -> None:
        for subscription in self._subscriptions.values():
            subscription.close()
        self._subscriptions.clear()

    def _tell(self, commitment: Commitment) -> None:
        self.news.set()
        subscription = self._subscriptions.pop(commitment, None)
        if subscription is not None:
            subscription.close()
