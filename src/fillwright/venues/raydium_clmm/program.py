"""The Raydium CLMM venue: the `Venue` protocol over this folder's maths."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from solders.instruction import Instruction

from fillwright.domain.accounts import Account, Accounts, Address, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.raydium_clmm import instructions, ladder, layout, quote, segments
from fillwright.venues.raydium_clmm.layout import ClmmPool
from fillwright.venues.raydium_clmm.tick_arrays import PROGRAM_ID, PROGRAM_IDS
from fillwright.venues.venue import CurveSegment, Quote, Quoter, Swap, SwapAccounts

_TOO_LITTLE_OUTPUT_RECEIVED = 6022
_TOO_MUCH_INPUT_PAID = 6023
_Q128 = 2**128


class RaydiumClmm:
    """Program `CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK`; each method as `Venue` says."""

    id = layout.VENUE_ID
    label = "Raydium CLMM"
    dex = "raydium"
    program_id = PROGRAM_ID
    program_ids = PROGRAM_IDS
    pool_type = ClmmPool
    pool_shape = layout.POOL_SHAPE
    swap_compute_units = 200_000

    def recognises(self, account: Account) -> bool:
        """Whether `account` is a CLMM pool: owner, size, discriminator."""
        return layout.is_pool(account)

    def companions(self, address: Address, accounts: Accounts) -> tuple[Address, ...]:
        """Config, mints, vaults, bitmap extension and the tick arrays around the price."""
        return layout.companions(address, accounts)

    def decode(self, address: Address, accounts: Accounts) -> ClmmPool:
        """The pool at `address`. Raises PoolRefused."""
        return layout.decode_pool(address, accounts)

    def quote(self, pool: ClmmPool, swap: Swap, clock: ChainClock) -> Quote:
        """The exact outcome of `swap`. Raises QuoteRefused."""
        return quote.quote(pool, swap, clock)

    def apply(self, pool: ClmmPool, swap: Swap, clock: ChainClock) -> tuple[Quote, ClmmPool]:
        """The exact outcome of `swap`, and the pool after it. Raises QuoteRefused."""
        return quote.apply(pool, swap, clock)

    def quoter(self, pool: ClmmPool, input_mint: Mint, clock: ChainClock) -> Quoter:
        """A fast exact-in function of one direction. Raises QuoteRefused `not_in_pool`."""
        return ladder.quoter(pool, input_mint, clock)

    def spot(self, pool: ClmmPool, input_mint: Mint, clock: ChainClock) -> Fraction:
        """(√P / 2^64)², by direction, before every fee. Raises QuoteRefused `not_in_pool`."""
        side = quote.side_of(pool, input_mint, clock)
        square = pool.sqrt_price * pool.sqrt_price
        return Fraction(square, _Q128) if side.zero_for_one else Fraction(_Q128, square)

    def curve(self, pool: ClmmPool, input_mint: Mint, clock: ChainClock) -> Iterator[CurveSegment]:
        """One segment for each stretch between initialised ticks; lazily."""
        return segments.segments(pool, input_mint, clock)

    def instruction(
        self, pool: ClmmPool, swap: Swap, limit: int, accounts: SwapAccounts, clock: ChainClock
    ) -> Instruction:
        """`swap_v2`, with the tick arrays that `swap` reads and those after them.

        Raises QuoteRefused `not_in_pool`, `missing_account`.
        """
        side = quote.side_of(pool, swap.input_mint, clock)
        arrays = instructions.MAX_TICK_ARRAYS if accounts.arrays is None else accounts.arrays
        try:
            _, after = quote.apply(pool, swap, clock)
            arrays = max(arrays, instructions.arrays_crossed(pool, side.zero_for_one, after.tick))
        except QuoteRefused:
            # The state may move on before the instruction runs; what to do about a refusal is not decided here.
            pass
        exact_in = swap.mode is SwapMode.EXACT_IN
        return instructions.swap_v2(
            pool, swap.input_mint, swap.amount, limit, accounts, exact_in=exact_in, arrays=arrays
        )

    def slippage_codes(self) -> frozenset[int]:
        """`TooLittleOutputReceived`, `TooMuchInputPaid`."""
        return frozenset((_TOO_LITTLE_OUTPUT_RECEIVED, _TOO_MUCH_INPUT_PAID))
