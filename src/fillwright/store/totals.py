"""Running totals over all orders, so that statistics never count a million rows.

`due` counts those of `ready` whose time had come at `watermark_ms`; orders that became due since then are
counted when the watermark moves.
"""

from __future__ import annotations


class Totals:
    """`leased`: in a worker's hands. `ready`: in the queue, due or not."""

    __slots__ = ("by_status", "due", "leased", "ready", "watermark_ms")

    def __init__(self, by_status: dict[str, int], leased: int, ready: int, due: int, watermark_ms: int) -> None:
        self.by_status = by_status
        self.leased = leased
        self.ready = ready
        self.due = due
        self.watermark_ms = watermark_ms

    def add(self, status: str) -> None:
        self.by_status[status] = self.by_status.get(status, 0) + 1

    def move(self, before: str, after: str) -> None:
        self.by_status[before] -= 1
        self.by_status[after] = self.by_status.get(after, 0) + 1

    def place(self, ready_at_ms: int | None, owner_epoch: int | None, step: int) -> None:
        """Count an order in (`step` 1) or out (-1) of the place where it stands: hands, queue, or neither."""
        if owner_epoch is not None:
            self.leased += step
        elif ready_at_ms is not None:
            self.ready += step
            if ready_at_ms <= self.watermark_ms:
                self.due += step
