"""One function per domain event: each owns its log line and its metric. Never a key, never a raw transaction."""

from __future__ import annotations

import structlog

_log = structlog.get_logger("fillwright")


def attempt_built(order_id: str, attempt: int, signature: str) -> None:
    _log.debug("attempt built", order_id=order_id, attempt=attempt, signature=signature)


def attempt_sent(order_id: str, attempt: int) -> None:
    _log.debug("attempt sent", order_id=order_id, attempt=attempt)


def attempt_resumed(order_id: str, attempt: int) -> None:
    """An attempt that an earlier life of the process committed is being settled."""
    _log.info("attempt resumed", order_id=order_id, attempt=attempt)


def send_failed(order_id: str, code: str) -> None:
    _log.info("send failed", order_id=order_id, code=code)


def chain_unusable(order_id: str, code: str) -> None:
    """The chain gave no usable answer about an attempt under way."""
    _log.info("chain answer unusable", order_id=order_id, code=code)


def order_ended(order_id: str, status: str, seconds: float) -> None:
    """`seconds` from acceptance to the terminal event."""
    _log.debug("order ended", order_id=order_id, status=status, seconds=seconds)


def order_retrying(order_id: str, code: str, delay_ms: int) -> None:
    _log.info("order will be tried again", order_id=order_id, code=code, delay_ms=delay_ms)


def order_lost(order_id: str) -> None:
    """The lease ended while the order was under way; whoever leases it next goes on."""
    _log.warning("order lost with its lease", order_id=order_id)


def lease_lost(worker: str) -> None:
    _log.warning("lease lost", worker=worker)


def worker_fault(worker: str, code: str) -> None:
    """The store refused or did not answer; the worker tries again."""
    _log.warning("store fault", worker=worker, code=code)


def journey_fault(order_id: str, code: str, error: Exception | None = None) -> None:
    """An order's journey failed unexpectedly; it is run again from what is stored."""
    _log.error("journey failed", order_id=order_id, code=code, exc_info=error)
