"""Orders, quotes, routes and fills as the API shows them."""

from __future__ import annotations

from msgspec import Struct

from fillwright.domain.amounts import SwapMode
from fillwright.domain.orders import OrderStatus
from fillwright.wire.base import ErrorView, FeeView, TokenRef

MAX_PAGE = 200


class CandidateView(Struct, frozen=True, kw_only=True):
    """One pool's answer. Amounts are null where it refused; `behind_bps`: how much worse than the best one."""

    venue: str
    dex: str
    pool: str
    amount_in: str | None = None
    amount_in_units: str | None = None
    amount_out: str | None = None
    amount_out_units: str | None = None
    price: str | None = None
    price_impact_bps: str | None = None
    behind_bps: str | None = None
    fees: list[FeeView] = []
    refusal: str | None = None
    detail: str = ""


class LegView(Struct, frozen=True, kw_only=True):
    """One swap. `path` numbers the route's parallel token paths, `hop` the steps of one path, both from 0."""

    venue: str
    dex: str
    pool: str
    input: TokenRef
    output: TokenRef
    amount_in: str
    amount_in_units: str
    amount_out: str
    amount_out_units: str
    fees: list[FeeView]
    path: int = 0
    hop: int = 0
    price_impact_bps: str = "0"


class DustView(Struct, frozen=True):
    """What is expected to stay in the wallet of a token that only passes through: a hop is fed what the hop before
    gives at least, and what it gives beyond is left."""

    mint: str
    symbol: str
    amount: str
    amount_units: str


class RouteView(Struct, frozen=True, kw_only=True):
    """The plan. `limit` is the bound that the chain enforces: least output (exact-in), most input (exact-out).

    `cost`: network costs by which routes were compared, in the output token (exact-in) or the input token
    (exact-out). `size_bytes`, `locks`, `compute_units`: what a transaction of several legs takes; else null."""

    amount_in: str
    amount_in_units: str
    amount_out: str
    amount_out_units: str
    limit: str
    limit_units: str
    price: str
    price_impact_bps: str
    legs: list[LegView]
    slot: int
    dust: list[DustView] = []
    cost: str = "0"
    cost_units: str = "0"
    size_bytes: int | None = None
    locks: int | None = None
    compute_units: int | None = None


class HopView(Struct, frozen=True, kw_only=True):
    """The parallel swaps of one step. `legs` are positions in the route's legs, `shares_bps` their parts of the
    step's input in basis points. `dust`: what the next step is not fed; null for the last one."""

    input: TokenRef
    output: TokenRef
    legs: list[int]
    shares_bps: list[str]
    dust: str | None = None
    dust_units: str | None = None


class PathView(Struct, frozen=True, kw_only=True):
    """One of the route's parallel token paths. `share_bps`: its part of the route's input in basis points."""

    share_bps: str
    amount_in: str
    amount_in_units: str
    amount_out: str
    amount_out_units: str
    hops: list[HopView]


class Decided(Struct, frozen=True, kw_only=True):
    """What routing has decided, and how good it is.

    `paths` is the route as a tree. `best_single`: the best pool alone, net of costs. `gain_bps`: how much more the
    route gives than that one, net of costs. `bound`: no route over the pools that were looked at gives more output
    (exact-in only), however many legs it has; `behind_bound_bps`: how far the route is from it, at most.
    """

    route: RouteView | None
    paths: list[PathView] = []
    candidates: list[CandidateView]
    best_single: CandidateView | None = None
    gain_bps: str | None = None
    bound: str | None = None
    bound_units: str | None = None
    behind_bound_bps: str | None = None
    error: ErrorView | None
    mid_price: str | None


class QuoteView(Decided, frozen=True, kw_only=True):
    """What routing would decide now. Without an executable route `route` is null and `error` says why. `took_us`:
    microseconds from the request to the decision, the market's answer included; `routing_us`: of the decision alone."""

    mode: str
    input: TokenRef
    output: TokenRef
    swap_mode: SwapMode
    amount: str
    amount_units: str
    at: str
    slot: int
    took_us: int = 0
    routing_us: int = 0


class FillView(Struct, frozen=True, kw_only=True):
    """A balance change read from the chain. Fee and rent are paid in SOL, beside the amounts."""

    signature: str
    attempt: int
    amount_in: str
    amount_in_units: str
    amount_out: str
    amount_out_units: str
    price: str
    fee: str
    fee_lamports: str
    rent: str
    rent_lamports: str
    at: str
    slot: int


class OrderTerms(Struct, frozen=True, kw_only=True):
    """What the client asked for, resolved. `slippage_bps` is null where an explicit bound replaces it."""

    client_order_id: str | None
    type: str
    wallet: str
    input: TokenRef
    output: TokenRef
    swap_mode: SwapMode
    amount: str
    amount_units: str
    slippage_bps: int | None
    min_out: str | None
    max_in: str | None
    venues: tuple[str, ...]
    exclude_venues: tuple[str, ...]
    pools: tuple[str, ...]
    exclude_pools: tuple[str, ...]
    max_legs: int | None
    max_hops: int | None
    direct_only: bool
    fill_to_price: str | None = None
    not_before: str | None
    priority: int
    hold: bool


class OrderLinks(Struct, frozen=True):
    self: str
    events: str
    stream: str


class OrderView(OrderTerms, frozen=True, kw_only=True):
    """An order as its events have left it; `version` is the number of its last event.

    `arrival_price`: mid at acceptance. `executed_price`: the fill's. `realised_slippage_bps`: fill against
    quote. `attempts`: transactions signed so far, and `bids`: further ones that do the same as the newest of those, for
    a higher price; `signature`: of the newest, or of the one that landed. `error` of an order that is still open is its
    last failed attempt's. `failed_fee_lamports`: network fees of its transactions that failed on chain, beside the
    fill's.
    """

    mode: str
    id: str
    status: OrderStatus
    version: int
    arrival_price: str | None
    executed_price: str | None
    realised_slippage_bps: str | None
    route: RouteView | None
    fill: FillView | None
    error: ErrorView | None
    attempts: int
    bids: int = 0
    retries: int
    failed_fee_lamports: str = "0"
    signature: str | None
    created_at: str
    updated_at: str
    started_at: str | None
    ready_at: str | None
    slot: int | None
    links: OrderLinks


class OrderPage(Struct, frozen=True):
    """Newest first. `next_cursor` is opaque, and null on the last page."""

    mode: str
    orders: list[OrderView]
    next_cursor: str | None
