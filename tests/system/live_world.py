"""A live engine as an operator runs it: a local Solana, a signer and the engine, each a process of its own.

Program binaries are not part of the repository: FILLWRIGHT_PROGRAMS names a folder with `<program id>.so`. Without
them the node still serves its accounts, and swaps fail.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from tests.venues.raydium_data import OWN

from fillwright.chain.messages import TransactionJson
from fillwright.domain.accounts import WRAPPED_SOL
from fillwright.localnet.load import associated
from fillwright.market.dumps import read_folder
from fillwright.venues.vectors import pool_in
from system.process import EngineProcess, free_port

POOLS = (
    "raydium_amm_v4/SYN_SOL-6_fee25",
    "raydium_cpmm/FRESH_SOL-SPL",
    "raydium_clmm/SYN_ts10_T22",
    "meteora_dlmm/SYN_gaps_many-arrays",
    "meteora_damm_v1/SYN_stable_6-6",
    "meteora_damm_v2/SYN_full-range_linear",
)
API_KEY = "a key of the tests"
SLOT_MS = 40
WINDOW = 152
"""Blocks for which a blockhash lives, and a little."""
SETTLE_LIMIT_S = 60.0


class LiveWorld:
    """`start` starts all three; the engine may be killed and started again at any time. `root`: where `pools` lie;
    `programs`: where their binaries do, unless FILLWRIGHT_PROGRAMS says it."""

    def __init__(
        self,
        folder: Path,
        *,
        pools: tuple[str, ...] = POOLS,
        programs: bool | Path = True,
        root: Path = OWN,
        faults: dict[str, float] | None = None,
        **settings: object,
    ) -> None:
        self.folder = folder
        self.wallet = Keypair()
        self.data_dir = folder / "data"
        self.data_dir.mkdir()
        self.port = free_port()
        self.addresses, self.mints = _pools(root, pools)
        self._write_files()
        given = [f"--accounts={root / 'pools' / pool}" for pool in pools]
        if programs:
            given.append(f"--program={os.environ['FILLWRIGHT_PROGRAMS'] if programs is True else programs}")
        given += [f"--wallet={self.wallet.pubkey()}", f"--port={self.port}", f"--slot-ms={SLOT_MS}"]
        self.node = self._process("localnet", [*given, f"--faults={json.dumps(faults or {})}"])
        run = ["run", f"--policy={folder / 'policy.toml'}", f"--socket={self.socket}", f"--data-dir={self.data_dir}"]
        self.signer = self._process("signer", run, private_key=json.dumps(list(bytes(self.wallet))))
        keys = [{"account": "me", "sha256": hashlib.sha256(API_KEY.encode()).hexdigest(), "scopes": ["read", "trade"]}]
        self.settings: dict[str, object] = {
            "mode": "devnet", "live_config": folder / "live.toml", "signer_socket": self.socket,
            "api_keys": json.dumps(keys), "backoff_s": 0.2, "rebroadcast_s": 0.2, "max_retries": 10, **settings,
        }  # fmt: skip
        self.engine = EngineProcess(self.data_dir, free_port(), **self.settings)

    @property
    def socket(self) -> Path:
        return self.folder / "s.sock"

    @property
    def rpc_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        for process in (self.node, self.signer, self.engine):
            process.start()

    def close(self) -> None:
        for process in (self.engine, self.signer, self.node):
            process.kill()

    def call(self, method: str, *params: object) -> Any:
        """The result of one JSON-RPC call, asked until the node answers."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        for _ in range(100):
            answer = httpx2.post(self.rpc_url, json=body)
            if answer.status_code == 200:
                return answer.json()["result"]
        raise AssertionError(f"the node does not answer {method}")

    def settle(self) -> None:
        """Wait until everything that was sent has landed finally, or never will."""
        last = self.call("getBlockHeight") + WINDOW
        end_s = time.monotonic() + SETTLE_LIMIT_S
        while self.call("getBlockHeight") <= last:
            if time.monotonic() > end_s:
                raise AssertionError("no blocks pass")
            time.sleep(0.1)

    def balances(self) -> Counter[str]:
        """The wallet's SOL in lamports, under wSOL's mint, and its tokens by mint."""
        wallet = str(self.wallet.pubkey())
        held: Counter[str] = Counter({WRAPPED_SOL: self.call("getBalance", wallet)["value"]})
        for mint in self.mints:
            program = self.call("getAccountInfo", mint, {"encoding": "base64"})["value"]["owner"]
            account = str(associated(wallet, mint, Pubkey.from_string(program)))
            if self.call("getAccountInfo", account, {"encoding": "base64"})["value"] is not None:
                held[mint] += int(self.call("getTokenAccountBalance", account)["value"]["amount"])
        return held

    def ledger(self) -> dict[str, TransactionJson]:
        """Every transaction of the wallet that has landed, by signature, as the node tells it."""
        found: dict[str, TransactionJson] = {}
        options = {"encoding": "base64", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}
        before: dict[str, str] = {}
        while page := self.call("getSignaturesForAddress", str(self.wallet.pubkey()), {"limit": 1_000, **before}):
            for entry in page:
                raw = self.call("getTransaction", entry["signature"], options)
                found[entry["signature"]] = msgspec.json.decode(msgspec.json.encode(raw), type=TransactionJson)
            before = {"before": page[-1]["signature"]}
        return found

    def _process(self, command: str, arguments: list[str], private_key: str = "") -> EngineProcess:
        process = EngineProcess(self.data_dir, 0, command=command, arguments=arguments)
        if private_key:
            process.set_environment("PRIVATE_KEY", private_key)
        return process

    def _write_files(self) -> None:
        spend = "".join(f"[spend.{mint}]\nper_order = {2**60}\nper_day = {2**62}\n" for mint in sorted(self.mints))
        policy = self.folder / "policy.toml"
        policy.write_text(f'mode = "devnet"\nmax_slippage_bps = 2000\nsweep_after_s = 1\n{spend}')
        policy.chmod(0o600)
        endpoint = f'url = "{self.rpc_url}"\n'
        (self.folder / "live.toml").write_text(
            f"pools = {json.dumps(self.addresses)}\n"
            f'[[endpoints]]\nname = "a"\n{endpoint}websocket_url = "ws://127.0.0.1:{self.port}"\n'
            f'[[endpoints]]\nname = "b"\n{endpoint}'
            "[feed]\npoll_s = 0.2\nstale_after_s = 5.0\n"
            "[guards]\nmax_transfer_fee_bps = 10000\n"
        )


def _pools(root: Path, names: tuple[str, ...]) -> tuple[list[str], set[str]]:
    """The pools' addresses, and every mint that they trade."""
    addresses: list[str] = []
    mints: set[str] = set()
    for name in names:
        accounts = read_folder(root / "pools" / name)
        venue, address = pool_in(accounts)
        addresses.append(address)
        mints.update(str(mint) for mint in venue.decode(address, accounts).mints)
    return addresses, mints
