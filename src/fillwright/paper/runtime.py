"""The paper program: what one swap does to the owner's balances and to the pools.

In: a parsed transaction, pools and balances. Out: the whole effect, or why all of it is undone. Pure: must not
change what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from fillwright.domain.accounts import WRAPPED_SOL, Address, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.domain.transactions import RevertReason
from fillwright.market.snapshot import venue_for
from fillwright.paper.transaction import PaperLeg, Transaction
from fillwright.venues.venue import Pool, Quote, Swap

Balances = Callable[[Mint], int]
"""The owner's balance of a mint, in base units."""


class Effect(msgspec.Struct, frozen=True):
    """A swap that succeeds. `amount_in` and `amount_out` are the owner's balance changes in the swap's two mints;
    `changes` are those of every mint, fees and rent apart. `pools` are the states after it."""

    amount_in: int
    amount_out: int
    changes: dict[Mint, int]
    pools: dict[Address, Pool]


class Revert(msgspec.Struct, frozen=True):
    """A swap that moves nothing."""

    reason: RevertReason
    detail: str


def execute(
    transaction: Transaction, pools: Mapping[Address, Pool], balance: Balances, lamports: int, clock: ChainClock
) -> Effect | Revert:
    """Run the legs in order, each fed its own amount and held to its own bound, all or nothing.

    `lamports` leave the owner's SOL first: fee and rent. A leg may spend what an earlier one has brought.
    """
    swap, mints = transaction.swap, transaction.mints
    changes: dict[Mint, int] = {}
    after: dict[Address, Pool] = {}
    if balance(WRAPPED_SOL) < lamports:
        return Revert(RevertReason.INSUFFICIENT_FUNDS, f"fee and rent take {lamports} lamports")
    for leg in swap.legs:
        address, spent, got = transaction.pool(leg), mints[leg.input], mints[leg.output]
        pool = after.get(address) or pools.get(address)
        if pool is None:
            return Revert(RevertReason.POOL_REFUSED, f"{address} is no pool")
        if got not in pool.mints:
            return Revert(RevertReason.POOL_REFUSED, f"{address} does not trade {got}")
        amount = leg.amount_in if swap.mode is SwapMode.EXACT_IN else leg.amount_out
        try:
            quote, after[address] = venue_for(pool).apply(pool, Swap(spent, swap.mode, amount), clock)
        except QuoteRefused as error:
            return Revert(RevertReason.POOL_REFUSED, f"{address}: {error.message}")
        broken = _breach(leg, quote, exact_in=swap.mode is SwapMode.EXACT_IN)
        if broken:
            return Revert(RevertReason.SLIPPAGE, f"{address}: {broken}")
        held = balance(spent) + changes.get(spent, 0) - (lamports if spent == WRAPPED_SOL else 0)
        if quote.amount_in > held:
            return Revert(RevertReason.INSUFFICIENT_FUNDS, f"the swap takes {quote.amount_in}, the owner has {held}")
        changes[spent] = changes.get(spent, 0) - quote.amount_in
        changes[got] = changes.get(got, 0) + quote.amount_out
    return _within_limit(transaction, Effect(-changes.get(mints[0], 0), changes.get(mints[1], 0), changes, after))


def _breach(leg: PaperLeg, quote: Quote, *, exact_in: bool) -> str:
    """How the leg's own bound is broken; "" where it is kept. What follows a leg counts on its bound."""
    if exact_in and quote.amount_out < leg.limit:
        return f"{quote.amount_out} out is less than the leg's limit of {leg.limit}"
    if not exact_in and leg.limit and quote.amount_in > leg.limit:
        return f"{quote.amount_in} in is more than the leg's limit of {leg.limit}"
    return ""


def _within_limit(transaction: Transaction, effect: Effect) -> Effect | Revert:
    limit = transaction.swap.limit
    if transaction.swap.mode is SwapMode.EXACT_IN:
        if effect.amount_out < limit:
            return Revert(RevertReason.SLIPPAGE, f"{effect.amount_out} out is less than the limit of {limit}")
    elif effect.amount_in > limit:
        return Revert(RevertReason.SLIPPAGE, f"{effect.amount_in} in is more than the limit of {limit}")
    return effect
