"""Pure: what follows a failed try. An error becomes a later try, or the end."""

from __future__ import annotations

import msgspec

from fillwright.domain.orders import Order, OrderError
from fillwright.domain.transactions import RevertReason

FINAL_CODES = frozenset({RevertReason.INSUFFICIENT_FUNDS.value, "no_pool", "signer_refused"})
"""Errors that waiting does not mend."""


class RetryPolicy(msgspec.Struct, frozen=True):
    """`max_retries` further tries after `backoff_ms`, twice that, four times that, …; none is started
    once `timeout_ms` have passed since execution began."""

    max_retries: int
    backoff_ms: int
    timeout_ms: int


class Retry(msgspec.Struct, frozen=True):
    at_ms: int


class GiveUp(msgspec.Struct, frozen=True):
    error: OrderError


def next_step(order: Order, error: OrderError, now_ms: int, policy: RetryPolicy) -> Retry | GiveUp:
    """What follows `error` for `order`, none of whose transactions can land any more."""
    if error.code in FINAL_CODES or order.retries >= policy.max_retries:
        return GiveUp(error)
    at_ms = now_ms + policy.backoff_ms * 2**order.retries
    if at_ms >= deadline_ms(order, now_ms, policy):
        return GiveUp(OrderError("execution_timeout", f"the time for execution ran out after: {error.message}"))
    return Retry(at_ms)


def deadline_ms(order: Order, now_ms: int, policy: RetryPolicy) -> int:
    """When execution of `order` must not begin another attempt."""
    started_ms = now_ms if order.started_ms is None else order.started_ms
    return started_ms + policy.timeout_ms
