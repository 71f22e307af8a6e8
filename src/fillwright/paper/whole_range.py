"""A made-up Meteora DAMM v2 pool over the whole price range, with a fixed fee: what paper markets hold of that venue.

In: its two sides, liquidity, price and fee. Out: a pool value. Must not: draw or read anything.
"""

from __future__ import annotations

from fillwright.domain.accounts import Address
from fillwright.venues.meteora_damm_v2.layout import (
    BY_SLOT,
    FEES_IN_OUTPUT,
    MAX_FEE_BY_VERSION,
    Accrued,
    DammV2Pool,
    Side,
)
from fillwright.venues.meteora_damm_v2.liquidity import range_reserves
from fillwright.venues.meteora_damm_v2.schedulers import TimeScheduler

_MIN_SQRT_PRICE = 4_295_048_016
_MAX_SQRT_PRICE = 79_226_673_521_066_979_257_578_248_091
_PROTOCOL_PERCENT = 20
_NOTHING = Accrued(0, 0, 0, 0)


def whole_range_damm_v2(
    address: Address, sides: tuple[Side, Side], liquidity: int, sqrt_price: int, fee_numerator: int
) -> DammV2Pool:
    """A Meteora DAMM v2 pool over the whole price range, with a fixed fee of `fee_numerator` billionths. Liquidity and
    √price in Q64.64."""
    bounds = (_MIN_SQRT_PRICE, _MAX_SQRT_PRICE)
    reserve_a, reserve_b = range_reserves(liquidity, sqrt_price, bounds)
    return DammV2Pool(
        address=address,
        side_a=sides[0],
        side_b=sides[1],
        base_fee=TimeScheduler(fee_numerator, 0, 0, 0, exponential=False),
        dynamic_fee=None,
        protocol_fee_percent=_PROTOCOL_PERCENT,
        compounding_fee_bps=0,
        max_fee=MAX_FEE_BY_VERSION[1],
        fee_mode=FEES_IN_OUTPUT,
        first_sqrt_price=sqrt_price,
        liquidity=liquidity,
        sqrt_min_price=bounds[0],
        sqrt_max_price=bounds[1],
        sqrt_price=sqrt_price,
        enabled=True,
        activation_point=0,
        activates_by=BY_SLOT,
        reserve_a=reserve_a,
        reserve_b=reserve_b,
        tracks_reserves=True,
        balance_a=reserve_a,
        balance_b=reserve_b,
        accrued_a=_NOTHING,
        accrued_b=_NOTHING,
    )
