"""`fillwright snapshot`: save pools, with every account that they need, from an RPC into a folder of dumps.

Each pool is saved whole or not at all, and one that can't be saved does not keep the others from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol
from urllib.parse import urlsplit

import msgspec
import typer
from rich.text import Text

from fillwright.cli.output import EXIT_REFUSED, EXIT_USAGE, console, emit, fail, is_pretty
from fillwright.domain.accounts import Address
from fillwright.domain.errors import FillwrightError, InvalidInput

if TYPE_CHECKING:
    from fillwright.chain.snapshot import Reader

MAX_POOLS = 1_000
"""Pools that one call saves."""
READ_TIMEOUT_S = 30.0
"""A program's binary has megabytes."""


class SavedPool(msgspec.Struct):
    """One pool in its folder. `accounts`: how many files."""

    pool: str
    venue: str
    folder: str
    accounts: int
    slot: int


class SavedProgram(msgspec.Struct):
    program: str
    file: str
    bytes: int


class _Show(Protocol):
    def __call__(self, text: str) -> None: ...


def snapshot(
    pools: Annotated[list[str], typer.Argument(metavar="POOL…", help="Addresses of pools.")],
    rpc: Annotated[
        str,
        typer.Option(
            "--rpc", envvar=["FILLWRIGHT_RPC_URL", "SOLANA_RPC_URL"], help="HTTP URL of a Solana RPC.", show_envvar=True
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to save into; a pool's earlier snapshot is replaced.")],
    programs: Annotated[
        bool, typer.Option("--programs", help="Save the pools' programs as well, as DIR/<program id>.so.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON each.")] = False,
) -> None:
    """Save POOLs with all their accounts from an RPC, for `serve --snapshot`. Exit status 1 if any can't be saved."""
    try:
        url, wanted = _check_url(rpc), list(dict.fromkeys(pools))
        if len(wanted) > MAX_POOLS:
            raise InvalidInput("too_many_pools", f"{len(wanted)} pools; at most {MAX_POOLS} at once")
    except InvalidInput as error:
        fail(error)
        raise typer.Exit(EXIT_USAGE) from error
    with _progress(json) as show:
        failed = asyncio.run(_save(url, wanted, out, programs=programs, json=json, show=show))
    if failed:
        raise typer.Exit(EXIT_REFUSED)


async def _save(url: str, pools: list[str], out: Path, *, programs: bool, json: bool, show: _Show) -> int:
    """Save everything; how many things could not be."""
    from fillwright.chain.endpoint import endpoint_from_url
    from fillwright.chain.rpc import Rpc
    from fillwright.chain.snapshot import Reader
    from fillwright.clock import SystemClock

    clock = SystemClock()
    rpc = Rpc([endpoint_from_url(url)], clock, timeout_s=READ_TIMEOUT_S)
    await rpc.open()
    try:
        reader = Reader(rpc, clock)
        failed, needed = 0, set[str]()
        for number, pool in enumerate(pools, 1):
            try:
                needed |= await _save_pool(reader, pool, out, f"{number}/{len(pools)} {pool}", json=json, show=show)
            except FillwrightError as error:
                fail(error)
                failed += 1
        for program in sorted(needed) if programs else ():
            show(f"program {program}")
            try:
                await _save_program(reader, program, out, json=json)
            except FillwrightError as error:
                fail(error)
                failed += 1
        return failed
    finally:
        await rpc.close()


async def _save_pool(reader: Reader, pool: str, out: Path, name: str, *, json: bool, show: _Show) -> set[str]:
    """Save one pool; the programs that it needs. Raises FillwrightError."""
    from fillwright.chain.snapshot import fetch_pool, write_pool

    show(name)
    dump = await fetch_pool(reader, Address(pool), lambda count: show(f"{name}: {count} accounts"))
    try:
        folder = write_pool(out, dump)
    except OSError as error:
        raise FillwrightError(f"{pool} can't be written: {error}", code="os_error") from error
    saved = SavedPool(pool, dump.venue.id, str(folder), len(dump.accounts), dump.clock.slot)
    text = f"{pool}  {dump.venue.label}, {len(dump.accounts)} accounts at slot {dump.clock.slot}"
    emit(saved, json, lambda: Text(text))
    return set(dump.programs)


async def _save_program(reader: Reader, program: str, out: Path, *, json: bool) -> None:
    from fillwright.chain.snapshot import fetch_program, write_program

    code = await fetch_program(reader, program)
    try:
        path = write_program(out, program, code)
    except OSError as error:
        raise FillwrightError(f"{program} can't be written: {error}", code="os_error") from error
    emit(SavedProgram(program, str(path), len(code)), json, lambda: Text(f"{path.name}  {len(code):,} bytes"))


def _check_url(text: str) -> str:
    """Raises InvalidInput `rpc_url_invalid`; the URL may hold a key, so it is not repeated."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidInput("rpc_url_invalid", "--rpc is not an http:// or https:// URL")
    return text


@contextmanager
def _progress(json: bool) -> Iterator[_Show]:
    """What is being read, in one line on a terminal that goes away."""
    if not is_pretty(json):
        yield lambda text: None
        return
    with console.status("reading") as status:
        yield lambda text: status.update(Text(text))
