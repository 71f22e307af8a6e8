"""A real store that can be taken away: while `down`, every call raises Unavailable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fillwright.domain.errors import Unavailable
from fillwright.ports import Store


class BreakableStore:
    """Delegates to the store inside."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.down = False

    def __getattr__(self, name: str) -> Any:
        held: Callable[..., Any] = getattr(self._inner, name)

        async def call(*args: Any, **options: Any) -> Any:
            if self.down and name not in ("open", "close"):
                raise Unavailable("the store is away", code="store_unavailable")
            return await held(*args, **options)

        return call
