"""The venue `meteora_dlmm`: the protocol's methods, each answered by a module of this folder. Stateless."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from solders.instruction import Instruction

from fillwright.domain.accounts import Account, Accounts, Address, ChainClock, Mint
from fillwright.domain.clusters import program_ids
from fillwright.venues.meteora_dlmm import layout
from fillwright.venues.meteora_dlmm.bitmap import PROGRAM_ID
from fillwright.venues.meteora_dlmm.curve import pool_curve, spot_price
from fillwright.venues.meteora_dlmm.instructions import SLIPPAGE_CODES, swap_instruction
from fillwright.venues.meteora_dlmm.ladder import exact_in_quoter
from fillwright.venues.meteora_dlmm.layout import DlmmPool
from fillwright.venues.meteora_dlmm.quote import swap_apply, swap_quote
from fillwright.venues.venue import CurveSegment, Quote, Quoter, Swap, SwapAccounts


class MeteoraDlmm:
    """Implements `Venue[DlmmPool]`."""

    id = "meteora_dlmm"
    label = "Meteora DLMM"
    dex = "meteora"
    program_id = PROGRAM_ID
    program_ids = program_ids(PROGRAM_ID)
    pool_type = DlmmPool
    pool_shape = layout.POOL_SHAPE
    swap_compute_units = 250_000

    def recognises(self, account: Account) -> bool:
        """Whether `account` is an LbPair of this program."""
        return layout.is_pool(account)

    def companions(self, address: Address, accounts: Accounts) -> tuple[Address, ...]:
        """As `layout.companions`."""
        return layout.companions(address, accounts)

    def decode(self, address: Address, accounts: Accounts) -> DlmmPool:
        """As `layout.decode`."""
        return layout.decode(address, accounts)

    def quote(self, pool: DlmmPool, swap: Swap, clock: ChainClock) -> Quote:
        """As `quote.swap_quote`."""
        return swap_quote(pool, swap, clock)

    def apply(self, pool: DlmmPool, swap: Swap, clock: ChainClock) -> tuple[Quote, DlmmPool]:
        """As `quote.swap_apply`."""
        return swap_apply(pool, swap, clock)

    def quoter(self, pool: DlmmPool, input_mint: Mint, clock: ChainClock) -> Quoter:
        """As `ladder.exact_in_quoter`."""
        return exact_in_quoter(pool, input_mint, clock)

    def spot(self, pool: DlmmPool, input_mint: Mint, clock: ChainClock) -> Fraction:
        """As `curve.spot_price`."""
        return spot_price(pool, input_mint, clock)

    def curve(self, pool: DlmmPool, input_mint: Mint, clock: ChainClock) -> Iterator[CurveSegment]:
        """As `curve.pool_curve`."""
        return pool_curve(pool, input_mint, clock)

    def instruction(
        self, pool: DlmmPool, swap: Swap, limit: int, accounts: SwapAccounts, clock: ChainClock
    ) -> Instruction:
        """As `instructions.swap_instruction`."""
        return swap_instruction(pool, swap, limit, accounts, clock)

    def slippage_codes(self) -> frozenset[int]:
        """ExceededAmountSlippageTolerance (exact-in) and InsufficientInAmount (exact-out)."""
        return SLIPPAGE_CODES
