"""One RPC endpoint: its address, its rate limit, its health.

In: what happened to each request. Out: whether another may go out now, and in which order endpoints are tried.
Must not: do any input or output itself.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 30.0
"""An endpoint that keeps failing is left alone for at most this long."""
_LATENCY_WEIGHT = 0.2


class RpcEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`requests_per_s` 0: unlimited. `websocket_url` "": no subscriptions here. `name` stands in logs and errors
    instead of the address, which often carries a secret."""

    name: str
    url: str
    websocket_url: str = ""
    requests_per_s: float = 0.0
    burst: int = 10


def endpoint_from_url(url: str, *, name: str = "", requests_per_s: float = 0.0) -> RpcEndpoint:
    """An endpoint at `url`; its WebSocket at the same place (node convention: port + 1 where one is given)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    netloc = f"{host}:{parts.port + 1}" if parts.port is not None else host
    scheme = "wss" if parts.scheme == "https" else "ws"
    socket = parts._replace(scheme=scheme, netloc=netloc).geturl()
    return RpcEndpoint(name or host, url, socket, requests_per_s)


class RateLimit:
    """A token bucket on the caller's clock."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = float(max(burst, 1))
        self._tokens = self._burst
        self._at_s = 0.0

    def take(self, now_s: float) -> float:
        """Take a token: 0.0; or the seconds to wait before one is there, and none is taken."""
        if self._per_s <= 0:
            return 0.0
        self._tokens = min(self._burst, self._tokens + max(0.0, now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._per_s


class EndpointState:
    """What is known of an endpoint. `finalized_height` and `finalized_slot`: the highest it has told."""

    def __init__(self, endpoint: RpcEndpoint) -> None:
        self.endpoint = endpoint
        self.limit = RateLimit(endpoint.requests_per_s, endpoint.burst)
        self.failures = 0
        self.paused_until_s = 0.0
        self.latency_s = 0.0
        self.requests = 0
        self.faults = 0
        self.finalized_height = 0
        self.finalized_slot = 0

    @property
    def name(self) -> str:
        return self.endpoint.name

    def is_open(self, now_s: float) -> bool:
        """Whether requests may go there."""
        return now_s >= self.paused_until_s

    def succeeded(self, latency_s: float) -> None:
        self.requests += 1
        self.failures = 0
        self.latency_s += (latency_s - self.latency_s) * (_LATENCY_WEIGHT if self.latency_s else 1.0)

    def failed(self, now_s: float, retry_after_s: float | None = None) -> None:
        """Pause it: as long as it asks for, or twice as long with every failure in a row."""
        self.requests += 1
        self.faults += 1
        self.failures += 1
        pause_s = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self.failures - 1, 16))
        if retry_after_s is not None:
            pause_s = min(max(retry_after_s, 0.0), MAX_PAUSE_S)
        self.paused_until_s = max(self.paused_until_s, now_s + pause_s)
