"""Orders over HTTP: accepted once, shown, listed, cancelled, released."""

from __future__ import annotations

import uuid

import pytest

from api.world import OTHER_WALLET, WALLET, World, served, together
from fillwright import wire
from fillwright.domain.orders import Confirmed, Rebid

BODY = {"input": "SOL", "output": "USDC", "amount": "1.5"}


def test_an_order_is_accepted_and_shown() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            response = await client.post("/v1/orders", json={**BODY, "slippage_bps": 30, "client_order_id": "one"})
            assert response.status_code == 202
            assert response.headers["fillwright-mode"] == "paper"
            order = wire.decode(response.content, wire.OrderView)
            assert response.headers["location"] == order.links.self == f"/v1/orders/{order.id}"
            assert uuid.UUID(order.id).version == 7
            assert (order.mode, order.status, order.swap_mode) == ("paper", "pending", "exact_in")
            assert (order.input.symbol, order.output.symbol) == ("SOL", "USDC")
            assert (order.amount, order.amount_units, order.slippage_bps) == ("1.5", "1500000000", 30)
            assert (order.wallet, order.client_order_id) == (WALLET, "one")
            assert float(order.arrival_price or 0) == pytest.approx(150, rel=1e-12)
            again = await client.get(order.links.self)
            assert again.content == response.content

    served(test)


def test_a_confirmed_order_reports_its_fill() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            order_id = (await client.post("/v1/orders", json=BODY)).json()["id"]
            await world.confirm(order_id)
            order = wire.decode((await client.get(f"/v1/orders/{order_id}")).content, wire.OrderView)
            assert order.status == "confirmed"
            assert order.fill is not None
            assert order.route is not None
            quoted, filled = int(order.route.amount_out_units), int(order.fill.amount_out_units)
            assert filled == quoted - quoted // 10_000
            assert order.realised_slippage_bps == "1"
            assert float(order.executed_price or 0) == round(filled / 1_500_000, 12)
            assert (order.fill.fee, order.fill.rent_lamports) == ("0.000005", "890880")
            assert (order.attempts, order.signature) == (1, f"signature-of-{order_id}")
            page = wire.decode((await client.get(f"/v1/orders/{order_id}/events")).content, wire.EventPage)
            assert [event.type for event in page.events] == [
                "accepted", "routing", "building", "submitted", "landed", "confirmed",
            ]  # fmt: skip
            assert [event.number for event in page.events] == [1, 2, 3, 4, 5, 6]
            routing = wire.event_data(page.events[1])
            assert sorted(candidate.dex for candidate in routing.candidates) == ["meteora", "raydium"]
            assert sorted(candidate.behind_bps == "0" for candidate in routing.candidates) == [False, True]

    served(test)


def test_an_order_that_bids_again_says_so() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            order_id = (await client.post("/v1/orders", json=BODY)).json()["id"]
            order = await world.store.get(order_id)
            assert order is not None
            routed, built, submitted, landed, confirmed = world.happy_path(order)
            bids = [Rebid(1, 2, "second", 15_000), Rebid(1, 3, "third", 2**63)]
            await world.step(order_id, routed, built, submitted, *bids)
            now = wire.decode((await client.get(f"/v1/orders/{order_id}")).content, wire.OrderView)
            assert (now.status, now.attempts, now.bids, now.signature) == ("submitted", 1, 2, "third")
            assert isinstance(confirmed, Confirmed)
            await world.step(order_id, landed, Confirmed(confirmed.fill, 12_345))
            now = wire.decode((await client.get(f"/v1/orders/{order_id}")).content, wire.OrderView)
            assert (now.status, now.bids, now.signature) == ("confirmed", 2, f"signature-of-{order_id}")
            assert (now.failed_fee_lamports, now.fill and now.fill.fee_lamports) == ("12345", "5000")
            page = wire.decode((await client.get(f"/v1/orders/{order_id}/events")).content, wire.EventPage)
            assert wire.event_data(page.events[-1]).fee_lamports == "12345"
            said = [wire.event_data(event) for event in page.events if event.type == "rebid"]
            assert said == [
                wire.RebidData(1, 2, "second", "15000"), wire.RebidData(1, 3, "third", "9223372036854775808"),
            ]  # fmt: skip

    served(test)


def test_events_are_paged_by_number() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            order_id = (await client.post("/v1/orders", json=BODY)).json()["id"]
            await world.confirm(order_id)
            seen, after = [], 0
            while after is not None:
                page = (await client.get(f"/v1/orders/{order_id}/events?after={after}&limit=2")).json()
                seen += [event["number"] for event in page["events"]]
                after = page["next_after"]
            assert seen == [1, 2, 3, 4, 5, 6]

    served(test)


def test_the_same_key_and_body_give_the_same_order_and_another_body_409() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            body = {**BODY, "client_order_id": "key"}
            answers = await together(*(client.post("/v1/orders", json=body) for _ in range(20)))
            assert {answer.status_code for answer in answers} == {202}
            assert len({answer.json()["id"] for answer in answers}) == 1
            spelled = {"client_order_id": "key", "amount_units": "1500000000", "output": "USDC", "input": "wSOL"}
            assert (await client.post("/v1/orders", json=spelled)).json()["id"] == answers[0].json()["id"]
            other = await client.post("/v1/orders", json={**body, "amount": "2"})
            assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")
            stats = (await client.get("/v1/stats")).json()
            assert sum(stats["orders"].values()) == 1

    served(test)


def test_the_idempotency_key_header_stands_in_for_the_client_order_id() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            headers = {"Idempotency-Key": "from-header"}
            first = await client.post("/v1/orders", json=BODY, headers=headers)
            again = await client.post("/v1/orders", json={**BODY, "client_order_id": "from-header"})
            assert first.json()["id"] == again.json()["id"]
            both = await client.post("/v1/orders", json={**BODY, "client_order_id": "another"}, headers=headers)
            assert (both.status_code, both.json()["code"]) == (422, "idempotency_conflict")
            bad = await client.post("/v1/orders", json=BODY, headers={"Idempotency-Key": "has space"})
            assert (bad.json()["code"], bad.json()["parameter"]) == ("client_order_id_invalid", "Idempotency-Key")

    served(test)


def test_all_order_fields_are_kept() -> None:
    body = {
        "type": "market",
        "input": "USDC",
        "output": "So11111111111111111111111111111111111111112",
        "swap_mode": "exact_out",
        "amount_units": "2000000000",
        "max_in": "301.5",
        "wallet": OTHER_WALLET,
        "venues": ["raydium", "meteora_damm_v2"],
        "exclude_venues": ["meteora_dlmm"],
        "pools": [WALLET],
        "exclude_pools": [OTHER_WALLET],
        "not_before": "2030-01-01T01:00:00.25+01:00",
        "priority": -3,
        "hold": True,
        "max_legs": 2,
        "max_hops": 1,
        "direct_only": True,
    }

    async def test(world: World) -> None:
        async with world.client() as client:
            order = (await client.post("/v1/orders", json=body)).json()
            assert order["status"] == "waiting"
            assert (order["amount"], order["max_in"], order["min_out"], order["slippage_bps"]) == (
                "2", "301.5", None, None,
            )  # fmt: skip
            assert order["not_before"] == "2030-01-01T00:00:00.250Z"
            kept = ("wallet", "venues", "exclude_venues", "pools", "exclude_pools", "priority", "hold", "direct_only")
            assert {name: order[name] for name in kept} == {name: body[name] for name in kept}
            assert (order["max_legs"], order["max_hops"]) == (2, 1)

    served(test)


def test_a_pending_order_can_be_cancelled_and_a_submitted_one_not() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            order_id = (await client.post("/v1/orders", json=BODY)).json()["id"]
            cancelled = await client.post(f"/v1/orders/{order_id}/cancel")
            assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
            again = await client.post(f"/v1/orders/{order_id}/cancel")
            assert (again.status_code, again.json()["code"]) == (409, "not_cancellable")
            sent = (await client.post("/v1/orders", json=BODY)).json()["id"]
            order = await world.store.get(sent)
            await world.step(sent, *world.happy_path(order)[:3])
            late = await client.post(f"/v1/orders/{sent}/cancel")
            assert (late.status_code, late.json()["code"]) == (409, "not_cancellable")

    served(test)


def test_exactly_one_of_many_releases_succeeds() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            order_id = (await client.post("/v1/orders", json={**BODY, "hold": True})).json()["id"]
            answers = await together(*(client.post(f"/v1/orders/{order_id}/release") for _ in range(8)))
            assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
            assert (await client.get(f"/v1/orders/{order_id}")).json()["status"] == "pending"

    served(test)


def test_orders_are_listed_newest_first_and_filtered() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            ids = []
            for number in range(7):
                body = {**BODY, "wallet": OTHER_WALLET} if number % 2 else {**BODY, "client_order_id": f"n{number}"}
                ids.append((await client.post("/v1/orders", json=body)).json()["id"])
            back = {"input": "USDC", "output": "SOL", "amount": "10"}
            ids.append((await client.post("/v1/orders", json=back)).json()["id"])
            await world.confirm(ids[0])

            async def listed(**where: object) -> list[str]:
                seen: list[str] = []
                cursor: str | None = None
                while True:
                    params = {**where, **({"cursor": cursor} if cursor else {})}
                    page = (await client.get("/v1/orders", params=params)).json()
                    seen += [order["id"] for order in page["orders"]]
                    cursor = page["next_cursor"]
                    if cursor is None:
                        return seen

            newest = ids[::-1]
            assert await listed(limit=3) == newest
            assert await listed(limit=8) == newest
            assert await listed(limit=2, wallet=OTHER_WALLET) == [ids[5], ids[3], ids[1]]
            assert await listed(pair="SOL/USDC", limit=4) == newest[1:]
            assert await listed(input="USDC") == [ids[7]]
            assert await listed(output="USDC", status="confirmed") == [ids[0]]
            assert await listed(client_order_id="n4") == [ids[4]]
            assert await listed(client_order_id="n4", status="confirmed") == []
            assert await listed(client_order_id="none") == []

    served(test)


def test_a_cursor_belongs_to_its_filter_and_a_forged_one_is_refused() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            for _ in range(3):
                await client.post("/v1/orders", json=BODY)
            cursor = (await client.get("/v1/orders?limit=1")).json()["next_cursor"]
            forged = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
            for params in (
                {"cursor": forged},
                {"cursor": "x"},
                {"cursor": "é"},
                {"cursor": ""},
                {"cursor": cursor + "A"},
                {"cursor": cursor, "status": "failed"},
            ):
                answer = await client.get("/v1/orders", params=params)
                assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid"), params

    served(test)
