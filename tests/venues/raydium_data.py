"""Where the on-chain test data lies: our own under `tests/data`, third-party snapshots beside the checkout.

Third-party files are not in the repository. They are read from `../shared/onchain`, or below the folder that
the environment variable FILLWRIGHT_SHARED names, and their tests are skipped where that is absent.
"""

from __future__ import annotations

import os
import random
from functools import cache
from pathlib import Path

import pytest

from fillwright.domain.accounts import Account, Address
from fillwright.market import dumps
from fillwright.venues import vectors

_ROOT = Path(__file__).parents[2]
OWN = _ROOT / "tests" / "data" / "onchain"
SHARED = Path(os.environ.get("FILLWRIGHT_SHARED", _ROOT.parent / "shared")) / "onchain"


@cache
def pool_accounts(pool: str) -> dict[Address, Account]:
    """The snapshot of `<venue>/<pool>`; skips the test where it is not at hand."""
    for root in (OWN, SHARED):
        folder = root / "pools" / pool
        if folder.is_dir():
            return dumps.read_folder(folder)
    pytest.skip(f"the snapshot {pool} is neither in tests/data nor below FILLWRIGHT_SHARED")


def own_vectors(venue: str) -> list[Path]:
    """Our vector files of a venue, apart from those of the older bytecode's dust rounding."""
    return [path for path in sorted((OWN / "vectors" / venue).glob("*.jsonl")) if "legacy_rounding" not in path.name]


def shared_vectors(venue: str, name: str) -> Path:
    """A third-party vector file; skips the test where it is not at hand."""
    path = SHARED / "vectors" / venue / name
    if not path.is_file():
        pytest.skip(f"{venue}/{name} is not below FILLWRIGHT_SHARED")
    return path


def mismatches(path: Path) -> list[str]:
    """Every case of a vector file that does not come out as executed, described."""
    found = []
    for number, raw in enumerate(path.read_bytes().splitlines(), 1):
        line = vectors.parse_line(raw)
        accounts = pool_accounts(line.pool) if line.pool else {}
        found += [
            f"{path.name}:{number} {verdict.case}: {verdict.detail}"
            for verdict in vectors.check_line(accounts, line)
            if verdict.outcome is vectors.Outcome.MISMATCH
        ]
    return found


def edited(account: Account, offset: int, raw: bytes) -> Account:
    """The account with other bytes from `offset` on."""
    data = bytearray(account.data)
    data[offset : offset + len(raw)] = raw
    return Account(account.owner, bytes(data), account.lamports)


def put(accounts: dict[Address, Account], address: Address, offset: int, raw: bytes) -> None:
    """`edited`, in place."""
    accounts[address] = edited(accounts[address], offset, raw)


def u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def damaged(accounts: dict[Address, Account], seed: int, cut: int, flips: int) -> dict[Address, Account]:
    """The accounts with one of them cut (0: whole), and some of its bytes random."""
    draw = random.Random(seed)
    key = draw.choice(sorted(accounts))
    data = bytearray(accounts[key].data[: cut or None])
    for _ in range(flips if data else 0):
        data[draw.randrange(len(data))] = draw.randrange(256)
    return {**accounts, key: Account(accounts[key].owner, bytes(data))}
