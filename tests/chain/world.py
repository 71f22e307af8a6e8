"""A local Solana with a pool and its real program, and the engine's chain adapter in front of it.

Program binaries are not part of the repository: FILLWRIGHT_PROGRAMS names a folder with `<program id>.so`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import solders.account
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from tests.venues.raydium_data import pool_accounts

from fillwright.chain.endpoint import RpcEndpoint
from fillwright.chain.lookup import LOOKUP_PROGRAM, LookupTables
from fillwright.chain.programs import WSOL, token_account
from fillwright.chain.rpc import Rpc
from fillwright.chain.sender import NodeSender, Senders
from fillwright.chain.solana import SolanaChain
from fillwright.chain.stream import Stream
from fillwright.clock import SystemClock
from fillwright.domain.accounts import WRAPPED_SOL, Account, Address, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.routes import Leg, limit_after_slippage
from fillwright.domain.transactions import Signed, SwapPlan
from fillwright.localnet.chain import LocalChain
from fillwright.localnet.faults import Faults
from fillwright.localnet.load import fund, load_accounts, load_program
from fillwright.localnet.server import LocalNode
from fillwright.market.snapshot import Snapshot, index_pairs
from fillwright.venues.registry import VENUES
from fillwright.venues.vectors import pool_in
from fillwright.venues.venue import Pool, Swap

SLOT, TIME_S = 448_500_000, 1_790_000_010
RICH = 2**50
LAMPORTS = 10**13
WALLET = Keypair.from_seed(bytes(range(32)))
_EXTRA_PROGRAMS = {"meteora_damm_v1": ("24Uqj9JCLxUeoC3hGfh5W3s9FM9uCHDS2SG3LYwBpyTi",)}
TOKEN_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"


def programs_for(venue: str) -> tuple[str, ...]:
    return (VENUES[venue].program_id, *_EXTRA_PROGRAMS.get(venue, ()))


def program_path(program_id: str) -> Path | None:
    folder = os.environ.get("FILLWRIGHT_PROGRAMS")
    path = Path(folder or "/nonexistent") / f"{program_id}.so"
    return path if path.is_file() else None


def skip_without(*venues: str) -> None:
    """Skip the running test where a program's binary is not at hand."""
    for venue in venues:
        for program in programs_for(venue):
            if program_path(program) is None:
                pytest.skip(f"FILLWRIGHT_PROGRAMS names no folder with {program}.so")


def _renamed(accounts: Mapping[Address, Account], names: Mapping[str, str]) -> dict[Address, Account]:
    """The accounts with other mints in place of some: in their data, and as accounts."""
    found = {}
    for address, account in accounts.items():
        data = account.data
        for old, new in names.items():
            data = data.replace(bytes(Pubkey.from_string(old)), bytes(Pubkey.from_string(new)))
        found[Address(names.get(address, address))] = Account(account.owner, data, account.lamports)
    return found


class LocalWorld:
    """Pools on a local chain, a rich wallet, and a market that sees the newest accounts."""

    def __init__(
        self,
        *pools: str,
        faults: Faults | None = None,
        seed: int = 1,
        dear: bool = True,
        same: Mapping[str, str] | None = None,
    ) -> None:
        """`same`: mints that are taken for other ones, so that pools of different tokens trade the same."""
        venues = {pool.partition("/")[0] for pool in pools}
        skip_without(*sorted(venues))
        self.local = LocalChain(seed=seed, faults=faults, start_slot=SLOT, start_time_s=TIME_S)
        for program in sorted({program for venue in venues for program in programs_for(venue)}):
            path = program_path(program)
            assert path is not None
            load_program(self.local, program, path)
        if (token_2022 := program_path(TOKEN_2022)) is not None:
            load_program(self.local, TOKEN_2022, token_2022)
        self.held: dict[Address, list[Address]] = {}
        mints: set[str] = set()
        for name in pools:
            accounts = _renamed(pool_accounts(name), same or {})
            load_accounts(self.local, accounts)
            address = pool_in(accounts)[1]
            self.held[address] = list(accounts)
            mints.update(self.pool(address).mints)
        self.wallet = str(WALLET.pubkey())
        tokens = {mint: RICH for mint in mints if mint != WRAPPED_SOL} if dear else {}
        fund(self.local, self.wallet, LAMPORTS, tokens)

    def accounts(self, address: Address) -> dict[Address, Account]:
        found = {}
        for key in self.held[address]:
            account = self.local.account(key)
            if account is not None:
                found[key] = Account(Address(str(account.owner)), bytes(account.data), account.lamports)
        return found

    def pool(self, address: Address) -> Pool:
        accounts = self.accounts(address)
        venue = next(v for v in VENUES.values() if v.program_id == accounts[address].owner)
        return venue.decode(address, accounts)

    def snapshot(self) -> Snapshot:
        pools = {address: self.pool(address) for address in self.held}
        clock = ChainClock(self.local.slot, self.local.epoch, self.local.time_s)
        return Snapshot(clock, pools, index_pairs(pools.values()))

    def sol(self) -> int:
        account = self.local.account(self.wallet)
        return 0 if account is None else account.lamports

    def tokens(self, mint: str) -> int:
        """The wallet's balance of a token; of SOL with what is wrapped."""
        held = self.local.account(mint)
        assert held is not None
        key = token_account(WALLET.pubkey(), Pubkey.from_string(mint), held.owner)
        account = self.local.account(str(key))
        return 0 if account is None else int.from_bytes(bytes(account.data)[64:72], "little")

    def plan(
        self, swaps: Sequence[tuple[Address, Mint, int]], *, mode: SwapMode = SwapMode.EXACT_IN, **changes: Any
    ) -> SwapPlan:
        """A plan with a leg for each (pool, input mint, amount), as the pools stand now."""
        snapshot = self.snapshot()
        legs = []
        for address, input_mint, amount in swaps:
            pool = snapshot.pools[address]
            venue = VENUES[pool.venue]
            quote = venue.quote(pool, Swap(input_mint, mode, amount), snapshot.clock)
            output = next(mint for mint in pool.mints if mint != input_mint)
            legs.append(Leg(venue.id, venue.dex, address, input_mint, output, quote.amount_in, quote.amount_out))
        first, last = legs[0], legs[-1]
        ins = sum(leg.amount_in for leg in legs if leg.input_mint == first.input_mint)
        outs = sum(leg.amount_out for leg in legs if leg.output_mint == last.output_mint)
        plan = SwapPlan(
            order_id="01890000-0000-7000-8000-000000000001",
            attempt=1,
            owner=self.wallet,
            mode=mode,
            input_mint=first.input_mint,
            output_mint=last.output_mint,
            amount_in=ins,
            amount_out=outs,
            limit=limit_after_slippage(mode, outs if mode is SwapMode.EXACT_IN else ins, 100),
            legs=tuple(legs),
            marker_seed="a" * 32,
        )
        return msgspec.structs.replace(plan, **changes)


class Engine:
    """The adapter and what it needs, open."""

    def __init__(
        self, world: LocalWorld, node: LocalNode, rpc: Rpc, stream: Stream, chain: SolanaChain, tables: LookupTables
    ) -> None:
        self.world = world
        self.node = node
        self.rpc = rpc
        self.stream = stream
        self.chain = chain
        self.tables = tables


def sign(message: bytes, keypair: Keypair = WALLET) -> Signed:
    signature: Signature = keypair.sign_message(message)
    return Signed(str(signature), b"\x01" + bytes(signature) + message)


def put_table(local: LocalChain, addresses: Sequence[str], *, number: int = 77, deactivated: bool = False) -> str:
    """A lookup table that holds these addresses, put in place or over its earlier self."""
    key = Pubkey.from_bytes(bytes([number]) * 32)
    # LookupTableMeta: state, deactivation slot, last extended slot and index, authority, padding.
    given_up = (local.slot if deactivated else 2**64 - 1).to_bytes(8, "little")
    meta = (1).to_bytes(4, "little") + given_up + bytes(8) + b"\x00" + b"\x00" + bytes(32) + bytes(2)
    data = meta.ljust(56, b"\x00") + b"".join(bytes(Pubkey.from_string(each)) for each in addresses)
    local.set_account(str(key), solders.account.Account(10**9, data, Pubkey.from_string(LOOKUP_PROGRAM)))
    return str(key)


@asynccontextmanager
async def engine(world: LocalWorld, *, lookup_tables: Sequence[str] = (), **options: Any) -> AsyncIterator[Engine]:
    clock = SystemClock()
    node = LocalNode(world.local)
    await node.open()
    rpc = Rpc([RpcEndpoint("local", node.url, node.websocket_url)], clock)
    await rpc.open()
    stream = Stream(node.websocket_url, clock)
    await stream.open()
    senders = Senders([NodeSender(rpc, state) for state in rpc.endpoints])
    tables = LookupTables(rpc, [Pubkey.from_string(key) for key in lookup_tables])
    await tables.refresh()
    chain = SolanaChain(
        rpc=rpc,
        senders=senders,
        clock=clock,
        wallet=world.wallet,
        market=world.snapshot,
        stream=stream,
        lookup_tables=tables,
        **options,
    )
    try:
        yield Engine(world, node, rpc, stream, chain, tables)
    finally:
        await senders.close()
        await stream.close()
        await rpc.close()
        await node.close()


async def until(condition: Any, tries: int = 2_000) -> None:
    """Let the loop turn until `condition()` holds."""
    for _ in range(tries):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not happen")


__all__ = [
    "WALLET",
    "WSOL",
    "Engine",
    "LocalWorld",
    "engine",
    "program_path",
    "put_table",
    "sign",
    "skip_without",
    "until",
]
