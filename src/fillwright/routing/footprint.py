"""What a route takes of a transaction: bytes, account locks, compute units.

In: the legs' instructions as their venues build them. Out: the size of the whole transaction, wire format and all,
with what every order's transaction carries besides: compute budget, marker, token accounts, wrapping of SOL.
Stand-ins take the place of the wallet's own accounts, so that a load is any wallet's. Must not: send anything.

The size is that of the transaction that `chain.transaction` builds of the same pools and tables, to the byte; a
marker's seed has 32 characters. Wire format: a signature, a version, a message header, keys of 32 bytes, a blockhash,
per instruction its program, account indices and data with their lengths, and per lookup table its address and the
indices of the keys that it holds. What signs or is invoked is never looked up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from fillwright.domain.accounts import WRAPPED_SOL, Address, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.domain.lookup_tables import (
    INDEX_BYTES,
    KEY_BYTES,
    TABLE_BYTES,
    LookupTable,
    Tables,
    choose_tables,
    index_tables,
    looked_up,
)
from fillwright.routing.book import Side
from fillwright.routing.terms import RoutingTerms
from fillwright.venues.registry import VENUES
from fillwright.venues.token_program import ASSOCIATED_TOKEN_PROGRAM, TOKEN_PROGRAM, associated_account
from fillwright.venues.venue import ROUTE_ARRAYS, Swap, SwapAccounts

MAX_LOADS = 20_000
"""Directions remembered before all are forgotten."""
BASE_COMPUTE_UNITS = 60_000
"""Compute budget, marker, token accounts, wrapping."""

_BARE_BYTES = 1 + 64 + 1 + 3 + 32 + 1
"""One signature with its count, the version, the header, the blockhash, the count of lookup tables."""
_MARKER_BYTES = 4 + 32 + 8 + 32 + 8 + 8 + 32
"""CreateAccountWithSeed's data: tag, base, seed of 32 characters with its length, lamports, space, owner."""
_PROBE = 1_000_000


class Footprint(msgspec.Struct, frozen=True):
    """Of a whole transaction."""

    size_bytes: int
    locks: int
    compute_units: int

    def fits(self, terms: RoutingTerms) -> bool:
        return (
            self.size_bytes <= terms.max_bytes
            and self.locks <= terms.max_locks
            and self.compute_units <= terms.max_compute
        )


class LegLoad(msgspec.Struct, frozen=True):
    """One instruction: `program`, the other keys that it names, how many accounts it lists, its data's length.

    `writes`: the pool's accounts that it changes, the wallet's own left out. `tokens`: each mint that it swaps, with
    its token program.
    """

    program: bytes
    keys: frozenset[bytes]
    accounts: int
    data_bytes: int
    compute_units: int
    writes: frozenset[bytes] = frozenset()
    tokens: tuple[tuple[Mint, Address], ...] = ()


def leg_compute_units(venue: str) -> int:
    """The budget of a leg in this venue."""
    return VENUES[venue].swap_compute_units


def leg_load(side: Side, amount: int, clock: ChainClock, mode: SwapMode = SwapMode.EXACT_IN) -> LegLoad:
    """The load of swapping `amount` there. Raises QuoteRefused where the venue can't build it."""
    pool = side.pool
    own_accounts = (_token_account(side.input_mint), _token_account(side.output_mint))
    accounts = SwapAccounts(_stand_in("wallet"), *own_accounts, ROUTE_ARRAYS)
    own = frozenset(map(bytes, (accounts.wallet, accounts.input_account, accounts.output_account)))
    instruction = side.venue.instruction(pool, Swap(side.input_mint, mode, amount), 0, accounts, clock)
    tokens = tuple(zip(pool.mints, pool.token_programs, strict=True))
    return _load(instruction, leg_compute_units(pool.venue), own, tokens)


def independent(legs: Sequence[LegLoad]) -> bool:
    """Whether no leg writes what another one writes: only then do quotes of one state hold for all of them."""
    written: set[bytes] = set()
    for leg in legs:
        if not written.isdisjoint(leg.writes):
            return False
        written |= leg.writes
    return True


class Loads:
    """Loads of sides for searching: of a small amount, remembered for the newest version of each pool."""

    def __init__(self) -> None:
        self._known: dict[tuple[Address, Mint], tuple[Side, LegLoad | None]] = {}

    def of(self, side: Side, clock: ChainClock) -> LegLoad | None:
        """None where the venue builds no instruction for it."""
        key = (side.address, side.input_mint)
        found = self._known.get(key)
        if found is None or found[0] is not side:
            if len(self._known) >= MAX_LOADS:
                self._known.clear()
            found = self._known[key] = (side, self._probe(side, clock))
        return found[1]

    @staticmethod
    def _probe(side: Side, clock: ChainClock) -> LegLoad | None:
        for amount in (max(int(side.curve(0).capacity / 1_000), 1), _PROBE):
            try:
                return leg_load(side, amount, clock)
            except QuoteRefused:
                continue
        return None


class Scale:
    """Weighs the transactions of one decision. Without lookup tables, every key stands in the message."""

    def __init__(self, terms: RoutingTerms) -> None:
        self._terms = terms
        self._holders = _holders(terms.lookup_tables) if terms.lookup_tables else {}
        self._found: set[bytes] = set()
        if self._holders:
            self._wallet = Pubkey.from_string(terms.wallet) if terms.wallet else None
            self._tips = {bytes(Pubkey.from_string(account)) for account in terms.tip_accounts}

    def weigh(self, legs: Sequence[LegLoad], mints: Iterable[Mint], *, marker: bool) -> Footprint:
        """The transaction that runs `legs` in order. `mints`: the input, the output and what passes between."""
        extra = _surroundings(tuple(mints), marker, bool(self._terms.tip_accounts))
        keys: set[bytes] = {_WALLET}
        programs: set[bytes] = set()
        size = _BARE_BYTES + _length_bytes(len(extra) + len(legs))
        for part in (*extra, *legs):
            programs.add(part.program)
            keys |= part.keys
            size += 1 + _length_bytes(part.accounts) + part.accounts + _length_bytes(part.data_bytes) + part.data_bytes
        keys |= programs
        locks = stated = len(keys)
        if self._holders:
            holders = self._tables_of(legs, keys - programs)
            chosen = choose_tables(holders)
            found = looked_up(holders, chosen)
            stated -= found
            size += TABLE_BYTES * len(chosen) + INDEX_BYTES * found
        size += _length_bytes(stated) + KEY_BYTES * stated
        compute = BASE_COMPUTE_UNITS + sum(leg.compute_units for leg in legs)
        return Footprint(size, locks, compute)

    def terms(self) -> RoutingTerms:
        """The terms as far as anything weighed here depends on them: the same tables, and in them what was found."""
        terms = self._terms
        if not terms.lookup_tables:
            return terms
        tables = tuple(LookupTable(table.address, table.held & self._found) for table in terms.lookup_tables)
        return msgspec.structs.replace(terms, lookup_tables=tables)

    def _tables_of(self, legs: Sequence[LegLoad], keys: set[bytes]) -> list[Tables]:
        """For each address that may be looked up, which tables hold it. Stand-ins are in none; what they stand for
        may be."""
        holders, tips = self._holders, self._tips
        known = holders.keys() & keys
        if self._wallet is not None:
            known |= holders.keys() & {_own_account(self._wallet, *token) for leg in legs for token in leg.tokens}
        found = [holders[key] for key in known]
        if tips:
            alike = {holders.get(key, 0) for key in tips}
            if len(alike) == 1:
                # Which one is paid is not known yet: where that makes a difference, it counts as in no table.
                known |= holders.keys() & tips
                found += alike
        self._found |= known
        return found


def footprint(legs: Sequence[LegLoad], mints: Iterable[Mint], terms: RoutingTerms, *, marker: bool) -> Footprint:
    """Of the transaction that runs `legs` in order. `mints`: the input, the output and what passes between."""
    return Scale(terms).weigh(legs, mints, marker=marker)


@lru_cache(maxsize=4)
def _holders(tables: tuple[LookupTable, ...]) -> dict[bytes, Tables]:
    """Worked out once for all decisions under these tables."""
    return index_tables(tables)


@lru_cache(maxsize=4_096)
def _own_account(wallet: Pubkey, mint: Mint, token_program: Address) -> bytes:
    return bytes(associated_account(wallet, Pubkey.from_string(mint), Pubkey.from_string(token_program)))


@lru_cache(maxsize=4_096)
def _surroundings(mints: tuple[Mint, ...], marker: bool, tip: bool) -> tuple[LegLoad, ...]:
    """The instructions around the legs. Of the mints, all but the input may need their token account; the token
    program that this names too is one that the legs name."""
    budget, creator = bytes(_stand_in("compute budget")), bytes(Pubkey.from_string(ASSOCIATED_TOKEN_PROGRAM))
    system, token, wallet = bytes(32), bytes(Pubkey.from_string(TOKEN_PROGRAM)), _WALLET
    found = [LegLoad(budget, frozenset(), 0, 5, 0), LegLoad(budget, frozenset(), 0, 9, 0)]
    if marker:
        found.append(LegLoad(system, frozenset({wallet, bytes(_stand_in("marker"))}), 2, _MARKER_BYTES, 0))
    wraps = mints[0] == WRAPPED_SOL
    for mint in mints if wraps else mints[1:]:
        named = {bytes(_token_account(mint)), bytes(Pubkey.from_string(mint)), wallet, system}
        found.append(LegLoad(creator, frozenset(named), 6, 1, 0))
    if WRAPPED_SOL in mints:
        wrapped = bytes(_token_account(WRAPPED_SOL))
        if wraps:
            found.append(LegLoad(system, frozenset({wallet, wrapped}), 2, 12, 0))
            found.append(LegLoad(token, frozenset({wrapped}), 1, 1, 0))
        found.append(LegLoad(token, frozenset({wrapped, wallet}), 3, 1, 0))
    if tip:
        found.append(LegLoad(system, frozenset({wallet, bytes(_stand_in("tip"))}), 2, 12, 0))
    return tuple(found)


def _load(
    instruction: Instruction, compute_units: int, own: frozenset[bytes], tokens: tuple[tuple[Mint, Address], ...]
) -> LegLoad:
    metas = instruction.accounts
    keys = frozenset(bytes(meta.pubkey) for meta in metas)
    writes = frozenset(bytes(meta.pubkey) for meta in metas if meta.is_writable) - own
    program, data_bytes = bytes(instruction.program_id), len(instruction.data)
    return LegLoad(program, keys, len(metas), data_bytes, compute_units, writes, tokens)


def _length_bytes(count: int) -> int:
    """Bytes of a compact-u16."""
    return 1 if count < 0x80 else 2


@lru_cache(maxsize=1_024)
def _stand_in(name: str) -> Pubkey:
    return Pubkey.from_bytes(hashlib.sha256(name.encode()).digest())


@lru_cache(maxsize=4_096)
def _token_account(mint: Mint) -> Pubkey:
    return _stand_in(f"token account of {mint}")


_WALLET = bytes(_stand_in("wallet"))
