"""`fillwright venues …`: which programs are known, and whether their maths equals recorded swaps."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich import box
from rich.table import Table
from rich.text import Text

from fillwright.cli.output import EXIT_REFUSED, EXIT_USAGE, console, emit, fail, is_pretty
from fillwright.domain.accounts import Account, Address
from fillwright.domain.errors import InvalidInput

if TYPE_CHECKING:
    from fillwright.venues.vectors import Case

app = typer.Typer(no_args_is_help=True, help="The DEX programs that can be priced.")

MAX_SHOWN = 10_000
"""Mismatches shown; of more it is said how many."""
SKIPPED = ("legacy_rounding",)
"""Files that list known differences instead of cases."""


class VenueView(msgspec.Struct):
    id: str
    label: str
    dex: str
    program_id: str
    program_ids: dict[str, str]


class VenueResult(msgspec.Struct):
    """Cases of one venue: `cases` = `equal` + `refused_as_expected` + `mismatches`."""

    venue: str
    cases: int = 0
    equal: int = 0
    refused_as_expected: int = 0
    mismatches: int = 0
    sequences: int = 0


class Report(msgspec.Struct):
    venues: list[VenueResult]
    mismatches: list[str]


@app.command("list")
def list_(json: Annotated[bool, typer.Option("--json", help="One line of JSON each.")] = False) -> None:
    """List the venues: the programs on mainnet, and on devnet where they are others."""
    from fillwright.venues.registry import VENUES

    views = [
        VenueView(v.id, v.label, v.dex, v.program_id, {str(on): program for on, program in v.program_ids.items()})
        for v in VENUES.values()
    ]
    if not is_pretty(json):
        for view in views:
            emit(view, json, lambda: "")
        return
    table = Table("venue", "name", "program", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for view in views:
        table.add_row(view.id, view.label, Text(view.program_id, no_wrap=True))
        for cluster, program in view.program_ids.items():
            if program != view.program_id:
                table.add_row("", f"on {cluster}", Text(program, no_wrap=True))
    console.print(table)


@app.command()
def verify(
    pools: Annotated[Path, typer.Argument(help="Folder that the vectors' `pool` is relative to.")],
    vectors: Annotated[list[Path], typer.Argument(help="Vector files, or folders of them.")],
    json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Check each venue's maths against recorded swaps; exit status 1 on any mismatch."""
    try:
        report = check(pools, vectors)
    except (InvalidInput, OSError) as error:
        fail(InvalidInput("vectors_invalid", str(error)))
        raise typer.Exit(EXIT_USAGE) from error
    emit(report, json, lambda: _table(report))
    for line in report.mismatches if is_pretty(json) else ():
        console.print(Text(line, style="red"), soft_wrap=True)
    if not report.venues:
        fail(InvalidInput("vectors_invalid", "no cases in what was given: vectors are lines of files *.jsonl"))
    if report.mismatches or not report.venues:
        raise typer.Exit(EXIT_REFUSED)


def check(pools: Path, vectors: list[Path]) -> Report:
    """Check every case of `vectors`. Raises InvalidInput, which names the file and the line, and OSError."""
    report = Report([], [])
    results: dict[str, VenueResult] = {}
    snapshots: dict[str, dict[Address, Account]] = {}
    for path in _files(vectors):
        for number, raw in enumerate(path.read_bytes().splitlines(), start=1):
            if not raw.strip():
                continue
            try:
                report.mismatches += _check_line(pools, raw, f"{path.name}:{number}", results, snapshots)
            except (InvalidInput, ValueError, msgspec.MsgspecError) as error:
                raise InvalidInput("vectors_invalid", f"{path}:{number}: {error}") from error
    report.venues = list(results.values())
    left_out = len(report.mismatches) - MAX_SHOWN
    if left_out > 0:
        report.mismatches[MAX_SHOWN:] = [f"… and {left_out} more"]
    return report


def _check_line(
    pools: Path,
    raw: bytes,
    where: str,
    results: dict[str, VenueResult],
    snapshots: dict[str, dict[Address, Account]],
) -> list[str]:
    """Count the cases of one line. Its mismatches, for people."""
    from fillwright.venues import vectors as golden

    line = golden.parse_line(raw)
    accounts = _snapshot(pools, line.pool, snapshots) if line.pool else {}
    venue = golden.venue_id(accounts, line)
    result = results.setdefault(venue, VenueResult(venue))
    result.sequences += line.sequence is not None
    mismatches = []
    for verdict in golden.check_line(accounts, line):
        _count(result, verdict.outcome)
        if verdict.outcome is golden.Outcome.MISMATCH:
            mismatches.append(f"{where} {venue} {_describe(verdict.case)}: {verdict.detail}")
    return mismatches


def _count(result: VenueResult, outcome: str) -> None:
    result.cases += 1
    counted = Counter({outcome: 1})
    result.equal += counted["equal"]
    result.refused_as_expected += counted["refused"]
    result.mismatches += counted["mismatch"]


def _describe(case: Case) -> str:
    return f"{case.mode} {case.amount} {case.direction} at slot {case.clock.slot}"


def _files(vectors: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in vectors:
        if not path.exists():
            raise InvalidInput("vectors_invalid", f"{path}: no such file or folder")
        inside = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
        inside = [file for file in inside if not any(part in file.name for part in SKIPPED)]
        odd = next((file for file in inside if not file.is_file()), None)
        if odd is not None:
            raise InvalidInput("vectors_invalid", f"{odd}: no regular file")
        found += inside
    return found


def _snapshot(pools: Path, pool: str, cache: dict[str, dict[Address, Account]]) -> dict[Address, Account]:
    from fillwright.market import dumps

    if pool not in cache:
        folder = (pools / pool).resolve()
        if not folder.is_relative_to(pools.resolve()):
            raise InvalidInput("vectors_invalid", f"{pool}: outside the pools folder")
        cache[pool] = dumps.read_folder(folder)
    return cache[pool]


def _table(report: Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in ("venue", "cases", "equal", "refused", "mismatches", "sequences"):
        table.add_column(column, justify="left" if column == "venue" else "right")
    for result in report.venues:
        counts = (result.cases, result.equal, result.refused_as_expected, result.mismatches, result.sequences)
        style = "red" if result.mismatches else ""
        table.add_row(result.venue, *(str(count) for count in counts), style=style)
    return table
