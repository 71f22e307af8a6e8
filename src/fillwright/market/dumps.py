"""Account dumps on disk, in the shape of `solana account --output json`.

One file an account, `{"pubkey": …, "account": {"lamports", "data": [base64, "base64"], "owner", …}}`, flat in a
folder or any folders below it. Where the same account stands in several pool folders, `by_folder` keeps
them apart.
"""

from __future__ import annotations

import binascii
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import msgspec
import pybase64
from solders.pubkey import Pubkey

from fillwright.domain.accounts import Account, Address
from fillwright.domain.errors import InvalidInput

MAX_DUMP_FILES = 100_000
MAX_DUMP_BYTES = 32 * 1024 * 1024
"""An account has at most 10 MiB, a third more in base64."""
META_FILE = "meta.json"
TEMPORARY_PREFIX = ".fillwright-"
"""Folders that begin like this hold what is not whole yet: readers leave them out."""


class _DumpAccount(msgspec.Struct):
    lamports: int
    data: tuple[str, str]
    owner: str


class _Dump(msgspec.Struct):
    pubkey: str
    account: _DumpAccount


_decode = msgspec.json.Decoder(_Dump).decode


def read_account(path: Path) -> tuple[Address, Account]:
    """The account that one dump file holds. Raises InvalidInput `dump_invalid`."""
    try:
        dump = _decode(_bytes(path))
        if dump.account.data[1] != "base64":
            raise ValueError(f"data is in {dump.account.data[1]!r}, not base64")
        data = pybase64.b64decode(dump.account.data[0], validate=True)
        pubkey, owner = str(Pubkey.from_string(dump.pubkey)), str(Pubkey.from_string(dump.account.owner))
    except (msgspec.MsgspecError, binascii.Error, ValueError, OSError) as error:
        raise InvalidInput("dump_invalid", f"{path}: not an account dump: {error}") from error
    return Address(pubkey), Account(Address(owner), data, dump.account.lamports)


def _bytes(path: Path) -> bytes:
    """What stands in a file, and in nothing that might never end."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("no regular file")
    if found.st_size > MAX_DUMP_BYTES:
        raise ValueError(f"more than {MAX_DUMP_BYTES} bytes")
    return path.read_bytes()


def dump_files(root: Path) -> Iterator[Path]:
    """Every file at or below `root` that should be an account dump, by path. Linked folders are followed, each folder
    once. Raises InvalidInput."""
    if not root.is_dir():
        raise InvalidInput("dump_invalid", f"{root}: no such folder")
    for count, path in enumerate(sorted(_below(root))):
        if count >= MAX_DUMP_FILES:
            raise InvalidInput("dump_invalid", f"{root}: more than {MAX_DUMP_FILES} files")
        yield path


def _below(root: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, onerror=_unreadable, followlinks=True):
        found = os.stat(folder)
        if (found.st_dev, found.st_ino) in seen:
            folders.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(TEMPORARY_PREFIX))
        for name in files:
            if name.endswith(".json") and name != META_FILE and not name.startswith(TEMPORARY_PREFIX):
                yield Path(folder, name)


def _unreadable(error: OSError) -> NoReturn:
    raise InvalidInput("dump_invalid", f"{error.filename}: {error.strerror}") from error


def by_folder(root: Path) -> dict[Path, dict[Address, Account]]:
    """Every folder at or below `root` that holds dumps, with its accounts. `meta.json` files are not dumps."""
    folders: dict[Path, dict[Address, Account]] = {}
    for path in dump_files(root):
        address, account = read_account(path)
        folders.setdefault(path.parent, {})[address] = account
    return folders


def read_folder(root: Path) -> dict[Address, Account]:
    """All accounts at or below `root`, as one map; a later folder wins over an earlier one."""
    accounts: dict[Address, Account] = {}
    for held in by_folder(root).values():
        accounts.update(held)
    return accounts
