"""Laws of exchange that both constant-product venues keep, for any pool and amount that a property test draws."""

from __future__ import annotations

from typing import Any

from fillwright.domain.accounts import ChainClock
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.venue import Swap

IN = SwapMode.EXACT_IN
U64_MAX = 2**64 - 1


def the_fast_quoter_answers_as_the_exact_quote(
    venue: Any, pool: Any, side: int, amount: int, clock: ChainClock
) -> None:
    """To the unit, or with the same reason, around the amount and at the ends of what a vault can take."""
    mint = pool.mints[side]
    fast = venue.quoter(pool, mint, clock)
    for near in {max(amount - 1, 0), amount, amount + 1, 0, U64_MAX - pool.balances[side], 2**64}:
        try:
            expected: int | Refusal = venue.quote(pool, Swap(mint, IN, near), clock).amount_out
        except QuoteRefused as error:
            expected = error.reason
        try:
            got: int | Refusal = fast(near)
        except QuoteRefused as error:
            got = error.reason
        assert got == expected


def more_in_never_gives_less_out(venue: Any, pool: Any, side: int, amounts: tuple[int, int], clock: ChainClock) -> None:
    """Of two amounts that are both answered."""
    fast = venue.quoter(pool, pool.mints[side], clock)
    try:
        assert fast(min(amounts)) <= fast(max(amounts))
    except QuoteRefused:
        return


def a_round_trip_never_profits(venue: Any, pool: Any, side: int, amount: int, clock: ChainClock) -> None:
    """There, and back on the pool as it is then."""
    try:
        there, after = venue.apply(pool, Swap(pool.mints[side], IN, amount), clock)
        back, _ = venue.apply(after, Swap(pool.mints[1 - side], IN, there.amount_out), clock)
    except QuoteRefused:
        return
    assert back.amount_out <= amount
