"""Recorded mainnet pools as they would stand on devnet: every account of the program is its devnet deployment's.

Addresses that a program derives from its own id are derived anew here, apart from the venues: authorities, CLMM's
pool, its tick arrays and its bitmap extension. Configurations get other addresses. Numbers stay as recorded, so that
amounts do.
"""

from __future__ import annotations

from solders.pubkey import Pubkey

from fillwright.domain.accounts import Account, Accounts, Address
from fillwright.domain.clusters import Cluster
from fillwright.venues.registry import VENUES
from fillwright.venues.vectors import pool_in

RAYDIUM = ("raydium_amm_v4", "raydium_clmm", "raydium_cpmm")
SEEDS = {"raydium_amm_v4": b"amm authority", "raydium_cpmm": b"vault_and_lp_mint_auth_seed"}
_CPMM_BUMP_AT, _CLMM_BUMP_AT = 328, 8
_EXTENSION_TAG = bytes((60, 150, 36, 219, 97, 128, 139, 153))
_ARRAY_TAG = bytes((192, 155, 85, 205, 49, 249, 129, 42))


def devnet_id(venue: str) -> Address:
    return VENUES[venue].program_ids[Cluster.DEVNET]


def derived(program: str, *seeds: bytes) -> tuple[Address, int]:
    key, bump = Pubkey.find_program_address(list(seeds), Pubkey.from_string(program))
    return Address(str(key)), bump


def raw(address: str) -> bytes:
    return bytes(Pubkey.from_string(address))


def config_of(accounts: Accounts) -> Address | None:
    """The pool's fee configuration, where it has one."""
    venue, address = pool_in(accounts)
    at = {"raydium_clmm": 9, "raydium_cpmm": 8}.get(venue.id)
    return None if at is None else Address(str(Pubkey.from_bytes(accounts[address].data[at : at + 32])))


def on_devnet(accounts: Accounts) -> dict[Address, Account]:
    """The snapshot of one pool, moved to the devnet deployment of its program."""
    venue, address = pool_in(accounts)
    old, new = venue.program_id, venue.program_ids[Cluster.DEVNET]
    config = config_of(accounts)
    renames = {} if config is None else {config: derived(new, b"config", raw(config))[0]}
    bump = 0
    if venue.id == "raydium_clmm" and config is not None:
        data = accounts[address].data
        pair = (data[73:105], data[105:137])
        assert derived(old, b"pool", data[9:41], *pair) == (address, data[_CLMM_BUMP_AT])
        renames[address], bump = derived(new, b"pool", raw(renames[Address(config or "")]), *pair)
        for key, account in accounts.items():
            if account.owner == old and account.data[:8] == _ARRAY_TAG:
                start = int.from_bytes(account.data[40:44], "little", signed=True).to_bytes(4, "big", signed=True)
                assert derived(old, b"tick_array", raw(address), start)[0] == key
                renames[key] = derived(new, b"tick_array", raw(renames[address]), start)[0]
            if account.owner == old and account.data[:8] == _EXTENSION_TAG:
                seed = b"pool_tick_array_bitmap_extension"
                renames[key] = derived(new, seed, raw(renames[address]))[0]
    else:
        authority, bump = derived(new, SEEDS[venue.id])
        renames[derived(old, SEEDS[venue.id])[0]] = authority
    moved = {}
    for key, account in accounts.items():
        content = bytearray(account.data)
        if key == address and venue.id != "raydium_amm_v4":
            content[_CLMM_BUMP_AT if venue.id == "raydium_clmm" else _CPMM_BUMP_AT] = bump
        data = bytes(content)
        for before, after in renames.items():
            data = data.replace(raw(before), raw(after))
        owner = new if account.owner == old else account.owner
        moved[renames.get(key, key)] = Account(owner, data, account.lamports)
    return moved
