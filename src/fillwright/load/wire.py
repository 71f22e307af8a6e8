"""HTTP as plainly as a load generator needs it: where the engine is, and one answer at a time on a connection."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import msgspec

from fillwright.domain.errors import FillwrightError


class LoadError(FillwrightError):
    """The engine could not be loaded as asked."""

    code = "load_failed"


class Target(msgspec.Struct, frozen=True):
    """Where an engine listens. `authority`: as in the address; `path`: what its own paths follow, such as `/engine`."""

    host: str
    port: int
    authority: str
    path: str
    tls: bool

    @property
    def stream_url(self) -> str:
        return f"{'wss' if self.tls else 'ws'}://{self.authority}{self.path}/v1/stream"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises OSError."""
        return await asyncio.open_connection(self.host, self.port, ssl=self.tls or None, limit=1 << 24)

    def head(self, method: str, path: str, api_key: str | None) -> str:
        """A request's first lines; more may follow."""
        key = "" if api_key is None else f"authorization: Bearer {api_key}\r\n"
        return f"{method} {self.path}{path} HTTP/1.1\r\nhost: {self.authority}\r\n{key}"


def target(url: str) -> Target:
    """Where `url` leads. Raises LoadError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise LoadError("the address of an engine is http://host:port or https://host") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LoadError("the address of an engine is http://host:port or https://host")
    tls = parts.scheme == "https"
    authority = parts.netloc.rpartition("@")[2]
    return Target(parts.hostname, port or (443 if tls else 80), authority, parts.path.rstrip("/"), tls)


async def response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and body of one HTTP/1.1 answer with a content length."""
    head = await reader.readuntil(b"\r\n\r\n")
    lowered = head.lower()
    at = lowered.find(b"content-length:")
    if at < 0:
        raise LoadError("an answer without content length")
    length = int(lowered[at + 15 : lowered.index(b"\r\n", at)])
    return int(head[9:12]), await reader.readexactly(length)
