"""Which programs' pools are looked for and traded, by the cluster that the endpoints turn out to be of."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from tests.chain.signer.orders import CLOCK as ORDER_CLOCK
from tests.chain.signer.orders import OTHER, POOL, WALLET, message, order, parts, policy
from tests.chain.world import SLOT, TIME_S
from tests.venues.devnet import RAYDIUM, devnet_id, on_devnet
from tests.venues.raydium_data import pool_accounts

from fillwright.chain import programs
from fillwright.chain.discover import discover_mint
from fillwright.chain.endpoint import RpcEndpoint
from fillwright.chain.live import LiveConfig, Pair, open_market
from fillwright.chain.reverts import explain
from fillwright.chain.rpc import Rpc
from fillwright.chain.signer.judge import judge
from fillwright.chain.signer.policy import Policy
from fillwright.chain.snapshot import PoolDump, write_pool
from fillwright.chain.swaps import SHAPES, decode_swap
from fillwright.clock import SystemClock
from fillwright.config import Mode
from fillwright.domain.accounts import WRAPPED_SOL, Address, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.clusters import Cluster
from fillwright.domain.errors import ConfigError, Refusal, SignerRefused
from fillwright.domain.tokens import MAINNET_TOKENS, TokenList
from fillwright.localnet.chain import LocalChain
from fillwright.localnet.load import load_accounts
from fillwright.localnet.methods import Methods, RpcFault
from fillwright.localnet.server import LocalNode
from fillwright.market.guards import GuardPolicy
from fillwright.market.pools import load_pools
from fillwright.venues.registry import VENUES
from fillwright.venues.vectors import pool_in
from fillwright.venues.venue import Swap, SwapAccounts

GENESIS = {
    "mainnet": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
    "devnet": "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",
    "private": "4uhcVJyU9pJkvQyS88uRDiswHScSGQvLnAHe5nPQT8mP",
}
RECORDED = pool_accounts("raydium_clmm/SYN_ts10_T22")
MOVED = on_devnet(RECORDED)
METEORA = pool_accounts("meteora_dlmm/SYN_gaps_many-arrays")
VENUE, HERE = pool_in(RECORDED)
THERE, ALWAYS = pool_in(MOVED)[1], pool_in(METEORA)[1]
UNGUARDED = GuardPolicy(max_transfer_fee_bps=10_000)
PAIR = tuple(Mint(mint) for mint in VENUE.decode(HERE, RECORDED).mints)


class MethodsOf(Methods):
    """A chain that says which one it is; "": that does not know the question."""

    def __init__(self, chain: LocalChain, genesis: str) -> None:
        super().__init__(chain)
        self._genesis = genesis
        self.programs_asked: list[str] = []

    def call(self, method: str, params: list[Any]) -> Any:
        if method == "getGenesisHash":
            if not self._genesis:
                raise RpcFault(-32601, "Method not found")
            return self._genesis
        if method == "getProgramAccounts":
            self.programs_asked.append(params[0])
        return super().call(method, params)


class NodeOf(LocalNode):
    """A node of `cluster` with a CLMM pool of mainnet's program, one of devnet's, and one of Meteora's."""

    def __init__(self, genesis: str) -> None:
        chain = LocalChain(seed=1, start_slot=SLOT, start_time_s=TIME_S)
        for accounts in (RECORDED, MOVED, METEORA):
            load_accounts(chain, accounts)
        super().__init__(chain)
        self.methods = self._methods = MethodsOf(chain, genesis)


def market_of(
    genesis: str, mode: Mode | None, *, named: tuple[Address, ...] = ()
) -> tuple[set[Address], dict[Address, tuple[str, str]], set[str]]:
    """Pools that are quoted, those that are not and why, and the programs asked for: by pair unless `named`."""

    async def run() -> Any:
        node = NodeOf(genesis)
        await node.open()
        try:
            pairs = () if named else (Pair(*PAIR),)
            config = LiveConfig(endpoints=(RpcEndpoint("a", node.url),), pools=named, pairs=pairs, guards=UNGUARDED)
            tokens = TokenList(MAINNET_TOKENS)
            async with open_market(config, clock=SystemClock(), tokens=tokens, mode=mode) as market:
                newest = market.feed.current()
                refused = {each.address: (each.reason, each.detail) for each in newest.unpriced}
                return set(newest.pools), refused, set(node.methods.programs_asked)
        finally:
            await node.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("genesis", "mode", "found"),
    [
        ("devnet", Mode.DEVNET, {THERE}),
        ("mainnet", Mode.MAINNET, {HERE}),
        ("private", Mode.DEVNET, {HERE, THERE}),
        ("devnet", None, {THERE}),
        ("mainnet", None, {HERE}),
        ("", None, {HERE, THERE}),
    ],
)
def test_pools_are_looked_for_in_the_programs_of_the_endpoints_cluster(
    genesis: str, mode: Mode | None, found: set[Address]
) -> None:
    pools, refused, asked = market_of(GENESIS.get(genesis, ""), mode)
    assert (pools, refused) == (found, {})
    for name, venue in VENUES.items():
        assert (venue.program_id in asked) == (HERE in found or name not in RAYDIUM)
        if name in RAYDIUM:
            assert (devnet_id(name) in asked) == (THERE in found)


@pytest.mark.parametrize(("mode", "ours", "theirs"), [(Mode.DEVNET, THERE, HERE), (Mode.MAINNET, HERE, THERE)])
def test_a_pool_of_another_cluster_s_program_is_refused_and_says_so(mode: Mode, ours: Address, theirs: Address) -> None:
    pools, refused, _ = market_of(GENESIS[mode.value], mode, named=(HERE, THERE, ALWAYS))
    assert pools == {ours, ALWAYS}
    reason, detail = refused.pop(theirs)
    assert not refused
    assert reason == Refusal.UNSUPPORTED_FEATURE
    other = "mainnet" if mode is Mode.DEVNET else "devnet"
    owner = (RECORDED | MOVED)[theirs].owner
    assert detail == f"its owner {owner} is Raydium CLMM on {other}, and this chain is {mode}"


def test_a_mode_is_refused_on_another_cluster() -> None:
    for genesis, mode in (("mainnet", Mode.DEVNET), ("devnet", Mode.MAINNET), ("private", Mode.MAINNET)):
        with pytest.raises(ConfigError, match="cluster"):
            market_of(GENESIS[genesis], mode)


@pytest.mark.parametrize(
    ("cluster", "found"), [(Cluster.DEVNET, [THERE]), (Cluster.MAINNET, [HERE]), (None, sorted([HERE, THERE]))]
)
def test_pools_of_a_mint_are_looked_for_by_cluster(cluster: Cluster | None, found: list[Address]) -> None:
    async def run() -> list[Address]:
        node = NodeOf(GENESIS["private"])
        await node.open()
        rpc = Rpc([RpcEndpoint("a", node.url)], SystemClock())
        await rpc.open()
        try:
            return await discover_mint(rpc, PAIR[1], ["raydium_clmm"], cluster=cluster)
        finally:
            await rpc.close()
            await node.close()

    assert asyncio.run(run()) == found


MAINNET_POLICY = policy(mode=Mode.MAINNET)
ORDER = order()
MOVED_CPMM = Pubkey.from_string(devnet_id("raydium_cpmm"))


def devnet_order(**changes: Any) -> list[Instruction]:
    """The honest order's instructions, its swap in the same pool on devnet, with `changes` of the swap's accounts."""
    wallet = WALLET.pubkey()
    own = [programs.token_account(wallet, Pubkey.from_string(mint)) for mint in (WRAPPED_SOL, OTHER)]
    accounts = replace(SwapAccounts(wallet, own[0], own[1]), **changes)
    pool = replace(POOL, program=devnet_id("raydium_cpmm"))
    swap = Swap(WRAPPED_SOL, SwapMode.EXACT_IN, ORDER.amount_in)
    built = VENUES["raydium_cpmm"].instruction(pool, swap, ORDER.limit, accounts, ORDER_CLOCK)
    ours = Pubkey.from_string(VENUES["raydium_cpmm"].program_id)
    return [built if part.program_id == ours else part for part in parts(ORDER)]


def verdict(instructions: list[Instruction], by: Policy) -> int:
    return judge(message(instructions), ORDER, WALLET.pubkey(), by, {}).max_in


def test_the_signer_signs_a_devnet_swap_under_a_devnet_policy_alone() -> None:
    assert verdict(devnet_order(), policy()) == ORDER.amount_in
    with pytest.raises(SignerRefused, match=f"unknown instruction of {devnet_id('raydium_cpmm')}"):
        verdict(devnet_order(), MAINNET_POLICY)
    assert verdict(parts(ORDER), MAINNET_POLICY) == verdict(parts(ORDER), policy()) == ORDER.amount_in


def test_what_the_signer_refuses_on_mainnet_it_refuses_on_devnet_too() -> None:
    thief = Pubkey(bytes([66]) * 32)
    hostile: list[list[Instruction]] = [
        devnet_order(output_account=thief),
        devnet_order(input_account=thief),
        devnet_order(wallet=thief),
        [*devnet_order(), *(part for part in devnet_order() if part.program_id == MOVED_CPMM)],
    ]
    stranger = Pubkey.from_string("HWy1jotHpo6UqeQxx49dpYYdQB8wj9Qk9MdxwjLvDHB8")
    hostile.append(
        [
            Instruction(stranger, bytes(part.data), list(part.accounts)) if part.program_id == MOVED_CPMM else part
            for part in devnet_order()
        ]
    )
    hostile.append(
        [
            Instruction(MOVED_CPMM, b"\0" * 24, list(part.accounts)) if part.program_id == MOVED_CPMM else part
            for part in devnet_order()
        ]
    )
    for instructions in hostile:
        with pytest.raises(SignerRefused):
            verdict(instructions, policy())


@pytest.mark.parametrize("venue", RAYDIUM)
def test_every_swap_of_a_devnet_program_is_read_as_mainnet_s_is(venue: str) -> None:
    keys = [Pubkey(bytes([number + 1]) * 32) for number in range(18)]
    amounts = (5).to_bytes(8, "little") + (6).to_bytes(8, "little")
    read = 0
    for shape in (shape for shape in SHAPES if shape.venue == venue):
        held = keys[: min(shape.counts[1], 18)]
        data = shape.tag + amounts + shape.fixed + bytes(1 if shape.modes else 0)
        known = decode_swap(Pubkey.from_string(shape.program), data, held)
        assert known is not None
        devnet = Pubkey.from_string(devnet_id(venue))
        assert decode_swap(devnet, data, held) == decode_swap(devnet, data, held, Cluster.DEVNET) == known
        assert decode_swap(devnet, data, held, Cluster.MAINNET) is None
        read += 1
    assert read >= 2


@pytest.mark.parametrize(
    ("venue", "code"), [("raydium_amm_v4", 30), ("raydium_cpmm", 6005), ("raydium_clmm", 6022), ("raydium_clmm", 6023)]
)
def test_a_missed_bound_on_devnet_is_told_as_slippage(venue: str, code: int) -> None:
    program = devnet_id(venue)
    logs = [f"Program {program} failed: custom program error: {code:#x}"]
    error = {"InstructionError": [0, {"Custom": code}]}
    assert explain(error, [program], logs, marker=False)[0] == "slippage_exceeded"


def test_a_saved_devnet_pool_names_its_own_program(tmp_path: Path) -> None:
    dump = PoolDump(VENUE, THERE, PAIR, MOVED, ORDER_CLOCK)
    assert devnet_id("raydium_clmm") in dump.programs
    assert VENUE.program_id not in dump.programs
    meta = json.loads((write_pool(tmp_path, dump) / "meta.json").read_bytes())
    assert (meta["program"], meta["program_id"]) == ("raydium_clmm", devnet_id("raydium_clmm"))
    loaded = load_pools(tmp_path)
    assert loaded.pools == {THERE: VENUE.decode(THERE, MOVED)}
