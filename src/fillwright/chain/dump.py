"""Pools and programs as files: what `fillwright snapshot` writes and `--snapshot` and `localnet` read.

In: an RPC, pool addresses, program ids. Out: dumps in the shape of `solana account --output json`, one folder per
pool; program binaries as `<program id>.so`. Must not: overwrite what is there with something older.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pybase64
from solders.pubkey import Pubkey

from fillwright.chain.feed import CLOCK_SYSVAR, MAX_COMPANION_ROUNDS
from fillwright.chain.messages import AccountJson, InContext
from fillwright.chain.rpc import Rpc
from fillwright.domain.accounts import Account, Address
from fillwright.domain.errors import ChainError, InvalidInput
from fillwright.venues.registry import venue_of

_UPGRADEABLE = "BPFLoaderUpgradeab1e11111111111111111111111"
_PROGRAM_STATE, _PROGRAM_DATA_HEADER = 2, 45
_ELF = b"\x7fELF"


async def dump_pool(rpc: Rpc, address: Address, folder: Path) -> int:
    """Write a pool's accounts and a `meta.json` with their clock into `folder`; how many accounts.

    The final read is one call: all accounts are of one slot. Raises ChainError, InvalidInput `pool_unknown`.
    """
    keys: tuple[Address, ...] = (address,)
    for _ in range(MAX_COMPANION_ROUNDS):
        held = await _read(rpc, (*keys, CLOCK_SYSVAR))
        account = held.get(address)
        venue = None if account is None else venue_of(account)
        if venue is None:
            raise InvalidInput("pool_unknown", f"{address} is no pool of a known program")
        needed = tuple(dict.fromkeys((address, *venue.companions(address, held))))
        if set(needed) <= set(keys):
            break
        keys = needed
    else:
        raise ChainError(f"{address}: its accounts keep naming others")
    clock = held.pop(CLOCK_SYSVAR).data
    numbers = [int.from_bytes(clock[at : at + 8], "little") for at in (0, 16, 32)]
    meta = {"clock": dict(zip(("slot", "epoch", "unix_timestamp"), numbers, strict=True))}
    files = {f"{key}.json": _dump(key, each) for key, each in held.items()}
    _write(folder, {**files, "meta.json": msgspec.json.encode(meta)})
    return len(held)


async def dump_program(rpc: Rpc, program_id: str, folder: Path) -> Path:
    """Write a program's binary as `<program id>.so`. Raises ChainError, InvalidInput `program_unknown`."""
    address = Address(program_id)
    account = (await _read(rpc, (address,))).get(address)
    code = b"" if account is None else account.data
    if account is not None and account.owner == _UPGRADEABLE and code[:1] == bytes([_PROGRAM_STATE]):
        data_key = Address(str(Pubkey.from_bytes(code[4:36])))
        held = (await _read(rpc, (data_key,))).get(data_key)
        code = b"" if held is None else held.data[_PROGRAM_DATA_HEADER:]
    if not code.startswith(_ELF):
        raise InvalidInput("program_unknown", f"{program_id} is no program whose binary can be read")
    _write(folder, {f"{program_id}.so": code})
    return folder / f"{program_id}.so"


def _write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


async def _read(rpc: Rpc, keys: Sequence[Address]) -> dict[Address, Account]:
    params = [list(keys), {"encoding": "base64", "commitment": "confirmed"}]
    answer = await rpc.call("getMultipleAccounts", params, InContext[list[AccountJson | None]])
    return {
        key: Account(Address(each.owner), each.data[0], each.lamports)
        for key, each in zip(keys, answer.value, strict=True)
        if each is not None
    }


def _dump(key: Address, account: Account) -> bytes:
    data = [pybase64.b64encode(account.data).decode(), "base64"]
    body = {"pubkey": key, "account": {"lamports": account.lamports, "data": data, "owner": account.owner}}
    return msgspec.json.encode(body)
