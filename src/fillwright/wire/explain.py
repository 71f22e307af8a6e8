"""A stored routing decision, taken again and laid out."""

from __future__ import annotations

from msgspec import Struct

from fillwright.domain.amounts import SwapMode
from fillwright.domain.orders import OrderStatus
from fillwright.wire.base import TokenRef
from fillwright.wire.orders import Decided, FillView


class ShortfallView(Struct, frozen=True, kw_only=True):
    """What the fill cost against the arrival price. Positive is worse; amounts are of `token`, to 24
    digits; the parts sum to `total` before they are rounded. `dust` stays in the wallet, in another token."""

    token: TokenRef
    benchmark: str
    delay: str
    fees: str
    impact: str
    dust: str
    timing: str
    network: str
    total: str
    total_bps: str


class TermsView(Struct, frozen=True, kw_only=True):
    """What routing was told besides the order and the market. `lookup_tables`: whether the transaction could use any;
    `tables`: which."""

    max_legs: int
    max_hops: int
    lookup_tables: bool
    tables: list[str]
    max_bytes: int
    max_locks: int
    max_compute: int
    signature_lamports: int
    priority_micro_lamports: int
    hop_tolerance_bps: int


class ExplainView(Decided, frozen=True, kw_only=True):
    """The decision of event `number`, worked out again from what was stored with it.

    `same`: whether that gives what was decided, to the unit; `differences` names what it does not. Routes, candidates
    and everything else are those of the replay. `mid_price` is as of the decision, `arrival_price` as of acceptance.
    `pools`: how many it was taken from. `fill` and `shortfall`: where this decision is the one that was executed.
    """

    mode: str
    order_id: str
    status: OrderStatus
    number: int
    at: str
    slot: int
    input: TokenRef
    output: TokenRef
    swap_mode: SwapMode
    amount: str
    amount_units: str
    same: bool
    differences: list[str]
    pools: int
    stored_bytes: int
    terms: TermsView
    arrival_price: str | None
    fill: FillView | None = None
    shortfall: ShortfallView | None = None
