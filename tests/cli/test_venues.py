"""`fillwright venues`: what is known, and that a wrong vector is shown and counted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cli.terminals import on_terminal, piped
from fillwright.venues.registry import FOLDERS, VENUES

DATA = Path(__file__).parents[1] / "data" / "onchain"
VENUE = "raydium_amm_v4"
VECTORS = sorted((DATA / "vectors" / VENUE).glob("SYN_[0-9S]*.jsonl"))


def test_every_venue_is_listed() -> None:
    listed = [json.loads(line) for line in piped("venues", "list").lines]
    assert [one["id"] for one in listed] == list(FOLDERS)
    drawn = on_terminal(80, "venues", "list")
    assert all(program in drawn.out for folder in FOLDERS for program in VENUES[folder].program_ids.values())
    assert all(one["program_id"] == one["program_ids"]["mainnet"] for one in listed)
    devnet = {one["id"]: one["program_ids"]["devnet"] for one in listed}
    assert devnet["raydium_cpmm"] == "DRaycpLY18LhpbydsBWbVJtxpNv9oXPgjRSfpF2bWpYb"
    assert devnet["meteora_dlmm"] == VENUES["meteora_dlmm"].program_id


def test_recorded_swaps_agree_with_the_venue_s_maths() -> None:
    ran = piped("venues", "verify", str(DATA / "pools"), *map(str, VECTORS))
    assert ran.status == 0
    (venue,) = json.loads(ran.out)["venues"]
    assert venue["mismatches"] == 0
    assert venue["cases"] == venue["equal"] + venue["refused_as_expected"] > 100


def test_a_whole_folder_is_verified_on_a_terminal() -> None:
    ran = on_terminal(80, "venues", "verify", str(DATA / "pools"), str(DATA / "vectors" / VENUE))
    assert ran.status == 0
    assert VENUE in ran.out
    assert "mismatches" in ran.out


def test_a_wrong_vector_is_shown_and_exits_with_1(tmp_path: Path) -> None:
    lines = VECTORS[0].read_text().splitlines()
    number, case = next(
        (number, case) for number, line in enumerate(lines, 1) if not (case := json.loads(line)).get("error")
    )
    case["amount_out"] = (
        str(int(case["amount_out"]) + 1) if isinstance(case["amount_out"], str) else case["amount_out"] + 1
    )
    lines[number - 1] = json.dumps(case)
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text("\n".join(lines) + "\n")
    ran = piped("venues", "verify", str(DATA / "pools"), str(wrong))
    assert ran.status == 1
    report = json.loads(ran.out)
    assert report["venues"][0]["mismatches"] == 1
    (shown,) = report["mismatches"]
    assert shown.startswith(f"wrong.jsonl:{number} {VENUE}")
    assert str(case["amount_out"]) in shown
    drawn = on_terminal(140, "venues", "verify", str(DATA / "pools"), str(wrong))
    assert drawn.status == 1
    assert "wrong.jsonl" in drawn.out


def test_vectors_that_can_not_be_read_are_told_from_wrong_ones(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{\n")
    for vectors in (broken, tmp_path / "missing.jsonl"):
        ran = piped("venues", "verify", str(DATA / "pools"), str(vectors))
        assert ran.status == 2
        assert ran.err.startswith("vectors_invalid: ")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert piped("venues", "verify", str(DATA / "pools"), str(empty)).status == 1


@pytest.mark.parametrize(
    "broken",
    [b"{", b"hello", b"[]", b"null", b"{}", b'{"pool": "../../etc"}', b'{"pool": "raydium_amm_v4/none"}', b"\xff"],
)
def test_a_broken_line_is_named_with_its_file(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_bytes(VECTORS[0].read_bytes().splitlines()[0] + b"\n\n" + broken + b"\n")
    ran = piped("venues", "verify", str(DATA / "pools"), str(path))
    assert ran.status == 2
    assert ran.err.startswith(f"vectors_invalid: {path}:3: ")


def test_what_holds_no_vectors_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "folder").mkdir()
    for name, status, why in (
        ("none", 2, "no such file or folder"),
        ("pipe", 2, "no regular file"),
        ("empty.jsonl", 1, "no cases"),
        ("folder", 1, "no cases"),
    ):
        ran = piped("venues", "verify", str(DATA / "pools"), str(tmp_path / name))
        assert (ran.status, why in ran.err) == (status, True), ran


def test_each_mismatch_is_shown(tmp_path: Path) -> None:
    cases = [json.loads(line) for path in VECTORS for line in path.read_text().splitlines()]
    cases = [case for case in cases if not case.get("error") and case.get("sequence") is None][:50]
    for case in cases:
        case["amount_out"] = int(case["amount_out"]) + 1
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text("".join(json.dumps(case) + "\n" for case in cases))
    report = json.loads(piped("venues", "verify", str(DATA / "pools"), str(wrong)).out)
    assert len(report["mismatches"]) == report["venues"][0]["mismatches"] == len(cases) == 50
