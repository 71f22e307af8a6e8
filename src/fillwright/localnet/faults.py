"""What goes wrong on this network, and when: probabilities and a seed in, decisions out.

Each kind of fault draws from its own stream, so that switching one on does not move the others.
"""

from __future__ import annotations

import random
from enum import StrEnum

import msgspec


class Fault(StrEnum):
    DROP = "drop"
    DELAY = "delay"
    LOST_REPLY = "lost_reply"
    HTTP_429 = "http_429"
    HTTP_5XX = "http_5xx"
    FALSE_NULL = "false_null"
    CUT_SOCKET = "cut_socket"
    COMPETITOR = "competitor"
    CONGESTION = "congestion"


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Probabilities per call (`cut_socket`: per notification; `competitor`, `congestion`: per slot). A transaction is
    delayed by up to `delay_slots`; statuses are told `status_lag_slots` late. `lost_reply`: the transaction is taken,
    but the answer is an error. `congestion`: for up to `congestion_slots` slots no block takes a transaction that pays
    less than `congestion_price` micro-lamports per compute unit; it waits, and lands late if it is still valid."""

    drop: float = 0.0
    delay_slots: int = 0
    lost_reply: float = 0.0
    http_429: float = 0.0
    http_5xx: float = 0.0
    false_null: float = 0.0
    status_lag_slots: int = 0
    cut_socket: float = 0.0
    competitor: float = 0.0
    congestion: float = 0.0
    congestion_slots: int = 0
    congestion_price: int = 0


class Dice:
    """The seeded decisions."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self._streams = {fault: random.Random(f"{seed}/{fault}") for fault in Fault}

    def happens(self, fault: Fault) -> bool:
        probability = float(getattr(self.faults, fault.value, 0.0))
        return probability > 0.0 and self._streams[fault].random() < probability

    def delay_slots(self) -> int:
        most = self.faults.delay_slots
        return self._streams[Fault.DELAY].randint(0, most) if most > 0 else 0

    def congestion_slots(self) -> int:
        """How long the congestion is that begins now; 0: none does."""
        most = self.faults.congestion_slots
        if most <= 0 or not self.happens(Fault.CONGESTION):
            return 0
        return self._streams[Fault.CONGESTION].randint(1, most)

    def stream(self, fault: Fault) -> random.Random:
        return self._streams[fault]
