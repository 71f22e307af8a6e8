"""Every benchmark can be begun from a checkout, as `make bench` does it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMPORT_ALL = "from importlib import import_module; from benchmarks.__main__ import names; " + (
    "found = names(); [import_module(f'benchmarks.{name}') for name in found]; print(len(found))"
)


def test_every_benchmark_finds_what_it_needs() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    began = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert began.returncode == 0, began.stderr
    assert int(began.stdout) > 0
