"""What crosses the border to a chain: plans, blockhashes, statuses, landed transactions."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fillwright.domain.accounts import Address, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.routes import Leg


class Commitment(StrEnum):
    """How final a chain's answer is. Only `finalized` is final."""

    PROCESSED = "processed"
    CONFIRMED = "confirmed"
    FINALIZED = "finalized"


class RevertReason(StrEnum):
    """Why a transaction failed on chain, or would. Values are public."""

    SLIPPAGE = "slippage_exceeded"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    MARKER_EXISTS = "marker_exists"
    POOL_REFUSED = "pool_refused"
    PROGRAM_ERROR = "program_error"


class SwapPlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that one transaction of an order does. `marker_seed` is "" where the order wants no marker. `bids`: further
    transactions that the order's attempts before this one have bid with.

    `owner` is whose balances move in paper mode; on a real chain it is the signing wallet.
    """

    order_id: str
    attempt: int
    owner: str
    mode: SwapMode
    input_mint: Mint
    output_mint: Mint
    amount_in: int
    amount_out: int
    limit: int
    legs: tuple[Leg, ...]
    marker_seed: str
    bids: int = 0


class Blockhash(msgspec.Struct, frozen=True):
    """A recent blockhash; a transaction with it can land up to this block height, the end included."""

    value: str
    last_valid_block_height: int


class Simulation(msgspec.Struct, frozen=True):
    """What the transaction would move for the owner as the chain stands: exact, in base units."""

    amount_in: int
    amount_out: int
    slot: int


class Offer(msgspec.Struct, frozen=True):
    """The unsigned message of a transaction for a higher price, in micro-lamports per compute unit."""

    message: bytes
    unit_price: int


class Signed(msgspec.Struct, frozen=True):
    """A signed transaction. The signature is known before anything is sent."""

    signature: str
    raw: bytes


class SignatureStatus(msgspec.Struct, frozen=True):
    """A node's view of a signature. `revert` is "" for success."""

    slot: int
    commitment: Commitment
    revert: str = ""
    detail: str = ""


class LandedTransaction(msgspec.Struct, frozen=True):
    """A transaction as its metadata tells it. Amounts are the owner's balance changes, not the quote's.

    A reverted one moved nothing but still paid `fee_lamports`.
    """

    signature: str
    slot: int
    block_time_ms: int
    revert: str
    detail: str
    amount_in: int
    amount_out: int
    fee_lamports: int
    rent_lamports: int


class MarkerAddress(msgspec.Struct, frozen=True):
    """Where an order's marker account stands once a transaction of that order has succeeded."""

    address: Address
    seed: str
