"""Many orders in one request, each with its own outcome."""

from __future__ import annotations

import pytest

from api.world import World, served
from fillwright import wire
from fillwright.wire.batch import BatchView

GOOD = {"input": "SOL", "output": "USDC", "amount": "1.5"}


def test_each_order_of_a_batch_has_the_outcome_that_it_would_have_alone() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            first = await client.post("/v1/orders", json={**GOOD, "client_order_id": "old"})
            orders = [
                GOOD,
                {**GOOD, "amount": 1},
                {**GOOD, "client_order_id": "old"},
                {**GOOD, "client_order_id": "old", "amount": "2"},
                {**GOOD, "output": "NOPE"},
                {},
                {**GOOD, "client_order_id": "new"},
                {**GOOD, "client_order_id": "new"},
            ]
            response = await client.post("/v1/orders/batch", json={"orders": orders})
            assert response.status_code == 200
            results = wire.decode(response.content, BatchView).results
            assert [one.status for one in results] == [202, 422, 202, 409, 422, 422, 202, 202]
            assert [one.problem.pointer for one in results if one.problem] == [
                "/orders/1/amount", None, "/orders/4/output", "/orders/5/input",
            ]  # fmt: skip
            ids = [one.order.id for one in results if one.order]
            assert ids[1] == first.json()["id"]
            assert ids[2] == ids[3]
            assert all((one.order is None) != (one.problem is None) for one in results)
            for order_id in ids:
                assert (await client.get(f"/v1/orders/{order_id}")).status_code == 200

    served(test)


def test_a_full_batch_is_accepted() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            response = await client.post("/v1/orders/batch", json={"orders": [GOOD] * 100})
            results = wire.decode(response.content, BatchView).results
            assert len({one.order.id for one in results if one.order}) == 100

    served(test)


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({"orders": []}, 422, "field_range", "/orders"),
        ({"orders": [GOOD] * 101}, 422, "field_range", "/orders"),
        ({"orders": {}}, 422, "field_type", "/orders"),
        ({"orders": [GOOD, 1]}, 422, "field_type", "/orders/1"),
        ({}, 422, "field_required", "/orders"),
        ({"orders": [GOOD], "more": 1}, 422, "unknown_field", "/more"),
        ([], 422, "field_type", None),
    ],
)
def test_what_is_no_batch_is_refused_whole(body: object, status: int, code: str, pointer: str | None) -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            response = await client.post("/v1/orders/batch", json=body)
            problem = wire.decode(response.content, wire.Problem)
            assert (response.status_code, problem.code, problem.pointer) == (status, code, pointer)
            assert (await client.get("/v1/orders")).json()["orders"] == []

    served(test)


def test_a_batch_of_which_nothing_may_be_accepted_is_429_as_the_specification_says() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            assert (await client.post("/v1/orders", json=GOOD)).status_code == 202
            response = await client.post("/v1/orders/batch", json={"orders": [GOOD]})
            assert (response.status_code, response.json()["code"]) == (429, "rate_limited")
            documented = (await client.get("/openapi.json")).json()["paths"]["/v1/orders/batch"]["post"]["responses"]
            assert "Retry-After" in documented["429"]["headers"]

    served(test, accept_per_minute=1)
