"""Pools and programs as files: what `fillwright snapshot` writes, and what `serve --snapshot` and a localnet read.

In: an RPC, pool addresses, program ids. Out: account dumps in the shape of `solana account --output json`, one
folder per pool, and program binaries as `<program id>.so`. Files appear whole or not at all. Must not: mix accounts
of different slots, or write a pool of which it has not read everything.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import pybase64
from solders.pubkey import Pubkey

from fillwright.chain.accounts import CLOCK_SYSVAR
from fillwright.chain.batches import KEYS_PER_READ, MAX_COMPANION_ROUNDS
from fillwright.chain.discover import mints_in
from fillwright.chain.messages import AccountJson, InContext
from fillwright.chain.rpc import NODE_LIMIT, NodeFault, Rpc
from fillwright.domain.accounts import Account, Address, ChainClock, Mint
from fillwright.domain.errors import ChainError, InvalidInput
from fillwright.market.dumps import TEMPORARY_PREFIX
from fillwright.ports import Clock
from fillwright.venues.registry import venue_by_program, venue_of
from fillwright.venues.token_program import TOKEN_PROGRAM
from fillwright.venues.venue import AnyVenue

MAX_READ_TRIES = 4
FIRST_WAIT_S = 0.5
MAX_WAIT_S = 10.0

_LOADER_UPGRADEABLE = "BPFLoaderUpgradeab1e11111111111111111111111"
_LOADERS = frozenset({_LOADER_UPGRADEABLE, "BPFLoader2111111111111111111111111111111111"})
_PROGRAM_STATE, _PROGRAM_DATA_STATE, _PROGRAM_DATA_HEADER = b"\x02\0\0\0", b"\x03\0\0\0", 45
"""`UpgradeableLoaderState`: Program names its ProgramData; that is a slot and an optional authority, then the ELF."""
_ELF = b"\x7fELF"
_CLOCK_BYTES = 40

_T = TypeVar("_T")


class PoolDump(msgspec.Struct, frozen=True):
    """A pool and all its companions as of one slot. `mints` are empty where the pool account does not name them."""

    venue: AnyVenue
    address: Address
    mints: tuple[Mint, ...]
    accounts: Mapping[Address, Account]
    clock: ChainClock

    @property
    def programs(self) -> tuple[str, ...]:
        """The programs that own these accounts, built-in ones left out: all that a swap in the pool can run."""
        owners = {account.owner for account in self.accounts.values()}
        return tuple(sorted(owners - _BUILT_IN))


_BUILT_IN = frozenset({TOKEN_PROGRAM, "11111111111111111111111111111111", *_LOADERS})


class Reader:
    """Reads accounts over `rpc`, asking again where a node faults or limits the rate. Waits on `clock`."""

    def __init__(self, rpc: Rpc, clock: Clock) -> None:
        self._rpc = rpc
        self._clock = clock

    async def accounts(self, keys: Sequence[Address]) -> dict[Address, Account]:
        """Those of `keys` that exist, as of one slot. Raises ChainError; ValueError beyond KEYS_PER_READ."""
        if len(keys) > KEYS_PER_READ:
            raise ValueError(f"more than {KEYS_PER_READ} accounts in one read")
        params = [list(keys), {"encoding": "base64", "commitment": "confirmed"}]
        answer = await self._ask("getMultipleAccounts", params, InContext[list[AccountJson | None]])
        if len(answer.value) != len(keys):
            raise ChainError("the node answered for another number of accounts")
        return {
            key: Account(Address(each.owner), each.data[0], each.lamports)
            for key, each in zip(keys, answer.value, strict=True)
            if each is not None and each.lamports > 0
        }

    async def _ask(self, method: str, params: Sequence[object], kind: type[_T]) -> _T:
        wait_s = FIRST_WAIT_S
        for left in reversed(range(MAX_READ_TRIES)):
            try:
                return await self._rpc.call(method, params, kind)
            except NodeFault as fault:
                asked_s = fault.retry_after_s if fault.code == NODE_LIMIT else None
                if left == 0:
                    raise
                await self._clock.sleep(min(MAX_WAIT_S, wait_s if asked_s is None else asked_s))
                wait_s *= 2
        raise AssertionError("unreachable")


async def fetch_pool(reader: Reader, address: Address, progress: Callable[[int], None] | None = None) -> PoolDump:
    """The pool at `address` with everything that its venue names, its mints included. The last read is one call.

    `progress` is told how many accounts are known to be needed. Raises ChainError (`pool_unsettled` where the
    accounts keep naming others, `pool_too_large`, `clock_unreadable`), InvalidInput `address_invalid`,
    `account_missing`, `program_unsupported`, `pool_invalid`.
    """
    _check_address(address)
    keys: tuple[Address, ...] = (address,)
    for _ in range(MAX_COMPANION_ROUNDS):
        if len(keys) >= KEYS_PER_READ:
            raise ChainError(f"{address}: {len(keys)} accounts do not fit one read", code="pool_too_large")
        held = await reader.accounts((*keys, CLOCK_SYSVAR))
        venue = _venue(address, held.get(address))
        mints = mints_in(venue.id, held[address].data)
        needed = tuple(dict.fromkeys((address, *venue.companions(address, held), *mints)))
        if progress is not None:
            progress(len(needed))
        if set(needed) <= set(keys):
            clock = _read_clock(held)
            kept = {key: held[key] for key in needed if key in held}
            return PoolDump(venue, address, tuple(map(Mint, mints)), kept, clock)
        keys = needed
    raise ChainError(f"{address}: its accounts keep naming others", code="pool_unsettled")


async def fetch_program(reader: Reader, program_id: str) -> bytes:
    """A program's binary. Raises ChainError, InvalidInput `address_invalid`, `program_unknown`."""
    address = _check_address(program_id)
    account = (await reader.accounts((address,))).get(address)
    code = account.data if account is not None and account.owner in _LOADERS else b""
    if account is not None and account.owner == _LOADER_UPGRADEABLE and code.startswith(_PROGRAM_STATE):
        data_key = Address(str(Pubkey.from_bytes(code[4:36])))
        held = (await reader.accounts((data_key,))).get(data_key)
        data = b"" if held is None else held.data
        code = data[_PROGRAM_DATA_HEADER:] if data.startswith(_PROGRAM_DATA_STATE) else b""
    if not code.startswith(_ELF):
        raise InvalidInput("program_unknown", f"{program_id} is no program whose binary can be read")
    return code


def write_pool(root: Path, dump: PoolDump) -> Path:
    """Write the pool as `<root>/<venue>/<pool>`, replacing an earlier snapshot of it; that folder.

    The folder comes into place whole by a rename. Raises OSError; nothing is changed then.
    """
    files = {f"accounts/{key}.json": _dump(key, account) for key, account in dump.accounts.items()}
    files["meta.json"] = msgspec.json.format(msgspec.json.encode(_meta(dump)), indent=1)
    folder = root / dump.venue.id / dump.address
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(folder.parent) as made:
        new, old = made / "new", made / "old"
        (new / "accounts").mkdir(parents=True)
        for name, content in files.items():
            (new / name).write_bytes(content)
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    return folder


def write_program(root: Path, program_id: str, code: bytes) -> Path:
    """Write a binary as `<root>/<program id>.so`; that file. Raises OSError."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / f"{program_id}.so"
    with _temporary(root) as made:
        (made / path.name).write_bytes(code)
        os.replace(made / path.name, path)
    return path


@contextlib.contextmanager
def _temporary(beside: Path) -> Iterator[Path]:
    """A folder that no reader of dumps looks into, on the file system of `beside`."""
    made = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=beside))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _check_address(text: str) -> Address:
    try:
        return Address(str(Pubkey.from_string(text)))
    except ValueError as error:
        raise InvalidInput("address_invalid", f"{text}: not an address (base58 of 32 bytes)") from error


def _venue(address: Address, account: Account | None) -> AnyVenue:
    """The venue whose pool this is. Raises InvalidInput."""
    if account is None:
        raise InvalidInput("account_missing", f"{address}: no such account at this RPC")
    venue = venue_of(account)
    if venue is not None:
        return venue
    known = venue_by_program(account.owner)
    if known is None:
        raise InvalidInput("program_unsupported", f"{address} belongs to {account.owner}, no program of a known venue")
    raise InvalidInput("pool_invalid", f"{address} is an account of {known.label}, but no pool")


def _read_clock(held: Mapping[Address, Account]) -> ChainClock:
    """The Clock sysvar: slot, epoch start, epoch, next leader epoch, unix time, 8 bytes each."""
    sysvar = held.get(CLOCK_SYSVAR)
    if sysvar is None or len(sysvar.data) < _CLOCK_BYTES:
        raise ChainError("the node has no Clock sysvar", code="clock_unreadable")
    slot, epoch = (int.from_bytes(sysvar.data[at : at + 8], "little") for at in (0, 16))
    return ChainClock(slot, epoch, int.from_bytes(sysvar.data[32:40], "little", signed=True))


def _meta(dump: PoolDump) -> dict[str, object]:
    mints = dict(zip(("mint_a", "mint_b"), dump.mints, strict=False))
    clock = {name: getattr(dump.clock, name) for name in ("slot", "unix_timestamp", "epoch")}
    return {
        "program": dump.venue.id,
        "program_id": dump.accounts[dump.address].owner,
        "pool": dump.address,
        **mints,
        "clock": clock,
    }


def _dump(key: Address, account: Account) -> bytes:
    data = [pybase64.b64encode(account.data).decode(), "base64"]
    body = {"pubkey": key, "account": {"lamports": account.lamports, "data": data, "owner": account.owner}}
    return msgspec.json.encode(body)
