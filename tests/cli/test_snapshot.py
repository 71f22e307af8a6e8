"""`fillwright snapshot` as a user runs it, against a node on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from tests.chain.node import StandInNode
from tests.venues.conformance import samples

from cli.terminals import Ran, on_terminal, piped
from fillwright.domain.accounts import Account, Address
from fillwright.market.pools import load_pools

SAMPLES = [sample for sample in samples() if sample.venue.id in ("raydium_cpmm", "meteora_dlmm")]
ACCOUNTS = {key: account for sample in SAMPLES for key, account in sample.accounts.items()}
POOLS = [sample.address for sample in SAMPLES]
CLOCK = SAMPLES[0].clock
LOADER = Address("BPFLoader2111111111111111111111111111111111")
BINARY = b"\x7fELF of a program"


def against(node: StandInNode, command: Callable[[str], Ran]) -> Ran:
    """Run `command`, which is given the node's URL, while the node serves."""

    async def run() -> Ran:
        async with node:
            return await asyncio.to_thread(command, node.url)

    return asyncio.run(run())


def test_pools_are_saved_and_trade_as_a_snapshot(tmp_path: Path) -> None:
    node = StandInNode(ACCOUNTS, CLOCK)
    ran = against(node, lambda url: piped("snapshot", *POOLS, POOLS[0], "--rpc", url, "--out", str(tmp_path)))
    assert (ran.status, ran.err) == (0, "")
    lines = [json.loads(line) for line in ran.lines]
    assert [line["pool"] for line in lines] == POOLS
    assert all(len(list(Path(line["folder"], "accounts").iterdir())) == line["accounts"] for line in lines)
    loaded = load_pools(tmp_path)
    assert set(loaded.pools) == set(POOLS)
    assert loaded.clock == CLOCK


def test_the_programs_are_saved_beside(tmp_path: Path) -> None:
    program = SAMPLES[0].venue.program_id
    node = StandInNode({**ACCOUNTS, program: Account(LOADER, BINARY)}, CLOCK)
    command = ("snapshot", SAMPLES[0].address, "--out", str(tmp_path), "--programs")
    ran = against(node, lambda url: piped(*command, FILLWRIGHT_RPC_URL=url))
    assert ran.status == 0
    assert json.loads(ran.lines[-1]) == {
        "program": program,
        "file": str(tmp_path / f"{program}.so"),
        "bytes": len(BINARY),
    }
    assert (tmp_path / f"{program}.so").read_bytes() == BINARY


def test_one_that_can_not_be_saved_does_not_keep_the_others_from_it(tmp_path: Path) -> None:
    node = StandInNode(ACCOUNTS, CLOCK)
    wanted = ("nonsense", SAMPLES[0].pool.mints[0], POOLS[0])
    ran = against(node, lambda url: piped("snapshot", *wanted, "--rpc", url, "--out", str(tmp_path)))
    assert ran.status == 1
    assert [line.partition(":")[0] for line in ran.err.splitlines()] == ["address_invalid", "program_unsupported"]
    assert set(load_pools(tmp_path).pools) == {POOLS[0]}


def test_a_node_that_does_not_answer_is_told_without_its_url(tmp_path: Path) -> None:
    ran = piped("snapshot", POOLS[0], "--rpc", "http://127.0.0.1:1/?api-key=hidden", "--out", str(tmp_path / "out"))
    assert ran.status == 1
    assert ran.err.startswith("rpc_fault: ")
    assert "hidden" not in ran.err
    assert not (tmp_path / "out").exists()
    for url in ("ftp://x", "nonsense", "http://", "http://[broken"):
        ran = piped("snapshot", POOLS[0], "--rpc", url, "--out", str(tmp_path / "out"))
        assert (ran.status, ran.err.partition(":")[0]) == (2, "rpc_url_invalid")


def test_a_terminal_shows_what_was_saved(tmp_path: Path) -> None:
    node = StandInNode(ACCOUNTS, CLOCK)
    ran = against(node, lambda url: on_terminal(100, "snapshot", POOLS[0], "--rpc", url, "--out", str(tmp_path)))
    assert ran.status == 0
    assert f"accounts at slot {CLOCK.slot}" in ran.out
