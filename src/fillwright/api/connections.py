"""HTTP connections that are bounded: how large a request's head may be, and how long a request may take to come.

In: bytes from a client. Out: requests to the application, as uvicorn makes them; and, for those that never become one,
a problem and the connection's end. Must not: end a connection whose answer is under way; streams take as long as they
like.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fillwright import wire
from fillwright.api.problems import plain_problem, problem_of, problem_response
from fillwright.domain.errors import Unavailable

MAX_HEAD_BYTES = 65_536
"""Of a request's target and headers together."""
REQUEST_TIMEOUT_S = 30.0
"""From a request's first byte until it is complete; and from a connection's beginning to its first request."""
_AROUND = len(b": \r\n")


class _HeadTooLarge(Exception):
    """Ends the parsing of a request that has been refused."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol within those bounds. `mode` is told with each refusal."""

    def __init__(self, *args: Any, mode: str, request_timeout_s: float, **named: Any) -> None:
        super().__init__(*args, **named)
        self._mode = mode
        self._timeout_s = request_timeout_s
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._in_body = False
        self._head_bytes = 0
        """What has come of a head that is not complete."""
        self._fresh_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._fresh_bytes = len(data)
        super().data_received(data)
        if not (self._in_head or self._in_body):
            self._stop_timer()
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse_head()
        self._start_timer()

    def handle_websocket_upgrade(self) -> None:
        self._in_head = self._in_body = False
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._stop_timer()
        self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        if self._head_bytes + self._fresh_bytes > MAX_HEAD_BYTES and self._head_size() > MAX_HEAD_BYTES:
            self._refuse_head()
            raise _HeadTooLarge
        self._in_head, self._in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def shutdown(self) -> None:
        """The server goes down: a request that is still coming could only be waited for, and refused then."""
        if self._in_body and self._is_next():
            self._refuse(problem_of(Unavailable("the engine is shutting down", code="shutting_down"), self._mode))
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        self._refuse(plain_problem(400, "request_invalid", "this is not an HTTP request", self._mode))

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + _AROUND for name, value in self.headers)

    def _refuse_head(self) -> None:
        detail = f"a request's target and headers have at most {MAX_HEAD_BYTES} bytes"
        self._refuse(plain_problem(431, "head_too_large", detail, self._mode))

    def _refuse(self, problem: wire.Problem) -> None:
        """End the connection; with a problem, if the client can't take it for the answer to something else."""
        if self.transport.is_closing():
            return
        if self._is_next():
            response = problem_response(problem)
            headers = [
                *self.server_state.default_headers,
                *response.raw_headers,
                (wire.MODE_HEADER.lower().encode(), self._mode.encode()),
                (b"connection", b"close"),
            ]
            lines = [b"%s: %s\r\n" % header for header in headers]
            self.transport.write(b"".join([STATUS_LINE[problem.status], *lines, b"\r\n", bytes(response.body)]))
        self.transport.close()

    def _is_next(self) -> bool:
        """Whether the answer that the client waits for next is that to the request which is coming in."""
        if self.pipeline or self.cycle is None:
            return not self.pipeline
        return not self.cycle.response_started if self._in_body else self.cycle.response_complete

    def _is_answering(self) -> bool:
        """Whether an answer is under way, to an earlier request or before this one is complete."""
        return bool(self.pipeline) or (
            self.cycle is not None and not self.cycle.response_complete and not self._is_next()
        )

    def _start_timer(self) -> None:
        if self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(self._timeout_s, self._give_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self._is_answering():
            self._start_timer()
        elif self._in_head or self._in_body:
            detail = f"the request was not complete after {self._timeout_s:g} s"
            self._refuse(plain_problem(408, "request_timeout", detail, self._mode))
        else:
            self.transport.close()
