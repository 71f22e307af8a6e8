"""How long a pool's curve stays what it is while the pool itself does not change.

In: a pool and the clock. Out: the clocks at which every quote of this very state is the same. Where a venue's
dependence on time is not known here, the answer is that clock alone: never wrong, only slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from fillwright.domain.accounts import ChainClock
from fillwright.venues.meteora_damm_v1.layout import DammV1Pool
from fillwright.venues.meteora_damm_v2.layout import BY_SLOT, DammV2Pool
from fillwright.venues.meteora_damm_v2.schedulers import TimeScheduler
from fillwright.venues.meteora_dlmm.layout import DlmmPool
from fillwright.venues.raydium_amm_v4.layout import AmmV4Pool
from fillwright.venues.raydium_clmm.layout import ClmmPool
from fillwright.venues.raydium_cpmm.layout import CpmmPool
from fillwright.venues.venue import Pool

_FOREVER = 1 << 64
_DEGRADATION_DENOMINATOR = 10**12


class Span(msgspec.Struct, frozen=True):
    """Clocks of one epoch from `first` on, before `until_time` (seconds) and `until_slot`."""

    first: ChainClock
    until_time: int = _FOREVER
    until_slot: int = _FOREVER

    def __contains__(self, clock: ChainClock) -> bool:
        first = self.first
        return clock is first or (
            clock.epoch == first.epoch
            and first.unix_timestamp <= clock.unix_timestamp < self.until_time
            and first.slot <= clock.slot < self.until_slot
        )


def common_span(clock: ChainClock, spans: Iterable[Span]) -> Span:
    """Clocks from `clock` on, which lies in all of `spans`, that lie in all of them."""
    until_time, until_slot = _FOREVER, _FOREVER
    for span in spans:
        until_time = min(until_time, span.until_time)
        until_slot = min(until_slot, span.until_slot)
    return Span(clock, until_time, until_slot)


def unchanged_span(pool: Pool, clock: ChainClock) -> Span:
    """The span of `clock` for this pool."""
    rule = _RULES.get(type(pool))
    return rule(pool, clock) if rule is not None else _only(clock)


def _only(clock: ChainClock) -> Span:
    return Span(clock, clock.unix_timestamp + 1, clock.slot + 1)


def _opens_at(clock: ChainClock, open_time: int) -> Span:
    """A pool that is open stays as it is for the epoch, whose transfer fees it pays."""
    return Span(clock) if clock.unix_timestamp > open_time else _only(clock)


def _raydium(pool: AmmV4Pool | CpmmPool | ClmmPool, clock: ChainClock) -> Span:
    return _opens_at(clock, pool.open_time)


def _dlmm(pool: DlmmPool, clock: ChainClock) -> Span:
    """The volatility reference changes when the filter period ends and when the decay period ends."""
    if clock.slot < pool.opens_at_slot or clock.unix_timestamp < pool.opens_at_time:
        return _only(clock)
    if not pool.fee.variable_fee_control:
        return Span(clock)
    updated = pool.volatility.updated_at
    ends = (updated + pool.fee.filter_period, updated + pool.fee.decay_period)
    return Span(clock, until_time=min((end for end in ends if end > clock.unix_timestamp), default=_FOREVER))


def _damm_v2(pool: DammV2Pool, clock: ChainClock) -> Span:
    """A schedule without periods is a constant fee, once the pool is open."""
    fee = pool.base_fee
    point = clock.slot if pool.activates_by == BY_SLOT else clock.unix_timestamp
    if isinstance(fee, TimeScheduler) and 0 in (fee.periods, fee.period) and point >= pool.activation_point:
        return Span(clock)
    return _only(clock)


def _damm_v1(pool: DammV1Pool, clock: ChainClock) -> Span:
    """Constant once both vaults' locked profits have been released, unless a stake price is involved."""
    point = clock.unix_timestamp if pool.activation_by_time else clock.slot
    depegs = pool.stable is not None and pool.stable.depeg is not None
    released = all(
        clock.unix_timestamp >= vault.last_report
        and (
            not vault.locked_profit
            or (clock.unix_timestamp - vault.last_report) * vault.degradation > _DEGRADATION_DENOMINATOR
        )
        for vault in pool.vaults
    )
    return Span(clock) if released and not depegs and point >= pool.activation_point else _only(clock)


_RULES: dict[type, Callable[..., Span]] = {
    AmmV4Pool: _raydium,
    CpmmPool: _raydium,
    ClmmPool: _raydium,
    DlmmPool: _dlmm,
    DammV2Pool: _damm_v2,
    DammV1Pool: _damm_v1,
}
