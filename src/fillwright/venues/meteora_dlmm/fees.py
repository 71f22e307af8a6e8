"""The swap fee: a base rate plus one that grows with the bins crossed lately and decays with time.

In: pool parameters, the stored volatility and a clock. Out: rates in 10⁻⁹. Integers only.
"""

from __future__ import annotations

import msgspec

from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.meteora_dlmm.layout import FeeParameters, Volatility
from fillwright.venues.meteora_dlmm.price_math import BPS

FEE_PRECISION = 1_000_000_000
MAX_FEE_RATE = 100_000_000
LIMIT_ORDER_SHARE_BPS = 5_000
_VARIABLE_FEE_SCALE = 100_000_000_000
_U32_MAX = 2**32 - 1
_I64_MAX = 2**63 - 1
_MAX_POWER = 38
_U128_MAX = 2**128 - 1


def at_time(stored: Volatility, fee: FeeParameters, active_id: int, unix_timestamp: int) -> Volatility:
    """The references as a swap at `unix_timestamp` finds them: kept, decayed or forgotten by the time elapsed.

    Rule: lb_clmm `update_references`; the decayed reference is rounded down.
    """
    elapsed = unix_timestamp - stored.updated_at
    if elapsed > _I64_MAX:
        raise QuoteRefused(Refusal.ARITHMETIC, "the time since the last swap leaves 64 bits")
    if elapsed < fee.filter_period:
        return stored
    reference = 0
    if elapsed < fee.decay_period:
        scaled = stored.accumulator * fee.reduction_factor
        if scaled > _U32_MAX:
            raise QuoteRefused(Refusal.ARITHMETIC, "the volatility reference leaves 32 bits")
        reference = scaled // BPS
    return msgspec.structs.replace(stored, reference=reference, index_reference=active_id)


def accumulator_at(volatility: Volatility, fee: FeeParameters, bin_id: int) -> int:
    """Volatility accumulator while bin `bin_id` trades (lb_clmm `update_volatility_accumulator`)."""
    return min(volatility.reference + abs(volatility.index_reference - bin_id) * BPS, fee.max_accumulator)


def base_rate(fee: FeeParameters) -> int:
    """The constant part of the fee rate."""
    return fee.base_factor * fee.bin_step * 10 * int(10**fee.base_power)


def rate_at(volatility: Volatility, fee: FeeParameters, bin_id: int) -> int:
    """The fee rate of bin `bin_id`: base and variable part, rounded up, at most 10 % (`get_total_fee`)."""
    rate = base_rate(fee)
    if fee.variable_fee_control:
        crossed = accumulator_at(volatility, fee, bin_id) * fee.bin_step
        rate -= -(fee.variable_fee_control * crossed * crossed) // _VARIABLE_FEE_SCALE
    if rate > _U128_MAX or fee.base_power > _MAX_POWER:
        raise QuoteRefused(Refusal.ARITHMETIC, "the fee rate leaves 128 bits")
    return min(rate, MAX_FEE_RATE)


def fee_within(amount: int, rate: int) -> int:
    """The fee that is part of `amount`, rounded up (`compute_fee_from_amount`)."""
    return -(-amount * rate // FEE_PRECISION)


def fee_on_top(amount: int, rate: int) -> int:
    """The fee that comes on top of `amount`, rounded up (`compute_fee`). Raises beyond 2^64 - 1."""
    fee = -(-amount * rate // (FEE_PRECISION - rate))
    if fee > U64_MAX:
        raise QuoteRefused(Refusal.ARITHMETIC, "a fee exceeds 2^64 - 1")
    return fee


def protocol_part(fee: int, makers_in: int, total_in: int, protocol_share: int) -> int:
    """The protocol's part of a bin's `fee`; the rest goes to liquidity providers and order placers.

    `makers_in` of `total_in` traded against liquidity, the rest against limit orders. Rule: lb_clmm swap
    fees: the makers' part is rounded up, each share of it and of the orders' part is rounded down.
    """
    if total_in == 0 or fee == 0:
        return 0
    of_makers = -(-fee * makers_in // total_in)
    of_orders = fee - of_makers
    placers = of_orders * LIMIT_ORDER_SHARE_BPS // BPS
    return of_orders - placers + of_makers * protocol_share // BPS
