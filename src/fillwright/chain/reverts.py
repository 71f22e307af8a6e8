"""Why a transaction failed: a node's error value, the message and its logs in; a RevertReason out.

The same number means different things in different programs, so the program that failed is found first:
in the logs, the first `Program … failed` line is the innermost one's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fillwright.chain.programs import SYSTEM, TOKEN, TOKEN_2022
from fillwright.domain.transactions import RevertReason
from fillwright.venues.registry import VENUES, programs_on

_FAILED = re.compile(r"Program (\w{32,44}) failed: (?:custom program error: 0x([0-9a-fA-F]+))?", re.ASCII)
_SYSTEM, _TOKENS = str(SYSTEM), frozenset({str(TOKEN), str(TOKEN_2022)})
_SYSTEM_ACCOUNT_EXISTS = 0
_SYSTEM_LAMPORTS_MISSING = 1
_TOKEN_INSUFFICIENT = 1
_MAX_DETAIL = 300
_WALLET_SHORT = ("InsufficientFundsForFee", "InsufficientFundsForRent", "AccountNotFound")

_SLIPPAGE = {str(program): venue.slippage_codes() for venue in VENUES.values() for program in programs_on(venue, None)}


def explain(error: Any, program_ids: Sequence[str], logs: Sequence[str], marker: bool) -> tuple[str, str]:
    """(RevertReason value, detail); ("", "") for None.

    `program_ids` are those of the message's instructions in order; `marker`: the first one creates the marker.
    """
    if error is None:
        return "", ""
    index, code, name = _parts(error)
    if index is None or index >= len(program_ids):
        reason = RevertReason.INSUFFICIENT_FUNDS if name in _WALLET_SHORT else RevertReason.PROGRAM_ERROR
        return reason.value, name[:_MAX_DETAIL]
    top = program_ids[index]
    inner, logged = _innermost(logs)
    program, known = (inner, inner != "") if inner else (top, False)
    if logged is not None:
        code = logged
    detail = f"instruction {index} of {program}: {name if code is None else f'error {code}'}"
    return _reason(program, code, name, marker and index == 0, known, top).value, detail[:_MAX_DETAIL]


def _reason(program: str, code: int | None, name: str, is_marker: bool, known: bool, top: str) -> RevertReason:
    if is_marker and code == _SYSTEM_ACCOUNT_EXISTS:
        return RevertReason.MARKER_EXISTS
    if program == _SYSTEM and code == _SYSTEM_LAMPORTS_MISSING:
        return RevertReason.INSUFFICIENT_FUNDS
    if program in _TOKENS and code == _TOKEN_INSUFFICIENT:
        return RevertReason.INSUFFICIENT_FUNDS
    if name == "InsufficientFunds":
        return RevertReason.INSUFFICIENT_FUNDS
    slippage = _SLIPPAGE.get(program)
    if slippage is not None and code in slippage and (known or program == top):
        return RevertReason.SLIPPAGE
    return RevertReason.POOL_REFUSED if top in _SLIPPAGE else RevertReason.PROGRAM_ERROR


def _parts(error: Any) -> tuple[int | None, int | None, str]:
    """(instruction index, custom code, name) of a TransactionError in the RPC's JSON."""
    if isinstance(error, str):
        return None, None, error
    if isinstance(error, dict) and len(error) == 1:
        name, value = next(iter(error.items()))
        if name == "InstructionError" and isinstance(value, list) and len(value) == 2 and isinstance(value[0], int):
            inner = value[1]
            if isinstance(inner, dict) and isinstance(inner.get("Custom"), int):
                return value[0], inner["Custom"], "Custom"
            return value[0], None, inner if isinstance(inner, str) else str(inner)
        return None, None, str(name)
    return None, None, "unknown error"


def _innermost(logs: Sequence[str]) -> tuple[str, int | None]:
    for line in logs:
        found = _FAILED.match(line)
        if found:
            return found[1], int(found[2], 16) if found[2] else None
    return "", None
