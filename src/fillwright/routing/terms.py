"""What routing is told besides the order and the market: limits of a transaction, and what a leg costs.

Frozen, and stored with every decision, because the decision depends on it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from fillwright.domain.lookup_tables import LookupTable

PACKET_BYTES = 1_232
ACCOUNT_LOCKS = 64
COMPUTE_UNITS = 1_400_000
_MICRO = 1_000_000


class RoutingTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """`lookup_tables`: those that the transaction may use; an address in one of them takes a byte. `wallet`: whose
    token accounts may stand in them too; "" for none. `tip_accounts`: one of them is paid a tip; empty for no tip.

    `priority_micro_lamports` is the price of a compute unit; it and `signature_lamports` are what legs cost.
    `hop_tolerance_bps`: how far a leg that feeds another may fall short of its quote, at most the order's own
    tolerance. The next leg's input is fixed when the transaction is signed, at that minimum.
    """

    max_legs: int = 5
    max_hops: int = 3
    lookup_tables: tuple[LookupTable, ...] = ()
    wallet: str = ""
    tip_accounts: tuple[str, ...] = ()
    max_bytes: int = PACKET_BYTES
    max_locks: int = ACCOUNT_LOCKS
    max_compute: int = COMPUTE_UNITS
    signature_lamports: int = 5_000
    priority_micro_lamports: int = 10_000
    hop_tolerance_bps: int = 5

    def leg_lamports(self, compute_units: int) -> int:
        """What a leg adds to the transaction's fee, rounded up."""
        return -(-compute_units * self.priority_micro_lamports // _MICRO)


DEFAULT_TERMS = RoutingTerms()

Terms = Callable[[], RoutingTerms]
"""The terms as they are now; the same object as long as they are the same."""


def default_terms() -> RoutingTerms:
    return DEFAULT_TERMS
