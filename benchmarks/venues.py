"""What a quote, a curve and a decode cost in each venue, beside their goals and the plain step loop.

`python -m benchmarks.venues`. Pools are the recorded ones of the tests, and for CLMM one of many ticks made from
them. A figure is the worst of a venue's pools and directions, each the best of several runs: the machine is shared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace as with_fields
from functools import partial
from itertools import islice

from msgspec.structs import replace
from tests.venues.conformance import Sample, named_accounts, samples

from benchmarks.figures import Figure, show
from fillwright.domain.accounts import Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.routing.book import LEVELS
from fillwright.venues.registry import VENUES
from fillwright.venues.venue import Swap

GOAL_CONSTANT_PRODUCT_US, GOAL_STEPS_US = 0.5, 2.0
GOAL_CURVE_US, GOAL_DECODE_US = 150.0, 50.0
STEPPED = ("raydium_clmm", "meteora_dlmm")
CONSTANT_PRODUCT = ("raydium_amm_v4", "raydium_cpmm")
SEGMENTS = LEVELS[0] + 1
"""What routing draws of a curve before anything asks for more."""
MANY_TICKS = 1_000
RUNS = 7
RUN_S = 0.01
MAX_DIGITS = 19

Direction = tuple[Sample, Mint]


def spent_us(work: Callable[[], object]) -> float:
    """Microseconds of one call: the best of RUNS runs of about RUN_S each."""
    started = time.perf_counter()
    work()
    once_s = max(time.perf_counter() - started, 1e-7)
    times = max(1, int(RUN_S / once_s))
    best_s = once_s
    for _ in range(RUNS):
        started = time.perf_counter()
        for _ in range(times):
            work()
        best_s = min(best_s, (time.perf_counter() - started) / times)
    return best_s * 1e6


def overhead_us() -> float:
    """What calling costs: part of every figure, as it is small."""
    return spent_us(lambda: None)


def directions(held: list[Sample]) -> Iterator[Direction]:
    for sample in held:
        for mint in sample.pool.mints:
            yield sample, mint


def reach(sample: Sample, mint: Mint) -> int:
    """The largest input, of three leading digits, that the direction takes; 0 where it takes nothing."""
    ask = sample.venue.quoter(sample.pool, mint, sample.clock)

    def answers(amount: int) -> bool:
        try:
            return ask(amount) > 0
        except QuoteRefused:
            return False

    sizes = (lead * 10**digits for digits in range(MAX_DIGITS) for lead in range(100, 1_000, 10))
    return max((size for size in sizes if size < 2**64 and answers(size)), default=0)


def crossed(sample: Sample, mint: Mint, amount: int) -> int:
    """How many stretches of constant liquidity, or bins, `amount` goes through whole."""
    left, count = float(amount), 0
    for segment in sample.venue.curve(sample.pool, mint, sample.clock):
        left -= segment.cap
        if left < 0:
            break
        count += 1
    return count


def quote_times(sample: Sample, mint: Mint, amount: int) -> tuple[float, float, float]:
    """Prepared; plain; prepared from scratch: in µs, after checking that they agree."""
    ask = sample.venue.quoter(sample.pool, mint, sample.clock)
    swap = Swap(mint, SwapMode.EXACT_IN, amount)
    plain = partial(sample.venue.quote, sample.pool, swap, sample.clock)
    assert ask(amount) == plain().amount_out
    scratch_us = spent_us(lambda: sample.venue.quoter(sample.pool, mint, sample.clock)(amount))
    return spent_us(partial(ask, amount)), spent_us(plain), scratch_us


def quotes(venue: str, held: list[Sample], name: str = "quote", goal: float | None = None) -> Figure:
    """One swap of a middling size: a thousandth of what the pool takes. Without `goal`, the venue's own."""
    found = []
    for sample, mint in directions(held):
        amount = max(reach(sample, mint) // 1_000, 1)
        try:
            found.append(quote_times(sample, mint, amount))
        except QuoteRefused:
            continue
    fast, plain, scratch = max(found)
    if goal is None:
        goal = GOAL_CONSTANT_PRODUCT_US if venue in CONSTANT_PRODUCT else GOAL_STEPS_US if venue in STEPPED else None
    return Figure(name, fast, "µs", goal, baseline=f"plain `quote` {plain:.1f} µs, the first one {scratch:.1f} µs")


def depths(held: list[Sample]) -> list[Figure]:
    """The same over more and more ticks or bins: the deepest pool and direction that there is."""
    deepest = max(directions(held), key=lambda one: crossed(*one, reach(*one)))
    most = reach(*deepest)
    wanted = crossed(*deepest, most)
    found = []
    for share in (0.0, 0.1, 0.5, 1.0):
        low, high = 1, most
        while low < high:  # the smallest amount that crosses so many
            middle = (low + high) // 2
            if crossed(*deepest, middle) >= share * wanted:
                high = middle
            else:
                low = middle + 1
        amount = min(max(low, 10_000), most)
        fast, plain, scratch = quote_times(*deepest, amount)
        name = f"quote, {crossed(*deepest, amount)} crossed"
        baseline = f"step loop {plain:.1f} µs, the first one {scratch:.1f} µs"
        found.append(Figure(name, fast, "µs", GOAL_STEPS_US, baseline=baseline))
    return found


def curves(held: list[Sample]) -> Figure:
    """As routing builds it after a pool has changed: from the decoded pool to its first segments."""
    found = []
    for sample, mint in directions(held):
        build = partial(sample.venue.curve, sample.pool, mint, sample.clock)
        part_us = spent_us(lambda build=build: list(islice(build(), SEGMENTS)))
        found.append((part_us, sample, mint))
    part_us, sample, mint = max(found, key=lambda one: one[0])
    whole = list(sample.venue.curve(sample.pool, mint, sample.clock))
    whole_us = spent_us(lambda: list(sample.venue.curve(sample.pool, mint, sample.clock)))
    name = f"curve, first {min(SEGMENTS, len(whole))} segments"
    return Figure(name, part_us, "µs", GOAL_CURVE_US, baseline=f"all {len(whole)} segments {whole_us:.0f} µs")


def decodes(held: list[Sample]) -> Figure:
    found = []
    for sample in held:
        accounts = named_accounts(sample.venue, sample.address, sample.accounts)
        whole_us = spent_us(partial(sample.venue.decode, sample.address, accounts))
        found.append((whole_us / len(accounts), whole_us, len(accounts)))
    each_us, whole_us, count = max(found)
    return Figure("decode, per account", each_us, "µs", GOAL_DECODE_US, baseline=f"{count} accounts {whole_us:.0f} µs")


def many_ticks(sample: Sample) -> Sample:
    """The pool with nested positions around its price instead of its own: a tick at every spacing."""
    pool = sample.pool
    spacing = pool.tick_spacing
    middle = pool.tick // spacing * spacing
    offsets = range(1, MANY_TICKS // 2 + 1)
    share = max(pool.liquidity // MANY_TICKS, 1)
    low = [middle - offset * spacing for offset in reversed(offsets)]
    high = [middle + offset * spacing for offset in offsets]
    made = replace(
        pool,
        ticks=(*low, *high),
        nets=(share,) * len(low) + (-share,) * len(high),
        liquidity=share * len(low),
        stuck=frozenset(),
        balances=None,
    )
    return with_fields(sample, name=f"{sample.name}, {MANY_TICKS} ticks", pool=made)


def main() -> None:
    held: dict[str, list[Sample]] = {venue: [] for venue in VENUES}
    for sample in samples():
        held[sample.venue.id].append(sample)
    print(f"an empty call takes {overhead_us():.3f} µs; it is part of every figure")
    for venue, mine in held.items():
        figures = [quotes(venue, mine)]
        products = [sample for sample in mine if getattr(sample.pool, "stable", mine) is None]
        if products:
            figures.append(quotes(venue, products, "quote, constant product", GOAL_CONSTANT_PRODUCT_US))
        if venue in STEPPED:
            deep = [many_ticks(mine[0])] if venue == "raydium_clmm" else mine
            figures += depths(deep)
        show(VENUES[venue].label, [*figures, curves(mine), decodes(mine)])


if __name__ == "__main__":
    main()
