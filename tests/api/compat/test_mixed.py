"""A thousand orders of all dialects at once: every client sees its own shapes, in order, all of them, once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from api.compat.engine import ENDS, ORDERS, SOCKETS, running

COUNT = 1_000
AT_ONCE = 100
STEPS = ["pending", "routing", "building", "submitted", "confirmed"]
KEYS = {
    "000": {"orderId", "status"},
    "001": {"status", "orderId", "txHash", "executedPrice", "lastError", "attempts", "updatedAt"},
    "002": {"type", "orderId", "status", "timestamp"},
    "003": {"type", "orderId", "status", "timestamp"},
    "004": {"type", "orderId", "status", "timestamp", "data"},
}


def test_a_thousand_mixed_orders(tmp_path: Path) -> None:
    terms: dict[str, Any] = {"concurrency": 100, "paper_execution_delay_min_ms": 50, "paper_execution_delay_max_ms": 90}
    with running(tmp_path, **terms) as url:
        asyncio.run(_all(url))


async def _all(url: str) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    seen: set[str] = set()
    async with httpx2.AsyncClient(base_url=url, timeout=30, limits=httpx2.Limits(max_connections=AT_ONCE)) as http:

        async def one(number: int) -> None:
            async with gate:
                dialect = sorted(ORDERS)[number % len(ORDERS)]
                order_id = await _place(http, dialect)
                assert order_id not in seen
                seen.add(order_id)
                _check(dialect, order_id, await _watch(url, dialect, order_id))

        await asyncio.gather(*(one(number) for number in range(COUNT)))
        assert len(seen) == COUNT
        assert (await http.get("/api/queue/metrics")).json()["completed"] == COUNT


async def _place(http: httpx2.AsyncClient, dialect: str) -> str:
    response = await http.post("/api/orders/execute", json={**ORDERS[dialect], **_small(dialect)})
    assert response.status_code == (201 if dialect in ("002", "004") else 200)
    answer = response.json()
    return str(answer["data"]["orderId"] if dialect == "004" else answer["orderId"])


def _small(dialect: str) -> dict[str, float]:
    """Sizes that do not move the price for the others."""
    name = {"000": "amount", "001": "amountIn", "002": "amountIn", "003": "amount", "004": "inputAmount"}[dialect]
    return {name: 0.001}


async def _watch(url: str, dialect: str, order_id: str) -> list[dict[str, Any]]:
    path = url.replace("http", "ws") + SOCKETS[dialect].format(order_id)
    messages: list[dict[str, Any]] = []
    async with connect(path) as socket:
        if dialect == "000":
            await socket.send(json.dumps({"orderId": order_id}))
        try:
            while True:
                messages.append(json.loads(await socket.recv()))
                if dialect in ("000", "001") and messages[-1]["status"].lower() in ENDS:
                    return messages
        except ConnectionClosed:
            return messages


def _check(dialect: str, order_id: str, messages: list[dict[str, Any]]) -> None:
    assert all(KEYS[dialect] <= set(one) and one["orderId"] == order_id for one in messages)
    statuses = [one["status"] for one in messages if "message" not in one]
    if dialect == "000":
        log = [json.loads(entry)["status"] for entry in messages[0]["logs"]]
        assert [*log, *statuses[1:]] == [step.upper() for step in STEPS]
    elif dialect == "002":
        assert statuses == ["pending", "routing", *STEPS[1:]]
    elif dialect == "003":
        assert statuses == STEPS
    else:
        assert statuses == STEPS[STEPS.index(statuses[0]) :]
