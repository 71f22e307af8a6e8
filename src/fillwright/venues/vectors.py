"""Golden swap vectors: cases executed by the real programs, checked against a venue's maths.

The format is one JSON object per line: an independent case, a sequence of swaps in one pool, or a case of
Raydium CPMM's bare curve (`"kind": "curve"`), which has reserves and rates in place of a pool. Pure: accounts
and a case in, a verdict out; `cli` reads the files.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from fillwright.domain.accounts import Account, Accounts, Address, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import PoolRefused, QuoteRefused
from fillwright.venues.raydium_cpmm import curve
from fillwright.venues.registry import venue_of
from fillwright.venues.venue import AnyVenue, FeeKind, Pool, Quote, Swap

WALLET_UNITS = 2**62
"""What the recorded wallet held before an exact-out swap: one that costs more failed for want of funds."""
INSUFFICIENT_FUNDS = frozenset({1, 40})
"""Codes that say so: the token programs' and Raydium AMM v4's."""
CURVE_VENUE = "raydium_cpmm"
CURVE = "curve"
_NO_CLOCK = ChainClock(0, 0, 0)


class Mutation(msgspec.Struct, frozen=True):
    account: str
    offset: int = 0
    hex: str = ""
    length: int | None = None
    owner: str | None = None


class VectorFees(msgspec.Struct, frozen=True):
    """Fees inside the swap. `trade_fee` includes the protocol's and the fund's parts."""

    trade_fee: int
    creator_fee: int
    protocol_fee: int
    fund_fee: int


class Case(msgspec.Struct, frozen=True):
    clock: ChainClock
    direction: str
    mode: SwapMode
    amount: int
    amount_in: int
    amount_out: int
    error: Any = None
    fees: VectorFees | None = None

    @property
    def swap(self) -> Swap:
        return Swap(Mint(self.direction.partition("->")[0]), self.mode, self.amount)


class VectorLine(msgspec.Struct, frozen=True):
    """A line of a vector file: a `Case` of its own, one with a `sequence`, or one of `kind` "curve".

    A curve case has no pool and no clock, but reserves and fee rates in millionths.
    """

    pool: str = ""
    kind: str = "pool"
    mutations: tuple[Mutation, ...] | None = None
    variant: Any = None
    sequence: tuple[Case, ...] | None = None
    clock: ChainClock | None = None
    direction: str = ""
    mode: SwapMode = SwapMode.EXACT_IN
    amount: int = 0
    amount_in: int = 0
    amount_out: int = 0
    error: Any = None
    fees: VectorFees | None = None
    reserve_in: int = 0
    reserve_out: int = 0
    trade_fee_rate: int = 0
    creator_fee_rate: int = 0
    creator_fee_on_input: bool = False
    protocol_fee_rate: int = 0
    fund_fee_rate: int = 0

    @property
    def cases(self) -> tuple[Case, ...]:
        if self.sequence is not None:
            return self.sequence
        clock = _NO_CLOCK if self.kind == CURVE else self.clock
        if clock is None:
            raise ValueError("a case without a clock")
        expected = (self.amount_in, self.amount_out, self.error, self.fees)
        return (Case(clock, self.direction, self.mode, self.amount, *expected),)


class Outcome(StrEnum):
    EQUAL = "equal"
    REFUSED_AS_EXPECTED = "refused"
    MISMATCH = "mismatch"


class Verdict(msgspec.Struct, frozen=True):
    """How one case went. `detail` describes a mismatch."""

    outcome: Outcome
    case: Case
    detail: str = ""


parse_line = msgspec.json.Decoder(VectorLine).decode


def mutate(accounts: Accounts, mutations: tuple[Mutation, ...] | None) -> dict[Address, Account]:
    """`accounts` after the edits, in order. An absent account counts as empty."""
    edited = dict(accounts)
    for edit in mutations or ():
        address = Address(edit.account)
        before = edited.get(address, Account(Address("11111111111111111111111111111111"), b""))
        data, raw = bytearray(before.data), bytes.fromhex(edit.hex)
        if edit.length is not None:
            data = data[: edit.length].ljust(edit.length, b"\0")
        data[edit.offset : edit.offset + len(raw)] = raw
        owner = before.owner if edit.owner is None else Address(edit.owner)
        edited[address] = Account(owner, bytes(data), before.lamports)
    return edited


def pool_in(accounts: Accounts) -> tuple[AnyVenue, Address]:
    """The one pool account among `accounts`. Raises ValueError unless there is exactly one."""
    found = [(venue, address) for address, account in accounts.items() if (venue := venue_of(account))]
    if len(found) != 1:
        raise ValueError(f"{len(found)} pool accounts of known programs, expected one")
    return found[0]


def venue_id(accounts: Accounts, line: VectorLine) -> str:
    """The venue that a line is about. Raises ValueError as `pool_in` does."""
    return CURVE_VENUE if line.kind == CURVE else pool_in(accounts)[0].id


def check_line(accounts: Accounts, line: VectorLine) -> list[Verdict]:
    """Check the case or the sequence on the snapshot `accounts`; in a sequence the state moves on.

    A curve case reads no accounts.
    """
    if line.kind == CURVE:
        return [_check_curve(line)]
    edited = mutate(accounts, line.mutations)
    venue, address = pool_in(edited)
    try:
        pool: Pool | None = venue.decode(address, edited)
        refusal = ""
    except PoolRefused as error:
        pool, refusal = None, f"{error.reason}: {error.message}"
    verdicts = []
    for case in line.cases:
        verdict, pool = _check(venue, pool, case, refusal)
        verdicts.append(verdict)
    return verdicts


def _check(venue: AnyVenue, pool: Pool | None, case: Case, refusal: str) -> tuple[Verdict, Pool | None]:
    """One case in one pool state; the state after it where the real swap succeeded."""
    after = pool
    try:
        if pool is None:
            raise _Refused(refusal)
        quote, after = venue.apply(pool, case.swap, case.clock)
    except (QuoteRefused, _Refused) as error:
        if case.error is not None:
            return Verdict(Outcome.REFUSED_AS_EXPECTED, case), pool
        return Verdict(Outcome.MISMATCH, case, f"refused ({error}) but the program swapped"), pool
    got = f"in {quote.amount_in} out {quote.amount_out}"
    if _unpayable(case, quote):
        return Verdict(Outcome.REFUSED_AS_EXPECTED, case), pool
    if case.error is not None:
        return Verdict(Outcome.MISMATCH, case, f"quoted {got} but the program failed with {case.error}"), pool
    if (quote.amount_in, quote.amount_out) != (case.amount_in, case.amount_out):
        detail = f"quoted {got}, the program in {case.amount_in} out {case.amount_out}"
        return Verdict(Outcome.MISMATCH, case, detail), after
    if case.fees is not None and _fees(quote) != case.fees:
        return Verdict(Outcome.MISMATCH, case, f"fees {_fees(quote)}, the program's {case.fees}"), after
    plain = venue.quote(pool, case.swap, case.clock)
    if plain != quote:
        return Verdict(Outcome.MISMATCH, case, f"`quote` says {plain}, `apply` says {quote}"), after
    if case.mode is SwapMode.EXACT_IN:
        fast = venue.quoter(pool, case.swap.input_mint, case.clock)(case.amount)
        if fast != quote.amount_out:
            return Verdict(Outcome.MISMATCH, case, f"the fast quoter says out {fast}, `apply` {got}"), after
    return Verdict(Outcome.EQUAL, case), after


def _unpayable(case: Case, quote: Quote) -> bool:
    """Whether the recorded failure is the wallet's alone: it could not pay what the swap costs."""
    code = case.error.get("code") if isinstance(case.error, dict) else None
    return case.mode is SwapMode.EXACT_OUT and quote.amount_in > WALLET_UNITS and code in INSUFFICIENT_FUNDS


def _fees(quote: Quote) -> VectorFees:
    """The fees of a quote apart from transfer fees, as vectors count them."""
    paid = {kind: sum(fee.amount for fee in quote.fees if fee.kind is kind) for kind in FeeKind}
    protocol, fund = paid[FeeKind.PROTOCOL], paid[FeeKind.FUND]
    return VectorFees(paid[FeeKind.LP] + protocol + fund, paid[FeeKind.CREATOR], protocol, fund)


def _check_curve(line: VectorLine) -> Verdict:
    """A case of Raydium CPMM's curve without a pool around it."""
    (case,) = line.cases
    rates = curve.Rates(
        trade=line.trade_fee_rate,
        protocol=line.protocol_fee_rate,
        fund=line.fund_fee_rate,
        creator=line.creator_fee_rate,
        creator_on_input=line.creator_fee_on_input,
    )
    swap = curve.swap_exact_in if line.mode is SwapMode.EXACT_IN else curve.swap_exact_out
    try:
        got = swap(line.amount, line.reserve_in, line.reserve_out, rates)
    except QuoteRefused as error:
        if line.error is not None:
            return Verdict(Outcome.REFUSED_AS_EXPECTED, case)
        return Verdict(Outcome.MISMATCH, case, f"refused ({error}) but the program swapped")
    if line.error is not None:
        return Verdict(Outcome.MISMATCH, case, f"quoted {got} but the program failed with {line.error}")
    fees = VectorFees(got.trade_fee, got.creator_fee, got.protocol_fee, got.fund_fee)
    if (got.amount_in, got.amount_out) != (line.amount_in, line.amount_out) or fees != (line.fees or fees):
        expected = f"in {line.amount_in} out {line.amount_out} fees {line.fees}"
        return Verdict(Outcome.MISMATCH, case, f"quoted {got}, the program {expected}")
    return Verdict(Outcome.EQUAL, case)


class _Refused(Exception):
    """A pool that could not be decoded refuses every case."""
