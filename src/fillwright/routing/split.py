"""The optimal split of an input over parallel pools, read off the merged curve.

In: the sides of one pair. Out: how much each takes of any input, what comes out, and the price at the margin.
Floats, for search; integers are made of them elsewhere. A splitter is a value of its sides: when one changes,
`with_sides` makes the next one, which begins to look where the last answer was.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import repeat
from math import inf
from typing import NamedTuple

from fillwright.domain.accounts import Address
from fillwright.routing.book import LEVELS, Side
from fillwright.routing.curves import Curve

MAX_NEWTON_STEPS = 6

_Event = tuple[float, float, float, int]


class Shares(NamedTuple):
    """What each side takes, the output together, and s = 1/√(the marginal price) there. `rest` finds no pool."""

    inputs: list[float]
    output: float
    s: float
    rest: float


class _Merged:
    """The sides' curves in parallel, remembering whose each breakpoint is.

    Stretch i begins after the first `upto[i]` events. `rows[i]` has what each side has taken at its start,
    and its slope there; for a jump, the side that takes it.
    """

    def __init__(self, curves: Sequence[Curve]) -> None:
        self.curves = curves
        events: list[_Event] = [(*event, at) for at, curve in enumerate(curves) for event in curve.events()]
        events.sort()
        self.events = events
        self.horizon = min((curve.horizon for curve in curves), default=inf)
        self.xs = [0.0]
        self.ys = [0.0]
        self.ss: list[float] = []
        self.slopes: list[float] = []
        self.upto: list[int] = []
        self.rows: dict[int, tuple[list[float], list[float]]] = {}
        self._state = (0, 0.0, 0, 0.0)

    def reach(self, x: float) -> None:
        """Merge on until more than input `x` is covered, or there is nothing left."""
        xs, ys, ss, slopes, upto = self.xs, self.ys, self.ss, self.slopes, self.upto
        at, slope, active, before = self._state
        total, y, horizon = xs[-1], ys[-1], self.horizon
        events = self.events
        while total <= x and at < len(events):
            s, change, jump, _ = events[at]
            if active and s > before:
                end = min(horizon, s)
                cap = slope * (end - before)
                total += cap
                y += cap / (before * end)
                ss.append(before)
                slopes.append(slope)
                upto.append(at)
                xs.append(total)
                ys.append(y)
            if s > horizon:
                at = len(events)
                break
            before = s
            if jump:
                total += jump
                y += jump / (s * s)
                ss.append(s)
                slopes.append(0.0)
                upto.append(at)
                xs.append(total)
                ys.append(y)
            else:
                slope += change
                active += 1 if change > 0 else -1
                if not active:
                    slope = 0.0
            at += 1
        self._state = (at, slope, active, before)

    def row(self, i: int) -> tuple[list[float], list[float]]:
        """Inputs taken and slopes at the start of stretch i, each curve asked once."""
        row = self.rows.get(i)
        if row is None:
            start = self.ss[i]
            flat = not self.slopes[i]
            find = bisect_left if flat else bisect_right
            taken: list[float] = []
            slopes: list[float] = []
            for curve in self.curves:
                at = find(curve.es, start)
                x, k = curve.xs[at], 0.0
                if at < len(curve.ss):
                    first = curve.ss[at]
                    if first < start or (first == start and not flat):
                        q = curve.qs[at]
                        k = 1.0 / (q * first)
                        x += (start - first) * k
                taken.append(x)
                slopes.append(k)
            if flat:
                self._add_jumps(i, taken)
            row = self.rows[i] = (taken, slopes)
        return row

    def _add_jumps(self, i: int, taken: list[float]) -> None:
        """What flat pieces of the very price of stretch i have taken before it."""
        start = self.ss[i]
        for before in range(self.upto[i] - 1, -1, -1):
            s, _, jump, at = self.events[before]
            if s != start:
                break
            taken[at] += jump


class Splitter:
    """Splits over `sides`. Looks at more of the pools' curves only where a query needs it."""

    def __init__(self, sides: Sequence[Side], places: dict[Address, int] | None = None) -> None:
        """`places`: where each side stands, if that is known."""
        self.sides = list(sides)
        self._places = places or {side.address: at for at, side in enumerate(self.sides)}
        self._merged: list[_Merged | None] = [None] * len(LEVELS)
        self._last: tuple[int, float] | None = None
        self._before: tuple[int, float] | None = None
        """Level and s of the last answer; of that of the splitter which this one was made from."""

    def with_sides(self, sides: Sequence[Side]) -> Splitter:
        """This splitter if `sides` are the very same, else one for them, which keeps the order that this one has."""
        places = self._places
        if len(sides) != len(places):
            return Splitter(sides)
        ordered, moved = self.sides.copy(), False
        for side in sides:
            at = places.get(side.address)
            if at is None:
                return Splitter(sides)
            if ordered[at] is not side:
                ordered[at] = side
                moved = True
        if not moved:
            return self
        after = Splitter(ordered, places)
        after._before = self._last
        return after

    def _level(self, level: int) -> _Merged:
        merged = self._merged[level]
        if merged is None:
            merged = self._merged[level] = _Merged([side.curve(level) for side in self.sides])
        return merged

    def _at(self, x: float) -> tuple[int, _Merged]:
        """The lowest level that covers `x`, or the whole."""
        for level in range(len(LEVELS)):
            merged = self._level(level)
            merged.reach(x)
            if x <= merged.xs[-1] or merged.horizon == inf:
                break
        return level, merged

    def capacity(self) -> float:
        """The largest input that the pools take together."""
        return self._at(inf)[1].xs[-1]

    def split(self, x: float) -> Shares:
        """The inputs that give the most output together; `rest` is what no pool takes."""
        merged = self._merged[0]
        if merged is None and self._before is not None:
            # Asked once after a change, it is quicker to begin where the last answer was than to merge anew.
            level, s = self._before
            self._before = None
            near = split_near([side.curve(level) for side in self.sides], x, s)
            if near is not None:
                self._last = (level, near.s)
                return near
        level = 0
        if merged is None or x > merged.xs[-1]:
            level, merged = self._at(x)
        shares = self._read(merged, x)
        self._last = (level, shares.s)
        return shares

    def _read(self, merged: _Merged, x: float) -> Shares:
        i = bisect_right(merged.xs, x) - 1
        if i >= len(merged.ss):
            if not merged.ss:
                return Shares([0.0] * len(self.sides), 0.0, inf, x)
            inputs = [curve.xs[-1] for curve in merged.curves]
            return Shares(inputs, merged.ys[-1], inf, max(x - merged.xs[-1], 0.0))
        taken, slopes = merged.rows.get(i) or merged.row(i)
        s, slope, left = merged.ss[i], merged.slopes[i], x - merged.xs[i]
        if slope:
            further = left / slope
            inputs = [u + k * further for u, k in zip(taken, slopes, strict=True)]
            end = s + further
            return Shares(inputs, merged.ys[i] + left / (s * end), end, 0.0)
        inputs = taken.copy()
        inputs[merged.events[merged.upto[i]][3]] += left
        return Shares(inputs, merged.ys[i] + left / (s * s), s, 0.0)

    def output(self, x: float) -> float:
        """The most output for input `x`, or for as much of it as the pools take."""
        _, merged = self._at(x)
        i = min(bisect_right(merged.xs, x), len(merged.ss)) - 1
        if i < 0:
            return 0.0
        left = min(x, merged.xs[-1]) - merged.xs[i]
        s, slope = merged.ss[i], merged.slopes[i]
        return merged.ys[i] + left / (s * (s + left / slope if slope else s))

    def input_for(self, y: float) -> float:
        """The least input that gives `y` together; infinite where the pools don't have that much."""
        for level in range(len(LEVELS)):
            merged = self._level(level)
            merged.reach(inf)
            if y <= merged.ys[-1] or merged.horizon == inf:
                break
        i = bisect_right(merged.ys, y) - 1
        if i >= len(merged.ss):
            return merged.xs[-1] if merged.ss and y <= merged.ys[-1] else inf
        rest, s, slope = y - merged.ys[i], merged.ss[i], merged.slopes[i]
        if not slope:
            return merged.xs[i] + rest * s * s
        room = 1.0 - rest * s / slope
        return merged.xs[i] + rest * s * s / room if room > 0 else inf


class _Look(NamedTuple):
    """What all curves take, and give together, at prices from 1/s² upwards, and their slopes there: linear from
    `low` to `high`."""

    taken: list[float]
    slopes: list[float]
    given: float
    low: float
    high: float

    def at(self, s: float, end: float, slope: float) -> Shares:
        """The split at `end`, between `low` and `high`, of what was seen at `s`."""
        further = end - s
        inputs = [u + k * further for u, k in zip(self.taken, self.slopes, strict=True)]
        return Shares(inputs, self.given + slope * further / (s * end), end, 0.0)


def split_near(curves: Sequence[Curve], x: float, s: float) -> Shares | None:
    """The split whose s is near the given one, by Newton steps on a function that is linear between breakpoints.

    None where a few steps don't find it, or it lies beyond what the curves are known to.
    """
    horizon = min((curve.horizon for curve in curves), default=inf)
    for _ in range(MAX_NEWTON_STEPS):
        if not 0.0 < s < horizon:
            return None
        look = _look(curves, s)
        left, slope = x - sum(look.taken), sum(look.slopes)
        end = s + left / slope if slope else s if left == 0.0 else inf if left > 0.0 else 0.0
        if look.low <= end <= look.high and end <= horizon:
            return look.at(s, end, slope)
        if end < look.low:
            before = look.at(s, look.low, slope)
            beyond = sum(before.inputs) - x
            if beyond <= sum(map(_flat_at, curves, repeat(look.low))):
                return _on_the_flat(curves, before, beyond)
        s = min(end, 2 * look.high) if end > s else end
    return None


def _look(curves: Sequence[Curve], s: float) -> _Look:
    taken: list[float] = []
    slopes: list[float] = []
    low, high, given = 0.0, inf, 0.0
    for curve in curves:
        ends = curve.es
        at = bisect_right(ends, s)
        u, k = curve.xs[at], 0.0
        given += curve.ys[at]
        if at < len(ends):
            first, end = curve.ss[at], ends[at]
            if first <= s:
                k = 1.0 / (curve.qs[at] * first)
                u += (s - first) * k
                given += curve.ps[at] * (s - first) * k * first / s
            else:
                first, end = ends[at - 1] if at else 0.0, first
            if end < high:
                high = end
        else:
            first = ends[-1] if ends else 0.0
        if first > low:
            low = first
        taken.append(u)
        slopes.append(k)
    return _Look(taken, slopes, given, low, high)


def _flat_at(curve: Curve, s: float) -> float:
    """The input that the curve takes at the very price 1/s²."""
    at = bisect_left(curve.es, s)
    flat = 0.0
    while at < len(curve.es) and curve.es[at] == s:
        if curve.ss[at] == s:
            flat += curve.xs[at + 1] - curve.xs[at]
        at += 1
    return flat


def _on_the_flat(curves: Sequence[Curve], shares: Shares, beyond: float) -> Shares:
    """`shares` less `beyond`, which flat pieces of their very price give back."""
    inputs, s = shares.inputs, shares.s
    output = shares.output - beyond / (s * s)
    for at, curve in enumerate(curves):
        back = min(_flat_at(curve, s), beyond)
        inputs[at] -= back
        beyond -= back
    return Shares(inputs, output, s, 0.0)
