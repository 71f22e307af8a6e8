"""Whole decisions: never below the best single pool, always within a transaction, the same every time."""

from __future__ import annotations

import itertools
from math import inf
from random import Random
from time import perf_counter

import msgspec
import pytest

from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.domain.orders import OrderSpec
from fillwright.market.snapshot import Snapshot, venue_for
from fillwright.paper.generator import coins, market, pool_of_pair, snapshot_of
from fillwright.routing.route import Decision, Router, decide
from fillwright.routing.terms import DEFAULT_TERMS, RoutingTerms
from fillwright.venues.venue import Swap
from routing.cases import FREE, HELD, amount_of, direct_market, order, sides_of, tabled

SOURCE, TARGET = HELD[0].mint, HELD[1].mint
BIG = market(5, 400)
BIG_HELD = coins(5, 40)
BIG_TABLED = tabled(BIG)


def best_alone(spec: OrderSpec, snapshot: Snapshot) -> int:
    """The best exact quote of any single pool, asked one by one; 0 where none answers."""
    best = 0
    for pool in snapshot.of_pair(spec.input_mint, spec.output_mint):
        try:
            quote = venue_for(pool).quote(pool, Swap(spec.input_mint, spec.mode, spec.amount), snapshot.clock)
        except QuoteRefused:
            continue
        if spec.mode is SwapMode.EXACT_IN:
            best = max(best, quote.amount_out)
        else:
            best = min(best or quote.amount_in, quote.amount_in)
    return best


def check(spec: OrderSpec, snapshot: Snapshot, decision: Decision, terms: RoutingTerms) -> None:
    """What holds for every decision."""
    route = decision.route
    alone = best_alone(spec, snapshot)
    if route is None:
        assert decision.problem is not None
        assert alone == 0
        return
    exact_in = spec.mode is SwapMode.EXACT_IN
    free = terms.signature_lamports == terms.priority_micro_lamports == 0
    if exact_in:
        assert route.amount_in == spec.amount
        assert decision.bound is not None
        assert decision.bound >= route.amount_out
        if free:
            assert route.amount_out >= alone
    else:
        assert route.amount_out == spec.amount
        if free and alone:
            assert route.amount_in <= alone
    assert decision.gain_ppm >= 0
    assert len({leg.pool for leg in route.legs}) == len(route.legs)
    if len(route.legs) > 1:
        assert route.size_bytes <= terms.max_bytes
        assert route.locks <= terms.max_locks
        assert route.compute_units <= terms.max_compute
    flows(spec, snapshot, decision)


def flows(spec: OrderSpec, snapshot: Snapshot, decision: Decision) -> None:
    """Every leg is its pool's own quote, and no hop is fed more than the hop before guarantees."""
    route = decision.route
    assert route is not None
    last: dict[int, int] = {}
    for leg in route.legs:
        last[leg.path] = max(last.get(leg.path, 0), leg.hop)
    spent = received = 0
    for leg in route.legs:
        pool = snapshot.pools[leg.pool]
        amount = leg.amount_in if spec.mode is SwapMode.EXACT_IN else leg.amount_out
        quote = venue_for(pool).quote(pool, Swap(leg.input_mint, spec.mode, amount), snapshot.clock)
        assert (quote.amount_in, quote.amount_out) == (leg.amount_in, leg.amount_out)
        spent += leg.amount_in if leg.hop == 0 else 0
        received += leg.amount_out if leg.hop == last[leg.path] else 0
    assert (spent, received) == (route.amount_in, route.amount_out)
    dust: dict[str, int] = {}
    for path, hops in last.items():
        for hop in range(hops):
            before = [leg for leg in route.legs if (leg.path, leg.hop) == (path, hop)]
            after = [leg for leg in route.legs if (leg.path, leg.hop) == (path, hop + 1)]
            fed = sum(leg.amount_in for leg in after)
            if spec.mode is SwapMode.EXACT_IN:
                assert fed == sum(leg.limit for leg in before)
            else:
                assert sum(leg.amount_out for leg in before) >= sum(leg.limit for leg in after)
            mint = after[0].input_mint
            dust[mint] = dust.get(mint, 0) + sum(leg.amount_out for leg in before) - fed
    assert {one.mint: one.amount for one in route.dust} == {mint: units for mint, units in dust.items() if units}


@pytest.mark.parametrize("seed", range(30))
def test_a_route_is_never_below_the_best_single_pool(seed: int) -> None:
    """All venues, flat bins and drained pools, from one unit to 2^64 - 1, in both modes."""
    draw = Random(seed)
    router = Router()
    for case in range(10):
        snapshot = direct_market(seed * 100 + case, draw.randrange(1, 9), noise=draw.choice((0.0, 0.001, 0.02)))
        snapshot = drained(draw, snapshot)
        mode = draw.choice((SwapMode.EXACT_IN, SwapMode.EXACT_IN, SwapMode.EXACT_OUT))
        amount = draw.choice((draw.randrange(1, 50), int(10 ** draw.uniform(2, 19)), U64_MAX))
        source, target = draw.sample((SOURCE, TARGET), 2)
        spec = order(source, target, amount, mode)
        for terms in (FREE, DEFAULT_TERMS):
            check(spec, snapshot, router.decide(spec, snapshot, terms), terms)


def drained(draw: Random, snapshot: Snapshot) -> Snapshot:
    """Some pools after a swap of most of what they take."""
    pools = dict(snapshot.pools)
    for address, pool in snapshot.pools.items():
        if draw.random() < 0.3:
            swap = Swap(draw.choice(pool.mints), SwapMode.EXACT_IN, int(10 ** draw.uniform(6, 17)))
            try:
                pools[address] = venue_for(pool).apply(pool, swap, snapshot.clock)[1]
            except QuoteRefused:
                continue
    return Snapshot(snapshot.clock, pools, snapshot.by_pair)


@pytest.mark.parametrize("seed", range(12))
def test_routes_over_paths_keep_the_same_promises(seed: int) -> None:
    draw = Random(f"paths/{seed}")
    router = Router()
    for _ in range(6):
        source, target = draw.sample(BIG_HELD[:14], 2)
        mode = draw.choice((SwapMode.EXACT_IN, SwapMode.EXACT_IN, SwapMode.EXACT_OUT))
        spec = order(source.mint, target.mint, amount_of(source, 10 ** draw.uniform(0, 6)), mode)
        for terms in (FREE, BIG_TABLED, DEFAULT_TERMS):
            check(spec, BIG, router.decide(spec, BIG, terms), terms)


def test_what_a_router_remembers_changes_no_decision() -> None:
    """One router over many snapshots and orders, against a new one each time."""
    draw = Random(8)
    snapshot, router = BIG, Router()
    for _ in range(12):
        address = draw.choice(sorted(snapshot.pools))
        pool = snapshot.pools[address]
        swap = Swap(draw.choice(pool.mints), SwapMode.EXACT_IN, 10**7)
        try:
            pool = venue_for(pool).apply(pool, swap, snapshot.clock)[1]
        except QuoteRefused:
            pass
        clock = msgspec.structs.replace(
            snapshot.clock, slot=snapshot.clock.slot + 3, unix_timestamp=snapshot.clock.unix_timestamp + 1
        )
        snapshot = Snapshot(clock, {**snapshot.pools, address: pool}, snapshot.by_pair)
        source, target = draw.sample(BIG_HELD[:10], 2)
        spec = order(source.mint, target.mint, amount_of(source, 10 ** draw.uniform(1, 5)))
        assert router.decide(spec, snapshot, BIG_TABLED) == Router().decide(spec, snapshot, BIG_TABLED)


@pytest.mark.parametrize("seed", range(15))
def test_another_pool_never_lowers_the_output(seed: int) -> None:
    few, more = direct_market(seed, 4), direct_market(seed, 9)
    spec = order(SOURCE, TARGET, amount_of(HELD[0], 10 ** Random(seed).uniform(2, 5)))
    before, after = (Router().decide(spec, one, FREE).route for one in (few, more))
    assert before is not None
    assert after is not None
    assert after.amount_out >= before.amount_out * (1 - 1e-9) - 5


@pytest.mark.parametrize("seed", range(15))
def test_another_leg_never_lowers_the_output(seed: int) -> None:
    snapshot = direct_market(seed, 10)
    amount = amount_of(HELD[0], 10 ** Random(seed).uniform(2, 5))
    outputs = []
    for legs in range(1, 6):
        route = Router().decide(order(SOURCE, TARGET, amount, max_legs=legs), snapshot, FREE).route
        assert route is not None
        assert len(route.legs) <= legs
        outputs.append(route.amount_out)
    assert all(after >= before * (1 - 1e-9) - 5 for before, after in itertools.pairwise(outputs))


@pytest.mark.parametrize("seed", range(10))
def test_a_pool_cut_in_two_gives_what_it_gave_whole(seed: int) -> None:
    pair, dollars = (HELD[0], HELD[1]), 50_000.0
    whole = pool_of_pair(seed, 0, pair, dollars=dollars, venue="raydium_amm_v4")
    halves = [
        msgspec.structs.replace(whole, address=address, balances=(whole.balances[0] // 2, whole.balances[1] // 2))
        for address in ("half one", "half two")
    ]
    spec = order(SOURCE, TARGET, amount_of(HELD[0], 10 ** Random(seed).uniform(2, 4.5)))
    free = msgspec.structs.replace(FREE, max_bytes=10_000)
    one = best_alone(spec, snapshot_of([whole]))
    parts = [best_alone(msgspec.structs.replace(spec, amount=spec.amount // 2), snapshot_of([half])) for half in halves]
    assert abs(one - sum(parts)) <= 4 + one // 10**8
    two = Router().decide(spec, snapshot_of([whole]), free).route
    assert two is not None
    assert two.amount_out == one


@pytest.mark.parametrize("venue", ["raydium_clmm", "meteora_dlmm"])
def test_inputs_beyond_all_reserves_are_refused_fast_and_with_a_reason(venue: str) -> None:
    snapshot = direct_market(2, 8, venue=venue)
    spec = order(SOURCE, TARGET, U64_MAX)
    started = perf_counter()
    decision = Router().decide(spec, snapshot, tabled(snapshot))
    assert perf_counter() - started < 1.0
    assert decision.route is None
    assert decision.problem is not None
    assert decision.problem.code == "no_route"
    assert all(candidate.refusal for candidate in decision.candidates)


def test_a_split_takes_what_no_single_pool_can() -> None:
    snapshot = direct_market(2, 8, venue="raydium_clmm")
    capacities = sorted(side.covering(inf).capacity for side in sides_of(snapshot))
    amount = int(capacities[-1] + capacities[-2] / 2)
    assert best_alone(order(SOURCE, TARGET, amount), snapshot) == 0
    route = Router().decide(order(SOURCE, TARGET, amount), snapshot, FREE).route
    assert route is not None
    assert len(route.legs) > 1


def test_orders_say_which_pools_may_be_used() -> None:
    snapshot = direct_market(3, 12)
    amount = amount_of(HELD[0], 50_000)
    used = {leg.pool for leg in routed(order(SOURCE, TARGET, amount), snapshot)}
    only = sorted(snapshot.pools)[:3]
    assert {leg.pool for leg in routed(order(SOURCE, TARGET, amount, pools=tuple(only)), snapshot)} <= set(only)
    left = {leg.pool for leg in routed(order(SOURCE, TARGET, amount, exclude_pools=tuple(used)), snapshot)}
    assert not left & used
    assert {leg.dex for leg in routed(order(SOURCE, TARGET, amount, venues=("raydium",)), snapshot)} == {"raydium"}
    kept = routed(order(SOURCE, TARGET, amount, exclude_venues=("raydium", "meteora_dlmm")), snapshot)
    assert {leg.venue for leg in kept} <= {"meteora_damm_v1", "meteora_damm_v2"}


def routed(spec: OrderSpec, snapshot: Snapshot):
    route = Router().decide(spec, snapshot, FREE).route
    assert route is not None
    return route.legs


def test_hops_are_bounded() -> None:
    source, target = BIG_HELD[5].mint, BIG_HELD[9].mint
    amount = amount_of(BIG_HELD[5], 500)
    depths = {}
    for hops in (1, 2, 3):
        decision = Router().decide(order(source, target, amount, max_hops=hops), BIG, FREE)
        depths[hops] = max((leg.hop for leg in decision.route.legs), default=0) if decision.route else -1
    assert depths[1] <= 0
    assert depths[2] <= 1
    assert depths[3] <= 2
    direct = Router().decide(order(source, target, amount, direct_only=True), BIG, FREE)
    assert direct.route is None or all(leg.hop == 0 for leg in direct.route.legs)


def test_limits_bind_each_leg_and_the_whole() -> None:
    snapshot = direct_market(3, 8)
    spec = order(SOURCE, TARGET, amount_of(HELD[0], 30_000), slippage_bps=100)
    route = Router().decide(spec, snapshot, FREE).route
    assert route is not None
    assert len(route.legs) > 1
    assert sum(leg.limit for leg in route.legs) >= route.limit
    assert all(leg.limit <= leg.amount_out for leg in route.legs)
    tight = Router().decide(msgspec.structs.replace(spec, limit=route.amount_out + 1), snapshot, FREE)
    assert tight.route is None
    assert tight.problem is not None
    assert tight.problem.code == "limit_not_met"
    assert Router().decide(msgspec.structs.replace(spec, limit=route.amount_out), snapshot, FREE).route == (
        msgspec.structs.replace(
            route,
            limit=route.amount_out,
            legs=tuple(msgspec.structs.replace(leg, limit=leg.amount_out) for leg in route.legs),
        )
    )


def test_no_pool_and_no_path_have_their_own_code() -> None:
    decision = decide(order(SOURCE, HELD[7].mint, 10**9), direct_market(3, 2))
    assert decision.problem is not None
    assert decision.problem.code == "no_pool"


def test_costs_decide_between_one_leg_and_two() -> None:
    """What a leg costs comes out of its gain: a dear leg is left out, the same order takes it when it is free."""
    snapshot = direct_market(3, 8)
    spec = order(SOURCE, TARGET, amount_of(HELD[0], 2_000))
    dear = msgspec.structs.replace(FREE, priority_micro_lamports=10**10)
    free_route, dear_route = (Router().decide(spec, snapshot, terms).route for terms in (FREE, dear))
    assert free_route is not None
    assert dear_route is not None
    assert len(dear_route.legs) < len(free_route.legs)
    assert dear_route.amount_out <= free_route.amount_out
    assert dear_route.cost > 0
