"""A node that answers anything at all: what comes out is a ChainError, or nothing that could cost money."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web
from solders.compute_budget import set_compute_unit_limit
from tests.chain.signer.orders import WALLET as ME
from tests.chain.signer.orders import message, order
from tests.chain.signer.test_judge import sweep

from fillwright.chain.endpoint import endpoint_from_url
from fillwright.chain.feed import LiveMarketFeed
from fillwright.chain.live import cluster_at
from fillwright.chain.lookup import LookupTables
from fillwright.chain.rpc import Rpc
from fillwright.chain.sender import BundleSender, NodeSender, RelaySender, Senders
from fillwright.chain.solana import SolanaChain
from fillwright.chain.sweep import existing_markers
from fillwright.clock import SystemClock
from fillwright.domain.accounts import Address, ChainClock
from fillwright.domain.clusters import Cluster
from fillwright.domain.errors import ChainError, ConfigError
from fillwright.domain.tokens import TokenList
from fillwright.domain.transactions import Commitment
from fillwright.market.snapshot import Snapshot

WALLET = ME.pubkey()
SIGNATURE = str(ME.sign_message(b"x"))
GENESIS = {
    Cluster.MAINNET: "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
    Cluster.DEVNET: "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",
}
POOL = Address("3ucNos4NbumPLZNWztqGHNFFgkHeRMBQAVemeeomsUxv")

_VALUES = (
    "null",
    "[]",
    "[[]]",
    '[{"slot":1}]',
    '[{"slot":1,"err":null}]',
    '[{"slot":"1","err":null,"confirmationStatus":"finalized"}]',
    '[{"slot":18446744073709551615,"err":null,"confirmationStatus":"finalized"}]',
    '{"blockhash":"x","lastValidBlockHeight":1}',
    '{"blockhash":"","lastValidBlockHeight":-1}',
    '{"blockhash":"11111111111111111111111111111111","lastValidBlockHeight":null}',
    '{"lamports":1,"owner":"x","data":["!!","base64"],"executable":false}',
    '[{"lamports":1,"owner":"x","data":["AAAA","base58"],"executable":false}]',
    '[{"lamports":-1,"owner":"not base58!","data":["AAAA","base64"]}]',
    '[{"lamports":1,"owner":"é","data":["","base64"]},null,null]',
    '[{"lamports":1,"owner":"x","data":["","base64"]},{"lamports":1,"owner":"","data":["","base64"]}]',
    '[{"lamports":1,"owner":"AddressLookupTab1e1111111111111111111111111","data":["","base64"]}]',
)
JUNK = (
    *("null", "{}", "[]", "[null]", "[[]]", "[{}]", '"x"', '""', "0", "-1", "1.5", "true", "1e400"),
    *(str(2**64), str(-(2**70)), "[" * 2_000 + "]" * 2_000),
    *(f'{{"context":{{"slot":1}},"value":{value}}}' for value in _VALUES),
    '{"context":{"slot":-5},"value":[null]}',
    '{"context":{"slot":"1"},"value":[null,null]}',
    '{"context":null,"value":[null]}',
    '{"value":[null]}',
    '{"slot":1,"transaction":["AAAA","base64"],"meta":null}',
    '{"slot":1,"transaction":["","base64"],"meta":{"fee":5000,"preBalances":[],"postBalances":[],"err":null}}',
    '{"slot":1,"transaction":["gAEAAA==","base64"],"meta":{"fee":-1,"preBalances":[1],"postBalances":[],"err":null}}',
    '{"absoluteSlot":-1,"blockHeight":-1,"epoch":0}',
    '{"absoluteSlot":18446744073709551615,"blockHeight":18446744073709551615,"epoch":0}',
    '[{"signature":"x","slot":1}]',
    '[{"signature":1,"slot":1}]',
    '[{"slot":1,"prioritizationFee":-5}]',
)


class HostileNode:
    """Says `result` to everything; `whole` instead of the reply, where set."""

    def __init__(self) -> None:
        self.result = "null"
        self.whole: bytes | None = None
        self.status = 200
        self.headers: dict[str, str] = {}

    async def answer(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read())
        body = b'{"jsonrpc":"2.0","id":%d,"result":%s}' % (asked["id"], self.result.encode())
        return web.Response(body=body if self.whole is None else self.whole, status=self.status, headers=self.headers)


@asynccontextmanager
async def hostile() -> AsyncIterator[tuple[HostileNode, Rpc]]:
    node = HostileNode()
    app = web.Application()
    app.router.add_post("/", node.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    rpc = Rpc([endpoint_from_url(f"http://127.0.0.1:{runner.addresses[0][1]}/")], SystemClock())
    await rpc.open()
    try:
        yield node, rpc
    finally:
        await rpc.close()
        await runner.cleanup()


def chain_over(rpc: Rpc) -> SolanaChain:
    market = Snapshot(ChainClock(1, 1, 1), {}, {})
    senders = Senders([kind(rpc, rpc.endpoints[0]) for kind in (NodeSender, BundleSender, RelaySender)])
    return SolanaChain(rpc=rpc, senders=senders, clock=SystemClock(), wallet=str(WALLET), market=lambda: market)


Question = Callable[[Rpc], Awaitable[object]]
QUESTIONS: dict[str, Question] = {
    "blockhash": lambda rpc: chain_over(rpc).latest_blockhash(),
    "height": lambda rpc: chain_over(rpc).block_height(Commitment.FINALIZED),
    "slot": lambda rpc: chain_over(rpc).slot(Commitment.PROCESSED),
    "status": lambda rpc: chain_over(rpc).status(SIGNATURE, search_history=True),
    "transaction": lambda rpc: chain_over(rpc).transaction(SIGNATURE),
    "marker": lambda rpc: chain_over(rpc).marker_exists("a" * 32, 7),
    "history": lambda rpc: chain_over(rpc).signature_in_history(SIGNATURE, 7),
    "send": lambda rpc: chain_over(rpc).send(b"bytes"),
    "rent": lambda rpc: chain_over(rpc)._rent(),
    "markers": lambda rpc: existing_markers(rpc, WALLET, ["a" * 32]),
    "fees": lambda rpc: chain_over(rpc)._fee_samples.of([str(POOL)]),
    "programs": lambda rpc: chain_over(rpc)._programs_of(order()),
    "tables": lambda rpc: LookupTables(rpc, [WALLET]).refresh(),
    "market": lambda rpc: market_over(rpc),
}


async def market_over(rpc: Rpc) -> object:
    feed = LiveMarketFeed(rpc=rpc, clock=SystemClock(), tokens=TokenList(()), pools=[POOL])
    try:
        await feed.open()
        return feed.current()
    finally:
        await feed.close()


@pytest.mark.parametrize("question", QUESTIONS)
def test_whatever_a_node_answers_the_engine_knows_what_to_make_of_it(question: str) -> None:
    async def run() -> None:
        async with hostile() as (node, rpc):
            for node.result in JUNK:
                for state in rpc.endpoints:
                    state.paused_until_s = 0.0
                with contextlib.suppress(ChainError):
                    await QUESTIONS[question](rpc)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("question", "result"),
    [
        ("status", '{"context":{"slot":1},"value":[]}'),
        ("status", '{"context":{"slot":1},"value":[{"slot":1}]}'),
        ("status", '{"context":{"slot":1},"value":[{"slot":1,"confirmationStatus":"finalized"}]}'),
        ("blockhash", '{"context":{"slot":1},"value":{"blockhash":"x","lastValidBlockHeight":1}}'),
        ("height", '{"absoluteSlot":-1,"blockHeight":-1,"epoch":0}'),
        ("height", '{"absoluteSlot":1,"blockHeight":18446744073709551615,"epoch":0}'),
        ("rent", "0"),
        ("rent", "-1"),
        ("rent", str(10**18)),
    ],
)
def test_what_is_no_answer_is_not_taken_for_one(question: str, result: str) -> None:
    async def run() -> None:
        async with hostile() as (node, rpc):
            node.result = result
            with pytest.raises(ChainError):
                await QUESTIONS[question](rpc)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ('"confirmationStatus":"finalized","confirmations":null', Commitment.FINALIZED),
        ('"confirmationStatus":"confirmed","confirmations":null', Commitment.CONFIRMED),
        ('"confirmations":null', Commitment.FINALIZED),
        ('"confirmations":31', Commitment.PROCESSED),
        ('"confirmationStatus":null', Commitment.PROCESSED),
        ('"confirmationStatus":"rooted","confirmations":null', Commitment.PROCESSED),
    ],
)
def test_a_status_is_final_only_where_the_node_says_so(told: str, expected: Commitment) -> None:
    async def run() -> None:
        async with hostile() as (node, rpc):
            node.result = f'{{"context":{{"slot":1}},"value":[{{"slot":1,"err":null,{told}}}]}}'
            status = await chain_over(rpc).status(SIGNATURE, search_history=False)
            assert status is not None
            assert status.commitment is expected

    asyncio.run(run())


def test_another_transaction_than_the_one_asked_for_books_nothing() -> None:
    theirs, ours = (message([sweep(to=WALLET, base=WALLET), set_compute_unit_limit(units)]) for units in (1, 2))
    signature = ME.sign_message(ours)
    meta = '{"fee":5000,"preBalances":[1],"postBalances":[1],"err":null}'

    def told(raw: bytes) -> str:
        return f'{{"slot":1,"transaction":["{base64.b64encode(raw).decode()}","base64"],"meta":{meta}}}'

    async def run() -> None:
        async with hostile() as (node, rpc):
            for raw in (b"\x01" + bytes(ME.sign_message(theirs)) + theirs, b"\x01" + bytes(signature) + theirs):
                node.result = told(raw)
                with pytest.raises(ChainError, match="another transaction"):
                    await chain_over(rpc).transaction(str(signature))

    asyncio.run(run())


@pytest.mark.parametrize("header", ["-5", "NaN", "Wed, 21 Oct 2015 07:28:00 GMT", "", "soon"])
def test_a_retry_after_that_is_no_time_to_wait_pauses_the_node_like_any_failure(header: str) -> None:
    async def run() -> None:
        async with hostile() as (node, rpc):
            node.status, node.headers = 429, {"Retry-After": header}
            with pytest.raises(ChainError) as refused:
                await chain_over(rpc).slot(Commitment.FINALIZED)
            assert refused.value.code == "rpc_rate_limited"
            assert not rpc.endpoints[0].is_open(SystemClock().monotonic_s())

    asyncio.run(run())


@pytest.mark.parametrize(
    "whole",
    [b"", b"<html>502 Bad Gateway</html>", b"[]", b'{"jsonrpc":"2.0","id":1}', b"{" * 100_000, b'{"result":NaN}',
     b'{"error":"no"}', b'{"error":{"code":"x"}}', b'\xff\xfe{"result":1}', b'{"error":{"code":-32005,"data":[1]}}'],
)  # fmt: skip
def test_a_reply_that_is_none_is_a_fault_of_the_node(whole: bytes) -> None:
    async def run() -> None:
        async with hostile() as (node, rpc):
            node.whole = whole
            with pytest.raises(ChainError):
                await chain_over(rpc).slot(Commitment.FINALIZED)
            assert rpc.endpoints[0].faults == 1

    asyncio.run(run())


def test_endpoints_of_different_clusters_are_refused_and_one_that_is_away_is_not_asked() -> None:
    async def run() -> None:
        async with hostile() as (first, one), hostile() as (second, two):
            endpoints = (one.endpoints[0].endpoint, two.endpoints[0].endpoint)
            first.result, second.result = f'"{GENESIS[Cluster.DEVNET]}"', f'"{GENESIS[Cluster.MAINNET]}"'
            with pytest.raises(ConfigError, match="different clusters"):
                await cluster_at(endpoints, SystemClock())
            second.result = first.result
            assert await cluster_at(endpoints, SystemClock()) is Cluster.DEVNET
            second.status, second.whole = 502, b"away"
            assert await cluster_at(endpoints, SystemClock()) is Cluster.DEVNET

    asyncio.run(run())
