"""The whole specification against the running API: nothing fails, and every answer is what the document says."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import httpx2
import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from api.world import WALLET, World, serving

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
EXAMPLES = 60
GOOD = {"input": "SOL", "output": "USDC", "amount": "1"}


class _Background:
    """A world served from a loop in a thread of its own."""

    def __init__(self) -> None:
        self.url = ""
        self.order_ids: list[str] = []
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        async with serving(stream_heartbeat_s=0.05) as world:
            self.url = world.url
            self.order_ids = await _orders(world)
            self._ready.set()
            await self._stop.wait()


async def _orders(world: World) -> list[str]:
    """An order of every kind that stays as it is: confirmed, failed, waiting."""
    async with world.client() as client:
        ids = [(await client.post("/v1/orders", json=GOOD)).json()["id"] for _ in range(2)]
        ids.append((await client.post("/v1/orders", json={**GOOD, "hold": True, "wallet": WALLET})).json()["id"])
    await world.confirm(ids[0])
    await world.fail(ids[1])
    return ids


@pytest.fixture(scope="module")
def background() -> Iterator[_Background]:
    served = _Background()
    served.start()
    yield served
    served.stop()


def test_every_operation_keeps_to_its_specification(background: _Background) -> None:
    document = httpx2.get(f"{background.url}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            tried += _try(operation, mode, background.url)
    assert tried > 10 * EXAMPLES


def _try(operation: APIOperation, mode: GenerationMode, url: str, **fixed: dict[str, str]) -> int:
    """How many requests were made. Raises FailureGroup for the first answer that breaks a check."""
    tried = 0

    @hypothesis.given(case=operation.as_strategy(generation_mode=mode, **fixed))
    @hypothesis.settings(
        max_examples=EXAMPLES, suppress_health_check=list(hypothesis.HealthCheck), derandomize=True, database=None
    )
    def run(case: schemathesis.Case) -> None:
        nonlocal tried
        tried += 1
        case.call_and_validate(base_url=url, checks=CHECKS)

    with contextlib.suppress(hypothesis.errors.Unsatisfiable):
        run()
    return tried


def test_orders_that_exist_keep_to_the_specification(background: _Background) -> None:
    schema = schemathesis.openapi.from_dict(httpx2.get(f"{background.url}/openapi.json").json())
    for found in schema.get_all_operations():
        operation = found.ok()
        if "{order_id}" in operation.path:
            for order_id in background.order_ids:
                if operation.path.endswith("/stream") and order_id == background.order_ids[-1]:
                    continue
                assert _try(operation, GenerationMode.POSITIVE, background.url, path_parameters={"order_id": order_id})
