"""The venue: Meteora's DAMM v2 behind the protocol that every venue implements.

In and out as `Venue` says. Must not: hold state.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from solders.instruction import Instruction

from fillwright.domain.accounts import Account, Accounts, Address, ChainClock, Mint
from fillwright.domain.clusters import program_ids
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.meteora_damm_v2.checked import divisor
from fillwright.venues.meteora_damm_v2.instructions import EXCEEDED_SLIPPAGE, swap_instruction
from fillwright.venues.meteora_damm_v2.layout import (
    COMPOUNDING,
    POOL_SHAPE,
    PROGRAM_ID,
    VENUE,
    DammV2Pool,
    companion_addresses,
    decode_pool,
    is_pool,
)
from fillwright.venues.meteora_damm_v2.quote import quote_and_apply
from fillwright.venues.meteora_damm_v2.quoter import quoter_of
from fillwright.venues.meteora_damm_v2.segments import segments_of
from fillwright.venues.meteora_damm_v2.terms import terms_of
from fillwright.venues.venue import CurveSegment, Quote, Quoter, Swap, SwapAccounts


class MeteoraDammV2:
    """Implements `Venue[DammV2Pool]`."""

    id = VENUE
    label = "Meteora DAMM v2"
    dex = "meteora"
    program_id = PROGRAM_ID
    program_ids = program_ids(PROGRAM_ID)
    pool_type = DammV2Pool
    pool_shape = POOL_SHAPE
    swap_compute_units = 80_000

    def recognises(self, account: Account) -> bool:
        return is_pool(account)

    def companions(self, address: Address, accounts: Accounts) -> tuple[Address, ...]:
        """Both mints and both vaults; nothing more is ever needed. Empty until the pool itself is there."""
        account = accounts.get(address)
        return () if account is None else companion_addresses(account)

    def decode(self, address: Address, accounts: Accounts) -> DammV2Pool:
        return decode_pool(address, accounts)

    def quote(self, pool: DammV2Pool, swap: Swap, clock: ChainClock) -> Quote:
        return quote_and_apply(pool, swap, clock)[0]

    def apply(self, pool: DammV2Pool, swap: Swap, clock: ChainClock) -> tuple[Quote, DammV2Pool]:
        return quote_and_apply(pool, swap, clock)

    def quoter(self, pool: DammV2Pool, input_mint: Mint, clock: ChainClock) -> Quoter:
        return quoter_of(pool, input_mint, clock)

    def spot(self, pool: DammV2Pool, input_mint: Mint, clock: ChainClock) -> Fraction:
        """B per A is (√P / 2⁶⁴)², or the ratio of the reserves in a compounding pool. Raises QuoteRefused."""
        terms = terms_of(pool, input_mint, clock)
        if pool.fee_mode == COMPOUNDING:
            reserve_a, reserve_b = terms.reserves
        else:
            reserve_a, reserve_b = 1 << 128, pool.sqrt_price**2
        divisor(reserve_a, "an empty reserve")
        divisor(reserve_b, "an empty reserve")
        return Fraction(reserve_b, reserve_a) if terms.a_to_b else Fraction(reserve_a, reserve_b)

    def curve(self, pool: DammV2Pool, input_mint: Mint, clock: ChainClock) -> Iterator[CurveSegment]:
        """See `segments_of`; empty where the pool would refuse every amount."""
        try:
            terms = terms_of(pool, input_mint, clock)
        except QuoteRefused:
            return iter(())
        return segments_of(pool, terms)

    def instruction(
        self, pool: DammV2Pool, swap: Swap, limit: int, accounts: SwapAccounts, clock: ChainClock
    ) -> Instruction:
        return swap_instruction(pool, swap, limit, accounts)

    def slippage_codes(self) -> frozenset[int]:
        return frozenset({EXCEEDED_SLIPPAGE})
