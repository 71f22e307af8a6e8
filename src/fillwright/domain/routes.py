"""What routing decides: candidates, legs, routes. Ids and exact integers only."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fillwright.domain.accounts import Address, Mint
from fillwright.domain.amounts import SwapMode

_BPS = 10_000


class FeeKind(StrEnum):
    LP = "lp"
    PROTOCOL = "protocol"
    FUND = "fund"
    CREATOR = "creator"
    TRANSFER_IN = "transfer_in"
    TRANSFER_OUT = "transfer_out"


class Fee(msgspec.Struct, frozen=True):
    """A part of the swap that the wallet pays and does not get back, in `mint`'s base units."""

    kind: FeeKind
    mint: Mint
    amount: int


class Candidate(msgspec.Struct, frozen=True, omit_defaults=True):
    """One pool's answer to the order: its exact quote, or why there is none.

    `price_impact_ppm`: loss against spot from the order's own size, fees apart, in millionths.
    `refusal`: a `domain.errors.Refusal` value; amounts are 0 then.
    """

    venue: str
    dex: str
    pool: Address
    amount_in: int = 0
    amount_out: int = 0
    fees: tuple[Fee, ...] = ()
    price_impact_ppm: int = 0
    refusal: str = ""
    detail: str = ""


class Leg(msgspec.Struct, frozen=True, omit_defaults=True):
    """One swap in one pool, with the amounts that were quoted for it. Legs stand in the order of execution.

    `path` numbers the route's parallel token paths, `hop` the steps of one path, both from 0. `limit` is this
    leg's own bound on chain: its min-out for exact-in, its max-in for exact-out (0: none of its own).
    """

    venue: str
    dex: str
    pool: Address
    input_mint: Mint
    output_mint: Mint
    amount_in: int
    amount_out: int
    fees: tuple[Fee, ...] = ()
    path: int = 0
    hop: int = 0
    limit: int = 0
    price_impact_ppm: int = 0


class Dust(msgspec.Struct, frozen=True):
    """What is expected to stay in the wallet of a mint that only passes through, in base units.

    A hop's input is fixed at signing, at the least that the hop before it may give; the rest is dust.
    """

    mint: Mint
    amount: int


class Route(msgspec.Struct, frozen=True, omit_defaults=True):
    """The whole plan. `limit` is enforced on chain: min-out for exact-in, max-in for exact-out.

    `cost`: network costs by which routes were compared, in base units of the output (exact-in) or the input
    (exact-out); they are paid in lamports. `size_bytes`, `locks`, `compute_units`: what the transaction takes.
    """

    mode: SwapMode
    input_mint: Mint
    output_mint: Mint
    amount_in: int
    amount_out: int
    limit: int
    legs: tuple[Leg, ...]
    price_impact_ppm: int
    slot: int
    dust: tuple[Dust, ...] = ()
    cost: int = 0
    size_bytes: int = 0
    locks: int = 0
    compute_units: int = 0


def limit_after_slippage(mode: SwapMode, quoted: int, slippage_bps: int) -> int:
    """The bound to enforce around `quoted`: min-out rounded up, max-in rounded down (both favour the wallet)."""
    if mode is SwapMode.EXACT_IN:
        return -(-quoted * (_BPS - slippage_bps) // _BPS)
    return quoted * (_BPS + slippage_bps) // _BPS
