"""Pools from account dumps on disk: what can be traded, what can't and why, and the clock they suit.

In: a folder of dumps, one folder per pool or flat, with an optional `meta.json` that gives the clock. Out: decoded
pools, a reason for every pool that can't be priced, notes on what was left out, and the tokens found. A pool is
decoded from its own folder's accounts only: accounts of different moments are never mixed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from fillwright.domain.accounts import Account, Accounts, Address, ChainClock
from fillwright.domain.errors import InvalidInput, PoolRefused, Refusal
from fillwright.domain.tokens import Token
from fillwright.market.dumps import META_FILE, dump_files, read_account
from fillwright.market.snapshot import Unpriced
from fillwright.venues.registry import venue_by_program, venue_of
from fillwright.venues.token_program import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from fillwright.venues.venue import AnyVenue, Pool

SLOTS_PER_EPOCH = 432_000


class _Program(NamedTuple):
    """A DEX program without a venue here, and how its pool accounts are told from its others."""

    label: str
    discriminator: bytes = b""
    size: int = 0

    def is_pool(self, account: Account) -> bool:
        if self.size and len(account.data) != self.size:
            return False
        return bool(self.size or self.discriminator) and account.data.startswith(self.discriminator)


# Anchor's discriminators are the first bytes of sha256("account:<Name>"); AMM v4 has none but a fixed size.
_OTHER_PROGRAMS: Mapping[str, _Program] = {
    "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8": _Program("Raydium AMM v4", size=752),
    "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C": _Program("Raydium CPMM", bytes.fromhex("f7ede3f5d7c3de46")),
    "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK": _Program("Raydium CLMM", bytes.fromhex("f7ede3f5d7c3de46")),
    "cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG": _Program("Meteora DAMM v2", bytes.fromhex("f19a6d0411b16dbc")),
    "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo": _Program("Meteora DLMM", bytes.fromhex("210b3162b565b10d")),
    "Eo7WjKq67rjJQSZxS6z3YkapzY3eMj6Xy8X5EQVn5UaB": _Program("Meteora DAMM v1", bytes.fromhex("f19a6d0411b16dbc")),
    # Lending vaults and the order books and stake pools that DEX pools point to: never pools themselves.
    "24Uqj9JCLxUeoC3hGfh5W3s9FM9uCHDS2SG3LYwBpyTi": _Program("Meteora vault"),
    "srmqPvymJeFKQ4zGQed1GFppgkRHL9kaELCbyksJtPX": _Program("OpenBook"),
    "MarBmsSgKXdrN1egZf5sqe1TMai9K1rChYNDJgjq7aD": _Program("Marinade"),
    "SPoo1Ku8WFXoNDMHPsrGSTSG1Y47rzgn41SLUNakuHy": _Program("SPL stake pool"),
}

_INFRASTRUCTURE = frozenset(
    {
        TOKEN_PROGRAM,
        TOKEN_2022_PROGRAM,
        "11111111111111111111111111111111",
        "Sysvar1111111111111111111111111111111111111",
        "NativeLoader1111111111111111111111111111111",
        "BPFLoader1111111111111111111111111111111111",
        "BPFLoader2111111111111111111111111111111111",
        "BPFLoaderUpgradeab1e11111111111111111111111",
        "Stake11111111111111111111111111111111111111",
        "metaqbxxUerdq28cj1RbAWkYQm3ybzjb6a8bt518x1s",
    }
)
"""Owners of accounts that are no DEX's own."""


class LoadedPools(msgspec.Struct, frozen=True):
    """`clock`: the newest that any `meta.json` gives, or None. `notes` are for people: what was left out, and why."""

    pools: Mapping[Address, Pool]
    unpriced: tuple[Unpriced, ...]
    tokens: tuple[Token, ...]
    notes: tuple[str, ...]
    clock: ChainClock | None


class _MetaClock(msgspec.Struct):
    slot: int
    unix_timestamp: int
    epoch: int | None = None


class _Meta(msgspec.Struct):
    clock: _MetaClock | None = None


class _Folder(NamedTuple):
    path: Path
    accounts: dict[Address, Account]
    clock: ChainClock | None


_decode_meta = msgspec.json.Decoder(_Meta).decode


def load_pools(root: Path) -> LoadedPools:
    """Everything at or below `root`. A file that is no account dump is listed, not fatal.

    A pool found in several folders is taken from the one with the newest clock; of several such, from the first
    by path in which it can be priced.
    Raises InvalidInput `dump_invalid` where `root` is no folder or holds too many files.
    """
    unpriced: dict[Address, Unpriced] = {}
    folders = list(_folders(root, unpriced))
    copies: dict[Address, list[tuple[_Folder, Pool | Unpriced]]] = {}
    for folder in folders:
        for address, account in folder.accounts.items():
            found = _judge(address, account, folder.accounts)
            if found is not None:
                copies.setdefault(address, []).append((folder, found))
    pools: dict[Address, Pool] = {}
    notes: list[str] = []
    for address, held in sorted(copies.items()):
        # Folders come by path and sorting is stable; a folder without a clock is older than any with one.
        held.sort(key=lambda copy: (-(copy[0].clock.slot if copy[0].clock else -1), isinstance(copy[1], Unpriced)))
        (taken, found), *others = held
        notes += [f"{address}: taken from {taken.path}, left out in {other.path}" for other, _ in others]
        if isinstance(found, Unpriced):
            unpriced[address] = found
        else:
            pools[address] = found
    clocks = [folder.clock for folder in folders if folder.clock is not None]
    newest = max(clocks, key=lambda clock: (clock.unix_timestamp, clock.slot), default=None)
    listed = tuple(unpriced[address] for address in sorted(unpriced))
    return LoadedPools(pools, listed, _tokens(pools), tuple(notes), newest)


def _folders(root: Path, unpriced: dict[Address, Unpriced]) -> Iterator[_Folder]:
    """Folders that hold dumps, by path, with the clock of their own or their parent's `meta.json`."""
    held: dict[Path, dict[Address, Account]] = {}
    for path in dump_files(root):
        try:
            address, account = read_account(path)
        except InvalidInput as error:
            name = Address(path.stem)
            unpriced[name] = Unpriced(name, "", Refusal.MALFORMED, error.message)
            continue
        held.setdefault(path.parent, {})[address] = account
    for folder, accounts in held.items():
        yield _Folder(folder, accounts, _clock_of(folder) or (_clock_of(folder.parent) if folder != root else None))


def _clock_of(folder: Path) -> ChainClock | None:
    """The clock that `meta.json` in `folder` gives. Raises InvalidInput where that file can't be read."""
    path = folder / META_FILE
    if not path.is_file():
        return None
    try:
        clock = _decode_meta(path.read_bytes()).clock
    except (msgspec.MsgspecError, OSError) as error:
        raise InvalidInput("dump_invalid", f"{path}: its clock can't be read: {error}") from error
    if clock is None:
        return None
    epoch = clock.slot // SLOTS_PER_EPOCH if clock.epoch is None else clock.epoch
    return ChainClock(clock.slot, epoch, clock.unix_timestamp)


def _judge(address: Address, account: Account, accounts: Accounts) -> Pool | Unpriced | None:
    """The pool at `address`, or why it can't be priced; None for an account that is no pool."""
    venue = venue_of(account)
    if venue is not None:
        return _decode(venue, address, accounts)
    if account.owner in _INFRASTRUCTURE:
        return None
    supported = venue_by_program(account.owner)
    program = _OTHER_PROGRAMS.get(account.owner if supported is None else supported.program_id)
    if program is None:
        if supported is not None:
            return None
        detail = f"the program {account.owner} is not supported"
        return Unpriced(address, "", Refusal.UNSUPPORTED_FEATURE, detail)
    if not program.is_pool(account):
        return None
    if supported is not None:
        detail = f"a {program.label} pool account of {len(account.data)} bytes"
        return Unpriced(address, supported.id, Refusal.MALFORMED, detail)
    return Unpriced(address, "", Refusal.UNSUPPORTED_FEATURE, f"{program.label} is not supported")


def _decode(venue: AnyVenue, address: Address, accounts: Accounts) -> Pool | Unpriced:
    try:
        pool: Pool = venue.decode(address, accounts)
    except PoolRefused as error:
        return Unpriced(address, venue.id, error.reason, error.message)
    return pool


def _tokens(pools: Mapping[Address, Pool]) -> tuple[Token, ...]:
    """Every mint that a pool trades, without a symbol; where pools differ on decimals the first one counts."""
    found: dict[str, Token] = {}
    for pool in pools.values():
        for mint, decimals in zip(pool.mints, pool.decimals, strict=True):
            found.setdefault(mint, Token("", mint, decimals))
    return tuple(found.values())
