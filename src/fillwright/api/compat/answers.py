"""Responses in the dialects' words: JSON, errors with the status that each dialect's clients look for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fillwright import observe
from fillwright.api.compat import shapes
from fillwright.api.compat.dialects import Dialect, forced
from fillwright.api.compat.numbers import encode
from fillwright.api.problems import retry_after_s, status_of
from fillwright.domain.errors import FillwrightError, InvalidInput

Handler = Callable[[Request], Awaitable[Response]]

INTERNAL = "Internal server error"


def json_response(shape: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(encode(shape), status, headers, media_type="application/json")


def answering(handler: Handler) -> Handler:
    """`handler`, whose errors are answered in the dialect it has found (`request.state.dialect`)."""

    async def endpoint(request: Request) -> Response:
        request.state.dialect = None
        try:
            request.state.dialect = forced(request.headers)
            return await handler(request)
        except FillwrightError as error:
            return refusal(error, request.state.dialect)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:  # noqa: BLE001 - the caller gets a 500 it can read, the log the reason
            observe.unexpected_error("compat", error)
            observe.request_refused("internal_error", 500)
            return json_response(shapes.failure(request.state.dialect, INTERNAL, "see the engine's log"), 500)

    return endpoint


def refusal(error: FillwrightError, dialect: Dialect | None) -> Response:
    """`error` in the dialect's shape. A request that can never succeed is a 400 in all of them."""
    status = status_of(error)
    if isinstance(error, InvalidInput) and status == 422:
        status = 400
    observe.request_refused(error.code, status)
    wait_s = retry_after_s(error, status)
    headers = {} if wait_s is None else {"Retry-After": str(wait_s)}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status >= 500:
        return json_response(shapes.failure(dialect, error.message, error.code), status, headers)
    return json_response(shapes.failure(dialect, error.message), status, headers)
