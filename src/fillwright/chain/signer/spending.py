"""What has been signed for today: an append-only file, so that a restart forgets no spending.

In: signed orders. Out: whether another fits the day. An order under a marker counts once, however often it is
signed: at most one of its transactions can succeed. Their fees add up: whichever lands pays. Without a marker every
signature counts.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from fillwright.chain.signer.judge import Verdict
from fillwright.domain.accounts import Mint
from fillwright.domain.errors import ConfigError, SignerRefused

MAX_LINES = 1_000_000
_DAY_MS = 86_400_000
_KEPT_MS = 2 * _DAY_MS
"""What is older no longer counts; a clock may be set back meanwhile."""
_PRUNE_EVERY = 1_024
_MODE = 0o600
_NO_MINT = Mint("")
"""Stands in the line of a swept marker."""


class Entry(msgspec.Struct, frozen=True):
    """`key`: the marker, or the signature where there is none. `fees`: in lamports, of what this was signed for."""

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
        self._fees: dict[str, int] = {}
        self._swept: dict[str, int] = {}
        self._kept = 0
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Raises ConfigError where the file is damaged other than by a torn last line, or another signer has it open:
        two that don't know of each other would each sign for the whole day's limit."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _MODE)
        self._file = os.fdopen(descriptor, "ab", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read()
        except OSError as error:
            self.close()
            raise ConfigError(f"{self._path} is another signer's, or can't be read") from error
        except ConfigError:
            self.close()
            raise

    def _read(self) -> None:
        if self._file is None:
            raise RuntimeError("the spending book is not open")
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
        if _is_entry(torn):
            self._keep(msgspec.json.decode(torn, type=Entry))
            self._file.write(b"\n")
        elif torn:
            os.truncate(self._path, self._path.stat().st_size - len(torn))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def reserve(self, verdict: Verdict, signature: str, per_day: int, max_fees: int, now_ms: int) -> None:
        """Count the verdict's input and fee, durably, before the signature leaves. `max_fees`: of one order, in
        lamports. Raises SignerRefused; `signer_unavailable` where it can't be written down."""
        if self._file is None:
            raise RuntimeError("the spending book is not open")
        key = verdict.marker or signature
        if key in self._swept:
            raise SignerRefused("the order's marker has been swept: nothing would stop a second swap")
        entry = Entry(now_ms, verdict.input_mint, verdict.max_in, key, verdict.fee_lamports)
        fees = self._fees.get(key, 0)
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
        asked = set(markers)
        signed_ms = {key: entry.at_ms for (_, key), entry in self._entries.items() if key in asked}
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
        line = msgspec.json.encode(entry) + b"\n"
        size = os.fstat(self._file.fileno()).st_size
        try:
            whole = self._file.write(line) == len(line)
            os.fsync(self._file.fileno())
        except OSError:
            whole = False
        if not whole:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), size)
            raise SignerRefused("the spending book can't be written: nothing is signed", code="signer_unavailable")
        self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        if entry.mint == _NO_MINT:
            self._swept[entry.key] = entry.at_ms
            self._fees.pop(entry.key, None)
            return
        known = self._entries.get((entry.mint, entry.key))
        units = entry.units if known is None else max(known.units, entry.units)
        at_ms = entry.at_ms if known is None else max(known.at_ms, entry.at_ms)
        self._fees[entry.key] = self._fees.get(entry.key, 0) + entry.fees
        self._entries[entry.mint, entry.key] = Entry(at_ms, entry.mint, units, entry.key)
        self._kept += 1
        if self._kept % _PRUNE_EVERY == 0:
            self._entries = {key: each for key, each in self._entries.items() if entry.at_ms - each.at_ms < _KEPT_MS}


def _is_entry(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=Entry)
    except msgspec.MsgspecError:
        return False
    return True
