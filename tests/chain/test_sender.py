"""Ways to the network beside plain nodes: a block engine's bundles and a tip-taking relay, spoken to as they ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pybase64
import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from tests.chain.world import LocalWorld, engine, sign

from fillwright.chain.endpoint import RpcEndpoint
from fillwright.chain.rpc import Rpc
from fillwright.chain.sender import JITO_TIP_ACCOUNTS, BundleSender, NodeSender, RelaySender, Sender, Senders
from fillwright.chain.solana import SolanaChain, Tip
from fillwright.clock import SystemClock
from fillwright.domain.errors import ChainError
from fillwright.localnet.chain import LocalChain
from fillwright.localnet.faults import Faults
from fillwright.localnet.server import BUNDLE_PATH, RELAY_PATH, LocalNode
from fillwright.localnet.tips import MIN_BUNDLE_TIP, MIN_RELAY_TIP, TIP_ACCOUNTS

PAYER = Keypair.from_seed(bytes([7]) * 32)
SOMEBODY = Pubkey.from_string("9WzDXwBbmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM")


def paying(chain: LocalChain, receiver: Pubkey, lamports: int) -> bytes:
    """A signed transaction that pays `receiver`."""
    part = transfer(TransferParams(from_pubkey=PAYER.pubkey(), to_pubkey=receiver, lamports=lamports))
    blockhash = Hash.from_string(chain.blockhash("confirmed")[0])
    message = MessageV0.try_compile(PAYER.pubkey(), [part], [], blockhash)
    return bytes(VersionedTransaction(message, [PAYER]))


class Ways:
    """A local node with its stand-ins, and a sender to each."""

    def __init__(self, node: LocalNode, rpc: Rpc) -> None:
        self.node = node
        plain, engine, relay = rpc.endpoints
        self.plain: Sender = NodeSender(rpc, plain)
        self.bundle: Sender = BundleSender(rpc, engine)
        self.relay: Sender = RelaySender(rpc, relay)

    @property
    def landed(self) -> int:
        self.node.chain.advance(2)
        return len([entry for entry in self.node.chain.ledger.values() if entry.keys[0] == str(PAYER.pubkey())])


@asynccontextmanager
async def ways() -> AsyncIterator[Ways]:
    chain = LocalChain(seed=1, faults=Faults())
    chain.svm.airdrop(PAYER.pubkey(), 10**12)
    node = LocalNode(chain)
    await node.open()
    names = (("node", ""), ("engine", BUNDLE_PATH), ("relay", RELAY_PATH))
    rpc = Rpc([RpcEndpoint(name, node.url + path) for name, path in names], SystemClock())
    await rpc.open()
    try:
        yield Ways(node, rpc)
    finally:
        await rpc.close()
        await node.close()


@pytest.mark.parametrize(("way", "least"), [("bundle", MIN_BUNDLE_TIP), ("relay", MIN_RELAY_TIP)])
def test_a_transaction_with_its_tip_lands_and_lands_once(way: str, least: int) -> None:
    async def run() -> None:
        async with ways() as found:
            raw = paying(found.node.chain, Pubkey.from_string(JITO_TIP_ACCOUNTS[3]), least)
            for _ in range(3):
                await getattr(found, way).send(raw)
            assert found.landed == 1
            await found.plain.send(paying(found.node.chain, SOMEBODY, 10**9))
            assert found.landed == 2

    asyncio.run(run())


@pytest.mark.parametrize("way", ["bundle", "relay"])
def test_a_transaction_without_a_tip_is_refused_and_does_not_land(way: str) -> None:
    async def run() -> None:
        async with ways() as found:
            with pytest.raises(ChainError, match="tip"):
                await getattr(found, way).send(paying(found.node.chain, SOMEBODY, 10**9))
            assert found.landed == 0

    asyncio.run(run())


def test_too_small_a_tip_is_refused_by_the_relay_and_never_lands_in_a_bundle() -> None:
    async def run() -> None:
        async with ways() as found:
            tip_account = Pubkey.from_string(TIP_ACCOUNTS[0])
            await found.bundle.send(paying(found.node.chain, tip_account, MIN_BUNDLE_TIP - 1))
            with pytest.raises(ChainError, match="tip"):
                await found.relay.send(paying(found.node.chain, tip_account, MIN_RELAY_TIP - 1))
            assert found.landed == 0

    asyncio.run(run())


def test_the_stand_ins_refuse_what_the_real_ones_refuse() -> None:
    async def run() -> None:
        async with ways() as found, httpx2.AsyncClient() as client:
            chain, url = found.node.chain, found.node.url
            raw = pybase64.b64encode(paying(chain, Pubkey.from_string(TIP_ACCOUNTS[0]), 10**6)).decode()

            async def ask(path: str, method: str, *params: object) -> dict[str, object]:
                body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
                answer: dict[str, object] = (await client.post(url + path, json=body)).json()
                return answer

            assert (await ask(BUNDLE_PATH, "getTipAccounts"))["result"] == list(JITO_TIP_ACCOUNTS)
            for path, method, params in (
                (BUNDLE_PATH, "sendBundle", ([raw] * 6, {"encoding": "base64"})),
                (BUNDLE_PATH, "sendBundle", ([], {"encoding": "base64"})),
                (BUNDLE_PATH, "sendBundle", (raw, {"encoding": "base64"})),
                (BUNDLE_PATH, "sendTransaction", (raw, {"encoding": "base64"})),
                (RELAY_PATH, "sendTransaction", (raw, {"encoding": "base64", "maxRetries": 0})),
                (RELAY_PATH, "sendTransaction", (raw, {"encoding": "base64", "skipPreflight": True})),
                (RELAY_PATH, "getSlot", ()),
            ):
                assert "error" in await ask(path, method, *params), (path, params)
            assert found.landed == 0

    asyncio.run(run())


def test_one_way_that_works_is_enough_and_all_get_the_same_bytes() -> None:
    async def run() -> None:
        async with ways() as found:
            senders = Senders([found.bundle, found.relay, found.plain])
            await senders.send(paying(found.node.chain, SOMEBODY, 10**9))
            assert found.landed == 1
            await senders.close()
            broken = Senders([found.bundle, found.relay])
            with pytest.raises(ChainError, match="tip"):
                await broken.send(paying(found.node.chain, SOMEBODY, 2 * 10**9))
            await broken.close()

    asyncio.run(run())


def test_a_swap_is_landed_by_a_bundle_alone_and_its_tip_counts_as_a_fee() -> None:
    async def run() -> None:
        world = LocalWorld("raydium_cpmm/FRESH_SOL-SPL")
        (address,) = world.held
        async with engine(world) as running:
            rpc = Rpc([RpcEndpoint("engine", running.node.url + BUNDLE_PATH)], SystemClock())
            await rpc.open()
            senders = Senders([BundleSender(rpc, rpc.endpoints[0])])
            chain = SolanaChain(
                rpc=running.rpc, senders=senders, clock=SystemClock(), wallet=world.wallet, market=world.snapshot,
                tip=Tip(1_000_000, JITO_TIP_ACCOUNTS),
            )  # fmt: skip
            plan = world.plan([(address, world.pool(address).mints[0], 10**7)])
            message = await chain.build(plan, await chain.latest_blockhash())
            await chain.simulate(message)
            signed = sign(message)
            await chain.send(signed.raw)
            world.local.advance(world.local.finality_slots)
            landed = await chain.transaction(signed.signature)
            assert landed is not None
            assert landed.fee_lamports == 5_000 + 1_000_000
            assert landed.amount_out == plan.amount_out
            await senders.close()
            await chain.close()
            await rpc.close()

    asyncio.run(run())
