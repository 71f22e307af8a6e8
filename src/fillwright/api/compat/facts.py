"""What every dialect shows of an order, once: names, amounts, prices, the quote behind the choice.

In: an order (and the newest routing decision). Out: exact numbers and labels that `shapes` puts into words.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec

from fillwright.api import views
from fillwright.api.compat.dialects import STEPS, Dialect
from fillwright.api.compat.numbers import ratio, whole
from fillwright.domain.accounts import WRAPPED_SOL, Mint
from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import Order, OrderSpec, OrderStatus
from fillwright.domain.routes import Candidate, Fee, Route
from fillwright.domain.tokens import TokenList

RATE_PLACES = 6
"""Decimals of fees and slippages, which are fractions."""

_ENDINGS = {
    OrderStatus.CANCELLED: "Order cancelled",
    OrderStatus.EXPIRED: "Order expired",
    OrderStatus.NEEDS_REVIEW: "The outcome must be looked at by a person",
    OrderStatus.FAILED: "Order execution failed",
}
_MESSAGES = {
    "slippage_exceeded": "Slippage tolerance exceeded",
    "limit_not_met": "Slippage tolerance exceeded: no pool meets the order's limit",
}
SLIPPAGE_CODES = frozenset(_MESSAGES)


class Facts:
    """An order with the tokens it needs to be shown."""

    def __init__(self, order: Order, tokens: TokenList) -> None:
        self.order = order
        self.spec = order.spec
        self.sides = views.sides_of(order.spec, tokens)

    @property
    def step(self) -> str:
        return STEPS[self.order.status]

    @property
    def token_in(self) -> str:
        return self.spec.dialect_fields.get("input") or self.sides.input.symbol or self.spec.input_mint

    @property
    def token_out(self) -> str:
        return self.spec.dialect_fields.get("output") or self.sides.output.symbol or self.spec.output_mint

    @property
    def amount_in(self) -> Decimal:
        """Whole input tokens; for an order with a fixed output, as far as they are known."""
        order = self.order
        if order.fill is not None:
            return whole(order.fill.amount_in, self.sides.input.decimals)
        if order.spec.mode.value == "exact_in":
            return whole(order.spec.amount, self.sides.input.decimals)
        return whole(order.route.amount_in if order.route else 0, self.sides.input.decimals)

    @property
    def tolerance(self) -> Decimal:
        """The slippage that was asked for, a fraction."""
        asked = self.spec.dialect_fields.get("slippage")
        return Decimal(asked) if asked else ratio(self.spec.slippage_bps, 10_000, RATE_PLACES)

    @property
    def tx_hash(self) -> str | None:
        """The newest signature, once it has been handed to the network."""
        order = self.order
        sent = order.status in TERMINAL or order.status is OrderStatus.SUBMITTED
        return order.signature if sent else None

    @property
    def executed_price(self) -> Decimal | None:
        """Output per input in whole tokens, all fees in."""
        fill = self.order.fill
        if fill is None or not fill.amount_in:
            return None
        return Decimal(views.price(fill.amount_in, fill.amount_out, self.sides))

    @property
    def quoted_price(self) -> Decimal | None:
        """As `executed_price`, before the swap."""
        route = self.order.route
        if route is None or not route.amount_in:
            return None
        return Decimal(views.price(route.amount_in, route.amount_out, self.sides))

    @property
    def executed_amount(self) -> Decimal | None:
        fill = self.order.fill
        return None if fill is None else whole(fill.amount_out, self.sides.output.decimals)

    @property
    def realised_slippage(self) -> Decimal | None:
        """How much worse than quoted the fill was, a fraction."""
        fill, route = self.order.fill, self.order.route
        if fill is None or route is None:
            return None
        if route.mode.value == "exact_in":
            return ratio(route.amount_out - fill.amount_out, route.amount_out, RATE_PLACES)
        return ratio(fill.amount_in - route.amount_in, route.amount_in, RATE_PLACES)

    @property
    def error(self) -> str | None:
        """Why the order ended badly; None until it has, however many tries went wrong."""
        if self.step != "failed":
            return None
        return self.last_error or _ENDINGS[self.order.status]

    @property
    def last_error(self) -> str | None:
        """Why the newest try went wrong."""
        error = self.order.error
        return None if error is None else _MESSAGES.get(error.code, error.message)

    @property
    def missed_price(self) -> bool:
        """Whether the order ended because of its tolerance or its limit."""
        error = self.order.error
        return self.step == "failed" and error is not None and error.code in SLIPPAGE_CODES

    @property
    def wraps(self) -> bool:
        """Whether native SOL is wrapped or unwrapped on the way."""
        return WRAPPED_SOL in (self.spec.input_mint, self.spec.output_mint)

    def dex(self, dialect: Dialect) -> str | None:
        """Where most of the order goes first."""
        route = self.order.route
        if route is None:
            return None
        first = [leg for leg in route.legs if leg.input_mint == route.input_mint]
        return dialect.label(max(first, key=lambda leg: leg.amount_in).dex)

    def quote(self) -> QuoteFacts | None:
        """The chosen route as one quote."""
        route = self.order.route
        return None if route is None else route_quote(route, self.sides)


class QuoteFacts(msgspec.Struct, frozen=True):
    """One quote in the terms of engines that take their fee from the input: `fee` is a fraction of `amount`;
    `price` is output per input after the fee; `impact_percent` is the loss to the order's own size."""

    amount: Decimal
    fee: Decimal
    fee_amount: Decimal
    after_fee: Decimal
    price: Decimal
    output: Decimal
    impact_percent: Decimal


def candidate_quote(candidate: Candidate, input_mint: Mint, sides: views.Sides) -> QuoteFacts:
    """One pool's answer."""
    share = _fee_share(candidate.amount_in, candidate.amount_out, candidate.fees, input_mint)
    return _quote(candidate.amount_in, candidate.amount_out, share, candidate.price_impact_ppm, sides)


def route_quote(route: Route, sides: views.Sides) -> QuoteFacts:
    """The route's legs as one: parallel legs' fees weigh by their input, those of later hops are added."""
    share = Fraction(0)
    for leg in route.legs:
        part = _fee_share(leg.amount_in, leg.amount_out, leg.fees, leg.input_mint)
        if leg.input_mint == route.input_mint:
            share += part * Fraction(leg.amount_in, route.amount_in or 1)
        else:
            share += part * Fraction(leg.amount_out, route.amount_out or 1)
    return _quote(route.amount_in, route.amount_out, min(share, Fraction(1)), route.price_impact_ppm, sides)


def _fee_share(amount_in: int, amount_out: int, fees: Sequence[Fee], input_mint: Mint) -> Fraction:
    """Fees as a share of the swap, whichever side they were taken from."""
    on_input = sum(fee.amount for fee in fees if fee.mint == input_mint)
    on_output = sum(fee.amount for fee in fees if fee.mint != input_mint)
    share = Fraction(on_input, amount_in) if amount_in else Fraction(0)
    if on_output:
        share += Fraction(on_output, amount_out + on_output)
    return share


def _quote(amount_in: int, amount_out: int, share: Fraction, impact_ppm: int, sides: views.Sides) -> QuoteFacts:
    fee_units = round(amount_in * share)
    after = amount_in - fee_units
    return QuoteFacts(
        amount=whole(amount_in, sides.input.decimals),
        fee=ratio(share.numerator, share.denominator, RATE_PLACES),
        fee_amount=whole(fee_units, sides.input.decimals),
        after_fee=whole(after, sides.input.decimals),
        price=Decimal(views.price(after, amount_out, sides)) if after > 0 else Decimal(0),
        output=whole(amount_out, sides.output.decimals),
        impact_percent=ratio(impact_ppm, 10_000, 4),
    )


def best_by_dex(candidates: Sequence[Candidate], spec: OrderSpec) -> dict[str, Candidate]:
    """Each DEX's best answer, or its first refusal."""
    best: dict[str, Candidate] = {}
    for candidate in candidates:
        known = best.get(candidate.dex)
        if known is None or (not candidate.refusal and (known.refusal or _beats(candidate, known, spec))):
            best[candidate.dex] = candidate
    return best


def _beats(one: Candidate, other: Candidate, spec: OrderSpec) -> bool:
    if spec.mode.value == "exact_in":
        return one.amount_out > other.amount_out
    return one.amount_in < other.amount_in
