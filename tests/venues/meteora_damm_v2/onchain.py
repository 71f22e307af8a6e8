"""Where recorded accounts, vectors and instructions lie: in the repository, and beside it where present."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from fillwright.domain.accounts import Account, Address
from fillwright.market import dumps

_ROOT = Path(__file__).resolve().parents[3]
OWN = _ROOT / "tests" / "data" / "onchain"
SHARED = Path(os.environ.get("FILLWRIGHT_SHARED", _ROOT.parent / "shared")) / "onchain"
SHARED_IS_ABSENT = f"third-party snapshots are not in the repository, and {SHARED} is absent"


def vector_files() -> list[Path]:
    """Our own vectors from the repository; third-party pools' from beside it."""
    own = sorted((OWN / "vectors/meteora_damm_v2").glob("*.jsonl"))
    names = {path.name for path in own}
    shared = (SHARED / "vectors/meteora_damm_v2").glob("*.jsonl")
    return own + sorted(path for path in shared if path.name not in names)


@cache
def pool_accounts(folder: str) -> dict[Address, Account]:
    """The accounts of the pool folder `folder`, such as `meteora_damm_v2/SYN_compounding`."""
    root = OWN if (OWN / "pools" / folder).is_dir() else SHARED
    return dumps.read_folder(root / "pools" / folder)
