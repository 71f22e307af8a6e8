"""The optimal split of an input over parallel pools: read off the merged curve, without iteration.

In: the sides of one pair. Out: how much each takes of any input, what comes out, and the price at the margin.
Floats, for search; integers are made of them elsewhere. A splitter is a value of its sides: when one changes,
`with_sides` makes the next one from the breakpoints that all the others still have sorted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from fillwright.routing.book import LEVELS, Side
from fillwright.routing.curves import Curve

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

    def __init__(self, curves: Sequence[Curve], events: list[_Event] | None = None) -> None:
        self.curves = curves
        if events is None:
            events = [(*event, at) for at, curve in enumerate(curves) for event in curve.events()]
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

    def changed(self, curves: Sequence[Curve], moved: set[int]) -> _Merged:
        """The same with the curves at `moved` replaced: what the others have sorted stays sorted."""
        events = [event for event in self.events if event[3] not in moved]
        events += [(*event, at) for at in moved for event in curves[at].events()]
        return _Merged(curves, events)

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
        """Inputs taken and slopes at the start of stretch i, replayed from the events before it once."""
        row = self.rows.get(i)
        if row is None:
            count = len(self.curves)
            taken, slopes, since = [0.0] * count, [0.0] * count, [0.0] * count
            for s, change, jump, at in self.events[: self.upto[i]]:
                if jump:
                    taken[at] += jump
                    continue
                taken[at] += slopes[at] * (s - since[at])
                since[at] = s
                slopes[at] = change if change > 0 else 0.0
            start = self.ss[i]
            taken = [x + k * (start - s) for x, k, s in zip(taken, slopes, since, strict=True)]
            row = self.rows[i] = (taken, slopes)
        return row


class Splitter:
    """Splits over `sides`. Looks at more of the pools' curves only where a query needs it."""

    def __init__(self, sides: Sequence[Side]) -> None:
        self.sides = list(sides)
        self._merged: list[_Merged | None] = [None] * len(LEVELS)

    def with_sides(self, sides: Sequence[Side]) -> Splitter:
        """This splitter if `sides` are the very same, else one for them, which keeps the order that this one has."""
        places = {side.address: at for at, side in enumerate(self.sides)}
        if len(sides) != len(places) or any(side.address not in places for side in sides):
            return Splitter(sides)
        ordered: list[Side] = self.sides.copy()
        for side in sides:
            ordered[places[side.address]] = side
        moved = {at for at, (side, before) in enumerate(zip(ordered, self.sides, strict=True)) if side is not before}
        if not moved:
            return self
        after = Splitter(ordered)
        for level, merged in enumerate(self._merged):
            if merged is not None:
                after._merged[level] = merged.changed([side.curve(level) for side in ordered], moved)
        return after

    def _level(self, level: int) -> _Merged:
        merged = self._merged[level]
        if merged is None:
            merged = self._merged[level] = _Merged([side.curve(level) for side in self.sides])
        return merged

    def _at(self, x: float) -> _Merged:
        for level in range(len(LEVELS)):
            merged = self._level(level)
            merged.reach(x)
            if x <= merged.xs[-1] or merged.horizon == inf:
                break
        return merged

    def capacity(self) -> float:
        """The largest input that the pools take together."""
        return self._at(inf).xs[-1]

    def split(self, x: float) -> Shares:
        """The inputs that give the most output together; `rest` is what no pool takes."""
        merged = self._merged[0]
        if merged is None or x > merged.xs[-1]:
            merged = self._at(x)
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
        merged = self._at(x)
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
