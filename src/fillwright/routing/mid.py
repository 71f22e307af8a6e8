"""The mid price of a pair: the median spot of its pools, before fees.

In: an order and a snapshot. Out: output per input. A pair without pools of its own has the price that it has over the
token between them that most pools trade against both.
"""

from __future__ import annotations

from fractions import Fraction

from fillwright.domain.accounts import Mint
from fillwright.domain.amounts import format_quotient
from fillwright.domain.errors import QuoteRefused
from fillwright.domain.orders import OrderSpec
from fillwright.market.snapshot import Snapshot, venue_for

MAX_MID_POOLS = 16
_MID_DIGITS = 24


def mid_price(spec: OrderSpec, snapshot: Snapshot) -> str | None:
    """In whole tokens, as a decimal string; None where nothing has a price."""
    prices: list[int] = []
    for pool in snapshot.of_pair(spec.input_mint, spec.output_mint)[:MAX_MID_POOLS]:
        try:
            spot = venue_for(pool).spot(pool, spec.input_mint, snapshot.clock)
        except QuoteRefused:
            continue
        side = pool.mints.index(spec.input_mint)
        scale = 10 ** (_MID_DIGITS + pool.decimals[side])
        prices.append(spot.numerator * scale // (spot.denominator * 10 ** pool.decimals[1 - side]))
    if not prices:
        return _indirect_price(spec, snapshot)
    prices.sort()
    middle = len(prices) // 2
    mid = prices[middle] if len(prices) % 2 else (prices[middle - 1] + prices[middle]) // 2
    return format_quotient(mid, 10**_MID_DIGITS)


def mid_ratio(spec: OrderSpec, snapshot: Snapshot) -> Fraction | None:
    """As `mid_price`, in base units, exact."""
    source, target = spec.input_mint, spec.output_mint
    direct = _median(source, target, snapshot)
    if direct is not None:
        return direct
    between = _between(source, target, snapshot)
    if between is None:
        return None
    first, second = _median(source, between, snapshot), _median(between, target, snapshot)
    return None if first is None or second is None else first * second


def decimals_of(mint: Mint, snapshot: Snapshot) -> int | None:
    """How many decimals the token has, as the pools say; None where no pool trades it."""
    for pair, addresses in snapshot.by_pair.items():
        if mint in pair and addresses:
            pool = snapshot.pools[addresses[0]]
            return pool.decimals[pool.mints.index(mint)]
    return None


def _indirect_price(spec: OrderSpec, snapshot: Snapshot) -> str | None:
    mid = mid_ratio(spec, snapshot)
    source, target = decimals_of(spec.input_mint, snapshot), decimals_of(spec.output_mint, snapshot)
    if mid is None or source is None or target is None:
        return None
    return format_quotient(mid.numerator * 10**source, mid.denominator * 10**target)


def _median(source: Mint, target: Mint, snapshot: Snapshot) -> Fraction | None:
    spots = []
    for pool in snapshot.of_pair(source, target)[:MAX_MID_POOLS]:
        try:
            spots.append(venue_for(pool).spot(pool, source, snapshot.clock))
        except QuoteRefused:
            continue
    if not spots:
        return None
    spots.sort()
    middle = len(spots) // 2
    return spots[middle] if len(spots) % 2 else (spots[middle - 1] + spots[middle]) / 2


def _between(source: Mint, target: Mint, snapshot: Snapshot) -> Mint | None:
    """The token with the most pools on its weaker side; of equals, the first by address."""
    near: dict[Mint, dict[Mint, int]] = {source: {}, target: {}}
    for pair in [pair for pair in snapshot.by_pair if source in pair or target in pair]:
        for end, other in (pair, pair[::-1]):
            if end in near:
                near[end][other] = len(snapshot.by_pair[pair])
    both = near[source].keys() & near[target].keys()
    return min(both, key=lambda mint: (-min(near[source][mint], near[target][mint]), mint), default=None)
