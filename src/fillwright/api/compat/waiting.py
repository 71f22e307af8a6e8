"""Waiting for an order to end, over the hub: nothing is polled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from fillwright.api.events import Encoded, Target
from fillwright.api.streams import Hub
from fillwright.domain.orders import OrderId


class Ended:
    """A reader of one order, from `with` to its end. What happens after `with` was entered is not missed."""

    def __init__(self, hub: Hub, account: str, order_id: OrderId) -> None:
        self._hub = hub
        self._target = Target(account, "order", order_id)
        self._ended = asyncio.Event()

    def __enter__(self) -> Self:
        self._hub.follow(self, self._target)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hub.unfollow(self, self._target)

    def deliver(self, batch: Sequence[Encoded]) -> None:
        if any(encoded.terminal for encoded in batch):
            self._ended.set()

    def heartbeat(self) -> None:
        """Nothing: nobody is listening but the waiter."""

    def end(self) -> None:
        self._ended.set()

    async def wait(self, timeout_s: float) -> bool:
        """Whether the order ended, or the engine goes down, within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True
