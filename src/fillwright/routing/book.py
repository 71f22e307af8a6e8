"""What routing remembers of pools between snapshots: curves and exact quoters, dropped when their pool changes.

In: snapshots, one after another. Out: a `Side` (one pool in one direction) as of the newest one. A pool is a frozen
value, so its identity is its version; a clock that has moved on drops what it can change. Whatever is remembered
equals what would be worked out anew: decisions depend on the snapshot alone.
"""

from __future__ import annotations

from bisect import insort
from fractions import Fraction
from itertools import islice

from fillwright.domain.accounts import Address, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.market.snapshot import Snapshot, pair_of, venue_for
from fillwright.routing.curves import Curve, curve_of
from fillwright.routing.timing import Span, common_span, unchanged_span
from fillwright.venues.venue import AnyVenue, CurveSegment, Pool, Quote, Quoter, Swap

LEVELS = (12, 96, 768, 16_384)
"""How many segments of a pool are looked at: more only where a query gets to the end of fewer."""
SPARE_DIRECTIONS = 1_000
"""How many more than its own pools' directions a snapshot leaves remembered, of pools that have gone."""


class Side:
    """One pool in one direction, at one version and time span. Levels never change once worked out."""

    __slots__ = (
        "_clock",
        "_curves",
        "_more",
        "_quoter",
        "_segments",
        "_sells_exactly",
        "_spot",
        "address",
        "depth",
        "dex",
        "encoded",
        "input_mint",
        "pool",
        "price",
        "venue",
    )

    def __init__(self, pool: Pool, input_mint: Mint, clock: ChainClock) -> None:
        self.pool = pool
        self.address: Address = pool.address
        self.input_mint = input_mint
        self.venue: AnyVenue = venue_for(pool)
        self.dex = self.venue.dex
        self.encoded: bytes | None = None
        """The pool as it is kept to replay decisions, once somebody has encoded it."""
        self._clock = clock
        self._quoter: Quoter | None = None
        self._sells_exactly: bool | None = None
        self._spot: Fraction | None = None
        self._segments: list[CurveSegment] = []
        self._more = True
        self._curves: list[Curve | None] = [None] * len(LEVELS)
        curve = self.curve(0)
        self.price = curve.ps[0] if curve.ps else 0.0
        self.depth = curve.ys[-1]

    @property
    def output_mint(self) -> Mint:
        first, second = self.pool.mints
        return second if first == self.input_mint else first

    def curve(self, level: int) -> Curve:
        """The hull of the first LEVELS[level] segments; empty where the pool refuses to trade."""
        curve = self._curves[level]
        if curve is None:
            want = LEVELS[level] + 1
            if self._more and len(self._segments) < want:
                self._segments = self._drawn(want)
                self._more = len(self._segments) == want
            curve = curve_of(self._segments, LEVELS[level])
            self._curves[level] = curve
            if level == len(LEVELS) - 1:
                curve.ended = True
        return curve

    def _drawn(self, most: int) -> list[CurveSegment]:
        """The first segments, drawn anew: a generator left waiting would outlive its use."""
        found: list[CurveSegment] = []
        try:
            found.extend(islice(self.venue.curve(self.pool, self.input_mint, self._clock), most))
        except (QuoteRefused, ArithmeticError):
            # What a venue can't draw, or floats can't hold, takes no part in the search beyond that point. It
            # is never taken for a price: the exact quotes still ask the pool.
            return found
        return found

    def covering(self, x: float) -> Curve:
        """The lowest level that takes the input `x`, or the whole curve."""
        for level in range(len(LEVELS)):
            curve = self.curve(level)
            if curve.ended or curve.xs[-1] >= x:
                return curve
        return curve

    def known_to(self, s: float) -> Curve:
        """The lowest level that is known down to the marginal price 1/s², or the whole curve."""
        for level in range(len(LEVELS)):
            curve = self.curve(level)
            if curve.horizon >= s:
                return curve
        return curve

    def capped_out(self, x: float) -> float:
        """The output for `x`, or for as much of it as the pool is seen to take in few segments."""
        curve = self.curve(0)
        return curve.out(min(x, curve.xs[-1]))

    def input_for(self, y: float) -> float:
        """The input whose output is `y`; infinite where the pool does not have that much."""
        for level in range(len(LEVELS)):
            curve = self.curve(level)
            if curve.ended or curve.ys[-1] >= y:
                break
        return curve.input_for(y)

    def spot(self) -> Fraction:
        """As `Venue.spot`. Raises QuoteRefused."""
        spot = self._spot
        if spot is None:
            spot = self._spot = self.venue.spot(self.pool, self.input_mint, self._clock)
        return spot

    def exact(self, amount: int) -> int:
        """The exact output for `amount`. Raises QuoteRefused."""
        quoter = self._quoter
        if quoter is None:
            quoter = self._quoter = self.venue.quoter(self.pool, self.input_mint, self._clock)
        return quoter(amount)

    def quote_out(self, amount: int) -> Quote:
        """The exact outcome of buying `amount`. Raises QuoteRefused."""
        return self.venue.quote(self.pool, Swap(self.input_mint, SwapMode.EXACT_OUT, amount), self._clock)

    @property
    def sells_exactly(self) -> bool:
        """Whether the program has exact-out swaps."""
        known = self._sells_exactly
        if known is None:
            try:
                self.quote_out(1)
                known = True
            except QuoteRefused as error:
                known = error.reason is not Refusal.UNSUPPORTED_MODE
            self._sells_exactly = known
        return known

    def exact_or_zero(self, amount: int) -> int:
        """The exact output, 0 where the pool refuses: for comparing, where a refusal is no best answer."""
        try:
            return self.exact(amount)
        except QuoteRefused:
            return 0


class Book:
    """Sides by pool and direction, as of the snapshot that was opened last. `stamp` changes with every opening."""

    def __init__(self) -> None:
        self._sides: dict[tuple[Address, Mint], tuple[Side, Span]] = {}
        self._pairs: dict[tuple[Mint, Mint], _Pair] = {}
        self._snapshot: Snapshot | None = None
        self.stamp = 0

    @property
    def snapshot(self) -> Snapshot:
        if self._snapshot is None:
            raise RuntimeError("no snapshot has been opened")
        return self._snapshot

    def open(self, snapshot: Snapshot) -> None:
        """From now on answer as of `snapshot`."""
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self.stamp += 1
            if len(self._sides) > 2 * len(snapshot.pools) + SPARE_DIRECTIONS:
                self._sides = {key: side for key, side in self._sides.items() if key[0] in snapshot.pools}
                self._pairs.clear()

    def side(self, pool: Pool, input_mint: Mint) -> Side:
        """The pool's direction from `input_mint`, remembered if nothing that it depends on has changed."""
        key = (pool.address, input_mint)
        clock = self.snapshot.clock
        found = self._sides.get(key)
        if found is not None and found[0].pool is pool and clock in found[1]:
            return found[0]
        side = Side(pool, input_mint, clock)
        self._sides[key] = (side, unchanged_span(pool, clock))
        return side

    def sides(self, input_mint: Mint, output_mint: Mint) -> list[Side]:
        """All pools of the pair in this direction, best marginal price first. Do not change the list."""
        key = (input_mint, output_mint)
        found = self._pairs.get(key)
        if found is not None and found.stamp == self.stamp:
            return found.sides
        addresses = self.snapshot.by_pair.get(pair_of(input_mint, output_mint), ())
        if found is not None and found.addresses is addresses and self.snapshot.clock in found.span:
            self._catch_up(found)
        else:
            found = self._pairs[key] = self._pair(input_mint, addresses, found)
        return found.sides

    def _pair(self, input_mint: Mint, addresses: tuple[Address, ...], before: _Pair | None) -> _Pair:
        """Every side of a pair; the list of before, where it would be the same."""
        pools, kept = self.snapshot.pools, self._sides
        sides = sorted((self.side(pools[address], input_mint) for address in addresses), key=_by_price)
        spans = [kept[side.address, input_mint][1] for side in sides]
        if before is not None and len(before.sides) == len(sides) and all(map(_same, before.sides, sides)):
            sides = before.sides
        return _Pair(self.stamp, addresses, sides, common_span(self.snapshot.clock, spans))

    def _catch_up(self, pair: _Pair) -> None:
        """Draw anew the sides whose pools have changed since the pair was looked at."""
        pools = self.snapshot.pools
        pair.stamp = self.stamp
        moved = [side for side in pair.sides if pools[side.address] is not side.pool]
        if not moved:
            return
        sides = pair.sides.copy()
        for side in moved:
            sides.remove(side)
            fresh = self.side(pools[side.address], side.input_mint)
            insort(sides, fresh, key=_by_price)
            pair.span = common_span(self.snapshot.clock, (pair.span, self._sides[side.address, side.input_mint][1]))
        pair.sides = sides


class _Pair:
    """The sides of a pair in one direction as of `stamp`; while the clock is in `span` only changed pools count."""

    __slots__ = ("addresses", "sides", "span", "stamp")

    def __init__(self, stamp: int, addresses: tuple[Address, ...], sides: list[Side], span: Span) -> None:
        self.stamp = stamp
        self.addresses = addresses
        self.sides = sides
        self.span = span


def _by_price(side: Side) -> tuple[float, str]:
    return -side.price, side.pool.address


def _same(first: Side, second: Side) -> bool:
    return first is second
