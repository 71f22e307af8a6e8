"""Quotes in full, partial fills, and decisions taken again."""

from __future__ import annotations

from decimal import Decimal

import pytest

from api.world import World, served
from fillwright import wire
from fillwright.domain.orders import Confirmed, OrderId

BODY = {"input": "SOL", "output": "USDC", "amount": "400"}


def test_a_quote_measures_its_route() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            quote = wire.decode((await client.post("/v1/quotes", json=BODY)).content, wire.QuoteView)
            route, single = quote.route, quote.best_single
            assert route is not None
            assert single is not None
            assert len(route.legs) == 2
            best = max(quote.candidates, key=lambda candidate: int(candidate.amount_out_units or 0))
            assert single == best
            assert int(route.amount_out_units) - int(route.cost_units) > int(single.amount_out_units or 0)
            gross = Decimal(route.amount_out_units) / Decimal(single.amount_out_units or 1) - 1
            assert float(quote.gain_bps or 0) == pytest.approx(float(gross) * 1e4, rel=0.01)
            assert quote.bound_units is not None
            assert int(quote.bound_units) >= int(route.amount_out_units)
            assert 0 <= float(quote.behind_bound_bps or -1) < 0.01
            (path,) = quote.paths
            (hop,) = path.hops
            assert (path.share_bps, path.amount_out_units) == ("10000", route.amount_out_units)
            assert (hop.legs, hop.dust) == ([0, 1], None)
            assert sum(map(Decimal, hop.shares_bps)) == pytest.approx(Decimal(10_000))
            assert sum(int(leg.amount_in_units) for leg in route.legs) == int(route.amount_in_units)
            assert all(leg.fees and float(leg.price_impact_bps) > 0 for leg in route.legs)
            assert (route.size_bytes or 0) > 500
            assert quote.took_us >= quote.routing_us > 0
            assert quote.slot == route.slot == 1_000

    served(test)


def test_options_narrow_a_quote() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            whole = (await client.post("/v1/quotes", json=BODY)).json()["route"]["legs"]
            for narrowed, kept in (
                ({"max_legs": 1}, 1),
                ({"venues": ["raydium"]}, 1),
                ({"exclude_venues": ["meteora_damm_v2"]}, 1),
                ({"pools": [whole[0]["pool"]]}, 1),
                ({"exclude_pools": [whole[0]["pool"]]}, 1),
                ({"direct_only": True}, 2),
            ):
                legs = (await client.post("/v1/quotes", json=BODY | narrowed)).json()["route"]["legs"]
                assert len(legs) == kept, narrowed
            away = BODY | {"input": "RAY", "output": "SOL", "amount": "10"}
            hops = (await client.post("/v1/quotes", json=away)).json()["route"]
            assert [leg["hop"] for leg in hops["legs"]][-1] == 1
            for closed in ({"max_hops": 1}, {"direct_only": True}):
                answer = (await client.post("/v1/quotes", json=away | closed)).json()
                assert (answer["route"], answer["error"]["code"]) == (None, "no_pool")

    served(test)


def test_a_quote_over_another_token_says_what_is_left_of_it() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            body = {"input": "RAY", "output": "SOL", "amount": "10"}
            quote = wire.decode((await client.post("/v1/quotes", json=body)).content, wire.QuoteView)
            assert quote.route is not None
            (path,) = quote.paths
            first, second = path.hops
            given = sum(int(quote.route.legs[at].amount_out_units) for at in first.legs)
            fed = sum(int(quote.route.legs[at].amount_in_units) for at in second.legs)
            (dust,) = quote.route.dust
            assert int(first.dust_units or 0) == given - fed == int(dust.amount_units) > 0
            assert (dust.symbol, second.dust) == ("USDC", None)
            assert (quote.best_single, quote.gain_bps) == (None, None)

    served(test)


@pytest.mark.parametrize("price", ["147.5", "149"])
def test_an_order_is_quoted_as_far_as_it_gets_its_price(price: str) -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            body = BODY | {"amount": "50000", "fill_to_price": price}
            quote = wire.decode((await client.post("/v1/quotes", json=body)).content, wire.QuoteView)
            route = quote.route
            assert route is not None
            assert 0 < Decimal(route.amount_in) < 50_000
            assert Decimal(route.amount_out) >= Decimal(price) * Decimal(route.amount_in)
            assert Decimal(route.limit) >= Decimal(price) * Decimal(route.amount_in) - Decimal("0.000001")
            more = str((Decimal(route.amount_in) * Decimal("1.001")).quantize(Decimal("0.000001")))
            beyond = (await client.post("/v1/quotes", json=BODY | {"amount": more})).json()["route"]
            assert Decimal(beyond["amount_out"]) < Decimal(price) * Decimal(more)

    served(test)


def test_no_size_gets_a_price_above_the_market() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            answer = (await client.post("/v1/quotes", json=BODY | {"fill_to_price": "151"})).json()
            assert (answer["route"], answer["error"]["code"]) == (None, "limit_not_met")

    served(test)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"fill_to_price": "1", "swap_mode": "exact_out"}, "limit_not_applicable"),
        ({"fill_to_price": "1", "min_out": "1"}, "limit_not_applicable"),
        ({"fill_to_price": "0"}, "amount_not_positive"),
        ({"fill_to_price": "1e3"}, "amount_format"),
        ({"fill_to_price": 1}, "amount_format"),
    ],
)
def test_a_price_that_makes_no_sense_is_refused(fields: dict[str, object], code: str) -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            for path in ("/v1/quotes", "/v1/orders"):
                answer = await client.post(path, json=BODY | fields)
                assert (answer.status_code, answer.json()["code"]) == (422, code)
                assert answer.json()["pointer"] == "/fill_to_price"

    served(test)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"amount": "1"},
        {"amount": "50000", "fill_to_price": "148.25"},
        {"input": "RAY", "output": "SOL", "amount": "10"},
    ],
)
def test_a_stored_decision_is_explained_the_same(fields: dict[str, str]) -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            placed = (await client.post("/v1/orders", json=BODY | fields)).json()
            assert placed["fill_to_price"] == fields.get("fill_to_price")
            early = await client.get(f"/v1/orders/{placed['id']}/explain")
            assert (early.status_code, early.json()["code"]) == (404, "not_routed")
            await world.confirm(placed["id"])
            found = await client.get(f"/v1/orders/{placed['id']}/explain")
            explained = wire.decode(found.content, wire.ExplainView)
            assert (explained.same, explained.differences) == (True, [])
            order = (await client.get(f"/v1/orders/{placed['id']}")).json()
            assert found.json()["route"] == order["route"]
            events = (await client.get(f"/v1/orders/{placed['id']}/events")).json()["events"]
            (routing,) = (event for event in events if event["type"] == "routing")
            assert found.json()["candidates"] == routing["data"]["candidates"]
            assert (explained.number, explained.pools > 0) == (routing["number"], True)
            assert explained.fill is not None
            again = await client.get(f"/v1/orders/{placed['id']}/explain", params={"number": routing["number"]})
            assert again.json() == found.json()
            other = await client.get(f"/v1/orders/{placed['id']}/explain", params={"number": 1})
            assert other.json()["code"] == "not_routed"

    served(test)


def test_the_shortfall_sums_to_what_the_fill_is_behind_the_arrival_price() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            placed = (await client.post("/v1/orders", json=BODY)).json()
            await world.confirm(placed["id"])
            explained = wire.decode((await client.get(f"/v1/orders/{placed['id']}/explain")).content, wire.ExplainView)
            short, fill = explained.shortfall, explained.fill
            assert short is not None
            assert fill is not None
            parts = [Decimal(getattr(short, part)) for part in ("delay", "fees", "impact", "dust", "timing", "network")]
            assert sum(parts) == pytest.approx(Decimal(short.total), rel=Decimal("1e-20"))
            behind = Decimal(explained.arrival_price or 0) * Decimal(fill.amount_in) - Decimal(fill.amount_out)
            assert Decimal(short.total) - Decimal(short.network) == pytest.approx(behind, rel=Decimal("1e-20"))
            assert Decimal(short.timing) > 0
            assert short.dust == "0"

    served(test)


def test_what_failed_transactions_have_paid_is_part_of_the_network_costs() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            costs = []
            for times in (0, 1):
                placed = (await client.post("/v1/orders", json=BODY)).json()
                order = await world.store.get(OrderId(placed["id"]))
                assert order is not None
                *steps, confirmed = world.happy_path(order)
                assert isinstance(confirmed, Confirmed)
                fees = times * (confirmed.fill.fee_lamports + confirmed.fill.rent_lamports)
                await world.step(placed["id"], *steps, Confirmed(confirmed.fill, fees))
                found = await client.get(f"/v1/orders/{placed['id']}/explain")
                short = wire.decode(found.content, wire.ExplainView).shortfall
                assert short is not None
                costs.append(Decimal(short.network))
            assert costs[0] > 0
            assert costs[1] == pytest.approx(2 * costs[0], rel=Decimal("1e-20"))

    served(test)


def test_the_shortfall_of_a_route_over_another_token_counts_what_is_left_of_it() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            body = {"input": "RAY", "output": "SOL", "amount": "10"}
            placed = (await client.post("/v1/orders", json=body)).json()
            assert float(placed["arrival_price"]) == pytest.approx(2 / 150, rel=1e-9)
            await world.confirm(placed["id"])
            explained = wire.decode((await client.get(f"/v1/orders/{placed['id']}/explain")).content, wire.ExplainView)
            short, fill, route = explained.shortfall, explained.fill, explained.route
            assert short is not None
            assert fill is not None
            assert route is not None
            (dust,) = route.dust
            assert float(short.dust) == pytest.approx(float(dust.amount) / 150, rel=1e-3)
            parts = [Decimal(getattr(short, part)) for part in ("delay", "fees", "impact", "dust", "timing", "network")]
            assert sum(parts) == pytest.approx(Decimal(short.total), rel=Decimal("1e-20"))
            behind = Decimal(explained.arrival_price or 0) * Decimal(fill.amount_in) - Decimal(fill.amount_out)
            assert Decimal(short.total) - Decimal(short.network) == pytest.approx(behind, rel=Decimal("1e-20"))
            assert Decimal(short.fees) > 0

    served(test)


def test_a_record_that_can_not_be_read_is_told() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            placed = (await client.post("/v1/orders", json=BODY)).json()
            order = await world.store.get(OrderId(placed["id"]))
            assert order is not None
            routed = world.routed(order)
            await world.step(placed["id"], type(routed)(routed.candidates, routed.route, routed.slot, b"lost"))
            answer = await client.get(f"/v1/orders/{placed['id']}/explain")
            assert (answer.status_code, answer.json()["code"]) == (404, "replay_unreadable")

    served(test)


def test_a_replay_that_differs_says_so() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            placed = (await client.post("/v1/orders", json=BODY)).json()
            order = await world.store.get(OrderId(placed["id"]))
            assert order is not None
            routed = world.routed(order)
            await world.step(placed["id"], type(routed)(routed.candidates[:1], None, routed.slot, routed.replay))
            explained = (await client.get(f"/v1/orders/{placed['id']}/explain")).json()
            assert (explained["same"], explained["differences"]) == (False, ["the pools' own answers", "the route"])
            assert explained["fill"] is None

    served(test)
