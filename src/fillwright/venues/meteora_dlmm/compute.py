"""How many bins one transaction can cross: an estimate of the program's compute units.

The units are measured on the program's bytecode of 2026-05, a few per cent low, so that a swap that fits is
hardly ever refused. In: how the pool trades. Out: units. A swap past the limit fails on chain as a whole.
"""

from __future__ import annotations

import msgspec

MAX_UNITS = 1_400_000
"""The compute limit of a Solana transaction."""

FIXED_UNITS = 30_000
"""A swap with its two transfers, before the first bin."""


class UnitCosts(msgspec.Struct, frozen=True):
    """Compute units of each kind of step."""

    array: int
    skipped_bin: int
    traded_bin: int
    order_layers: int


def unit_costs(x_to_y: bool, exact_out: bool, has_limit_orders: bool, has_variable_fee: bool) -> UnitCosts:
    """What the steps of one swap cost. Selling Y divides more; exact-out computes each bin both ways."""
    traded = 4_550
    traded += 0 if x_to_y else 340
    traded += 640 if exact_out else 0
    traded += 150 if has_limit_orders else 0
    traded += (330 + (350 if exact_out else 0)) if has_variable_fee else 0
    return UnitCosts(array=900, skipped_bin=270, traded_bin=traded, order_layers=1_500)
