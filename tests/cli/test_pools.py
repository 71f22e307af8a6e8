"""`fillwright pools`: what it prints of pools on a local chain, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from solders.pubkey import Pubkey
from tests.venues.raydium_data import pool_accounts

from fillwright.chain.programs import token_account
from fillwright.localnet.chain import LocalChain
from fillwright.localnet.load import load_accounts
from fillwright.localnet.server import LocalNode
from fillwright.venues.vectors import pool_in

POOLS = ("raydium_cpmm/FRESH_SOL-SPL", "meteora_dlmm/SYN_gaps_many-arrays")
WALLET = Pubkey.from_bytes(bytes([9]) * 32)


def run_against(local: LocalChain, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own, with this chain's URL for {url}."""

    async def run() -> subprocess.CompletedProcess[str]:
        node = LocalNode(local)
        await node.open()
        command = [sys.executable, "-m", "fillwright", "pools", "accounts"]
        command += [each.replace("{url}", node.url) for each in arguments]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        await node.close()
        return subprocess.CompletedProcess(command, process.returncode or 0, out.decode(), err.decode())

    return asyncio.run(run())


def test_every_address_is_printed_once_for_a_lookup_table(tmp_path: Path) -> None:
    local, addresses, known = LocalChain(), [], set()
    for name in POOLS:
        accounts = pool_accounts(name)
        load_accounts(local, accounts)
        venue, address = pool_in(accounts)
        addresses.append(address)
        known.update(accounts)
        known.update(venue.decode(address, accounts).mints)
    pools = [part for address in addresses for part in ("--pool", address)]
    done = run_against(local, "--rpc", "{url}", *pools, "--wallet", str(WALLET))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split()
    assert len(lines) == len(set(lines))
    assert {*addresses} <= set(lines)
    venue, address = pool_in(pool_accounts(POOLS[0]))
    pool = venue.decode(address, pool_accounts(POOLS[0]))
    assert {str(token_account(WALLET, Pubkey.from_string(mint))) for mint in pool.mints} <= set(lines)
    assert set(pool.mints) <= set(lines)
    assert str(WALLET) not in lines
    assert venue.program_id not in lines
    each = run_against(local, "--rpc", "{url}", *pools, "--json")
    told = [json.loads(line) for line in each.stdout.splitlines()]
    assert {one["pool"] for one in told} == set(addresses)
    assert {key for one in told for key in one["accounts"]} <= set(lines)
    config = tmp_path / "live.toml"
    config.write_text(f"pools = {json.dumps(addresses)}\n")
    from_file = run_against(local, "--live", str(config), "--rpc", "{url}", "--wallet", str(WALLET))
    assert from_file.stdout == done.stdout


def test_what_it_can_not_do_is_said_in_a_line() -> None:
    done = run_against(LocalChain(), "--rpc", "{url}")
    assert done.returncode == 1
    assert "name the pools" in done.stderr
    nothing = run_against(LocalChain(), "--rpc", "{url}", "--pool", str(WALLET))
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert f"malformed: {WALLET}: no pool account of a known program" in nothing.stderr
    wrong = run_against(LocalChain(), "--rpc", "{url}", "--pool", str(WALLET), "--wallet", "x")
    assert (wrong.returncode, "no address" in wrong.stderr) == (1, True)
