"""The Node clients in `examples/clients`: each dialect's whole conversation, as its JavaScript clients hold it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from api.compat.engine import ORDERS, TIMEOUT_S, Client

CLIENTS = Path(__file__).parents[3] / "examples" / "clients"
NODE = shutil.which("node")
PROBE = "process.exit(typeof fetch === 'function' && typeof WebSocket === 'function' ? 0 : 1)"


def _command() -> list[str] | None:
    """Node with the WebSocket of browsers; None where this machine has none."""
    if NODE is None:
        return None
    for options in ([], ["--experimental-websocket", "--no-warnings"]):
        probed = subprocess.run([NODE, *options, "-e", PROBE], capture_output=True, timeout=TIMEOUT_S)
        if probed.returncode == 0:
            return [NODE, *options]
    return None


@pytest.mark.parametrize("dialect", sorted(ORDERS))
def test_a_javascript_client_of_the_dialect_gets_to_its_end(team: Client, dialect: str) -> None:
    command = _command()
    if command is None:
        pytest.skip("no Node with fetch and WebSocket here")
    environment = {**os.environ, "API_BASE": team.url}
    ran = subprocess.run(
        [*command, CLIENTS / f"{dialect}.mjs"], env=environment, capture_output=True, text=True, timeout=3 * TIMEOUT_S
    )
    assert ran.returncode == 0, ran.stderr
    assert "confirmed" in ran.stdout.lower()
