"""What a swap's outcome depends on apart from its amount.

In: a pool, the input mint and a clock; out: `Terms`, or a refusal where no amount could be swapped. Must
not: know amounts, or change the pool.
"""

from __future__ import annotations

import msgspec

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.meteora_damm_v2.checked import as_u64
from fillwright.venues.meteora_damm_v2.dynamic_fee import variable_numerator
from fillwright.venues.meteora_damm_v2.layout import BY_SLOT, COMPOUNDING, FEES_IN_OUTPUT, DammV2Pool
from fillwright.venues.meteora_damm_v2.liquidity import range_reserves
from fillwright.venues.meteora_damm_v2.rate_limiter import (
    RateLimiter,
    numerator_of_excluded,
    numerator_of_included,
)
from fillwright.venues.meteora_damm_v2.schedulers import TimeScheduler, market_cap_numerator, time_numerator
from fillwright.venues.token_program import TransferFee


class Terms(msgspec.Struct, frozen=True):
    """`numerator` is the fee over 10⁹, dynamic part and maximum included, unless `limiter` decides by amount.

    `reserves` are (A, B) as the program accounts for them when the swap begins.
    """

    a_to_b: bool
    fee_on_input: bool
    numerator: int
    limiter: RateLimiter | None
    variable: int
    max_fee: int
    transfer_in: TransferFee
    transfer_out: TransferFee
    reserves: tuple[int, int]
    timestamp: int

    def numerator_of_included(self, amount: int) -> int:
        """The fee numerator where `amount` includes the pool's fee. Raises QuoteRefused `arithmetic`."""
        if self.limiter is None:
            return self.numerator
        return self._total(numerator_of_included(self.limiter, amount))

    def numerator_of_excluded(self, amount: int) -> int:
        """The fee numerator where `amount` excludes the pool's fee. Raises QuoteRefused `arithmetic`."""
        if self.limiter is None:
            return self.numerator
        return self._total(numerator_of_excluded(self.limiter, amount))

    def _total(self, base: int) -> int:
        return min(as_u64(base + self.variable, "the total fee"), self.max_fee)


def terms_of(pool: DammV2Pool, input_mint: Mint, clock: ChainClock) -> Terms:
    """The terms of a swap of `input_mint` at `clock`.

    Raises QuoteRefused: not_in_pool, paused, not_open, liquidity_exhausted, arithmetic.
    Rule: cp-amm `p_handle_swap`, `PermissionlessActionAccess::can_swap`, `FeeMode::get_fee_mode`,
    `PoolFeesStruct::get_total_fee_numerator`, `Pool::update_layout_version_if_needed`.
    """
    a_to_b = input_mint == pool.side_a.mint
    if not a_to_b and input_mint != pool.side_b.mint:
        raise QuoteRefused(Refusal.NOT_IN_POOL, f"the pool does not trade {input_mint}")
    timestamp = clock.unix_timestamp & U64_MAX
    point = clock.slot if pool.activates_by == BY_SLOT else timestamp
    if not pool.enabled:
        raise QuoteRefused(Refusal.PAUSED, "the pool is disabled")
    if point < pool.activation_point:
        raise QuoteRefused(Refusal.NOT_OPEN, f"the pool opens at {pool.activation_point}, it is {point}")
    if pool.liquidity == 0 or (pool.sqrt_price == 0 and pool.fee_mode != COMPOUNDING):
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the pool is empty")
    variable = 0 if pool.dynamic_fee is None else variable_numerator(pool.dynamic_fee)
    limiter = _active_limiter(pool, a_to_b, point)
    base = 0 if limiter else _base_numerator(pool, point)
    side_in, side_out = (pool.side_a, pool.side_b) if a_to_b else (pool.side_b, pool.side_a)
    return Terms(
        a_to_b=a_to_b,
        fee_on_input=not a_to_b and pool.fee_mode != FEES_IN_OUTPUT,
        numerator=min(as_u64(base + variable, "the total fee"), pool.max_fee),
        limiter=limiter,
        variable=variable,
        max_fee=pool.max_fee,
        transfer_in=side_in.mint_info.transfer_fee(clock.epoch),
        transfer_out=side_out.mint_info.transfer_fee(clock.epoch),
        reserves=_reserves(pool),
        timestamp=timestamp,
    )


def _active_limiter(pool: DammV2Pool, a_to_b: bool, point: int) -> RateLimiter | None:
    fee = pool.base_fee
    if isinstance(fee, RateLimiter) and fee.applies(a_to_b, point, pool.activation_point):
        return fee
    return None


def _base_numerator(pool: DammV2Pool, point: int) -> int:
    fee = pool.base_fee
    if isinstance(fee, RateLimiter):
        return fee.cliff
    if isinstance(fee, TimeScheduler):
        return time_numerator(fee, point, pool.activation_point)
    return market_cap_numerator(fee, point, pool.activation_point, pool.first_sqrt_price, pool.sqrt_price)


def _reserves(pool: DammV2Pool) -> tuple[int, int]:
    if pool.tracks_reserves or pool.fee_mode == COMPOUNDING:
        return pool.reserve_a, pool.reserve_b
    return range_reserves(pool.liquidity, pool.sqrt_price, (pool.sqrt_min_price, pool.sqrt_max_price))
