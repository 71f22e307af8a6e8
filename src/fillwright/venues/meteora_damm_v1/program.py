"""Meteora DAMM v1 as a `Venue`: the functions of this folder behind one stateless object."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from solders.instruction import Instruction

from fillwright.domain.accounts import Account, Accounts, Address, ChainClock, Mint
from fillwright.domain.clusters import program_ids
from fillwright.venues.meteora_damm_v1 import curve, instructions, layout, quote, quoter
from fillwright.venues.meteora_damm_v1.layout import DammV1Pool
from fillwright.venues.venue import CurveSegment, Quote, Quoter, Swap, SwapAccounts


class MeteoraDammV1:
    """Constant product and stable pools over lending vaults. Exact-in only."""

    id = layout.VENUE_ID
    label = "Meteora DAMM v1"
    dex = "meteora"
    program_id = layout.PROGRAM_ID
    program_ids = program_ids(layout.PROGRAM_ID)
    pool_type = DammV1Pool
    pool_shape = layout.POOL_SHAPE
    swap_compute_units = 200_000

    def recognises(self, account: Account) -> bool:
        return layout.recognises(account)

    def companions(self, address: Address, accounts: Accounts) -> tuple[Address, ...]:
        return layout.companions(address, accounts)

    def decode(self, address: Address, accounts: Accounts) -> DammV1Pool:
        return layout.decode(address, accounts)

    def quote(self, pool: DammV1Pool, swap: Swap, clock: ChainClock) -> Quote:
        return quote.quote(pool, swap, clock)

    def apply(self, pool: DammV1Pool, swap: Swap, clock: ChainClock) -> tuple[Quote, DammV1Pool]:
        return quote.apply(pool, swap, clock)

    def quoter(self, pool: DammV1Pool, input_mint: Mint, clock: ChainClock) -> Quoter:
        return quoter.quoter(pool, input_mint, clock)

    def spot(self, pool: DammV1Pool, input_mint: Mint, clock: ChainClock) -> Fraction:
        return curve.spot(pool, input_mint, clock)

    def curve(self, pool: DammV1Pool, input_mint: Mint, clock: ChainClock) -> Iterator[CurveSegment]:
        return curve.curve(pool, input_mint, clock)

    def instruction(
        self, pool: DammV1Pool, swap: Swap, limit: int, accounts: SwapAccounts, clock: ChainClock
    ) -> Instruction:
        return instructions.swap_instruction(pool, swap, limit, accounts)

    def slippage_codes(self) -> frozenset[int]:
        return instructions.SLIPPAGE_CODES
