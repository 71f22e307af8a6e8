"""Who may use the dialects, which know no keys.

A caller with an API key is that key's account, as elsewhere. One without is let in only in paper mode on
loopback, or where the operator has said so; it is the account `default` then.
"""

from __future__ import annotations

from ipaddress import ip_address

from fillwright.api.auth import DEFAULT_ACCOUNT, Gate, Headers, Principal
from fillwright.config import Mode, Scope, Settings
from fillwright.domain.errors import Unauthorized

_KEY_HEADERS = frozenset({b"authorization", b"x-api-key"})
_ANONYMOUS = Principal(DEFAULT_ACCOUNT, (Scope.READ, Scope.TRADE))


class Door:
    """The gate, with a side entrance."""

    def __init__(self, settings: Settings, gate: Gate) -> None:
        self._gate = gate
        self._insecure = settings.compat_insecure
        self._local = settings.mode is Mode.PAPER and settings.is_loopback
        self._has_keys = bool(settings.api_keys)

    def admit(self, headers: Headers, client: tuple[str, int] | None, scope: Scope) -> Principal:
        """The caller, if it may do what needs `scope`. Raises Unauthorized."""
        if self._has_keys and any(name in _KEY_HEADERS for name, _ in headers):
            return self._gate.admit(headers, client, scope)
        if self._insecure or (self._local and _is_local(client)):
            return _ANONYMOUS
        raise Unauthorized(
            "this API has no keys of its own: it is open only in paper mode on loopback, with an API key, "
            "or where COMPAT_INSECURE=1 is set",
            code="key_missing",
        )


def _is_local(client: tuple[str, int] | None) -> bool:
    if client is None:
        return True
    try:
        return ip_address(client[0]).is_loopback
    except ValueError:
        return True
