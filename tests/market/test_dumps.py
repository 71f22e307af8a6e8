"""Account dumps: what is read, and what is refused with the file's name."""

import base64
import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fillwright.domain.accounts import Account, Address
from fillwright.domain.errors import InvalidInput
from fillwright.market import dumps

OWNER = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
FIRST = "So11111111111111111111111111111111111111112"
SECOND = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"


def dump(pubkey: str = FIRST, content: bytes = b"abc", **changes: Any) -> dict[str, Any]:
    account = {
        "lamports": 5,
        "data": [base64.b64encode(content).decode(), "base64"],
        "owner": OWNER,
        "executable": False,
        "rentEpoch": 18446744073709551615,
        "space": len(content),
    }
    return {"pubkey": pubkey, "account": {**account, **changes}}


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(content))
    return path


def test_a_dump_holds_one_account(tmp_path: Path) -> None:
    path = write(tmp_path / "any-name.json", dump())
    assert dumps.read_account(path) == (FIRST, Account(Address(OWNER), b"abc", 5))


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"pubkey": FIRST},
        dump(pubkey="not base58 0OIl"),
        dump(pubkey=FIRST[:-5]),
        dump(owner="x"),
        dump(lamports="5"),
        dump(data=["YWJj", "base58"]),
        dump(data=["YWJj"]),
        dump(data=["YW Jj", "base64"]),
        dump(data=["YWJ", "base64"]),
        dump(data=["é", "base64"]),
        dump(data="YWJj"),
        dump(data=None),
    ],
)
def test_anything_else_is_refused_with_the_files_name(tmp_path: Path, content: object) -> None:
    path = write(tmp_path / "broken.json", content)
    with pytest.raises(InvalidInput, match=r"broken\.json") as invalid:
        dumps.read_account(path)
    assert invalid.value.code == "dump_invalid"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzz.json"
    path.write_bytes(content)
    with pytest.raises(InvalidInput):
        dumps.read_account(path)


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(InvalidInput):
            dumps.read_account(path)
    with pytest.raises(InvalidInput, match="no such folder"):
        dumps.by_folder(tmp_path / "absent")


def test_pools_of_their_own_folders_are_kept_apart(tmp_path: Path) -> None:
    write(tmp_path / "one" / "a.json", dump(content=b"1"))
    write(tmp_path / "two" / "a.json", dump(content=b"2"))
    write(tmp_path / "two" / "b.json", dump(SECOND))
    write(tmp_path / "two" / "meta.json", {"note": "not a dump"})
    (tmp_path / "two" / "notes.txt").write_text("not a dump")

    folders = dumps.by_folder(tmp_path)

    assert {folder.name: sorted(held) for folder, held in folders.items()} == {"one": [FIRST], "two": [SECOND, FIRST]}
    assert folders[tmp_path / "one"][Address(FIRST)].data == b"1"


def test_as_one_map_a_later_folder_wins(tmp_path: Path) -> None:
    write(tmp_path / "one" / "a.json", dump(content=b"1"))
    write(tmp_path / "two" / "a.json", dump(content=b"2"))
    assert dumps.read_folder(tmp_path) == {FIRST: Account(Address(OWNER), b"2", 5)}
    assert dumps.read_folder(tmp_path / "one") == {FIRST: Account(Address(OWNER), b"1", 5)}


def test_the_number_of_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dumps, "MAX_DUMP_FILES", 2)
    for number in range(3):
        write(tmp_path / f"{number}.json", dump())
    with pytest.raises(InvalidInput, match="more than 2 files"):
        dumps.by_folder(tmp_path)


def test_what_is_no_regular_file_is_refused_instead_of_read_for_ever(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    (tmp_path / "nowhere.json").symlink_to(tmp_path / "missing")
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(dumps.MAX_DUMP_BYTES + 1)
    for path in dumps.dump_files(tmp_path):
        with pytest.raises(InvalidInput, match=re.escape(str(path))) as refused:
            dumps.read_account(path)
        assert refused.value.code == "dump_invalid"
    assert len(list(dumps.dump_files(tmp_path))) == 4


def test_linked_folders_are_followed_and_each_is_read_once(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere/pool/a.json", dump())
    root = tmp_path / "root"
    write(root / "b.json", dump(pubkey=SECOND))
    (root / "linked").symlink_to(tmp_path / "elsewhere/pool")
    (root / "linked again").symlink_to(tmp_path / "elsewhere/pool")
    (root / "loop").symlink_to(root)
    (tmp_path / "elsewhere/pool/up").symlink_to(root)
    assert [path.relative_to(root).as_posix() for path in dumps.dump_files(root)] == ["b.json", "linked/a.json"]


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "open/a.json", dump())
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(InvalidInput, match="closed: Permission denied"):
        list(dumps.dump_files(tmp_path))
