"""The AMM v4 program as a venue: the protocol's methods over this folder's layout, quotes and instructions."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from solders.instruction import Instruction

from fillwright.domain.accounts import Account, Accounts, Address, ChainClock, Mint
from fillwright.venues.raydium_amm_v4 import instructions, layout, quote
from fillwright.venues.raydium_amm_v4.instructions import SwapForm
from fillwright.venues.raydium_amm_v4.layout import AmmV4Pool
from fillwright.venues.venue import CurveSegment, Quote, Quoter, Swap, SwapAccounts


class RaydiumAmmV4:
    """Implements `venues.venue.Venue`; see there for each method's contract.

    `form` chooses the account list of its instructions.
    """

    id = layout.VENUE_ID
    label = "Raydium AMM v4"
    dex = "raydium"
    program_id = layout.PROGRAM_ID
    program_ids = layout.PROGRAM_IDS
    pool_type = AmmV4Pool
    pool_shape = layout.POOL_SHAPE
    swap_compute_units = 60_000

    def __init__(self, form: SwapForm = SwapForm.MARKET) -> None:
        self._form = form

    def recognises(self, account: Account) -> bool:
        return layout.is_pool(account)

    def companions(self, address: Address, accounts: Accounts) -> tuple[Address, ...]:
        return layout.companions(address, accounts)

    def decode(self, address: Address, accounts: Accounts) -> AmmV4Pool:
        return layout.decode_pool(address, accounts)

    def quote(self, pool: AmmV4Pool, swap: Swap, clock: ChainClock) -> Quote:
        return quote.quote_in(quote.direction(pool, swap.input_mint, clock), swap)

    def apply(self, pool: AmmV4Pool, swap: Swap, clock: ChainClock) -> tuple[Quote, AmmV4Pool]:
        way = quote.direction(pool, swap.input_mint, clock)
        outcome = quote.quote_in(way, swap)
        return outcome, quote.after(pool, way, outcome)

    def quoter(self, pool: AmmV4Pool, input_mint: Mint, clock: ChainClock) -> Quoter:
        return quote.quoter(quote.direction(pool, input_mint, clock))

    def spot(self, pool: AmmV4Pool, input_mint: Mint, clock: ChainClock) -> Fraction:
        return quote.spot(quote.direction(pool, input_mint, clock))

    def curve(self, pool: AmmV4Pool, input_mint: Mint, clock: ChainClock) -> Iterator[CurveSegment]:
        return quote.segments(quote.direction(pool, input_mint, clock))

    def instruction(
        self, pool: AmmV4Pool, swap: Swap, limit: int, accounts: SwapAccounts, clock: ChainClock
    ) -> Instruction:
        return instructions.swap_instruction(pool, swap, limit, accounts, self._form)

    def slippage_codes(self) -> frozenset[int]:
        return frozenset({instructions.EXCEEDED_SLIPPAGE})
