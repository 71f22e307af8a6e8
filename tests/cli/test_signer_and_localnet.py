"""The commands around a live chain: the signer's files, and a node to try things on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
from solders.keypair import Keypair
from tests.system.process import free_port
from typer.testing import CliRunner

from cli.terminals import environment
from fillwright.cli.main import app
from fillwright.domain.errors import ConfigError

RUN = CliRunner()
POOLS = Path(__file__).parents[1] / "data" / "onchain" / "pools" / "raydium_cpmm"


def test_a_new_keystore_tells_its_wallet_and_never_its_key(tmp_path: Path) -> None:
    keystore = tmp_path / "signer" / "keystore.json"
    made = RUN.invoke(
        app, ["signer", "new", "--keystore", str(keystore)], input="a long passphrase\na long passphrase\n"
    )
    assert made.exit_code == 0
    assert keystore.stat().st_mode & 0o077 == 0
    wallet = made.output.split()[-1]
    assert 32 <= len(wallet) <= 44
    assert "a long passphrase" not in keystore.read_text()


def test_a_policy_is_written_once(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    assert RUN.invoke(app, ["signer", "policy", str(policy)]).exit_code == 0
    assert "max_slippage_bps" in policy.read_text()
    assert RUN.invoke(app, ["signer", "policy", str(policy)]).exit_code != 0


def test_the_kill_switch_can_be_thrown_and_taken_back(tmp_path: Path) -> None:
    assert "stopped" in RUN.invoke(app, ["signer", "stop", "--data-dir", str(tmp_path)]).output
    assert "signing again" in RUN.invoke(app, ["signer", "resume", "--data-dir", str(tmp_path)]).output
    assert "was not stopped" in RUN.invoke(app, ["signer", "resume", "--data-dir", str(tmp_path)]).output


def test_a_kill_switch_where_no_signer_has_run_says_so(tmp_path: Path) -> None:
    thrown = RUN.invoke(app, ["signer", "stop", "--data-dir", str(tmp_path)])
    assert thrown.exit_code == 0
    assert "no signer has run" in thrown.stderr
    (tmp_path / "signer-spending.jsonl").touch()
    assert RUN.invoke(app, ["signer", "stop", "--data-dir", str(tmp_path)]).stderr == ""


def test_a_key_is_imported_without_a_file(tmp_path: Path) -> None:
    key = Keypair()
    for number, text in enumerate((str(key), json.dumps(list(bytes(key))))):
        command = ["signer", "import", "-", "--keystore", str(tmp_path / f"{number}.json")]
        environment = {"FILLWRIGHT_SIGNER_PASSPHRASE": "a long passphrase"}
        made = RUN.invoke(app, command, input=f"{text}\n", env=environment)
        assert made.output.split() == [str(key.pubkey())]


def test_a_wallet_that_is_no_address_is_told_in_one_line() -> None:
    refused = RUN.invoke(app, ["localnet", "--wallet", "me"])
    assert isinstance(refused.exception, ConfigError)
    assert "--wallet me: not an address" in str(refused.exception)


def test_a_local_node_serves_the_dumps_that_it_was_given() -> None:
    port = free_port()
    command = [sys.executable, "-m", "fillwright", "localnet", "--accounts", str(POOLS), "--port", str(port)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) as node:
        try:
            assert node.stdout is not None
            assert b"listening on" in node.stdout.readline()
            asked = {"jsonrpc": "2.0", "id": 1, "method": "getSlot"}
            assert httpx2.post(f"http://127.0.0.1:{port}", json=asked).json()["result"] > 0
        finally:
            node.send_signal(signal.SIGTERM)
            assert node.wait(20) == 0
