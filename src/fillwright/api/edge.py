"""The outermost layer: the mode header, HEAD, metrics, and an answer to whatever nobody foresaw."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fillwright import observe, wire
from fillwright.api.problems import internal_problem, problem_response
from fillwright.ports import Clock

_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class Edge:
    """Wraps an ASGI application."""

    def __init__(self, app: ASGIApp, mode: str, clock: Clock) -> None:
        self._app = app
        self._mode = mode
        self._clock = clock
        self._header = (wire.MODE_HEADER.lower().encode(), mode.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        status = 0

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] in _STARTS:
                status = message.get("status", 101)
                message["headers"] = [*message.get("headers", ()), self._header]
            await send(message)

        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
            marked = _without_body(marked)  # type: ignore[assignment]
        started_s = self._clock.monotonic_s()
        try:
            await self._app(scope, receive, marked)
        except Exception as error:  # noqa: BLE001 - the last resort: the caller gets a 500, the log the reason
            observe.unexpected_error(scope["type"], error)
            if not status and scope["type"] == "http":
                await problem_response(internal_problem(self._mode))(scope, receive, marked)
        if scope["type"] == "http":
            route = getattr(scope.get("route"), "path", "unknown")
            observe.request_served(route, status, self._clock.monotonic_s() - started_s)


def _without_body(send: Send) -> Send:
    """HEAD: everything that GET would say but the body. It is over where a body would begin: a stream's too."""
    over = False

    async def headless(message: Message) -> None:
        nonlocal over
        if over:
            return
        if message["type"] == "http.response.body":
            over = True
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(message)

    return headless
