"""Every border of the engine on one page: Clock, Ids, Store, Bus, Chain, Signer.

Adapters implement these; the engine names no adapter. Each port has a conformance suite in `tests/` that
every implementation passes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from fillwright.domain.accounts import Mint
from fillwright.domain.orders import Attempt, Bid, Fill, Order, OrderEvent, OrderId, OrderStatus
from fillwright.domain.queue import QueueState
from fillwright.domain.transactions import (
    Blockhash,
    Commitment,
    LandedTransaction,
    Offer,
    SignatureStatus,
    Signed,
    Simulation,
    SwapPlan,
)


class Clock(Protocol):
    """Time. The engine asks no other."""

    def now_ms(self) -> int:
        """Wall time in milliseconds since the epoch; for records, never for expiry on chain."""

    def monotonic_s(self) -> float:
        """Seconds that never go back; for durations."""

    async def sleep(self, seconds: float) -> None: ...


class Ids(Protocol):
    """Fresh identifiers."""

    def order_id(self, now_ms: int) -> OrderId:
        """A new UUIDv7."""


class Lease(msgspec.Struct, frozen=True):
    """A worker's right to move the orders it has claimed. `epoch` is the fence: a reaped epoch never returns."""

    worker: str
    epoch: int


class Change(msgspec.Struct, frozen=True):
    """One atomic step of one order: the row, its events, and what belongs to them.

    `order` is the state after `events`; `expected_version` the one before. `lease` None: the change needs no
    ownership (a cancellation). `attempt` is inserted, or updated where its number exists, its bids apart; `fill` is
    inserted. `bid` is added, without an `attempt`, to the order's newest, which must be open and under a marker.
    `release` gives the order back to the queue, or ends the claim of one that is over.
    """

    order: Order
    events: tuple[OrderEvent, ...]
    expected_version: int
    lease: Lease | None
    attempt: Attempt | None = None
    fill: Fill | None = None
    release: bool = False
    bid: Bid | None = None


class OrderFilter(msgspec.Struct, frozen=True):
    account: str | None = None
    status: OrderStatus | None = None
    wallet: str | None = None
    input_mint: Mint | None = None
    output_mint: Mint | None = None
    dialect: str | None = None


class StoreStats(msgspec.Struct, frozen=True):
    """`by_status` counts all orders; `leased` are in a worker's hands; `due` could be claimed now."""

    by_status: dict[str, int]
    leased: int
    due: int
    delayed: int
    oldest_due_ms: int | None
    last_sequence: int


CommitListener = Callable[[Sequence[OrderEvent]], None]
"""Called on the event loop with each flush's events, in sequence order, after they are durable."""


class Store(Protocol):
    """The truth and the queue. A call that returns has been committed durably; one that raises
    `Unavailable` has not been tried; any other failure of a write leaves it *unknown*: read again."""

    async def open(self, on_commit: CommitListener) -> None: ...
    async def close(self) -> None: ...
    async def ready(self) -> None:
        """Raises Unavailable where a new order would be refused now, as far as can be told without one."""

    async def insert(self, order: Order, event: OrderEvent) -> Order:
        """Add a new order. With a `client_order_id` that the account has used before: the stored order, if its
        spec is the same. Raises IdempotencyMismatch otherwise."""

    async def insert_many(self, items: Sequence[tuple[Order, OrderEvent]]) -> list[Order | Exception]:
        """As `insert`, for many in one flush, each with its own outcome, in order."""

    async def change(self, change: Change) -> None:
        """Compare-and-set. Raises VersionConflict, StaleLease; nothing is written then. A second open
        attempt of an order, a second fill with one signature, a bid of an attempt that is closed or has no marker,
        or a second bid of one number or signature, raises StoreError."""

    async def register(self, worker: str) -> Lease:
        """A new epoch for this worker. Epochs are timed by the store's own clock: workers' clocks may differ."""

    async def heartbeat(self, lease: Lease) -> None:
        """Renew all of the worker's claims. Raises StaleLease once the epoch has been reaped."""

    async def reap(self, silent_ms: int) -> int:
        """End every epoch that has been silent for longer and release its orders; how many orders."""

    async def retire(self, lease: Lease) -> None:
        """End an epoch at once and release its orders (graceful shutdown)."""

    async def claim(
        self, lease: Lease, now_ms: int, limit: int, order_ids: Sequence[OrderId] | None = None
    ) -> list[Order]:
        """Take up to `limit` due orders that nobody holds, lowest `QueueRules.rank_ms` first; none while the queue is
        paused. `order_ids`: just of these; a store whose rules say more than that may look at all that is due.
        Raises StaleLease. Where its answer is lost, the orders may be taken all the same: see `held`."""

    async def held(self, lease: Lease) -> list[Order]:
        """Every order in the hands of this lease, as it stands, in any order; none once the epoch has ended."""

    async def queue_state(self) -> QueueState:
        """Whether orders are begun and accepted; kept until it is set again."""

    async def set_queue_state(self, state: QueueState) -> None: ...

    async def next_ready_ms(self) -> int | None:
        """When the earliest unclaimed order is due."""

    async def get(self, order_id: OrderId) -> Order | None: ...
    async def version(self, order_id: OrderId) -> int | None:
        """That of the order as it is now."""

    async def find(self, account: str, client_order_id: str) -> Order | None: ...
    async def events(self, order_id: OrderId, after: int = 0, limit: int = 1000) -> list[OrderEvent]:
        """An order's events with number > `after`, ascending."""

    async def events_since(self, sequence: int, limit: int = 1000) -> list[OrderEvent]:
        """All orders' events with sequence > `sequence`, ascending, without gaps."""

    async def attempts(self, order_id: OrderId) -> list[Attempt]:
        """Ascending by number, with their bids."""

    async def fills(self, order_id: OrderId) -> list[Fill]: ...
    async def page(self, where: OrderFilter, before: OrderId | None, limit: int) -> list[Order]:
        """Newest first (ids descend); `before` is the last id of the page before."""

    async def stats(self, now_ms: int) -> StoreStats: ...
    async def last_sequence(self) -> int: ...


AtOnce = Callable[[Sequence[OrderEvent]], bool]
"""Takes a batch without waiting: True; or leaves it to be read: False. Must not raise."""


class Subscription(Protocol):
    """One reader's feed of events. Bounded: a reader that falls behind is told by `overflowed`."""

    overflowed: bool

    async def next(self) -> Sequence[OrderEvent]:
        """The next events, in the order of publication. After `close`, or once overflowed: empty."""

    def close(self) -> None: ...


class Ring(msgspec.Struct, frozen=True):
    """Why a worker should look. `order_ids`: due orders whose ids were given to it alone, to be claimed by name;
    empty: anything may be due."""

    order_ids: tuple[OrderId, ...] = ()


class Bus(Protocol):
    """A doorbell and a fan-out. Losing it loses nothing: the store knows what is due and what has happened."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    def ring(self, order_ids: Sequence[OrderId] = ()) -> None:
        """Say that these orders are due: each id goes to one worker; without ids, that any may be due: to all.
        Never blocks; rings that nobody waits for merge. One may get lost, come twice, or come late."""

    async def wait_ring(self, timeout_s: float, room: int = 0) -> Ring | None:
        """Wait for a ring; None after `timeout_s`. It names at most `room` orders: where more wait, it names none,
        so that the store says which go first."""

    def publish(self, events: Sequence[OrderEvent]) -> None:
        """Hand committed events to every subscription. Never blocks."""

    def subscribe(self, capacity: int = 10_000, at_once: AtOnce | None = None) -> Subscription:
        """`at_once` is offered each batch first, within `publish`, as long as nothing waits unread."""


class Window(msgspec.Struct, frozen=True):
    """At most `limit` within any minute, counted under `name`."""

    name: str
    limit: int


class Grant(msgspec.Struct, frozen=True):
    """`count` may go now; after `retry_after_s` one more may (0 where all have been granted)."""

    count: int
    retry_after_s: float = 0.0


class Limiter(Protocol):
    """Sliding windows, shared by whoever shares the limiter. Always answers, and soon."""

    async def take(self, windows: Sequence[Window], wanted: int) -> Grant:
        """As many of `wanted` as all windows allow, counted in each of them. What is refused is not counted."""

    async def close(self) -> None: ...


class Cache(Protocol):
    """Bytes under a key, for a while. It may lose anything at any time; it answers soon."""

    async def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Never waits."""

    async def close(self) -> None: ...


class Chain(Protocol):
    """A chain that swaps can be landed on. Raises ChainError (or a subclass) where the answer is not usable."""

    async def latest_blockhash(self) -> Blockhash: ...

    async def block_height(self, commitment: Commitment) -> int: ...

    async def build(self, plan: SwapPlan, blockhash: Blockhash) -> bytes:
        """The unsigned message of the plan's transaction."""

    async def simulate(self, message: bytes) -> Simulation:
        """Run the message as the chain stands. Raises SimulationFailed where it would revert."""

    async def send(self, raw: bytes) -> None:
        """Hand a signed transaction to the network, without preflight and without retries by the node.
        Returning does not mean that it landed; raising does not mean that it did not."""

    async def status(self, signature: str, search_history: bool) -> SignatureStatus | None:
        """None is not a proof of absence."""

    async def transaction(self, signature: str) -> LandedTransaction | None:
        """The landed transaction at `confirmed` or better."""

    async def marker_exists(self, marker_seed: str, min_context_slot: int) -> bool:
        """Whether an order's marker account exists at `finalized`, as of a slot not older than given."""

    async def signature_in_history(self, signature: str, min_context_slot: int) -> bool:
        """Whether the wallet's finalized history holds the signature (getSignaturesForAddress)."""

    async def slot(self, commitment: Commitment) -> int: ...

    async def wait_for_news(self, signature: str, timeout_s: float) -> None:
        """Return when the signature's status may have changed, or after `timeout_s`: a hint, no answer."""


class Bidder(Protocol):
    """A chain on which transactions compete by price."""

    async def outbid(self, raw: bytes, plan: SwapPlan) -> Offer | None:
        """What the signed transaction `raw` of `plan` does, over the same blockhash, for a higher price and otherwise
        unchanged. None where the price can't rise, or nothing in `raw` makes sure that at most one of the two can
        succeed. Raises ChainError."""


class Signer(Protocol):
    """Holds the key. Signs only what it is asked to through the engine's own commit path."""

    @property
    def wallet(self) -> str:
        """The wallet's address."""

    async def sign(self, message: bytes, plan: SwapPlan) -> Signed:
        """Sign the message that was built for `plan`. A signer may refuse what the plan does not ask for: raises
        SignerRefused; nothing is signed then."""


OnShutdown = Callable[[], Awaitable[None]]
