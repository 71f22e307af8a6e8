"""The examples do what they say: the demo client in every dialect, the Postman collection under newman."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from api.compat.engine import ORDERS, running

EXAMPLES = Path(__file__).parents[3] / "examples"
COLLECTION = EXAMPLES / "fillwright.postman_collection.json"


@pytest.mark.parametrize("dialect", sorted(ORDERS))
def test_the_demo_client_has_five_orders_confirmed(tmp_path: Path, dialect: str) -> None:
    with running(tmp_path) as url:
        command = [sys.executable, str(EXAMPLES / "demo_client.py"), "--dialect", dialect]
        environment = {**os.environ, "API_BASE": url}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "5 of 5 confirmed, 0 failed" in ended.stdout
    if dialect in ("002", "003"):
        assert ended.stdout.count("routing: raydium ") == 5


def test_the_demo_client_says_when_nobody_answers() -> None:
    command = [sys.executable, str(EXAMPLES / "demo_client.py")]
    environment = {**os.environ, "API_BASE": "http://127.0.0.1:1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "nobody answers" in ended.stderr


def test_every_request_of_the_collection_has_a_test_and_uses_the_base_url() -> None:
    folders = json.loads(COLLECTION.read_text())["item"]
    assert [folder["name"] for folder in folders] == [*sorted(ORDERS), "canonical"]
    requests = [request for folder in folders for request in folder["item"]]
    assert len(requests) > 30
    for request in requests:
        assert request["request"]["url"]["raw"].startswith("{{baseUrl}}/")
        scripts = [event for event in request["event"] if event["listen"] == "test"]
        assert any("pm.test" in line for event in scripts for line in event["script"]["exec"])


@pytest.mark.skipif(shutil.which("newman") is None, reason="no newman here")
def test_the_collection_passes_under_newman(tmp_path: Path) -> None:
    with running(tmp_path) as url:
        command = ["newman", "run", str(COLLECTION), "--env-var", f"baseUrl={url}", "--color", "off"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stdout
