"""One transaction: build > simulate > sign > commit > send > confirm.

In: a routed order in a worker's hands. Out: an Outcome that has been proven, or UNPROVABLE. It commits signed bytes
before it sends any, and sends only those bytes: of an attempt that has bid again, the newest bid's. What became of
them `outcomes` reads; when to bid again `bids` knows.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable

from fillwright import observe
from fillwright.domain.errors import AlreadyProcessed, ChainError
from fillwright.domain.orders import (
    Attempt,
    AttemptStatus,
    Built,
    Landed,
    OrderId,
    Rebid,
    RolledBack,
    Submitted,
)
from fillwright.domain.routes import Route
from fillwright.domain.transactions import Blockhash, SignatureStatus, SwapPlan
from fillwright.execution.bids import Bidding, Bids, plan_of
from fillwright.execution.held import HeldOrder
from fillwright.execution.outcomes import Ending, Outcome, Outcomes, Sight, unprovable
from fillwright.ports import Chain, Clock, Signer

MAX_LANDING_ROUNDS = 3_600
"""Rounds of send and look before an attempt is given to a person; the window closes long before."""
MAX_CONTRADICTIONS = 30
"""Rounds in which the chain contradicts itself about an attempt before a person must look."""
MAX_FEE_DOUBTS = 5
"""Rounds in which it does not tell what a failed transaction has paid before the attempt is closed without that."""
MAX_SEEN = 10_000
"""Attempts of which a process remembers that one of their transactions was seen; the oldest give way."""
SETTLING_PACE = 5
"""How much slower an attempt is looked at that has swapped for good, and only waits for its other bids' fees."""
NULLS_BEFORE_ROLLBACK = 3
"""Consecutive looks without it after which a provisional landing counts as rolled back."""


def marker_seed(secret: bytes, order_id: OrderId) -> str:
    """The seed of an order's marker account: 32 hex characters of HMAC-SHA256(secret, order id)."""
    return hmac.digest(secret, order_id.encode(), "sha256").hex()[:32]


class Attempts:
    """Builds and lands attempts on one chain. `witness` is a second, independent view of the same chain. `bidding`:
    attempts that nobody sees bid again; None where transactions do not compete by price.

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
        bidding: Bidding | None = None,
    ) -> None:
        self._chain = chain
        self._signer = signer
        self._clock = clock
        self._marker_secret = marker_secret
        self._rebroadcast_s = rebroadcast_s
        self._outcomes = Outcomes(chain, witness)
        self._prompt = prompt
        self._bidding = bidding if bidding is not None and bidding.policy.is_on else None
        self._seen: dict[tuple[OrderId, int], None] = {}

    async def prepare(self, held: HeldOrder, route: Route) -> None:
        """Build, simulate, sign and commit the next attempt; nothing is sent.

        Raises ChainError, SimulationFailed before anything is signed, and what `HeldOrder.record` raises.
        """
        order = held.order
        number = order.attempt + 1
        seed = marker_seed(self._marker_secret, order.id) if order.spec.marker else ""
        plan = plan_of(order, route, number, seed, order.bids)
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
        bids = None if self._bidding is None else self._bids(_committed(held))
        wait_s = self._rebroadcast_s
        unseen = doubts = 0
        for _ in range(MAX_LANDING_ROUNDS):
            attempt = _committed(held)
            if attempt.status is not AttemptStatus.LANDED:
                await self._send(held, attempt)
            await self._wait(attempt, wait_s)
            sight = await self._look(held, bids)
            if sight is None:
                continue
            outcome = sight.outcome
            if outcome is not None and (not outcome.doubtful or doubts >= _most_doubts(outcome)):
                return outcome
            if outcome is not None:
                doubts += 1
                continue
            wait_s = self._rebroadcast_s * (SETTLING_PACE if sight.settling else 1)
            unseen = 0 if sight.landed is not None else unseen + 1
            if sight.landed is not None:
                await self._note_landing(held, *sight.landed)
            elif unseen >= NULLS_BEFORE_ROLLBACK:
                await self._note_rollback(held)
        return unprovable("the chain gave no usable answer in time")

    def _wait(self, attempt: Attempt, wait_s: float) -> Awaitable[None]:
        """Until there is news of one of the attempt's transactions, or for `wait_s`."""
        if attempt.bids:
            return self._any_news(attempt, wait_s)
        return self._chain.wait_for_news(attempt.signature, wait_s)

    async def _any_news(self, attempt: Attempt, wait_s: float) -> None:
        waits = [asyncio.ensure_future(self._chain.wait_for_news(each, wait_s)) for each in attempt.signatures]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _look(self, held: HeldOrder, bids: Bids | None) -> Sight | None:
        """One look, and the next bid where nothing was seen. None: the chain gave no usable answer."""
        attempt = _committed(held)
        seen: dict[str, SignatureStatus] = {}
        sight = None
        try:
            sight = await self._outcomes.look(attempt, seen)
            if bids is not None and not seen and sight.outcome is None:
                await self._bid_again(held, bids)
        except ChainError as error:
            observe.chain_unusable(attempt.order_id, error.code)
        finally:
            # Whatever ends this look, also the loss of the lease: the order may come back to this process.
            if bids is not None and seen:
                bids.end()
                self._remember_seen(attempt)
        return sight

    async def _send(self, held: HeldOrder, attempt: Attempt) -> None:
        """Send the newest committed bytes once. An error says nothing about whether they arrived."""
        try:
            await self._chain.send(attempt.newest_raw)
        except AlreadyProcessed:
            pass
        except ChainError as error:
            observe.send_failed(attempt.order_id, error.code)
            return
        if attempt.status is AttemptStatus.BUILT:
            submitted = Submitted(attempt.number, attempt.signature)
            await held.record(submitted, attempt=held.attempt_as(AttemptStatus.SENT))
            observe.attempt_sent(attempt.order_id, attempt.number)

    def _bids(self, attempt: Attempt) -> Bids | None:
        """Those that may follow; None where none may: without a marker two of them could succeed, and none follows
        what was seen, though a write that failed has made its journey begin anew."""
        if self._bidding is None or not attempt.marker_seed or (attempt.order_id, attempt.number) in self._seen:
            return None
        return Bids(self._bidding, chain=self._chain, signer=self._signer, clock=self._clock)

    def _remember_seen(self, attempt: Attempt) -> None:
        self._seen[attempt.order_id, attempt.number] = None
        while len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]

    @staticmethod
    async def _bid_again(held: HeldOrder, bids: Bids) -> None:
        """Commit the next bid, if it is due; it is sent with the next round. Raises ChainError."""
        attempt = _committed(held)
        bid = await bids.next(held.order, attempt)
        if bid is not None:
            await held.record(Rebid(attempt.number, bid.number, bid.signature, bid.unit_price), bid=bid)
            observe.bid_built(attempt.order_id, attempt.number, bid.number, bid.unit_price)

    @staticmethod
    async def _note_landing(held: HeldOrder, signature: str, slot: int) -> None:
        attempt = _committed(held)
        if attempt.status is not AttemptStatus.LANDED:
            landed = Landed(attempt.number, signature, slot)
            await held.record(landed, attempt=held.attempt_as(AttemptStatus.LANDED, slot=slot))

    @staticmethod
    async def _note_rollback(held: HeldOrder) -> None:
        attempt = _committed(held)
        if attempt.status is AttemptStatus.LANDED:
            rolled_back = RolledBack(attempt.number, held.order.signature or attempt.signature)
            await held.record(rolled_back, attempt=held.attempt_as(AttemptStatus.SENT, slot=attempt.slot))
            observe.attempt_rolled_back(attempt.order_id, attempt.number)


def _most_doubts(outcome: Outcome) -> int:
    """In how many rounds an outcome may be doubtful before it is taken for what it is."""
    return MAX_CONTRADICTIONS if outcome.ending is Ending.UNPROVABLE else MAX_FEE_DOUBTS


def _committed(held: HeldOrder) -> Attempt:
    """The attempt in hand: nothing else may be sent."""
    if held.attempt is None:
        raise RuntimeError("only a committed attempt can be sent")
    return held.attempt
