"""Routing against its goals, each beside its baselines in the same run, on made-up markets.

    python -m benchmarks routing
    python benchmarks/routing.py [--cases 100000] [--only split legs hops single grid rules small]

Exits with 1 where a promise is broken: a route below the best single pool, a set of legs that is not the best, a
split that a solver or a 1 % grid beats, a rule that does not hold. Speed is shown beside its goal and breaks nothing:
times are of one core of this machine, on which others may be at work.
"""

from __future__ import annotations

import argparse
import gc
import statistics
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import inf
from random import Random
from time import perf_counter, process_time

from benchmarks.figures import Figure, show
from benchmarks.routing_markets import (
    APART,
    FREE,
    PAIR,
    UNLIMITED,
    UNLIMITED_HOPS,
    changes,
    direct_market,
    drained,
    order,
    sides_of,
    tabled,
)
from benchmarks.routing_oracles import (
    BP,
    amount_of_impact,
    below_a_single_pool,
    best_of_all_plans,
    best_of_all_sets,
    convex_optimum,
    grid,
    halves,
)
from fillwright.config import Settings
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.orders import OrderSpec, OrderType
from fillwright.domain.tokens import MAINNET_TOKENS
from fillwright.market.snapshot import Snapshot
from fillwright.paper.default_market import default_pools, reference_prices
from fillwright.paper.generator import CLOCK, Coin, coins, market, pool_of_pair, snapshot_of
from fillwright.paper.world import Genesis
from fillwright.routing.book import Book
from fillwright.routing.replay import decide_recorded, replay
from fillwright.routing.route import Router
from fillwright.routing.split import Splitter
from fillwright.routing.subset import best_subset
from fillwright.routing.terms import RoutingTerms

NOISE = 1e-4
"""Basis points: beside this, what a solver gains is its own tolerance and what a float loses its own rounding."""
broken: list[str] = []


def promise(kept: bool, what: str) -> None:
    if not kept:
        broken.append(what)
        print(f"  BROKEN: {what}")


def quantile(samples: Sequence[float], part: float) -> float:
    return sorted(samples)[min(int(len(samples) * part), len(samples) - 1)]


def timed(work: Callable[..., object], *given: object) -> float:
    started = perf_counter()
    work(*given)
    return perf_counter() - started


def split() -> None:
    """Goal 1."""
    for count, query_goal, cases in ((5, None, 40), (10, 5.0, 40), (50, 20.0, 6)):
        snapshot, draw = direct_market(7, count), Random(1)
        splitter = Splitter(sides_of(snapshot))
        whole = min(splitter.capacity(), 5_000_000 / PAIR[0].unit_price)
        sizes = [whole * draw.uniform(0.001, 0.3) for _ in range(5_000)]
        for x in sizes:
            splitter.split(x)
        query = timed(lambda: [splitter.split(x) for x in sizes]) / len(sizes)  # noqa: B023 - called at once
        again, anew = re_splits(snapshot, sizes[0], draw)
        gaps, took = [], []
        for case in range(cases):
            judged = Splitter(sides_of(direct_market(100 + case, count)))
            x = min(judged.capacity(), 5_000_000 / PAIR[0].unit_price) * draw.uniform(0.001, 0.3)
            shares = judged.split(x)
            started = perf_counter()
            best = convex_optimum([side.known_to(shares.s * 1.3) for side in judged.sides], x)
            took.append(perf_counter() - started)
            gaps.append((best - shares.output) / best * BP)
        promise(max(gaps) <= NOISE, f"a split of {count} pools is behind the solver by {max(gaps):.2e} bp")
        solver = f"Clarabel takes {statistics.median(took) * 1e3:.0f} ms"
        show(
            f"direct split over {count} pools",
            [
                Figure("remembered curve, any input", query * 1e6, "µs", query_goal, baseline=solver),
                Figure(
                    "after a pool has changed, p50", quantile(again, 0.5) * 1e6, "µs", 150.0,
                    baseline=f"p90 {quantile(again, 0.9) * 1e6:.0f} µs; all curves anew {anew * 1e6:,.0f} µs",
                ),
                Figure("behind the optimum, at most", max(gaps), "bp", 1e-4, baseline=f"{cases} markets"),
            ],
        )  # fmt: skip


def re_splits(snapshot: Snapshot, x: float, draw: Random) -> tuple[list[float], float]:
    """Seconds to split again after each of 300 changes; and to do it without anything remembered."""
    book, again = Book(), []
    book.open(snapshot)
    splitter = Splitter(book.sides(PAIR[0].mint, PAIR[1].mint))
    splitter.split(x)
    for _, changed in zip(range(300), changes(snapshot, draw), strict=False):
        started = perf_counter()
        book.open(changed)
        splitter = splitter.with_sides(book.sides(PAIR[0].mint, PAIR[1].mint))
        splitter.split(x)
        again.append(perf_counter() - started)
    anew = statistics.median(timed(lambda: Splitter(sides_of(snapshot)).split(x)) for _ in range(20))
    return again, anew


def legs() -> None:
    """Goal 2."""
    times, brute, proven, worst, checked = [], [], 0, 0.0, 0
    for seed in range(600):
        draw = Random(seed)
        count, most = draw.randrange(2, 21), draw.randrange(1, 6)
        x = 10 ** draw.uniform(9, 12.7)
        curves = [side.covering(x) for side in sides_of(direct_market(seed, count))]
        costs = [10 ** draw.uniform(0, 5.5) for _ in curves]
        started = process_time()
        chosen = best_subset(curves, costs, x, most)
        times.append(process_time() - started)
        proven += chosen is not None and chosen.proven
        if seed % 8 == 0 or count <= 8:
            most = min(most, 4 if count > 12 else 5)
            started = perf_counter()
            best = best_of_all_sets(curves, costs, x, most)
            brute.append(perf_counter() - started)
            again = best_subset(curves, costs, x, most)
            promise((again is None) == (best == -inf), f"a set was found, or not, otherwise than by trying all: {seed}")
            if again is not None:
                worst, checked = max(worst, (best - again.net) / abs(best) * BP), checked + 1
    promise(worst <= 1e-6, f"exhaustive search found a set better by {worst:.2e} bp")
    show(
        "leg-capped selection, up to 20 pools and 5 legs",
        [
            Figure("p50", quantile(times, 0.5) * 1e3, "ms"),
            Figure(
                "p99", quantile(times, 0.99) * 1e3, "ms", 5.0, baseline=f"exhaustive up to {max(brute) * 1e3:,.0f} ms"
            ),
            Figure("behind exhaustive search", worst, "bp", 1e-6, baseline=f"{checked} cases; {proven} of 600 proven"),
        ],
    )


def hops() -> None:
    """Goal 3."""
    for count, goals in ((50, (None, None)), (500, (None, None)), (5_000, (8.0, 25.0))):
        snapshot, held = market(1, count), coins(1, max(6, count // 10))
        draw, router, terms = Random(2), Router(), tabled(snapshot)
        cold, warm, moved, lengths = [], [], [], []
        moving = changes(snapshot, draw)
        for _ in range(200):
            source, target = draw.sample(held[: max(6, len(held) // 4)], 2)
            spec = order(source, target, max(1, int(10 ** draw.uniform(1, 4.5) / source.unit_price)))
            cold.append(timed(router.decide, spec, snapshot, terms) * 1e3)
            warm.append(timed(router.decide, spec, snapshot, terms) * 1e3)
            snapshot = next(moving)
            moved.append(timed(router.decide, spec, snapshot, terms) * 1e3)
            decision = router.decide(spec, snapshot, terms)
            lengths.append(len(decision.route.legs) if decision.route else 0)
        note = f"known pair {quantile(warm, 0.5):.1f}, after a change {quantile(moved, 0.5):.1f} ms"
        late = f"known pair {quantile(warm, 0.9):.1f}, after a change {quantile(moved, 0.9):.1f} ms"
        show(
            f"three hops, 5 legs, {count:,} pools; {statistics.mean(lengths):.1f} legs on average",
            [
                Figure("another pair each time, p50", quantile(cold, 0.5), "ms", goals[0], baseline=note),
                Figure("p90", quantile(cold, 0.9), "ms", goals[1], baseline=late),
            ],
        )
    behind_exhaustive()


def behind_exhaustive() -> None:
    snapshot, held = market(1, 5_000), coins(1, 500)
    draw, router = Random(4), Router()
    gaps: list[float] = []
    tried: list[int] = []
    for _ in range(200):
        if len(gaps) >= 20:
            break
        source, target = draw.sample(held[:100], 2)
        spec = order(source, target, max(1, int(10 ** draw.uniform(1, 3.5) / source.unit_price)))
        route = router.decide(spec, snapshot, UNLIMITED_HOPS).route
        if route is None or route.price_impact_ppm > 5_000:
            continue
        best, count = best_of_all_plans(spec, snapshot, 5)
        gaps.append((best - route.amount_out) / best * BP)
        tried.append(count)
    promise(quantile(gaps, 0.9) <= 0.2, f"exhaustive search is ahead by {quantile(gaps, 0.9):.3f} bp at p90")
    note = f"p50 {quantile(gaps, 0.5):.4f}, most {max(gaps):.4f} bp; {statistics.mean(tried):,.0f} plans an order"
    show(
        "orders of up to 50 bp impact",
        [Figure("behind exhaustive, p90", quantile(gaps, 0.9), "bp", 0.2, baseline=note)],
    )


def single(cases: int) -> None:
    """Goal 4: all venues, flat bins, drained pools, tiny and huge amounts, both modes; paths in every fifth market."""
    gc.disable()  # what this process has loaded for its oracles is no part of a decision
    draw, router, violations, routed, refused = Random(9), Router(), 0, 0, 0
    times: list[float] = []
    per_market = 25
    for number in range(cases // per_market):
        if number % 50 == 0:
            gc.collect()
        held: Sequence[Coin] = PAIR
        if number % 5:
            snapshot = direct_market(number, draw.randrange(1, 9), noise=draw.choice((0.0, 0.001, 0.02)))
        else:
            held, snapshot = coins(number, 6), market(number, draw.randrange(6, 40), tokens=6)
        snapshot = drained(draw, snapshot)
        choices = (FREE, RoutingTerms(), tabled(snapshot))
        for _ in range(per_market):
            source, target = draw.sample(held, 2)
            mode = draw.choice((SwapMode.EXACT_IN, SwapMode.EXACT_IN, SwapMode.EXACT_OUT))
            amount = draw.choice((draw.randrange(1, 100), int(10 ** draw.uniform(1, 19.2)), U64_MAX))
            terms = draw.choice(choices)
            spec = order(source, target, amount, mode)
            # Of the processor: a hundred thousand wall times tell of the machine's other work.
            started = process_time()
            decision = router.decide(spec, snapshot, terms)
            times.append(process_time() - started)
            routed += decision.route is not None
            refused += decision.problem is not None
            violations += below_a_single_pool(spec, snapshot, decision, terms)
            violations += (decision.route is None) == (decision.problem is None)
    gc.enable()
    promise(violations == 0, f"{violations} routes below the best single pool")
    took = f"p50 {quantile(times, 0.5) * 1e3:.2f} ms, p99 {quantile(times, 0.99) * 1e3:.1f} ms of processor time"
    show(
        "never below the best single pool, net, in exact integers",
        [
            Figure(
                "violations", violations, "", 0, baseline=f"{cases:,} cases: {routed:,} routed, {refused:,} refused"
            ),
            Figure("slowest decision", max(times) * 1e3, "ms", baseline=took),
        ],
    )


def grids() -> None:
    """Goal 5."""
    leads: dict[str, list[float]] = {"single pool": [], "10 % grid": [], "5 % grid": [], "1 % grid": []}
    router = Router()
    for seed in range(60):
        snapshot = direct_market(seed + 5_000, 10, venues=Random(seed).sample(APART * 2, 10))
        sides = sides_of(snapshot)
        amount = amount_of_impact(Splitter(sides), Random(seed).uniform(30, 50))
        route = router.decide(order(*PAIR, amount), snapshot, UNLIMITED).route
        promise(route is not None, f"no route in market {seed}")
        others = {
            "single pool": max(side.exact_or_zero(amount) for side in sides),
            "10 % grid": grid(sides, amount, 10),
            "5 % grid": grid(sides, amount, 20),
            "1 % grid": grid(sides, amount, 100),
        }
        for name, other in others.items():
            leads[name].append((route.amount_out - other) / route.amount_out * BP if route else -inf)
    promise(statistics.mean(leads["5 % grid"]) >= 0.5, "less than 0.5 bp ahead of a 5 % grid")
    promise(min(leads["1 % grid"]) >= 0, "behind a 1 % grid")
    goals = {"5 % grid": 0.5}
    show(
        "30 to 50 bp impact, 10 pools: ahead on average",
        [
            Figure(f"of a {name}", statistics.mean(lead), "bp", goals.get(name), at_most=False,
                   baseline=f"at least {min(lead):.4f} bp")
            for name, lead in leads.items()
        ],
    )  # fmt: skip


def rules() -> None:
    """Metamorphic rules, inputs beyond all reserves, replays."""
    worst, cut, beyond = 0.0, 0.0, []
    for seed in range(120):
        draw, router = Random(seed), Router()
        many = direct_market(seed, 10)
        few = snapshot_of(list(many.pools.values())[:9])
        spec = order(*PAIR, max(1, int(10 ** draw.uniform(1, 5.5) / PAIR[0].unit_price)))
        outs = [0]
        for most in range(1, 6):
            limited = order(*PAIR, spec.amount, max_legs=most)
            decision, stored = decide_recorded(router, limited, many, FREE)
            promise(replay(limited, stored) == decision, f"a replay differs: {seed}")
            outs.append(decision.route.amount_out if decision.route else 0)
        fewer = router.decide(spec, few, FREE).route
        worst = max(worst, *(before - after for before, after in pairwise(outs)))
        worst = max(worst, (fewer.amount_out if fewer else 0) - outs[-1])
        whole = pool_of_pair(seed, 0, PAIR, dollars=50_000.0, venue="raydium_amm_v4")
        two = [router.decide(spec, snapshot_of(pools), UNLIMITED).route for pools in ([whole], halves(whole))]
        cut = max(cut, abs(two[0].amount_out - two[1].amount_out)) if two[0] and two[1] else cut
        dry = direct_market(seed, 8, venues=("raydium_clmm", "meteora_dlmm"))
        terms = tabled(dry)
        started = perf_counter()
        decision = Router().decide(order(*PAIR, U64_MAX), dry, terms)
        beyond.append(perf_counter() - started)
        promise(decision.problem is not None and decision.problem.code == "no_route", f"beyond reserves: {seed}")
    promise(worst <= 5, f"another pool or leg has lowered an output by {worst} units")
    promise(cut <= 8, f"a pool cut in two gives {cut} units more or less")
    show(
        "rules, over 120 markets",
        [
            Figure("another pool or leg costs at most", worst, "units", 5),
            Figure("a pool cut in two differs by", cut, "units", 8, baseline="rounding of two legs"),
            Figure("refusal beyond all reserves, p50", quantile(beyond, 0.5) * 1e3, "ms",
                   baseline=f"most {max(beyond) * 1e3:.1f} ms, nothing remembered"),
        ],
    )  # fmt: skip


def small() -> None:
    """What most orders are: small beside the two pools, or four, of their pair."""
    figures = []
    for concentrated in (False, True):
        settings = Settings(_env_file=None, paper_concentrated=concentrated)  # type: ignore[call-arg]
        genesis = Genesis(7, 0, 400, CLOCK, "benchmark")
        snapshot = snapshot_of(default_pools(genesis, settings, reference_prices(genesis, 1.0)))
        sol, usdc = (token.mint for token in MAINNET_TOKENS if token.symbol in ("SOL", "USDC"))
        spec = OrderSpec("a", "w", OrderType.MARKET, sol, usdc, SwapMode.EXACT_IN, 10**8, 50)
        router = Router()
        times = [timed(decide_recorded, router, spec, snapshot) for _ in range(3_000)]
        cold = statistics.median(timed(decide_recorded, Router(), spec, snapshot) for _ in range(100))
        pools = len(snapshot.of_pair(sol, usdc))
        note = f"p90 {quantile(times, 0.9) * 1e6:.0f} µs; nothing remembered {cold * 1e6:,.0f} µs"
        figures.append(Figure(f"{pools} pools, p50", quantile(times, 0.5) * 1e6, "µs", baseline=note))
    show("a small order, decided and recorded", figures)


def main() -> None:
    """Run the chosen parts; exit status 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000, help="random cases of `single`")
    names = ("split", "legs", "hops", "single", "grid", "rules", "small")
    parser.add_argument("--only", nargs="*", choices=names, default=list(names), help="parts to run")
    chosen = parser.parse_args()
    parts = {"split": split, "legs": legs, "hops": hops, "single": lambda: single(chosen.cases), "grid": grids,
             "rules": rules, "small": small}  # fmt: skip
    for name in chosen.only:
        parts[name]()
    print("\nall promises kept" if not broken else f"\n{len(broken)} promises broken")
    if broken:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
