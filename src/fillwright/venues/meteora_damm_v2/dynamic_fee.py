"""The dynamic fee: a surcharge that grows with the square of recent price movement.

In: the stored volatility state, √prices (Q64.64) and a Unix time; out: a fee numerator over 10⁹, and the
state after a swap. Must not: read a clock. A swap pays the volatility stored *before* it.

Rule: cp-amm `state/fee.rs`, `DynamicFeeStruct`; `state/pool.rs`, `update_pre_swap` and `update_post_swap`.
"""

from __future__ import annotations

import msgspec

from fillwright.domain.amounts import U64_MAX
from fillwright.venues.integers import ceil_div
from fillwright.venues.meteora_damm_v2.checked import as_u128, divisor

_BPS = 10_000
_ONE_Q64 = 1 << 64
_VARIABLE_FEE_SCALE = 100_000_000_000


class DynamicFee(msgspec.Struct, frozen=True):
    """Periods in seconds, `bin_step_q64` and the reference in Q64.64, volatilities in 1/10⁴ of a bin."""

    max_volatility: int
    variable_fee_control: int
    bin_step: int
    filter_period: int
    decay_period: int
    reduction_bps: int
    last_update: int
    bin_step_q64: int
    sqrt_price_reference: int
    volatility: int
    volatility_reference: int


def variable_numerator(fee: DynamicFee) -> int:
    """(volatility · bin_step)² · control / 10¹¹, rounded up. Raises QuoteRefused `arithmetic`."""
    square = as_u128((fee.volatility * fee.bin_step) ** 2, "the variable fee")
    scaled = square * fee.variable_fee_control
    as_u128(scaled + _VARIABLE_FEE_SCALE - 1, "the variable fee")
    return ceil_div(scaled, _VARIABLE_FEE_SCALE)


def after_swap(fee: DynamicFee, sqrt_price_before: int, sqrt_price_after: int, timestamp: int) -> DynamicFee:
    """The state after a swap at `timestamp`: references first, from the price before. Raises QuoteRefused."""
    reference, volatility_reference = fee.sqrt_price_reference, fee.volatility_reference
    elapsed = max(timestamp - fee.last_update, 0)
    if elapsed >= fee.filter_period:
        reference, volatility_reference = sqrt_price_before, 0
        if elapsed < fee.decay_period:
            decayed = as_u128(fee.volatility * fee.reduction_bps, "the decayed volatility")
            volatility_reference = decayed // _BPS
    moved = as_u128(_bins_between(fee.bin_step_q64, sqrt_price_after, reference) * _BPS, "the volatility")
    volatility = as_u128(volatility_reference + moved, "the volatility")
    crossed = _bins_between(fee.bin_step_q64, sqrt_price_before, sqrt_price_after)
    return DynamicFee(
        fee.max_volatility,
        fee.variable_fee_control,
        fee.bin_step,
        fee.filter_period,
        fee.decay_period,
        fee.reduction_bps,
        timestamp & U64_MAX if crossed else fee.last_update,
        fee.bin_step_q64,
        reference,
        min(volatility, fee.max_volatility),
        volatility_reference,
    )


def _bins_between(bin_step_q64: int, first: int, second: int) -> int:
    """2 · ⌊(upper / lower − 1) / bin step⌋ of √prices, each division rounded down (`get_delta_bin_id`)."""
    upper, lower = (first, second) if first > second else (second, first)
    ratio = as_u128((upper << 64) // divisor(lower, "a price of zero"), "the price ratio")
    return as_u128((ratio - _ONE_Q64) // divisor(bin_step_q64, "a bin step of zero") * 2, "the price movement")
