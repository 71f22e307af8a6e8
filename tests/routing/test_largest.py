"""Partial fills: the size found meets the price, a noticeably larger one does not."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest

from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import InvalidInput
from fillwright.routing.largest import PRECISION, largest_fill
from fillwright.routing.mid import mid_ratio
from fillwright.routing.route import Router
from routing.cases import FREE, HELD, amount_of, direct_market, order

MARKET = direct_market(21, 6)
SPEC = order(HELD[0].mint, HELD[1].mint, amount_of(HELD[0], 500_000))


@pytest.mark.parametrize("below_bps", [60, 150, 400])
def test_the_largest_size_meets_the_price_and_no_larger_one_does(below_bps: int) -> None:
    mid = mid_ratio(SPEC, MARKET)
    assert mid is not None
    price = mid * (10_000 - below_bps) / 10_000
    router = Router()
    fill = largest_fill(router, SPEC, MARKET, price, FREE)
    assert 0 < fill.amount < SPEC.amount
    assert fill.decision is not None
    assert fill.decision.route is not None
    assert fill.decision.route.amount_out >= price * fill.amount
    larger = msgspec.structs.replace(SPEC, amount=fill.amount + 3 * max(fill.amount // PRECISION, 1))
    route = router.decide(larger, MARKET, FREE).route
    assert route is None or route.amount_out < price * larger.amount


def test_a_price_that_the_whole_meets_fills_the_whole() -> None:
    spec = msgspec.structs.replace(SPEC, amount=amount_of(HELD[0], 10))
    mid = mid_ratio(spec, MARKET)
    assert mid is not None
    assert largest_fill(Router(), spec, MARKET, mid / 2, FREE).amount == spec.amount


def test_a_price_above_the_market_fills_nothing() -> None:
    mid = mid_ratio(SPEC, MARKET)
    assert mid is not None
    fill = largest_fill(Router(), SPEC, MARKET, mid * 2, FREE)
    assert (fill.amount, fill.decision) == (0, None)


def test_exact_out_has_no_partial_fill() -> None:
    with pytest.raises(InvalidInput):
        largest_fill(Router(), msgspec.structs.replace(SPEC, mode=SwapMode.EXACT_OUT), MARKET, Fraction(1), FREE)
