"""Address lookup tables: what they hold, and which of them a transaction uses. Pure.

In: tables, and the addresses that a transaction may look up: those that neither sign nor are invoked. Out: the tables
that make it shortest. Routing sizes its transactions with what is chosen here, and the chain builds them with it, so
that both speak of the same bytes.

A table costs its address and the lengths of two lists, and an index for each address, which takes a key's place.
Source: solana-sdk `MessageAddressTableLookup`, `CompiledKeys::try_extract_table_lookup`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import msgspec

from fillwright.domain.accounts import Address

KEY_BYTES = 32
INDEX_BYTES = 1
TABLE_BYTES = KEY_BYTES + 2
_SAVED_BYTES = KEY_BYTES - INDEX_BYTES
MAX_CHOSEN = 8
"""Tables that are chosen among, in every combination; where more are worth it, those that hold most."""

Tables = int
"""A set of tables: bit n for the nth."""


class LookupTable(msgspec.Struct, frozen=True):
    """`held`: the addresses in it that may be used, each as its 32 bytes."""

    address: Address
    held: frozenset[bytes]


def index_tables(tables: Sequence[LookupTable]) -> dict[bytes, Tables]:
    """For each address, the tables that hold it."""
    found: dict[bytes, Tables] = {}
    for number, table in enumerate(tables):
        for key in table.held:
            found[key] = found.get(key, 0) | 1 << number
    return found


def choose_tables(holders: Iterable[Tables]) -> tuple[int, ...]:
    """The numbers of the tables to use, ascending, where `holders` says of each address which tables hold it.

    They make the transaction shortest; of equals, the fewest and first ones. One that saves nothing is not used.
    """
    counts: dict[Tables, int] = {}
    for tables in holders:
        counts[tables] = counts.get(tables, 0) + 1
    counts.pop(0, None)
    candidates = _worth_a_look(counts)
    if all(tables & (tables - 1) == 0 for tables in counts):  # no address is in two of them
        return tuple(candidates)
    best: tuple[int, ...] = ()
    least = 0
    for size in range(1, len(candidates) + 1):
        for chosen in combinations(candidates, size):
            added = _added_bytes(counts, sum(1 << number for number in chosen), size)
            if added < least:
                best, least = chosen, added
    return best


def looked_up(holders: Iterable[Tables], chosen: Sequence[int]) -> int:
    """How many of the addresses the chosen tables hold."""
    held = sum(1 << number for number in chosen)
    return sum(1 for tables in holders if tables & held)


def _worth_a_look(counts: Mapping[Tables, int]) -> list[int]:
    """Those that alone would save something: at most MAX_CHOSEN, ascending."""
    held: dict[int, int] = {}
    for tables, count in counts.items():
        while tables:
            number = tables.bit_length() - 1
            held[number] = held.get(number, 0) + count
            tables ^= 1 << number
    alone = [(-count, number) for number, count in held.items() if count * _SAVED_BYTES > TABLE_BYTES]
    return sorted(number for _, number in sorted(alone)[:MAX_CHOSEN])


def _added_bytes(counts: Mapping[Tables, int], chosen: Tables, size: int) -> int:
    """By how much these tables make the transaction longer; negative where they save."""
    held = sum(count for tables, count in counts.items() if tables & chosen)
    return TABLE_BYTES * size - _SAVED_BYTES * held
