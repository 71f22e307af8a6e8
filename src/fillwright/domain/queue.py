"""The rules of the queue: what goes first, and whether anything goes at all."""

from __future__ import annotations

from enum import StrEnum

import msgspec

PRIORITY_STEP_MS = 5_000
"""A step of priority is worth as much as having been due for so much longer."""


class QueueState(StrEnum):
    """`paused`: nothing is begun, orders are accepted and wait. `draining`: what is there is worked off, nothing new
    is accepted. Neither touches an order under way."""

    RUNNING = "running"
    PAUSED = "paused"
    DRAINING = "draining"


class QueueRules(msgspec.Struct, frozen=True):
    """The same in every process of an engine.

    Orders go by `rank_ms`, lowest first: the longest due, where a step of priority counts as `priority_step_ms` of
    having been due. So an order is overtaken only by those that become due less than that after it, per step: it
    can't starve. `wallet_order`: at most one order of a wallet is under way, and they go in the order of
    acceptance. `orders_per_minute`: how many are begun within any minute over all workers; 0: any number.
    """

    priority_step_ms: int = PRIORITY_STEP_MS
    wallet_order: bool = False
    orders_per_minute: int = 0

    def rank_ms(self, ready_at_ms: int, priority: int) -> int:
        """Lower goes first."""
        return ready_at_ms - priority * self.priority_step_ms


DEFAULT_RULES = QueueRules()
