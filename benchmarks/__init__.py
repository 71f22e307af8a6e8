"""Speed and memory, measured: one module a benchmark. They use the tests' servers and made-up data."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = str(Path(__file__).parent.parent / "tests")
if TESTS not in sys.path:
    # What stands there finds its neighbours as it does under pytest.
    sys.path.append(TESTS)
