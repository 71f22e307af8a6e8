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


class Leg(msgspec.Struct, frozen=True):
    """One swap in one pool, with the amounts that were quoted for it."""

    venue: str
    dex: str
    pool: Address
    input_mint: Mint
    output_mint: Mint
    amount_in: int
    amount_out: int
    fees: tuple[Fee, ...] = ()


class Route(msgspec.Struct, frozen=True):
    """The whole plan. `limit` is enforced on chain: min-out for exact-in, max-in for exact-out."""

    mode: SwapMode
    input_mint: Mint
    output_mint: Mint
    amount_in: int
    amount_out: int
    limit: int
    legs: tuple[Leg, ...]
    price_impact_ppm: int
    slot: int


def limit_after_slippage(mode: SwapMode, quoted: int, slippage_bps: int) -> int:
    """The bound to enforce around `quoted`: min-out rounded up, max-in rounded down (both favour the wallet)."""
    if mode is SwapMode.EXACT_IN:
        return -(-quoted * (_BPS - slippage_bps) // _BPS)
    return quoted * (_BPS + slippage_bps) // _BPS
