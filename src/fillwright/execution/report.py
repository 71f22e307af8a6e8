"""What an order cost against the price at its arrival, taken apart without a remainder. Pure.

In: the arrival mid, the mid and the quote at decision, the fill, and network costs. Out: the implementation shortfall
and its parts as exact fractions that sum to it. Prices are output base units per input base unit.

For exact-in, in output units, of q sold at arrival price S₀ and decision price S₁, quoted Q, received R:

    S₀·q - (R - network) = (S₀ - S₁)·q + fees + (S₁·q - fees - Q) + (Q - R) + network
           shortfall     =    delay    + fees +      impact       + timing  + network

What a route leaves in the wallet of tokens that only pass through is no part of Q: its worth at the decision is taken
out of the impact and stands beside it as dust.

For exact-out, in input units, of q bought for P, quoted Q, the benchmark is q / S₀ and every sign turns around.
"""

from __future__ import annotations

from fractions import Fraction

import msgspec

from fillwright.domain.accounts import Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.routes import Route

_BPS = 10_000


class Shortfall(msgspec.Struct, frozen=True):
    """Costs are positive. Units: output base units for exact-in, input base units for exact-out.

    `benchmark` is what the order would have given (or taken) at the arrival price. `dust` is not lost: it is in the
    wallet, in another token.
    """

    benchmark: Fraction
    delay: Fraction
    fees: Fraction
    impact: Fraction
    timing: Fraction
    network: Fraction
    dust: Fraction = Fraction(0)

    @property
    def total(self) -> Fraction:
        """The sum of the parts."""
        return self.delay + self.fees + self.impact + self.dust + self.timing + self.network

    @property
    def bps(self) -> Fraction:
        """The total over the benchmark, in basis points."""
        return self.total * _BPS / self.benchmark


class Execution(msgspec.Struct, frozen=True):
    """`arrival` and `decided` are mids; `network` is what the chain took, in the shortfall's own units."""

    mode: SwapMode
    arrival: Fraction
    decided: Fraction
    quoted_in: int
    quoted_out: int
    filled_in: int
    filled_out: int
    fees: Fraction
    network: Fraction
    dust: Fraction = Fraction(0)


def shortfall(execution: Execution) -> Shortfall:
    """The shortfall of one execution. Raises ValueError where a price or a filled amount is not positive."""
    if min(execution.arrival, execution.decided) <= 0 or min(execution.filled_in, execution.filled_out) <= 0:
        raise ValueError("a shortfall needs positive prices and a fill")
    if execution.mode is SwapMode.EXACT_IN:
        benchmark = execution.arrival * execution.filled_in
        at_decision = execution.decided * execution.filled_in
        quoted, filled, sign = execution.quoted_out, execution.filled_out, 1
    else:
        benchmark = execution.filled_out / execution.arrival
        at_decision = execution.filled_out / execution.decided
        quoted, filled, sign = execution.quoted_in, execution.filled_in, -1
    return Shortfall(
        benchmark=benchmark,
        delay=sign * (benchmark - at_decision),
        fees=execution.fees,
        impact=sign * (at_decision - quoted) - execution.fees - execution.dust,
        timing=Fraction(sign * (quoted - filled)),
        network=execution.network,
        dust=execution.dust,
    )


def route_dust(route: Route, mids: dict[Mint, Fraction]) -> Fraction:
    """What the route is expected to leave of passing tokens, in the units of `route_fees`. Raises KeyError."""
    return sum((mids[dust.mint] * dust.amount for dust in route.dust), Fraction(0))


def route_fees(route: Route, mids: dict[Mint, Fraction]) -> Fraction:
    """All fees of the route's legs in units of its output (exact-in) or input (exact-out).

    `mids`: what one base unit of each mint is worth in that token. Raises KeyError for a mint without a price.
    """
    return sum((mids[fee.mint] * fee.amount for leg in route.legs for fee in leg.fees), Fraction(0))
