"""Query parameters that are misspelt, repeated or no plain numbers are refused by name, on every route that has any."""

from __future__ import annotations

import pytest

from api.sockets import post
from api.world import World, served
from fillwright import wire

ROUTES = ("/v1/orders", "/v1/orders/{}/events", "/v1/orders/{}/explain", "/v1/pools")


@pytest.mark.parametrize("path", ROUTES)
def test_an_unknown_parameter_is_refused(path: str) -> None:
    async def test(world: World) -> None:
        order_id = await post(world)
        async with world.client() as client:
            for asked, name in (("statuz=failed", "statuz"), ("Limit=1", "Limit"), ("=1", ""), ("x" * 99, "x" * 64)):
                response = await client.get(f"{path.format(order_id)}?{asked}")
                problem = wire.decode(response.content, wire.Problem)
                assert (response.status_code, problem.code, problem.parameter) == (422, "unknown_field", name)

    served(test)


def test_a_parameter_that_is_given_twice_is_refused() -> None:
    async def test(world: World) -> None:
        order_id = await post(world)
        async with world.client() as client:
            for path, name in (
                ("/v1/orders?status=failed&status=confirmed", "status"),
                ("/v1/orders?limit=1&pair=SOL/USDC&limit=1", "limit"),
                (f"/v1/orders/{order_id}/events?after=1&after=2", "after"),
                ("/v1/pools?token=SOL&token=RAY", "token"),
            ):
                response = await client.get(path)
                problem = wire.decode(response.content, wire.Problem)
                assert (response.status_code, problem.code, problem.parameter) == (422, "filter_conflict", name)

    served(test)


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1_0", "1.0", "+1", "01", "1e1", "0x1", "-0", "1\n", "\u0663", "1" * 101]
)
def test_a_number_has_one_spelling(text: str) -> None:
    async def test(world: World) -> None:
        order_id = await post(world)
        async with world.client() as client:
            for path, name in (
                ("/v1/orders", "limit"),
                (f"/v1/orders/{order_id}/events", "after"),
                (f"/v1/orders/{order_id}/explain", "number"),
            ):
                response = await client.get(path, params={name: text})
                problem = wire.decode(response.content, wire.Problem)
                assert (response.status_code, problem.code, problem.parameter) == (422, "field_type", name)
            assert (await client.get("/v1/orders?limit=1")).status_code == 200
            assert (await client.get("/v1/orders?limit=-1")).json()["code"] == "field_range"

    served(test)
