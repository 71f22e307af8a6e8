"""How the processes of an engine speak to Redis.

In: an address. Out: a client of it, which connects when it is first used. Whether anybody answers there is not asked.
"""

from __future__ import annotations

from redis.asyncio import Redis

from fillwright.domain.errors import ConfigError


def client(url: str, *, timeout_s: float, connect_timeout_s: float) -> Redis[bytes]:
    """Raises ConfigError where `url` is no address of a Redis. It never shows the address: it may hold a password."""
    try:
        return Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=connect_timeout_s)
    except ValueError:
        raise ConfigError(
            "FILLWRIGHT_REDIS_URL is not the address of a Redis: redis://[[user]:password@]host[:port][/number], "
            "rediss:// for TLS, or unix://path; special characters in a password are written as %XX"
        ) from None
