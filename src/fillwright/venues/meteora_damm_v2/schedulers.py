"""Base fees that fall by periods: of time since activation, or of price since the first price.

In: a scheduler, the current and the activation point (slots or seconds) and √prices (Q64.64); out: a fee
numerator over 10⁹, the same for every amount. Must not: know pools or where the clock comes from.

Rules: cp-amm `base_fee/fee_time_scheduler.rs`, `base_fee/fee_market_cap_scheduler.rs`, `math/fee_math.rs`.
"""

from __future__ import annotations

import msgspec

from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.integers import mul_div_down
from fillwright.venues.meteora_damm_v2.checked import as_u64, divisor

_BPS = 10_000
_ONE_Q64 = 1 << 64


class TimeScheduler(msgspec.Struct, frozen=True, tag=True):
    """Falls once every `period` slots or seconds, at most `periods` times. `period` 0 is a constant fee."""

    cliff: int
    periods: int
    period: int
    reduction: int
    exponential: bool


class MarketCapScheduler(msgspec.Struct, frozen=True, tag=True):
    """Falls once for every `sqrt_price_step_bps` that √price has gained, until `duration` after activation."""

    cliff: int
    periods: int
    sqrt_price_step_bps: int
    duration: int
    reduction: int
    exponential: bool


def time_numerator(scheduler: TimeScheduler, point: int, activation_point: int) -> int:
    """The numerator at `point` >= `activation_point`; periods round down. Raises QuoteRefused `arithmetic`."""
    if scheduler.period == 0:
        return scheduler.cliff
    return _after_periods(scheduler, (point - activation_point) // scheduler.period)


def market_cap_numerator(
    scheduler: MarketCapScheduler, point: int, activation_point: int, first_sqrt_price: int, sqrt_price: int
) -> int:
    """The numerator at `sqrt_price`; steps round down. Raises QuoteRefused `arithmetic`.

    Once expired, the lowest fee whatever the price.
    """
    expiry = as_u64(activation_point + scheduler.duration, "the fee scheduler's expiry")
    if point > expiry:
        return _after_periods(scheduler, scheduler.periods)
    if sqrt_price <= first_sqrt_price:
        return _after_periods(scheduler, 0)
    first = divisor(first_sqrt_price, "a fee scheduler without first price")
    step = divisor(scheduler.sqrt_price_step_bps, "a fee scheduler without price step")
    gain_bps = mul_div_down(sqrt_price - first, _BPS, first)
    return _after_periods(scheduler, gain_bps // step)


def _after_periods(scheduler: TimeScheduler | MarketCapScheduler, passed: int) -> int:
    """cliff − reduction · n, or cliff · (1 − reduction / 10⁴)ⁿ rounded down, with n = min(passed, periods)."""
    passed = min(passed, scheduler.periods)
    cliff, reduction = scheduler.cliff, scheduler.reduction
    if not scheduler.exponential:
        return as_u64(cliff - as_u64(reduction * passed, "the fee reduction"), "a fee below zero")
    if reduction == 0:
        return cliff
    base = as_u64(_ONE_Q64 - (reduction << 64) // _BPS, "a fee reduction above 100 %")
    return cliff * _power_q64(base, passed) >> 64


def _power_q64(base: int, exponent: int) -> int:
    """base^exponent in Q64.64 for base < 1, every product rounded down. Refused where it vanishes, as `pow` is."""
    power = _ONE_Q64
    while exponent:
        if exponent & 1:
            power = power * base >> 64
        base = base * base >> 64
        exponent >>= 1
    if power == 0:
        raise QuoteRefused(Refusal.ARITHMETIC, "the fee scheduler's power vanishes")
    return power
