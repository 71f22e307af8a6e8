"""The simulated market: noise traders and arbitrageurs who move real pools around seeded reference prices.

In: pools, the slots up to which they have come, and a slot to come to. Out: the pools that changed. Every pool's
story is a function of the seed, its own address and the swaps made in it, so that another pool changes nothing.
Must not: know orders or the ledger.

In each slot a noise trader may swap (Poisson times, log-normal sizes), and with a set probability an
arbitrageur looks: where a pool pays more than the reference price by over its edge, fees included, they trade it
back to that edge.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from itertools import islice
from math import exp, inf, log, sqrt
from typing import NamedTuple

import msgspec

from fillwright.domain.accounts import Address, ChainClock, Mint
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.market.snapshot import venue_for
from fillwright.paper.prices import BLOCK_STEPS, ReferencePrice
from fillwright.paper.streams import stream
from fillwright.paper.world import Genesis
from fillwright.venues.venue import CurveSegment, Pool, Swap

MAX_CATCH_UP_SLOTS = 4_096
"""The longest absence that is lived through slot by slot; what lies before it is left out."""
MAX_ARBITRAGE_SEGMENTS = 64


class MarketTerms(msgspec.Struct, frozen=True):
    """How the market behaves. Sizes are in dollars; rates per second and pool.

    `bands`: by pool, the multiples of the reference price (of side 0 in side 1) between which it is left alone;
    `edge`: how far off any other pool may be, as a share. `noise_spread` is the standard deviation of the sizes'
    logarithm; no noise trade is above `noise_max`.
    """

    bands: Mapping[Address, tuple[float, float]] = {}
    edge: float = 0.025
    arbitrage_probability: float = 0.3
    noise_per_s: float = 0.05
    noise_median: float = 150.0
    noise_spread: float = 1.2
    noise_max: float = 3_000.0


class _Event(NamedTuple):
    """What happens in one pool at one step of a block. `dollars` 0: an arbitrageur looks."""

    step: int
    dollars: float
    side: int


class _Asked(NamedTuple):
    """The log of the marginal price after fees, selling side 0 and side 1, of one pool state."""

    pool: Pool
    sell: tuple[float, float]


class SimulatedMarket:
    """Implements `state.Evolution`. `prices` has every mint that `pools` trade."""

    def __init__(
        self, *, genesis: Genesis, terms: MarketTerms, pools: Iterable[Pool], prices: Mapping[Mint, ReferencePrice]
    ) -> None:
        self._genesis = genesis
        self._traders = {pool.address: _Traders(genesis, terms, pool, prices) for pool in pools}

    def advance(self, pools: Mapping[Address, Pool], since: Mapping[Address, int], slot: int) -> dict[Address, Pool]:
        """The pools that changed on the way to `slot`. Pools that the market does not know stay as they are."""
        changed = {}
        for address, traders in self._traders.items():
            before = pools[address]
            after = traders.advance(before, since[address], slot)
            if after is not before:
                changed[address] = after
        return changed

    def clock(self, own: ChainClock) -> ChainClock:
        """As `paper.state.Evolution` says: these pools know no other."""
        return own


class _Traders:
    """Everyone who trades one pool of their own accord."""

    def __init__(self, genesis: Genesis, terms: MarketTerms, pool: Pool, prices: Mapping[Mint, ReferencePrice]) -> None:
        self._genesis = genesis
        self._first_slot = genesis.first.slot
        self._address = pool.address
        self._mints = pool.mints
        self._terms = terms
        low, high = terms.bands.get(pool.address, (1 / (1 + terms.edge), 1 + terms.edge))
        self._edges = (log(high), -log(low))
        self._references = (prices[pool.mints[0]], prices[pool.mints[1]])
        self._units = (log(10.0) * pool.decimals[0], log(10.0) * pool.decimals[1])
        self._events: OrderedDict[int, list[_Event]] = OrderedDict()
        self._asked: _Asked | None = None

    def advance(self, pool: Pool, since: int, slot: int) -> Pool:
        """The pool after the events of the slots in (since, slot]."""
        step, last = since - self._first_slot + 1, slot - self._first_slot
        if last - step >= MAX_CATCH_UP_SLOTS:
            step = (last - MAX_CATCH_UP_SLOTS) // BLOCK_STEPS * BLOCK_STEPS
        while step <= last:
            block, offset = divmod(step, BLOCK_STEPS)
            until = min(BLOCK_STEPS - 1, last - block * BLOCK_STEPS)
            events = self._of_block(block)
            for at in range(bisect_left(events, (offset,)), len(events)):
                if events[at].step > until:
                    break
                pool = self._happen(pool, events[at], block * BLOCK_STEPS + events[at].step)
            step = (block + 1) * BLOCK_STEPS
        return pool

    def _of_block(self, block: int) -> list[_Event]:
        events = self._events.get(block)
        if events is None:
            events = self._events[block] = self._draw(block)
            if len(self._events) > 2:
                self._events.popitem(last=False)
        return events

    def _draw(self, block: int) -> list[_Event]:
        """The block's events in order. In one step noise comes before arbitrage."""
        terms = self._terms
        source = stream(self._genesis.seed, "looks", self._address, block)
        chance, probability = source.random, terms.arbitrage_probability
        events = [_Event(step, 0.0, 0) for step in range(BLOCK_STEPS) if chance() < probability]
        source = stream(self._genesis.seed, "noise", self._address, block)
        rate = terms.noise_per_s * self._genesis.slot_ms / 1_000
        at = source.expovariate(rate) if rate else inf
        while at < BLOCK_STEPS:
            dollars = min(terms.noise_median * exp(source.gauss(0.0, terms.noise_spread)), terms.noise_max)
            events.append(_Event(int(at), dollars, source.randrange(2)))
            at += source.expovariate(rate)
        events.sort(key=lambda event: (event.step, not event.dollars))
        return events

    def _happen(self, pool: Pool, event: _Event, step: int) -> Pool:
        first, second = self._references[0].log_price(step), self._references[1].log_price(step)
        if event.dollars:
            price = (first, second)[event.side] - self._units[event.side]
            return self._swap(pool, event.side, event.dollars * exp(-price), step)
        # The fair number of side 1's base units for one of side 0.
        fair = first - second + self._units[1] - self._units[0]
        asked = self._asked
        if asked is None or asked.pool is not pool:
            asked = self._asked = self._ask(pool, step)
        if asked.sell[0] > fair + self._edges[0]:
            return self._arbitrage(pool, 0, fair, step)
        if asked.sell[1] > self._edges[1] - fair:
            return self._arbitrage(pool, 1, -fair, step)
        return pool

    def _ask(self, pool: Pool, step: int) -> _Asked:
        clock = self._clock(step)
        return _Asked(pool, (_marginal(pool, 0, clock), _marginal(pool, 1, clock)))

    def _arbitrage(self, pool: Pool, side: int, fair: float, step: int) -> Pool:
        """Sell `side` into the pool until its marginal price after fees is at the edge."""
        segments = venue_for(pool).curve(pool, self._mints[side], self._clock(step))
        return self._swap(pool, side, _amount_until(segments, exp(fair + self._edges[side])), step)

    def _swap(self, pool: Pool, side: int, amount: float, step: int) -> Pool:
        return _swapped(pool, side, amount, self._clock(step))

    def _clock(self, step: int) -> ChainClock:
        return self._genesis.clock_at(self._first_slot + step)


def repriced(pool: Pool, side: int, multiple: float, clock: ChainClock) -> Pool:
    """The pool after somebody else's swap, which makes selling `side` pay `multiple` of what it did at the margin."""
    sold = side if multiple < 1 else 1 - side
    target = exp(_marginal(pool, sold, clock)) * min(multiple, 1 / multiple)
    segments = venue_for(pool).curve(pool, pool.mints[sold], clock)
    return _swapped(pool, sold, _amount_until(segments, target), clock)


def _swapped(pool: Pool, side: int, amount: float, clock: ChainClock) -> Pool:
    """The pool after the swap; as it was where the program would refuse it."""
    units = int(min(amount, U64_MAX))
    if units <= 0:
        return pool
    try:
        after: Pool = venue_for(pool).apply(pool, Swap(pool.mints[side], SwapMode.EXACT_IN, units), clock)[1]
    except QuoteRefused:
        return pool
    return after


def _marginal(pool: Pool, side: int, clock: ChainClock) -> float:
    for segment in venue_for(pool).curve(pool, pool.mints[side], clock):
        return log(segment.p) if segment.p > 0 else -inf
    return -inf


def _amount_until(segments: Iterable[CurveSegment], price: float) -> float:
    """The input after which the marginal price p / (1 + q·u)² has fallen to `price`."""
    total = 0.0
    for segment in islice(segments, MAX_ARBITRAGE_SEGMENTS):
        if segment.p <= price:
            break
        amount = (sqrt(segment.p / price) - 1) / segment.q if segment.q else segment.cap
        if amount < segment.cap:
            return total + amount
        total += segment.cap
    return total
