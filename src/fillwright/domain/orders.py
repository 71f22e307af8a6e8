"""Orders, attempts, fills and the events that an order consists of.

An order is the fold of its events (`lifecycle.apply`); events are immutable and numbered 1..n per order.
Records are msgspec structs: an order is rebuilt and encoded at every transition, and frozen dataclasses
cost several times as much there.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NewType

import msgspec

from fillwright.domain.accounts import Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.routes import Candidate, Route

OrderId = NewType("OrderId", str)
"""A UUIDv7 in lower-case canonical spelling."""


class OrderType(StrEnum):
    MARKET = "market"


class OrderStatus(StrEnum):
    WAITING = "waiting"
    PENDING = "pending"
    ROUTING = "routing"
    BUILDING = "building"
    SUBMITTED = "submitted"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    NEEDS_REVIEW = "needs_review"


class AttemptStatus(StrEnum):
    BUILT = "built"
    SENT = "sent"
    LANDED = "landed"
    REVERTED = "reverted"
    EXPIRED = "expired"


class OrderSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the client asked for; never changes.

    `amount`: base units of the input (exact-in) or the output (exact-out). `limit`: an explicit min-out or
    max-in, which then replaces `slippage_bps`. `not_before_ms`: the order is not due earlier.
    `hold`: accepted, but waits for an explicit release. `venues`, `pools`: only these, where not empty.
    `fill_to`: the least output base units per input base unit, as a fraction such as "3/2000": as much of `amount`
    is executed as gets that much; "" for all or nothing.
    `dialect`: the client dialect it came in, and `dialect_fields` what that dialect wants to see again.
    """

    account: str
    wallet: str
    type: OrderType
    input_mint: Mint
    output_mint: Mint
    mode: SwapMode
    amount: int
    slippage_bps: int
    limit: int | None = None
    client_order_id: str | None = None
    not_before_ms: int | None = None
    hold: bool = False
    priority: int = 0
    marker: bool = True
    venues: tuple[str, ...] = ()
    exclude_venues: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    exclude_pools: tuple[str, ...] = ()
    max_legs: int | None = None
    max_hops: int | None = None
    direct_only: bool = False
    fill_to: str = ""
    dialect: str = ""
    dialect_fields: dict[str, str] = {}


class OrderError(msgspec.Struct, frozen=True):
    """Why an order or an attempt ended badly. `code` is stable and public."""

    code: str
    message: str


class Fill(msgspec.Struct, frozen=True):
    """A balance change read from the chain; unique by signature.

    `amount_in` left the wallet, `amount_out` arrived; fee and rent are lamports beside them.
    """

    signature: str
    order_id: OrderId
    attempt: int
    amount_in: int
    amount_out: int
    fee_lamports: int
    rent_lamports: int
    slot: int
    at_ms: int


class Bid(msgspec.Struct, frozen=True):
    """A further transaction of an attempt: it does exactly what the attempt's first one does, over the same blockhash,
    for a higher price. Committed, with its raw bytes, before any byte is sent.

    `number` counts an attempt's transactions; the first is the attempt itself, so bids begin at 2. `unit_price` in
    micro-lamports per compute unit. `height`: the confirmed block height when it was signed.
    """

    number: int
    signature: str
    raw: bytes
    unit_price: int
    height: int
    created_ms: int


class Attempt(msgspec.Struct, frozen=True):
    """One signed transaction of an order, or, under a marker, several `bids` of which at most one can succeed.
    Committed, with its raw bytes, before any byte is sent.

    `fee_lamports`: what its transactions paid once they have landed, whether they swapped or reverted. `slot`: where
    it was last seen.
    """

    order_id: OrderId
    number: int
    status: AttemptStatus
    signature: str
    raw: bytes
    last_valid_block_height: int
    limit: int
    marker_seed: str
    created_ms: int
    error: OrderError | None = None
    slot: int | None = None
    fee_lamports: int = 0
    bids: tuple[Bid, ...] = ()

    @property
    def signatures(self) -> tuple[str, ...]:
        """Of all its transactions, the oldest first."""
        return (self.signature, *(bid.signature for bid in self.bids))

    @property
    def newest_raw(self) -> bytes:
        """The bytes of its newest transaction: the one that is sent."""
        return self.bids[-1].raw if self.bids else self.raw


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """The order is durable. `arrival_price`: mid of the pair then (decimal string, output per input), at `slot`."""

    spec: OrderSpec
    ready_at_ms: int | None
    arrival_price: str | None = None
    slot: int | None = None


class Triggered(msgspec.Struct, frozen=True, tag="triggered"):
    reason: str = ""


class Routed(msgspec.Struct, frozen=True, tag="routing"):
    """A routing decision with everything it was taken from. `route` is None where nothing was executable.

    `replay`: the pools, the clock and the terms that the decision follows from (`routing.replay`).
    """

    candidates: tuple[Candidate, ...]
    route: Route | None
    slot: int
    replay: bytes = b""


class Built(msgspec.Struct, frozen=True, tag="building"):
    """Attempt `attempt` is signed and committed; nothing has been sent yet."""

    attempt: int
    signature: str
    last_valid_block_height: int
    limit: int


class Submitted(msgspec.Struct, frozen=True, tag="submitted"):
    """The attempt's bytes have been handed to the network."""

    attempt: int
    signature: str


class Rebid(msgspec.Struct, frozen=True, tag="rebid"):
    """Transaction number `bid` of the attempt is signed and committed, at a higher `unit_price` (micro-lamports per
    compute unit); nothing of it has been sent yet. At most one of the attempt's transactions can succeed."""

    attempt: int
    bid: int
    signature: str
    unit_price: int


class Landed(msgspec.Struct, frozen=True, tag="landed"):
    """The attempt was seen in a block that is not final yet; it can still be rolled back."""

    attempt: int
    signature: str
    slot: int


class RolledBack(msgspec.Struct, frozen=True, tag="rolled_back"):
    """The block that held the attempt was abandoned; the same bytes are sent again."""

    attempt: int
    signature: str


class Retrying(msgspec.Struct, frozen=True, tag="retrying", omit_defaults=True):
    """The attempt (0: before one was built) ended without a swap; another follows at `retry_at_ms`. `fee_lamports`:
    paid by its transactions for failing on chain."""

    attempt: int
    error: OrderError
    retry_at_ms: int
    fee_lamports: int = 0


class Confirmed(msgspec.Struct, frozen=True, tag="confirmed", omit_defaults=True):
    """`fee_lamports`: paid by other bids of the same attempt for failing on chain, beside what the fill has cost."""

    fill: Fill
    fee_lamports: int = 0


class Failed(msgspec.Struct, frozen=True, tag="failed", omit_defaults=True):
    """`fee_lamports`: paid by the attempt's transactions for failing on chain."""

    error: OrderError
    attempt: int = 0
    fee_lamports: int = 0


class Cancelled(msgspec.Struct, frozen=True, tag="cancelled"):
    reason: str = ""


class Expired(msgspec.Struct, frozen=True, tag="expired"):
    error: OrderError


class NeedsReview(msgspec.Struct, frozen=True, tag="needs_review"):
    """Nothing about the attempt's outcome can be proven; a person must look."""

    error: OrderError
    attempt: int = 0


EventBody = (
    Accepted
    | Triggered
    | Routed
    | Built
    | Submitted
    | Rebid
    | Landed
    | RolledBack
    | Retrying
    | Confirmed
    | Failed
    | Cancelled
    | Expired
    | NeedsReview
)


class OrderEvent(msgspec.Struct, frozen=True):
    """`number` counts the order's events from 1; `sequence` counts all events (0 until committed).

    `status` is the order's status after the event.
    """

    order_id: OrderId
    number: int
    at_ms: int
    status: OrderStatus
    body: EventBody
    sequence: int = 0

    @property
    def kind(self) -> str:
        """The event's public name, such as `routing`."""
        return str(self.body.__struct_config__.tag)


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """An order as its events have left it. `version` is the number of its last event.

    `ready_at_ms`: when a worker should take it; None while it waits or after it has ended.
    `attempt`: number of the newest attempt, 0 before the first; `bids`: further transactions that the attempts have
    bid with. `signature`: of the newest transaction, or of the one that landed. `started_ms`: when execution first
    began. `failed_fee_lamports`: paid by all its transactions that failed on chain.
    """

    id: OrderId
    spec: OrderSpec
    status: OrderStatus
    version: int
    created_ms: int
    updated_ms: int
    ready_at_ms: int | None = None
    started_ms: int | None = None
    attempt: int = 0
    retries: int = 0
    route: Route | None = None
    arrival_price: str | None = None
    signature: str | None = None
    fill: Fill | None = None
    error: OrderError | None = None
    bids: int = 0
    failed_fee_lamports: int = 0
