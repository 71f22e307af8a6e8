"""The CPMM program as a venue: the protocol's methods over this folder's layout, quotes and instructions."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from solders.instruction import Instruction

from fillwright.domain.accounts import Account, Accounts, Address, ChainClock, Mint
from fillwright.venues.raydium_cpmm import instructions, layout, quote
from fillwright.venues.raydium_cpmm.layout import CpmmPool
from fillwright.venues.raydium_cpmm.segments import segments
from fillwright.venues.venue import CurveSegment, Quote, Quoter, Swap, SwapAccounts


class RaydiumCpmm:
    """Implements `venues.venue.Venue`; see there for each method's contract."""

    id = layout.VENUE_ID
    label = "Raydium CPMM"
    dex = "raydium"
    program_id = layout.PROGRAM_ID
    program_ids = layout.PROGRAM_IDS
    pool_type = CpmmPool
    pool_shape = layout.POOL_SHAPE
    swap_compute_units = 80_000

    def recognises(self, account: Account) -> bool:
        return layout.is_pool(account)

    def companions(self, address: Address, accounts: Accounts) -> tuple[Address, ...]:
        return layout.companions(address, accounts)

    def decode(self, address: Address, accounts: Accounts) -> CpmmPool:
        return layout.decode_pool(address, accounts)

    def quote(self, pool: CpmmPool, swap: Swap, clock: ChainClock) -> Quote:
        return quote.quote_in(quote.direction(pool, swap.input_mint, clock), swap)[0]

    def apply(self, pool: CpmmPool, swap: Swap, clock: ChainClock) -> tuple[Quote, CpmmPool]:
        way = quote.direction(pool, swap.input_mint, clock)
        outcome, inner = quote.quote_in(way, swap)
        return outcome, quote.after(pool, way, inner)

    def quoter(self, pool: CpmmPool, input_mint: Mint, clock: ChainClock) -> Quoter:
        return quote.quoter(quote.direction(pool, input_mint, clock))

    def spot(self, pool: CpmmPool, input_mint: Mint, clock: ChainClock) -> Fraction:
        return quote.spot(quote.direction(pool, input_mint, clock))

    def curve(self, pool: CpmmPool, input_mint: Mint, clock: ChainClock) -> Iterator[CurveSegment]:
        return segments(quote.direction(pool, input_mint, clock))

    def instruction(
        self, pool: CpmmPool, swap: Swap, limit: int, accounts: SwapAccounts, clock: ChainClock
    ) -> Instruction:
        return instructions.swap_instruction(pool, swap, limit, accounts)

    def slippage_codes(self) -> frozenset[int]:
        return frozenset({instructions.EXCEEDED_SLIPPAGE})
