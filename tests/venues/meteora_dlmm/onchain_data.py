"""Where the recorded pools, vectors and instructions are: our own beside the tests, others' beside the checkout."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from fillwright.domain.accounts import Account, Address
from fillwright.market import dumps

ROOT = Path(__file__).parents[3]
OWN = ROOT / "tests" / "data" / "onchain"
SHARED = Path(os.environ.get("FILLWRIGHT_SHARED", ROOT.parent / "shared")) / "onchain"
VENUE_ID = "meteora_dlmm"


def vector_files() -> list[Path]:
    """Our own vector files, and those of others' pools that are not among them."""
    own = sorted((OWN / "vectors" / VENUE_ID).glob("*.jsonl"))
    names = {path.name for path in own}
    return own + [p for p in sorted((SHARED / "vectors" / VENUE_ID).glob("*.jsonl")) if p.name not in names]


def pool_folder(pool: str) -> Path | None:
    """The folder of a pool's accounts such as `meteora_dlmm/SYN_…`, or None where it is not at hand."""
    return next((root / "pools" / pool for root in (OWN, SHARED) if (root / "pools" / pool).is_dir()), None)


@cache
def pool_accounts(pool: str) -> dict[Address, Account]:
    """The accounts of a pool that is at hand."""
    folder = pool_folder(pool)
    if folder is None:
        raise LookupError(pool)
    return dumps.read_folder(folder)


def instruction_examples() -> list[dict[str, Any]]:
    """Instructions that the program accepted."""
    examples: list[dict[str, Any]] = json.loads((OWN / "instructions" / f"{VENUE_ID}.json").read_text())["examples"]
    return examples
