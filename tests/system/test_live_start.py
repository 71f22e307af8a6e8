"""Live modes as an operator meets them, on a local Solana that has pools but no program binaries: what refuses to
start, what health says, and paper fills on pools that are followed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.system.live_world import API_KEY, LiveWorld
from tests.venues.raydium_data import pool_accounts

from fillwright.domain.accounts import WRAPPED_SOL
from fillwright.venues.vectors import pool_in
from system.process import EngineProcess, free_port

SOL_POOL = "raydium_cpmm/FRESH_SOL-SPL"
HEADERS = {"X-API-Key": API_KEY}
LIMIT_S = 20.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LiveWorld]:
    made = LiveWorld(tmp_path, programs=False, max_retries=0)
    try:
        yield made
    finally:
        made.close()


def until(condition: Callable[[], bool]) -> None:
    """Ask, with pauses, until it holds."""
    end_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end_s, "it did not happen"
        time.sleep(0.05)


def health(world: LiveWorld) -> dict[str, Any]:
    found: dict[str, Any] = httpx2.get(f"{world.engine.url}/health/ready").json()
    return found


def test_health_names_each_part_and_says_which_one_is_down(world: LiveWorld) -> None:
    world.start()
    assert health(world) == {
        "status": "ok",
        "mode": "devnet",
        "checks": {
            "store": "ok", "intake": "ok", "market": "ok", "signer": "ok", "rpc a": "ok", "rpc b": "ok", "stream": "ok",
        },
    }  # fmt: skip
    pools = httpx2.get(f"{world.engine.url}/v1/pools", headers=HEADERS).json()
    assert pools["mode"] == "devnet"
    assert {pool["address"] for pool in pools["pools"]} == set(world.addresses)
    (world.data_dir / "signer-halted").touch()
    until(lambda: "kill switch" in health(world)["checks"]["signer"])
    (world.data_dir / "signer-halted").unlink()
    until(lambda: health(world)["checks"]["signer"] == "ok")
    world.signer.kill()
    until(lambda: health(world)["checks"]["signer"] == "can't be reached")
    assert health(world)["status"] == "ok"
    world.signer.start()
    until(lambda: health(world)["checks"]["signer"] == "ok")
    world.node.kill()
    until(lambda: health(world)["checks"]["market"] == "no pools")
    assert health(world)["status"] == "unavailable"
    # Pools that were followed are stale with the cut itself; the endpoints are found to be away when they are asked.
    for part in ("rpc a", "rpc b", "stream"):
        until(lambda part=part: health(world)["checks"][part] == "can't be reached")  # type: ignore[misc]
    stale = httpx2.get(f"{world.engine.url}/v1/pools", headers=HEADERS).json()["unpriced"]
    assert {one["reason"] for one in stale} == {"stale"}


def test_an_order_that_would_not_swap_is_neither_signed_nor_sent(world: LiveWorld) -> None:
    world.start()
    pool = _sol_pool()
    order = {"input": WRAPPED_SOL, "output": next(m for m in pool.mints if m != WRAPPED_SOL), "amount": "0.01"}
    answer = httpx2.post(f"{world.engine.url}/v1/orders", json=order, headers=HEADERS)
    assert answer.status_code in (200, 201, 202)
    placed = answer.json()
    assert placed["mode"] == "devnet"
    where = f"{world.engine.url}/v1/orders/{placed['id']}"
    until(lambda: httpx2.get(where, headers=HEADERS).json()["status"] == "failed")
    assert httpx2.get(where, headers=HEADERS).json()["error"]["code"]
    assert world.ledger() == {}
    other = httpx2.post(
        f"{world.engine.url}/v1/orders", json={**order, "wallet": "1" * 32}, headers=HEADERS
    ).json()  # fmt: skip
    assert other["code"] == "wallet_unknown"


def _sol_pool() -> Any:
    accounts = pool_accounts(SOL_POOL)
    venue, address = pool_in(accounts)
    return venue.decode(address, accounts)


def _refusal(engine: EngineProcess) -> str:
    """What `serve` says when it does not start."""
    done = subprocess.run(
        engine._command,
        env=engine._environment,
        cwd=engine._cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr.strip().splitlines()[-1]


def _engine(world: LiveWorld, data_dir: Path, **settings: object) -> EngineProcess:
    given = {"mode": "devnet", "live_config": world.folder / "live.toml", "signer_socket": world.socket,
             "api_keys": '[{"account": "me", "sha256": "' + "ab" * 32 + '"}]'}  # fmt: skip
    return EngineProcess(data_dir, free_port(), **{**given, **settings})


def test_what_is_missing_or_contradictory_refuses_the_start_in_one_clear_line(world: LiveWorld) -> None:
    folder = world.folder / "other"
    folder.mkdir()
    world.node.start()
    assert "fillwright signer run" in _refusal(_engine(world, folder))
    world.signer.start()
    assert "not for mainnet" in _refusal(_engine(world, world.folder / "third", mode="mainnet"))
    assert "FILLWRIGHT_API_KEYS" in _refusal(_engine(world, folder, api_keys="[]"))
    assert "no-such.toml" in _refusal(_engine(world, folder, live_config=world.folder / "no-such.toml"))
    without = _engine(world, folder)
    del without._environment["FILLWRIGHT_LIVE_CONFIG"]
    assert "--live" in _refusal(without)
    assert "holds orders of mode devnet" in _refusal(_engine(world, folder, mode="paper"))
    world.node.kill()
    assert "rpc_fault" in _refusal(_engine(world, folder))


def test_paper_follows_live_pools_and_sends_nothing_to_their_chain(world: LiveWorld) -> None:
    world.node.start()
    pool = _sol_pool()
    data_dir = world.folder / "paper"
    engine = EngineProcess(
        data_dir, free_port(), mode="paper", paper_rpc_url=world.rpc_url, paper_pools=",".join(world.addresses),
        paper_execution_delay_min_ms=0, paper_execution_delay_max_ms=0, paper_failure_rate=0, paper_slot_ms=50,
    )  # fmt: skip
    try:
        engine.start()
        ready = httpx2.get(f"{engine.url}/health/ready").json()
        assert ready["checks"]["rpc 127.0.0.1"] == "ok"
        assert ready["mode"] == "paper"
        pools = httpx2.get(f"{engine.url}/v1/pools").json()
        # One pool's token takes a larger transfer fee than the guards allow by themselves.
        refused = {one["address"] for one in pools["unpriced"] if "transfer fee" in one["detail"]}
        assert {one["address"] for one in pools["pools"]} == set(world.addresses) - refused
        assert len(refused) == 1
        output = next(mint for mint in pool.mints if mint != WRAPPED_SOL)
        order = {"input": WRAPPED_SOL, "output": output, "amount": "0.5"}
        fills = [_filled(engine, order) for _ in range(2)]
        assert fills[1] < fills[0], "the first order's own impact stays until somebody really trades"
        assert world.ledger() == {}
        assert engine.stop() == 0
        engine.start()
        # Opened again, the world begins at the pools as they are: nobody has traded there.
        assert _filled(engine, order) == fills[0]
        assert engine.stop() == 0
    finally:
        engine.kill()


def _filled(engine: EngineProcess, order: dict[str, Any]) -> int:
    """The base units that an order gives."""
    placed = httpx2.post(f"{engine.url}/v1/orders", json=order).json()
    where = f"{engine.url}/v1/orders/{placed['id']}"
    until(lambda: httpx2.get(where).json()["status"] == "confirmed")
    return int(httpx2.get(where).json()["fill"]["amount_out_units"])
