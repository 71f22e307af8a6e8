"""What clients send: quote and order requests."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from fillwright.domain.amounts import SwapMode
from fillwright.domain.orders import OrderType
from fillwright.wire.base import AddressText, DecimalText, TimeText, TokenText, UnitsText

MAX_CLIENT_ORDER_ID_CHARS = 128
MAX_LISTED = 32
"""How many venues or pools an order may name in one list."""
MAX_PRIORITY = 100
MAX_LEGS = 16
MAX_HOPS = 4
ClientOrderId = Annotated[str, Meta(min_length=1, max_length=MAX_CLIENT_ORDER_ID_CHARS, pattern=r"^[!-~]+$")]
VenueList = Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=MAX_LISTED)]
PoolList = Annotated[list[AddressText], Meta(max_length=MAX_LISTED)]


class QuoteRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What to price. Exactly one of `amount` and `amount_units`: of the input for `exact_in`, of the output for
    `exact_out`. At most one of `slippage_bps` and an explicit bound: `min_out` (exact-in) or `max_in`
    (exact-out). `venues` and `exclude_venues` take venue ids and DEX names; empty lists allow everything.
    `fill_to_price` (exact-in): as much of the amount is executed as gets at least this price, the rest is left."""

    input: TokenText
    output: TokenText
    swap_mode: SwapMode = SwapMode.EXACT_IN
    amount: DecimalText | None = None
    amount_units: UnitsText | None = None
    slippage_bps: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    min_out: DecimalText | None = None
    max_in: DecimalText | None = None
    venues: VenueList = []
    exclude_venues: VenueList = []
    pools: PoolList = []
    exclude_pools: PoolList = []
    max_legs: Annotated[int, Meta(ge=1, le=MAX_LEGS)] | None = None
    max_hops: Annotated[int, Meta(ge=1, le=MAX_HOPS)] | None = None
    direct_only: bool = False
    fill_to_price: DecimalText | None = None


class OrderRequest(QuoteRequest, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What to execute. `client_order_id` makes it safe to send again: the same body gives the same order.
    `not_before`: not executed earlier. `hold`: waits for an explicit release. Higher `priority` goes first."""

    type: OrderType = OrderType.MARKET
    client_order_id: ClientOrderId | None = None
    wallet: AddressText | None = None
    not_before: TimeText | None = None
    priority: Annotated[int, Meta(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    hold: bool = False
