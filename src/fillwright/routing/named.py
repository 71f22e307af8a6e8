"""Which accounts swaps name: what is worth putting into an address lookup table.

In: a snapshot. Out: for a pool, the accounts that swaps of any usual size name, and its mints; without what a table
can't serve: the wallet's own, and the program that is invoked. A pool whose price has moved names other arrays.
"""

from __future__ import annotations

from solders.pubkey import Pubkey

from fillwright.domain.accounts import Address
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.market.snapshot import Snapshot
from fillwright.routing.book import Book
from fillwright.venues.venue import ROUTE_ARRAYS, Pool, Swap, SwapAccounts

_PARTS = (1_000_000, 1_000, 10, 1)
"""Swaps that are looked at: what a pool is seen to take, divided by these."""
_WALLET, _INPUT, _OUTPUT = (Pubkey.from_bytes(bytes([number]) * 32) for number in (1, 2, 3))


class NamedAccounts:
    """Of the pools of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._book = Book()
        self._book.open(snapshot)
        self._clock = snapshot.clock

    def of(self, pool: Pool) -> list[Address]:
        """In the order in which the instruction names them, mints last; empty for a pool that can't be traded."""
        found: dict[Pubkey, None] = {}
        accounts = SwapAccounts(_WALLET, _INPUT, _OUTPUT, ROUTE_ARRAYS)
        useless = {_WALLET, _INPUT, _OUTPUT}
        for mint in pool.mints:
            side = self._book.side(pool, mint)
            for part in _PARTS:
                swap = Swap(mint, SwapMode.EXACT_IN, max(int(side.curve(0).capacity / part), 1))
                try:
                    made = side.venue.instruction(pool, swap, 0, accounts, self._clock)
                except QuoteRefused:
                    continue
                useless.add(made.program_id)
                found |= dict.fromkeys(meta.pubkey for meta in made.accounts)
        if not found:
            return []
        found |= dict.fromkeys(Pubkey.from_string(mint) for mint in pool.mints)
        return [Address(str(key)) for key in found if key not in useless]
