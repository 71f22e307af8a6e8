"""What a route takes of a transaction: bytes, account locks, compute units.

In: the legs' instructions as their venues build them. Out: the size of the whole transaction, wire format and all,
with what every order's transaction carries besides: compute budget, marker, token accounts, wrapping of SOL.
Stand-ins take the place of the wallet's own accounts; only how many there are matters. Must not: send anything.

Wire format: a signature, a message header, keys of 32 bytes (or one byte through a lookup table), a blockhash,
and per instruction its program, account indices and data with their lengths.
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
from fillwright.routing.book import Side
from fillwright.routing.terms import RoutingTerms
from fillwright.venues.registry import VENUES
from fillwright.venues.venue import ROUTE_ARRAYS, Swap, SwapAccounts

MAX_LOADS = 20_000
"""Directions remembered before all are forgotten."""
BASE_COMPUTE_UNITS = 60_000
"""Compute budget, marker, token accounts, wrapping."""

_SIGNATURE_BYTES = 64
_KEY_BYTES = 32
_HEADER_BYTES = 3
_MARKER_BYTES = 104
"""CreateAccountWithSeed's data: tag, base, seed of 32 characters with its length, lamports, space, owner."""
_TABLE_BYTES = 34
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

    `writes`: the pool's accounts that it changes, the wallet's own left out.
    """

    program: bytes
    keys: frozenset[bytes]
    accounts: int
    data_bytes: int
    compute_units: int
    writes: frozenset[bytes] = frozenset()


def leg_compute_units(venue: str) -> int:
    """The budget of a leg in this venue."""
    return VENUES[venue].swap_compute_units


def leg_load(side: Side, amount: int, clock: ChainClock) -> LegLoad:
    """The load of swapping `amount` there. Raises QuoteRefused where the venue can't build it."""
    own_accounts = (_token_account(side.input_mint), _token_account(side.output_mint))
    accounts = SwapAccounts(_stand_in("wallet"), *own_accounts, ROUTE_ARRAYS)
    swap = Swap(side.input_mint, SwapMode.EXACT_IN, amount)
    own = frozenset(map(bytes, (accounts.wallet, accounts.input_account, accounts.output_account)))
    instruction = side.venue.instruction(side.pool, swap, 0, accounts, clock)
    return _load(instruction, leg_compute_units(side.pool.venue), own)


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


def footprint(legs: Sequence[LegLoad], mints: Iterable[Mint], terms: RoutingTerms, *, marker: bool) -> Footprint:
    """Of the transaction that runs `legs` in order. `mints`: the input, the output and what passes between."""
    extra = _surroundings(tuple(mints), marker)
    programs = {leg.program for leg in (*extra, *legs)}
    keys: set[bytes] = {bytes(_stand_in("wallet"))}
    tabled: set[bytes] = set()
    for leg in extra:
        keys |= leg.keys
    for leg in legs:
        (tabled if terms.lookup_tables else keys).update(leg.keys)
    keys |= programs
    tabled -= keys
    instructions = [*extra, *legs]
    size = 1 + _SIGNATURE_BYTES + _HEADER_BYTES + _KEY_BYTES
    size += _length_bytes(len(keys)) + _KEY_BYTES * len(keys) + _length_bytes(len(instructions))
    for leg in instructions:
        size += 1 + _length_bytes(leg.accounts) + leg.accounts + _length_bytes(leg.data_bytes) + leg.data_bytes
    if terms.lookup_tables:
        size += 2 + _TABLE_BYTES + len(tabled)
    compute = BASE_COMPUTE_UNITS + sum(leg.compute_units for leg in legs)
    return Footprint(size, len(keys) + len(tabled), compute)


@lru_cache(maxsize=4_096)
def _surroundings(mints: tuple[Mint, ...], marker: bool) -> tuple[LegLoad, ...]:
    """The instructions around the legs. Of the mints, all but the input may need their token account."""
    system, wallet = bytes(32), bytes(_stand_in("wallet"))
    budget, token = bytes(_stand_in("compute budget")), bytes(_stand_in("token program"))
    found = [LegLoad(budget, frozenset(), 0, 5, 0), LegLoad(budget, frozenset(), 0, 9, 0)]
    if marker:
        found.append(LegLoad(system, frozenset({wallet, bytes(_stand_in("marker"))}), 2, _MARKER_BYTES, 0))
    for mint in mints[1:]:
        named = {bytes(_token_account(mint)), bytes(Pubkey.from_string(mint)), wallet, system, token}
        found.append(LegLoad(bytes(_stand_in("token accounts")), frozenset(named), 6, 1, 0))
    if WRAPPED_SOL in mints:
        wrapped = bytes(_token_account(WRAPPED_SOL))
        if mints[0] == WRAPPED_SOL:
            named = {wrapped, bytes(Pubkey.from_string(WRAPPED_SOL)), wallet, system, token}
            found.append(LegLoad(bytes(_stand_in("token accounts")), frozenset(named), 6, 1, 0))
            found.append(LegLoad(system, frozenset({wallet, wrapped}), 2, 12, 0))
            found.append(LegLoad(token, frozenset({wrapped}), 1, 1, 0))
        found.append(LegLoad(token, frozenset({wrapped, wallet}), 3, 1, 0))
    return tuple(found)


def _load(instruction: Instruction, compute_units: int, own: frozenset[bytes]) -> LegLoad:
    metas = instruction.accounts
    keys = frozenset(bytes(meta.pubkey) for meta in metas)
    writes = frozenset(bytes(meta.pubkey) for meta in metas if meta.is_writable) - own
    return LegLoad(bytes(instruction.program_id), keys, len(metas), len(instruction.data), compute_units, writes)


def _length_bytes(count: int) -> int:
    """Bytes of a compact-u16."""
    return 1 if count < 0x80 else 2


@lru_cache(maxsize=1_024)
def _stand_in(name: str) -> Pubkey:
    return Pubkey.from_bytes(hashlib.sha256(name.encode()).digest())


@lru_cache(maxsize=4_096)
def _token_account(mint: Mint) -> Pubkey:
    return _stand_in(f"token account of {mint}")
