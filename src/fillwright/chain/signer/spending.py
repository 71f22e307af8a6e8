"""What has been signed for today: an append-only file, so that a restart forgets no spending.

In: signed orders. Out: whether another fits the day. An order under a marker counts once, however often it is
signed: at most one of its transactions can succeed. Their fees add up: whichever lands pays. Without a marker every
signature counts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from fillwright.chain.signer.judge import Verdict
from fillwright.domain.accounts import Mint
from fillwright.domain.errors import ConfigError, SignerRefused

MAX_LINES = 1_000_000
_DAY_MS = 86_400_000
_MODE = 0o600
_NO_MINT = Mint("")
"""Stands in the line of a swept marker."""


class Entry(msgspec.Struct, frozen=True):
    """`key`: the marker, or the signature where there is none. `fees`: in lamports, of what this line was signed for;
    of all that was signed under the key where lines are taken together."""

    at_ms: int
    mint: Mint
    units: int
    key: str
    fees: int = 0


class SpendingBook:
    """`open` before use. A day is 24 hours back from now, so that no midnight doubles it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[tuple[Mint, str], Entry] = {}
        self._swept: dict[str, int] = {}
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Raises ConfigError where the file is damaged other than by a torn last line."""
        lines: list[bytes] = []
        if self._path.exists():
            lines = self._path.read_bytes().split(b"\n")
        torn = lines.pop() if lines else b""
        if len(lines) > MAX_LINES:
            raise ConfigError(f"{self._path}: more than {MAX_LINES} lines; move it away after a day without signing")
        try:
            for line in lines:
                self._keep(msgspec.json.decode(line, type=Entry))
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{self._path} is damaged: what was signed today is unknown") from error
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _MODE)
        self._file = os.fdopen(descriptor, "ab", buffering=0)
        if torn:
            self._file.write(b"\n" if _is_entry(torn) else b"")
            if not _is_entry(torn):
                os.truncate(self._path, self._path.stat().st_size - len(torn))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def reserve(self, verdict: Verdict, signature: str, per_day: int, max_fees: int, now_ms: int) -> None:
        """Count the verdict's input and fee, durably, before the signature leaves. `max_fees`: of one order, in
        lamports. Raises SignerRefused."""
        if self._file is None:
            raise RuntimeError("the spending book is not open")
        key = verdict.marker or signature
        if key in self._swept:
            raise SignerRefused("the order's marker has been swept: nothing would stop a second swap")
        entry = Entry(now_ms, verdict.input_mint, verdict.max_in, key, verdict.fee_lamports)
        fees = sum(each.fees for (_, of), each in self._entries.items() if of == key)
        if fees + entry.fees > max_fees:
            text = f"{entry.fees} lamports more of fees exceed the policy's {max_fees} an order"
            raise SignerRefused(f"{text}; {fees} have been signed for")
        spent = self.spent(verdict.input_mint, now_ms, but=key)
        if spent + verdict.max_in > per_day:
            text = f"{verdict.max_in} more of {verdict.input_mint} exceeds the policy's {per_day} a day"
            raise SignerRefused(f"{text}; {spent} have been signed for")
        self._write(entry)

    def sweep(self, markers: list[str], settle_ms: int, now_ms: int) -> None:
        """Remember, durably, that these markers protect their orders no longer: those are signed for no more.

        Raises SignerRefused where one of them was signed for, or swept, within `settle_ms`: that may be on its way.
        """
        signed_ms = {key: entry.at_ms for (_, key), entry in self._entries.items() if key in set(markers)}
        for marker in markers:
            last_ms = max(signed_ms.get(marker, -_DAY_MS), self._swept.get(marker, -_DAY_MS))
            if now_ms - last_ms < settle_ms:
                raise SignerRefused("a marker was signed for or swept too lately to be swept", code="sweep_too_soon")
        for marker in markers:
            self._write(Entry(now_ms, _NO_MINT, 0, marker))

    def spent(self, mint: Mint, now_ms: int, but: str = "") -> int:
        """What has been signed for within the last 24 hours, in base units; `but` without this key."""
        return sum(
            entry.units
            for (of, key), entry in self._entries.items()
            if of == mint and key != but and now_ms - entry.at_ms < _DAY_MS
        )

    def _write(self, entry: Entry) -> None:
        if self._file is None:
            raise RuntimeError("the spending book is not open")
        self._file.write(msgspec.json.encode(entry) + b"\n")
        os.fsync(self._file.fileno())
        self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        if entry.mint == _NO_MINT:
            self._swept[entry.key] = entry.at_ms
            return
        known = self._entries.get((entry.mint, entry.key))
        units = entry.units if known is None else max(known.units, entry.units)
        at_ms = entry.at_ms if known is None else max(known.at_ms, entry.at_ms)
        fees = entry.fees if known is None else known.fees + entry.fees
        self._entries[entry.mint, entry.key] = Entry(at_ms, entry.mint, units, entry.key, fees)
        if len(self._entries) > MAX_LINES:
            self._entries = {key: each for key, each in self._entries.items() if entry.at_ms - each.at_ms < _DAY_MS}


def _is_entry(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=Entry)
    except msgspec.MsgspecError:
        return False
    return True
