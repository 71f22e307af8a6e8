"""A real store that can be taken away, and whose commit notices can be lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fillwright.domain.errors import Unavailable
from fillwright.domain.orders import OrderEvent
from fillwright.ports import CommitListener, Store


class BreakableStore:
    """Delegates to the store inside. While `down`, every call raises Unavailable `code`; `down_for`: only these.

    `on_commit` is told of commits, and can be exchanged.
    """

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.down = False
        self.down_for: set[str] = set()
        self.code = "store_unavailable"
        self.on_commit: CommitListener = lambda _: None

    async def open(self, on_commit: CommitListener) -> None:
        self.on_commit = on_commit
        await self._inner.open(self._announce)

    async def close(self) -> None:
        await self._inner.close()

    def _announce(self, events: Sequence[OrderEvent]) -> None:
        self.on_commit(events)

    def __getattr__(self, name: str) -> Any:
        held: Callable[..., Any] = getattr(self._inner, name)

        async def call(*args: Any, **options: Any) -> Any:
            if self.down or name in self.down_for:
                raise Unavailable("the store is away", code=self.code)
            return await held(*args, **options)

        return call
