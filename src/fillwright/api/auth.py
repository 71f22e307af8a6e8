"""Who is asking: API keys, their scopes and their limits.

A key comes as `Authorization: Bearer …` or `X-API-Key`. Only its SHA-256 is known here, and every digest is
compared in constant time. Without configured keys every local caller is the account `default`; callers from
elsewhere are refused.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from fillwright.config import ApiKey, Scope, Settings
from fillwright.domain.errors import RateLimited, Unauthorized
from fillwright.execution.rate import LocalLimiter
from fillwright.ports import Clock, Limiter, Window

DEFAULT_ACCOUNT = "default"
MAX_KEY_CHARS = 512

_WHOSE = {True: "by this key", False: "by all"}

Headers = Iterable[tuple[bytes, bytes]]


class Principal(msgspec.Struct, frozen=True):
    """`key` is the key's digest, "" without keys; `orders_per_minute` 0: unlimited."""

    account: str
    scopes: tuple[Scope, ...]
    key: str = ""
    orders_per_minute: int = 0


_LOCAL = Principal(DEFAULT_ACCOUNT, tuple(Scope))


class Gate:
    """Turns headers into a Principal, and counts orders where they are limited."""

    def __init__(self, settings: Settings, clock: Clock, limiter: Limiter | None = None) -> None:
        self._settings = settings
        self._keys = tuple((key.sha256.lower().encode(), _principal(key)) for key in settings.api_keys)
        self._limiter = limiter or LocalLimiter(clock)
        self._everybody = Window("all", settings.accept_per_minute)

    def admit_command(self, headers: Headers, client: tuple[str, int] | None, scope: Scope) -> Principal:
        """As `admit`, for a request that does something and has no body. Without keys a page of any site could send
        it through a browser on this machine: that is refused."""
        if not self._keys:
            check_origin(dict(headers), self._settings)
        return self.admit(headers, client, scope)

    def admit(self, headers: Headers, client: tuple[str, int] | None, scope: Scope) -> Principal:
        """The caller, if it may do what needs `scope`. Raises Unauthorized."""
        principal = self._identify(headers, client)
        if scope not in principal.scopes and Scope.ADMIN not in principal.scopes:
            raise Unauthorized(f"this key lacks the scope {scope}", code="scope_missing")
        return principal

    async def count_order(self, principal: Principal) -> None:
        """Take one order out of what the key, and all together, may send within any minute. Raises RateLimited."""
        if principal.orders_per_minute or self._everybody.limit:
            await self.count_orders(principal, 1)

    async def count_orders(self, principal: Principal, wanted: int) -> tuple[int, RateLimited | None]:
        """How many of `wanted` orders may be accepted, and the refusal of the others. Raises RateLimited where
        none may."""
        own = Window(f"key:{principal.key}", principal.orders_per_minute)
        windows = [window for window in (own, self._everybody) if window.limit]
        if not windows or not wanted:
            return wanted, None
        grant = await self._limiter.take(windows, wanted)
        if grant.count == wanted:
            return wanted, None
        told = " and ".join(f"{window.limit} orders a minute {_WHOSE[window is own]}" for window in windows)
        refusal = RateLimited(f"at most {told}", retry_after_s=grant.retry_after_s)
        if not grant.count:
            raise refusal
        return grant.count, refusal

    def _identify(self, headers: Headers, client: tuple[str, int] | None) -> Principal:
        if not self._keys:
            if client is not None and not _is_loopback(client[0]):
                raise Unauthorized("without API keys only local callers are served", code="remote_without_key")
            return _LOCAL
        key = _presented(headers)
        if key is None:
            raise Unauthorized("an API key is needed: Authorization: Bearer …, or X-API-Key", code="key_missing")
        digest = sha256(key).hexdigest().encode()
        found = None
        for known, principal in self._keys:
            if hmac.compare_digest(known, digest):
                found = principal
        if found is None:
            raise Unauthorized("no such API key", code="key_unknown")
        return found


def check_origin(headers: Mapping[bytes, bytes], settings: Settings) -> None:
    """Refuse a browser's page of another site: browsers let any page open any socket, and send any request that has
    no body of its own. Raises Unauthorized."""
    origin = headers.get(b"origin")
    if origin is None:
        return
    text = origin.decode("latin-1")
    if "*" in settings.cors_origins or text in settings.cors_origins:
        return
    if _netloc(text) != headers.get(b"host", b"").decode("latin-1").lower():
        raise Unauthorized("pages of this origin may not do this", code="origin_not_allowed")


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _principal(key: ApiKey) -> Principal:
    return Principal(key.account, key.scopes, key.sha256.lower(), key.orders_per_minute)


def _presented(headers: Headers) -> bytes | None:
    key = None
    for name, value in headers:
        if name == b"x-api-key":
            key = value.strip()
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            key = value[7:].strip()
    return key if key and len(key) <= MAX_KEY_CHARS else None


@lru_cache(maxsize=1_024)
def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return True  # no address at all: a Unix socket, or a transport inside the process
