"""Errors as RFC 9457 problems: a stable `code`, a status, a pointer to the culprit.

In: a FillwrightError. Out: a response. Nothing that the client sent is echoed, and nothing of an unexpected
error is shown: keys and paths stay inside.
"""

from __future__ import annotations

import math
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import Send

from fillwright import observe, wire
from fillwright.domain.errors import (
    ChainError,
    Conflict,
    FillwrightError,
    InvalidInput,
    NotFound,
    RateLimited,
    StoreError,
    Unauthorized,
    Unavailable,
)


class InvalidParameter(InvalidInput):
    """What InvalidInput is for a body's field, for a query or path parameter, or a header."""

    def __init__(self, code: str, message: str, parameter: str) -> None:
        super().__init__(code, message)
        self.parameter = parameter


STATUSES: tuple[tuple[type[FillwrightError], int], ...] = (
    (InvalidInput, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Unauthorized, 401),
    (RateLimited, 429),
    (Unavailable, 503),
    (StoreError, 503),
    (ChainError, 503),
)
"""The first class that an error belongs to decides; whatever is not listed is a 500."""

FORBIDDEN_CODES = frozenset({"scope_missing", "origin_not_allowed", "remote_without_key"})
"""Codes of Unauthorized that another key, not a key, would cure: 403."""


def status_of(error: FillwrightError) -> int:
    """The HTTP status that answers `error`."""
    if isinstance(error, InvalidInput):
        return error.status
    if error.code in FORBIDDEN_CODES:
        return 403
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def retry_after_s(error: FillwrightError, status: int) -> int | None:
    """Whole seconds to wait before trying again, at least one; None where waiting does not help."""
    if status not in (429, 503):
        return None
    return max(1, math.ceil(getattr(error, "retry_after_s", 1.0)))


def problem_of(error: FillwrightError, mode: str) -> wire.Problem:
    """The problem that describes `error`."""
    status = status_of(error)
    if status == 500:
        return internal_problem(mode)
    return wire.Problem(
        type=f"urn:fillwright:problem:{error.code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=error.message,
        code=error.code,
        mode=mode,
        pointer=getattr(error, "pointer", "") or None,
        parameter=getattr(error, "parameter", None),
        retry_after_s=retry_after_s(error, status),
    )


def problem_response(problem: wire.Problem, headers: dict[str, str] | None = None) -> Response:
    """`problem` as `application/problem+json`, counted."""
    observe.request_refused(problem.code, problem.status)
    headers = dict(headers or {})
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(wire.encode(problem), problem.status, headers, media_type=wire.PROBLEM_TYPE)


def internal_problem(mode: str) -> wire.Problem:
    """What the caller is told of a failure that nobody foresaw."""
    return plain_problem(500, "internal_error", "the engine failed; its log says why", mode)


def plain_problem(status: int, code: str, detail: str, mode: str, parameter: str | None = None) -> wire.Problem:
    """A problem that no FillwrightError stands for, such as an unknown path."""
    return wire.Problem(
        type=f"urn:fillwright:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        mode=mode,
        parameter=parameter,
    )


async def deny(error: FillwrightError, mode: str, send: Send) -> None:
    """Refuse a WebSocket handshake with the problem that describes `error`."""
    response = problem_response(problem_of(error, mode))
    await send(
        {"type": "websocket.http.response.start", "status": response.status_code, "headers": response.raw_headers}
    )
    await send({"type": "websocket.http.response.body", "body": bytes(response.body)})
