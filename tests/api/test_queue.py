"""Pausing, draining and resuming the queue."""

from __future__ import annotations

import json
from hashlib import sha256

from api.world import World, served
from fillwright import wire

BODY = {"input": "SOL", "output": "USDC", "amount": "1"}


def test_a_drained_queue_accepts_nothing_until_it_is_resumed() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            held = (await client.post("/v1/orders", json={**BODY, "hold": True})).json()["id"]
            queue = wire.decode((await client.post("/v1/admin/queue/drain")).content, wire.QueueView)
            assert (queue.state, queue.waiting, queue.drained) == ("draining", 0, True)
            for path, body in (("/v1/orders", BODY), ("/v1/orders/batch", {"orders": [BODY]})):
                refused = await client.post(path, json=body)
                assert (refused.status_code, refused.json()["code"]) == (503, "draining")
                assert int(refused.headers["retry-after"]) >= 1
            assert (await client.post(f"/v1/orders/{held}/release")).status_code == 200
            queue = wire.decode((await client.get("/v1/admin/queue")).content, wire.QueueView)
            assert (queue.state, queue.waiting, queue.drained) == ("draining", 1, False)
            ready = await client.get("/health/ready")
            assert (ready.status_code, ready.json()["checks"]["queue"]) == (200, "draining")
            assert (await client.post("/v1/admin/queue/resume")).json()["state"] == "running"
            assert "queue" not in (await client.get("/health/ready")).json()["checks"]
            assert (await client.post("/v1/orders", json=BODY)).status_code == 202

    served(test)


def test_a_paused_queue_accepts_and_begins_nothing() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            assert (await client.post("/v1/admin/queue/pause")).json()["state"] == "paused"
            assert (await client.post("/v1/orders", json=BODY)).status_code == 202
            lease = await world.store.register("w1")
            assert await world.store.claim(lease, 2**60, 9) == []
            assert (await client.get("/v1/stats")).json()["queue"]["state"] == "paused"
            assert (await client.post("/v1/admin/queue/resume")).status_code == 200
            assert len(await world.store.claim(lease, 2**60, 9)) == 1
            assert (await client.post("/v1/admin/queue/stop")).status_code == 422

    served(test)


def test_only_operators_turn_the_queue() -> None:
    scopes = ("trade", "read", "admin")
    held = [{"account": "a", "sha256": sha256(key.encode()).hexdigest(), "scopes": [key]} for key in scopes]

    async def test(world: World) -> None:
        async with world.client() as client:
            for key, status in (("trade", 403), ("read", 403), ("admin", 200)):
                headers = {"X-API-Key": key}
                assert (await client.get("/v1/admin/queue", headers=headers)).status_code == status
                assert (await client.post("/v1/admin/queue/pause", headers=headers)).status_code == status

    served(test, api_keys=json.dumps(held))
