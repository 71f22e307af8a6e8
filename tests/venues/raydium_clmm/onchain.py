"""Where the on-chain test data lies: our own under `tests/data`, third-party snapshots beside the checkout.

Third-party files are not in the repository. They are read from `../shared/onchain`, or below the folder that
the environment variable FILLWRIGHT_SHARED names, and their tests are skipped where that is absent.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from fillwright.domain.accounts import Account, Address
from fillwright.market import dumps
from fillwright.venues.raydium_clmm import VENUE
from fillwright.venues.raydium_clmm.layout import ClmmPool
from fillwright.venues.vectors import pool_in

_ROOT = Path(__file__).parents[3]
OWN = _ROOT / "tests" / "data" / "onchain"
SHARED = Path(os.environ.get("FILLWRIGHT_SHARED", _ROOT.parent / "shared")) / "onchain"

OWN_POOLS = ("SYN_ts10_T22", "SYN_ts1_bitmap-extension", "SYN_ts60_gap-no-liquidity")
THIRD_PARTY_POOL = "SOL-USDC_3ucNos_415834012"


@cache
def pool_accounts(name: str) -> dict[Address, Account]:
    """The snapshot `name`, or `raydium_clmm/name`; skips the test where it is not at hand."""
    folder = Path("pools") / "raydium_clmm" / name.removeprefix("raydium_clmm/")
    for root in (OWN, SHARED):
        if (root / folder).is_dir():
            return dumps.read_folder(root / folder)
    pytest.skip(f"the snapshot {name} is neither in tests/data nor below FILLWRIGHT_SHARED")


def pool_of(name: str) -> ClmmPool:
    """The snapshot `name`, decoded."""
    accounts = pool_accounts(name)
    return VENUE.decode(pool_in(accounts)[1], accounts)
