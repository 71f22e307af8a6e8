"""Concave exchange functions of pieces y = p·u / (1 + q·u), closed under the three operations of a route.

In: segments of one pool direction. Out: curves that can be evaluated, put in parallel (`merged`) and in series
(`composed`). Floats, for search only. Must not: know pools or integers.

With s = 1/√λ, λ the marginal price, the input that a piece has taken is linear in s: u = (√p/q)·(s - 1/√p), and
a piece of constant price (q = 0) is a jump. So parallel curves merge by adding slopes over their sorted
breakpoints, the split of any input is read off, and no iteration is needed. On a stretch of total slope K from s
the merged curve is again such a piece, with p = 1/s² and q = 1/(K·s).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import islice
from math import inf, sqrt

from fillwright.venues.venue import CurveSegment

FLAT = 1e-9
"""A piece whose price falls by less than this share counts as one of constant price."""
MAX_HULL_STEPS = 100
_SMALLEST = 1e-300

Event = tuple[float, float, float]
"""(s, change of slope, jump): what happens to the input taken at s."""


class Curve:
    """Piece i takes inputs xs[i]..xs[i+1] at marginal prices from 1/ss[i]² down to 1/es[i]².

    `ended`: there is nothing beyond; else the curve goes on, worse than its last price, and is not known there.
    """

    __slots__ = ("_events", "ended", "es", "ps", "qs", "ss", "xs", "ys")

    def __init__(self) -> None:
        self.xs = [0.0]
        self.ys = [0.0]
        self.ps: list[float] = []
        self.qs: list[float] = []
        self.ss: list[float] = []
        self.es: list[float] = []
        self.ended = True
        self._events: list[Event] | None = None

    @property
    def capacity(self) -> float:
        """The largest input that is known to be taken."""
        return self.xs[-1]

    @property
    def horizon(self) -> float:
        """The s up to which the curve is known."""
        if self.ended:
            return inf
        return self.es[-1] if self.es else 0.0

    def add(self, p: float, q: float, cap: float) -> None:
        """Append a piece whose first price is not above the last one so far."""
        s = 1.0 / sqrt(p)
        if self.es and s < self.es[-1]:
            s = self.es[-1]
            p = 1.0 / (s * s)
        if q * cap < FLAT:
            self._put(p, 0.0, s, s, cap, p * cap)
        else:
            scale = 1.0 + q * cap
            self._put(p, q, s, s * scale, cap, p * cap / scale)

    def _put(self, p: float, q: float, s: float, end: float, cap: float, out: float) -> None:
        self.ps.append(p)
        self.qs.append(q)
        self.ss.append(s)
        self.es.append(end)
        self.xs.append(self.xs[-1] + cap)
        self.ys.append(self.ys[-1] + out)

    def out(self, x: float) -> float:
        """The output for input `x`; 0 where the curve does not take that much."""
        xs = self.xs
        i = bisect_right(xs, x) - 1
        if i >= len(self.ps):
            return self.ys[-1] if x <= xs[-1] else 0.0
        u = x - xs[i]
        return self.ys[i] + self.ps[i] * u / (1.0 + self.qs[i] * u)

    def s_at(self, x: float) -> float:
        """1/√λ after input `x`; infinite beyond the end."""
        i = bisect_right(self.xs, x) - 1
        if i >= len(self.ps):
            return self.es[-1] if self.es and x <= self.xs[-1] else inf
        return self.ss[i] * (1.0 + self.qs[i] * (x - self.xs[i]))

    def x_at(self, s: float) -> float:
        """The input that is taken at marginal prices above 1/s², pieces of exactly that price included."""
        i = bisect_right(self.es, s)
        x = self.xs[i]
        if i < len(self.ss) and s > self.ss[i]:
            x += (s / self.ss[i] - 1.0) / self.qs[i]
        return x

    def input_for(self, y: float) -> float:
        """The input whose output is `y`; infinite where there is none."""
        i = bisect_right(self.ys, y) - 1
        if i >= len(self.ps):
            return self.xs[-1] if self.ps and y <= self.ys[-1] else inf
        rest = y - self.ys[i]
        room = self.ps[i] - self.qs[i] * rest
        return self.xs[i] + rest / room if room > 0 else inf

    def gain_at(self, price: float) -> float:
        """max over x of out(x) - price·x: what the curve is worth to whoever pays `price` for input."""
        if not self.ps or price <= 0.0:
            return self.ys[-1]
        s = 1.0 / sqrt(price)
        i = bisect_right(self.es, s)
        x, y = self.xs[i], self.ys[i]
        if i < len(self.ss) and s > self.ss[i]:
            ratio = s / self.ss[i]
            u = (ratio - 1.0) / self.qs[i]
            x += u
            y += self.ps[i] * u / ratio
        return max(y - price * x, 0.0)

    def events(self) -> list[Event]:
        """The breakpoints in s, ascending."""
        found = self._events
        if found is None:
            found = []
            for i, q in enumerate(self.qs):
                s = self.ss[i]
                if q:
                    slope = 1.0 / (q * s)
                    found += ((s, slope, 0.0), (self.es[i], -slope, 0.0))
                else:
                    found.append((s, 0.0, self.xs[i + 1] - self.xs[i]))
            self._events = found
        return found


def curve_of(segments: Iterable[CurveSegment], limit: int) -> Curve:
    """The concave hull of the first `limit` segments."""
    source = iter(segments)
    curve = Curve()
    for segment in islice(source, limit):
        if segment.cap > 0 and segment.p > _SMALLEST:
            s = 1.0 / sqrt(segment.p)
            if curve.es and s < curve.es[-1] * (1.0 - FLAT):
                curve = bridged(curve, segment)
            else:
                curve.add(segment.p, segment.q, segment.cap)
    curve.ended = next(source, None) is None
    return curve


def bridged(curve: Curve, segment: CurveSegment) -> Curve:
    """The concave hull of `curve` followed by a segment whose price is better than the curve's last.

    The line that touches both has the price at which both are worth the same to its payer: found by halving.
    """
    x_end, y_end = curve.xs[-1], curve.ys[-1]
    beyond = Curve()
    beyond.add(segment.p, segment.q, segment.cap)
    low, high = min(curve.ss[0], beyond.ss[0]), curve.es[-1]
    for _ in range(MAX_HULL_STEPS):
        s = 0.5 * (low + high)
        price = 1.0 / (s * s)
        x = beyond.x_at(s)
        if y_end + beyond.out(x) - price * (x_end + x) > curve.gain_at(price):
            high = s
        else:
            low = s
    s = 0.5 * (low + high)
    x_left, x_right = curve.x_at(s), beyond.x_at(s)
    hull = Curve()
    for i, p in enumerate(curve.ps):
        cap = min(curve.xs[i + 1], x_left) - curve.xs[i]
        if cap > 0:
            hull.add(p, curve.qs[i], cap)
    y_right = y_end + beyond.out(x_right)
    width, height = x_end + x_right - hull.xs[-1], y_right - hull.ys[-1]
    if width > 0 and height > 0:
        hull.add(height / width, 0.0, width)
    scale = 1.0 + segment.q * x_right
    if segment.cap > x_right:
        hull.add(segment.p / (scale * scale), segment.q / scale, segment.cap - x_right)
    return hull


def merged(curves: Sequence[Curve], limit: float = inf) -> Curve:
    """The curves in parallel, best price first, up to an input of `limit` and as far as all are known."""
    if len(curves) == 1:
        return curves[0]
    events: list[Event] = []
    for curve in curves:
        events += curve.events()
    events.sort()
    horizon = min((curve.horizon for curve in curves), default=inf)
    total = Curve()
    total.ended = horizon == inf
    slope, active, before = 0.0, 0, 0.0
    for s, change, jump in events:
        if s > horizon:
            s = horizon
        if active and s > before:
            cap = slope * (s - before)
            total._put(1.0 / (before * before), 1.0 / (slope * before), before, s, cap, cap / (before * s))
            if total.xs[-1] >= limit:
                total.ended = False
                return total
        if s == horizon:
            break
        before = s
        if jump:
            total._put(1.0 / (s * s), 0.0, s, s, jump, jump / (s * s))
        else:
            slope += change
            active += 1 if change > 0 else -1
            if not active:
                slope = 0.0
    return total


def composed(first: Curve, second: Curve, kept: float = 1.0, *, limit: float = inf, until: float = inf) -> Curve:
    """`second` fed with the share `kept` of what `first` gives: p = p₁·k·p₂ and q = q₁ + q₂·p₁·k, piece by piece.

    Drawn up to an input of `limit` and down to the marginal price 1/until².
    """
    series = Curve()
    xs, ys, ps, qs, ss, es = series.xs, series.ys, series.ps, series.qs, series.ss, series.es
    p2s, q2s, x2s = second.ps, second.qs, second.xs
    pieces = len(p2s)
    x = y = end = used = 0.0
    j = 0
    for p, q, start, stop in zip(first.ps, first.qs, first.xs, first.xs[1:], strict=False):
        left = stop - start
        p *= kept
        while left > 0.0:
            if j == pieces:
                series.ended = second.ended
                return series
            room = x2s[j + 1] - x2s[j] - used
            scale = 1.0 + q2s[j] * used
            p2, q2 = p2s[j] / (scale * scale), q2s[j] / scale
            fed = p * left / (1.0 + q * left)
            crosses = fed > room
            if crosses:
                # y = p·u / (1 + q·u)  <=>  u = y / (p - q·y)
                cap = min(room / (p - q * room), left)
                j, used = j + 1, 0.0
            else:
                cap = left
                used += fed
            if cap > 0.0:
                total_p, total_q = p * p2, q + q2 * p
                s = 1.0 / sqrt(total_p)
                if s < end:
                    s = end
                    total_p = 1.0 / (s * s)
                fall = total_q * cap
                if fall < FLAT:
                    total_q, end = 0.0, s
                    y += total_p * cap
                else:
                    end = s * (1.0 + fall)
                    y += total_p * cap / (1.0 + fall)
                x += cap
                ps.append(total_p)
                qs.append(total_q)
                ss.append(s)
                es.append(end)
                xs.append(x)
                ys.append(y)
                if x >= limit or end >= until:
                    series.ended = False
                    return series
            if not crosses:
                break
            scale = 1.0 + q * cap
            p, q, left = p / (scale * scale), q / scale, left - cap
    series.ended = first.ended and second.ended
    return series
