"""The protocol that every venue implements, and the values that pass through it.

A venue is pure: account bytes and a clock in, exact integers out. `quote` and `apply` answer what the
deployed program would do, to the unit, or raise QuoteRefused where it would fail or where the outcome
can't be proven from the accounts at hand. They never guess.

Amounts are base units from the wallet's point of view, Token-2022 transfer fees included: `amount_in`
leaves the wallet's token account, `amount_out` arrives in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Protocol, TypeVar

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from fillwright.domain.accounts import Account, Accounts, Address, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.clusters import ProgramIds
from fillwright.domain.routes import Fee as Fee
from fillwright.domain.routes import FeeKind as FeeKind


class Swap(msgspec.Struct, frozen=True):
    """What is asked of a pool: `amount` is the input for exact-in, the output for exact-out."""

    input_mint: Mint
    mode: SwapMode
    amount: int


class Quote(msgspec.Struct, frozen=True):
    """The exact outcome of one swap in one pool state."""

    amount_in: int
    amount_out: int
    fees: tuple[Fee, ...] = ()


class CurveSegment(msgspec.Struct, frozen=True):
    """A piece of a pool's exchange function: y = p·u / (1 + q·u) for 0 <= u <= cap, fees included.

    u and y are floats of base units counted from where the previous segment ended. The marginal price
    is p / (1 + q·u)². q = 0 means a constant price. For search only: answers are quoted again exactly.
    """

    p: float
    q: float
    cap: float


ROUTE_ARRAYS = 6
"""Tick or bin arrays that a leg of a route names: with marker, token accounts and wrapping, nine exceed a packet."""


class SwapAccounts(msgspec.Struct, frozen=True):
    """The trader's side of a swap instruction. Token accounts must exist when it runs.

    `arrays`: name at most so many tick or bin arrays, or as many as the swap needs where that is more; None:
    the venue's own number. A short transaction wants few, a moving price wants many.
    """

    wallet: Pubkey
    input_account: Pubkey
    output_account: Pubkey
    arrays: int | None = None


class PoolShape(msgspec.Struct, frozen=True):
    """How a program's pool accounts are found on chain: their size, and the offsets of their two mints."""

    size_bytes: int
    mints_at: tuple[int, int]


class Pool(Protocol):
    """A decoded pool: a frozen value holding everything that its quotes and instructions need."""

    @property
    def venue(self) -> str: ...
    @property
    def address(self) -> Address: ...
    @property
    def mints(self) -> tuple[Mint, Mint]: ...
    @property
    def decimals(self) -> tuple[int, int]: ...
    @property
    def token_programs(self) -> tuple[Address, Address]:
        """Which token program each mint is of. The swap instruction names both."""


Quoter = Callable[[int], int]
"""Exact-in amount -> exact output, fast; raises QuoteRefused as `Venue.quote` does."""

P = TypeVar("P", bound=Pool)


class Venue(Protocol[P]):
    """One DEX program. Implementations are stateless; `registry.py` holds one instance of each."""

    id: str
    """Stable lower-case name, such as `raydium_clmm`; the folder's name."""
    label: str
    """For people, such as `Raydium CLMM`."""
    dex: str
    """`raydium` or `meteora`."""
    program_id: Address
    """Mainnet's."""
    program_ids: ProgramIds
    """By cluster. A pool belongs to the program that owns its account, and so do its companions and instructions."""
    pool_type: type[P]
    """What `decode` gives: a msgspec struct whose JSON, read as this type again, is an equal pool."""
    pool_shape: PoolShape
    swap_compute_units: int
    """A budget for one swap, on the safe side of what one of a usual size uses."""

    def recognises(self, account: Account) -> bool:
        """Whether `account` is one of this program's pool accounts (owner on any cluster, discriminator, size)."""

    def companions(self, address: Address, accounts: Accounts) -> tuple[Address, ...]:
        """Every other account that `decode` reads, known from those already in `accounts`.

        Called again after fetching until it names nothing new; includes the arrays that the pool
        will need when its price moves.
        """

    def decode(self, address: Address, accounts: Accounts) -> P:
        """The pool at `address`. Raises PoolRefused (malformed, unsupported feature, missing account)."""

    def quote(self, pool: P, swap: Swap, clock: ChainClock) -> Quote:
        """The exact outcome of `swap`. Raises QuoteRefused."""

    def apply(self, pool: P, swap: Swap, clock: ChainClock) -> tuple[Quote, P]:
        """The exact outcome, and the pool after it. Raises QuoteRefused."""

    def quoter(self, pool: P, input_mint: Mint, clock: ChainClock) -> Quoter:
        """A function for many exact-in quotes of one direction: prepared once, then fast."""

    def spot(self, pool: P, input_mint: Mint, clock: ChainClock) -> Fraction:
        """Output base units per input base unit at the margin, before every fee."""

    def curve(self, pool: P, input_mint: Mint, clock: ChainClock) -> Iterator[CurveSegment]:
        """The exchange function, best price first; lazily. Empty where nothing can be traded."""

    def instruction(self, pool: P, swap: Swap, limit: int, accounts: SwapAccounts, clock: ChainClock) -> Instruction:
        """The program's swap instruction. `limit` is min-out for exact-in, max-in for exact-out."""

    def slippage_codes(self) -> frozenset[int]:
        """Custom error codes by which the program says that `limit` was not met."""


AnyVenue = Venue[Any]
Registry = Mapping[str, AnyVenue]
