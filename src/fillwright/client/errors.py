"""What a call raises, and how long it is tried."""

from __future__ import annotations

import random

import msgspec

from fillwright import wire
from fillwright.domain.errors import FillwrightError


class ApiError(FillwrightError):
    """The server refused. `code` is its stable code, `status` the HTTP status; `problem` is the whole answer,
    None where the refusal came over a stream or from something that is no Fillwright."""

    def __init__(self, status: int, code: str, message: str, problem: wire.Problem | None = None) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.problem = problem


class Unreachable(FillwrightError):
    """No usable answer came. What was asked may or may not have happened; the same call may be repeated."""

    code = "unreachable"
    retryable = True


class Patience(msgspec.Struct, frozen=True):
    """`tries` of one call that finds no server or a busy one (429, 503); `resumes` of a stream in a row without
    a word from the server. Pauses double from `first_pause_s` up to `max_pause_s`, jittered; what the server
    asks for in Retry-After comes first, up to `max_pause_s` too. A stream that is silent for `quiet_s` is asked
    whether it still lives, and resumed if it does not answer for as long again."""

    tries: int = 6
    resumes: int = 20
    first_pause_s: float = 0.1
    max_pause_s: float = 5.0
    quiet_s: float = 20.0

    def pause_s(self, attempt: int, retry_after: str = "") -> float:
        """How long to wait after failed try `attempt`, counted from 0."""
        if retry_after.isascii() and retry_after.isdigit():
            return min(float(retry_after), self.max_pause_s)
        return min(self.first_pause_s * float(2**attempt), self.max_pause_s) * random.uniform(0.5, 1.0)


def refusal(status: int, body: bytes) -> ApiError:
    """The error that an answer with a status of 400 or more stands for."""
    try:
        problem = msgspec.json.decode(body, type=wire.Problem)
    except msgspec.MsgspecError:
        text = body[:200].decode("utf-8", "replace").strip()
        return ApiError(status, "http_error", f"HTTP {status}: {text}" if text else f"HTTP {status}")
    return ApiError(status, problem.code, problem.detail, problem)
