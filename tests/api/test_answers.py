"""Cached answers about orders are never older than the store."""

from __future__ import annotations

from msgspec.structs import replace

from api.world import World, served
from fillwright.api.answers import OrderAnswers
from fillwright.domain.errors import NotFound
from fillwright.domain.orders import OrderId

BODY = {"input": "SOL", "output": "USDC", "amount": "1"}


class Shared:
    """`ports.Cache` that keeps everything, counts, and can be made to forget or to lie."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.frozen = False

    async def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        if not self.frozen:
            self.values[key] = value

    async def close(self) -> None: ...


def test_an_answer_is_cached_until_the_order_moves() -> None:
    async def test(world: World) -> None:
        shared = Shared()
        first, second = (OrderAnswers(replace(world.api.services, cache=shared)) for _ in range(2))
        async with world.client() as client:
            order_id = OrderId((await client.post("/v1/orders", json=BODY)).json()["id"])
            path = f"/v1/orders/{order_id}"
            answer = await first.get(order_id, "default")
            assert answer == (await client.get(path)).content
            world.store.down_for = {"get"}
            assert await second.get(order_id, "default") == answer
            world.store.down_for = set()
            shared.frozen = True
            await world.confirm(str(order_id))
            for answers in (first, second):
                assert await answers.get(order_id, "default") == (await client.get(path)).content != answer
            shared.values.clear()
            assert b'"confirmed"' in await second.get(order_id, "default")

    served(test)


def test_nobody_else_is_answered_from_the_cache() -> None:
    async def test(world: World) -> None:
        answers = OrderAnswers(replace(world.api.services, cache=Shared()))
        async with world.client() as client:
            order_id = OrderId((await client.post("/v1/orders", json=BODY)).json()["id"])
        await answers.get(order_id, "default")
        for stranger, found in (("another", order_id), ("default", OrderId("0199c82c-c000-7000-8000-000000000009"))):
            try:
                await answers.get(found, stranger)
            except NotFound:
                continue
            raise AssertionError("answered")

    served(test)


def test_a_quote_is_worked_out_once_for_one_state_of_the_market() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            first, second = [(await client.post("/v1/quotes", json=BODY)).json() for _ in range(2)]
            assert first["route"] == second["route"]
            other = (await client.post("/v1/quotes", json={**BODY, "amount": "2"})).json()
            assert other["route"]["amount_in_units"] != first["route"]["amount_in_units"]

    served(test)
