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


class RouteView(Struct, frozen=True, kw_only=True):
    """The plan. `limit` is the bound that the chain enforces: least output (exact-in), most input (exact-out)."""

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


class QuoteView(Struct, frozen=True, kw_only=True):
    """What routing would decide now. Without an executable route `route` is null and `error` says why."""

    mode: str
    input: TokenRef
    output: TokenRef
    swap_mode: SwapMode
    amount: str
    amount_units: str
    route: RouteView | None
    candidates: list[CandidateView]
    error: ErrorView | None
    mid_price: str | None
    at: str
    slot: int


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
    quote. `attempts`: transactions signed so far; `signature` the newest one's. `error` of an order that is
    still open is its last failed attempt's.
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
    retries: int
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
