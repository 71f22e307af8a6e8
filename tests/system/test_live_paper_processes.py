"""Paper fills on a real chain's pools, by an engine in many processes: the paper chain follows them for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.system.live_world import LiveWorld
from tests.system.test_live_start import _filled, _refusal, _sol_pool, until

from fillwright.domain.accounts import WRAPPED_SOL
from system.cluster import Cluster
from system.process import EngineProcess

PAPER: dict[str, Any] = {
    "paper_execution_delay_min_ms": 0, "paper_execution_delay_max_ms": 0, "paper_failure_rate": 0, "paper_slot_ms": 50,
    "backoff_s": 0.2,
}  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LiveWorld]:
    made = LiveWorld(tmp_path, programs=False)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def cluster(tmp_path: Path, world: LiveWorld) -> Iterator[Cluster]:
    pools = ",".join(world.addresses)
    made = Cluster(
        tmp_path / "cluster", workers=2, mode="paper", paper_rpc_url=world.rpc_url, paper_pools=pools, **PAPER
    )
    try:
        yield made
    finally:
        made.close()


def test_workers_fill_on_followed_pools_and_send_nothing_to_their_chain(world: LiveWorld, cluster: Cluster) -> None:
    world.node.start()
    cluster.start()
    pools = httpx2.get(f"{cluster.url}/v1/pools").json()
    refused = {one["address"] for one in pools["unpriced"]}
    assert {one["address"] for one in pools["pools"]} == set(world.addresses) - refused
    pool = _sol_pool()
    output = next(mint for mint in pool.mints if mint != WRAPPED_SOL)
    order = {"input": WRAPPED_SOL, "output": output, "amount": "0.5"}
    fills = [_filled(cluster.api, order) for _ in range(2)]
    assert fills[1] < fills[0], "all workers share one world: the first order's impact stays"
    assert world.ledger() == {}
    world.node.kill()
    # What is not heard of is not traded, and the API says so.
    until(lambda: not httpx2.get(f"{cluster.url}/v1/pools").json()["pools"])
    assert "stale" in {one["reason"] for one in httpx2.get(f"{cluster.url}/v1/pools").json()["unpriced"]}
    refusal = httpx2.post(f"{cluster.url}/v1/quotes", json=order).json()
    assert refusal["code"] == "market_stale"
    world.node.start()
    until(lambda: bool(httpx2.get(f"{cluster.url}/v1/pools").json()["pools"]))
    assert cluster.stop() == [0, 0, 0, 0]


def test_a_paper_chain_that_can_not_follow_what_is_named_does_not_start(world: LiveWorld, tmp_path: Path) -> None:
    world.node.start()
    for named, refusal in (
        ({"paper_pairs": "SOL/NOSUCH"}, "no token in the list has this symbol"),
        ({"paper_pools": "1" * 31 + "2"}, "none of the pools at --rpc can be priced"),
    ):
        paper = EngineProcess(tmp_path / "paper", 0, command="paper", paper_rpc_url=world.rpc_url, **named, **PAPER)
        assert refusal in _refusal(paper)
