"""When an attempt bids again, and with what: a transaction that does the same for a higher price.

In: a committed attempt that no node knows anything of. Out: its next bid, simulated and signed, or none. Only under a
marker, which makes sure that at most one of an attempt's transactions can succeed. Must not: commit or send.
"""

from __future__ import annotations

import msgspec

from fillwright import observe
from fillwright.domain.errors import SignerRefused, SimulationFailed
from fillwright.domain.orders import Attempt, AttemptStatus, Bid, Order
from fillwright.domain.routes import Route
from fillwright.domain.transactions import Commitment, SwapPlan
from fillwright.ports import Bidder, Chain, Clock, Signer

WINDOW_BLOCKS = 150
"""For so many blocks a blockhash is valid."""
LAST_BID_BLOCKS = 20
"""A bid with fewer blocks left than that could hardly land before its blockhash expires: it is not made."""


class BidPolicy(msgspec.Struct, frozen=True):
    """An attempt bids again when nobody has seen it for `after_blocks` blocks since its last bid (0: never), with at
    most `max_bids` transactions in all."""

    after_blocks: int
    max_bids: int

    @property
    def is_on(self) -> bool:
        return self.after_blocks > 0 and self.max_bids > 1


class Bidding(msgspec.Struct, frozen=True):
    """What a chain on which transactions compete by price brings: `policy` says when."""

    bidder: Bidder
    policy: BidPolicy


class Bids:
    """The further bids of one attempt, while one process lands it."""

    def __init__(self, bidding: Bidding, *, chain: Chain, signer: Signer, clock: Clock) -> None:
        self._bidder = bidding.bidder
        self._policy = bidding.policy
        self._chain = chain
        self._signer = signer
        self._clock = clock
        self._not_before = 0
        self._over = False

    def end(self) -> None:
        """One of the attempt's transactions has been seen: from now on only those that there are can be sent."""
        self._over = True

    async def next(self, order: Order, attempt: Attempt) -> Bid | None:
        """The bid that is due, signed. None: it is not due, none may follow, or none would help now."""
        if not self._may_follow(attempt):
            return None
        height = await self._chain.block_height(Commitment.CONFIRMED)
        if height < max(self._not_before, self._due(attempt)):
            return None
        if height + LAST_BID_BLOCKS > attempt.last_valid_block_height:
            self._over = True
            return None
        try:
            return await self._bid(order, attempt, height)
        except (SimulationFailed, SignerRefused) as error:
            # It would be refused again: asked once more only when as much time has passed.
            self._not_before = height + self._policy.after_blocks
            observe.bid_dropped(attempt.order_id, error.code)
            return None

    def _may_follow(self, attempt: Attempt) -> bool:
        """`attempt.slot`: it was seen in a block, in an earlier life of the process too."""
        return (
            not self._over
            and attempt.marker_seed != ""
            and attempt.status is AttemptStatus.SENT
            and attempt.slot is None
            and len(attempt.bids) + 1 < self._policy.max_bids
        )

    def _due(self, attempt: Attempt) -> int:
        """The block height at which the next bid is made."""
        last = attempt.bids[-1].height if attempt.bids else attempt.last_valid_block_height - WINDOW_BLOCKS
        return last + self._policy.after_blocks

    async def _bid(self, order: Order, attempt: Attempt, height: int) -> Bid | None:
        """Raises ChainError."""
        offer = None
        if order.route is not None:
            earlier = order.bids - len(attempt.bids)
            plan = plan_of(order, order.route, attempt.number, attempt.marker_seed, earlier)
            offer = await self._bidder.outbid(attempt.newest_raw, plan)
        if offer is None:
            self._over = True
            return None
        await self._chain.simulate(offer.message)
        signed = await self._signer.sign(offer.message, plan)
        now_ms = self._clock.now_ms()
        return Bid(len(attempt.bids) + 2, signed.signature, signed.raw, offer.unit_price, height, now_ms)


def plan_of(order: Order, route: Route, number: int, marker_seed: str, bids: int) -> SwapPlan:
    """What attempt `number` of `order` does by `route`, after so many further `bids` of the attempts before it."""
    return SwapPlan(
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
        marker_seed=marker_seed,
        bids=bids,
    )
