"""What a stream has seen: where to resume, what to leave out after a resumption, and when it is over.

In: the server's frames and what broke a connection. Out: new events, frames to send, pauses. No input or output.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from fillwright import wire
from fillwright.client.calls import uses_proxy
from fillwright.client.errors import ApiError, Patience, Unreachable, refusal
from fillwright.domain.lifecycle import TERMINAL

MAX_FRAME_BYTES = 16 * 1024 * 1024
BROKEN = (ConnectionClosed, InvalidHandshake, OSError, TimeoutError, EOFError)
"""What ends a connection, but not the stream."""

_PING = wire.encode(wire.Ping()).decode()
_PASSING = ("unavailable", "shutting_down", "too_many_streams", "internal_error")


class Feed:
    """One stream over any number of connections. `ended` once an order's terminal event has been seen."""

    def __init__(self, order_id: str | None, wallet: str | None, from_seq: int | None, patience: Patience) -> None:
        if order_id is not None and wallet is not None:
            raise TypeError("a stream follows one order, one wallet, or everything")
        self._order_id = order_id
        self._wallet = wallet
        self._seen = from_seq
        self._patience = patience
        self._resumes = 0
        self._over_already = False
        self._asked = False
        self.ended = False

    def hello(self) -> tuple[str, str]:
        """The frames that begin a connection. The ping's answer comes after the replay."""
        self._over_already = self._asked = False
        everything = self._order_id is None and self._wallet is None
        frame = wire.Subscribe(
            order_id=self._order_id, wallet=self._wallet, all=everything, from_seq=self._seen
        )  # fmt: skip
        return wire.encode(frame).decode(), _PING

    def take(self, text: str | bytes) -> wire.EventView | None:
        """The event that a frame brings, if it brings a new one. Raises ApiError for a refusal, ConnectionError
        where the server can't serve the stream now."""
        frame = msgspec.json.decode(text, type=wire.ServerFrame)
        self._resumes, self._asked = 0, False
        match frame:
            case wire.EventFrame():
                return self._event(frame.event)
            case wire.Subscribed():
                self._seen = frame.from_seq if self._seen is None else self._seen
                self._over_already = frame.order is not None and frame.order.status in TERMINAL
            case wire.Heartbeat():
                self.ended = self.ended or self._over_already
            case wire.StreamError():
                raise _stream_error(frame)
            case _:
                pass
        return None

    def quiet(self) -> str:
        """The frame to send to a server that has been silent. Raises ConnectionError the second time in a row."""
        if self._asked:
            raise ConnectionError("the server has gone silent")
        self._asked = True
        return _PING

    def broken(self, error: Exception) -> float:
        """How long to wait before connecting again. Raises ApiError where the server refused the connection, and
        Unreachable after too many failures in a row."""
        retry_after = ""
        if isinstance(error, InvalidStatus):
            status = error.response.status_code
            if 400 <= status < 500 and status != 429:
                raise refusal(status, bytes(error.response.body or b"")) from error
            retry_after = error.response.headers.get("Retry-After", "")
        self._resumes += 1
        if self._resumes > self._patience.resumes:
            raise Unreachable(f"the stream can't be resumed: {error or type(error).__name__}") from error
        return self._patience.pause_s(self._resumes - 1, retry_after)

    def _event(self, event: wire.EventView) -> wire.EventView | None:
        if self._seen is not None and event.sequence <= self._seen:
            return None
        self._seen = event.sequence
        self.ended = self._order_id is not None and event.status in TERMINAL
        return event


def options(url: str, headers: dict[str, str]) -> dict[str, Any]:
    """How to open the WebSocket of the server at `url`, for either kind of `websockets.connect`."""
    parts = urlsplit(url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return {
        "uri": urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/v1/stream", "", "")),
        "additional_headers": headers,
        "compression": None,
        "max_size": MAX_FRAME_BYTES,
        "proxy": True if uses_proxy(url) else None,
    }


def _stream_error(frame: wire.StreamError) -> Exception:
    if frame.code in _PASSING or frame.code.startswith("store_"):
        return ConnectionError(f"{frame.code}: {frame.message}")
    return ApiError(404 if frame.code == "not_found" else 422, frame.code, frame.message)
