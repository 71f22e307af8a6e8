"""A live chain and its market from one file: endpoints, pools, fees, senders. Opened and closed in order.

In: a TOML file, the mode, a signer's socket. Out: what the engine's ports ask for, open; or the market alone, for
paper fills on it. Must not: start without a signer and a policy, or on another cluster than the mode says.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace
from solders.pubkey import Pubkey

from fillwright.chain import checks
from fillwright.chain.discover import discover_mint, discover_pair
from fillwright.chain.endpoint import EndpointState, RpcEndpoint, endpoint_from_url
from fillwright.chain.feed import FeedSettings, LiveMarketFeed
from fillwright.chain.fees import FeePolicy, check_fees
from fillwright.chain.lookup import MAX_TABLES, Allowed, LookupTables
from fillwright.chain.recheck import Rechecks, release
from fillwright.chain.rpc import NODE_REFUSED, NodeFault, Rpc
from fillwright.chain.sender import BundleSender, NodeSender, RelaySender, Sender, Senders
from fillwright.chain.signer.client import SocketSigner
from fillwright.chain.solana import SolanaChain, Tip
from fillwright.chain.stream import Stream
from fillwright.chain.warm import RecentBlockhash
from fillwright.config import Mode
from fillwright.domain.accounts import Address, Mint
from fillwright.domain.clusters import Cluster, cluster_of
from fillwright.domain.errors import ChainError, ConfigError
from fillwright.domain.tokens import TokenList
from fillwright.market.drift import DriftPolicy, DriftSentinel
from fillwright.market.guards import GuardPolicy, PriceGuard, TokenGuard
from fillwright.ports import Clock
from fillwright.venues.registry import VENUES

MAX_CONFIG_BYTES = 1024 * 1024
START_LIMIT_S = 10.0
"""How long a start is tried again while the endpoints answer nothing that can be used."""
START_RETRY_S = 0.5
T = TypeVar("T")
Parts = list[tuple[str, Callable[[], bool | str]]]


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    a: Mint
    b: Mint
    venues: tuple[str, ...] = ()


class LiveConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`endpoints` in order of preference; the first with a WebSocket is streamed from. `witness`: an independent
    provider that must agree before an attempt counts as absent. `bundles`, `relays`: further senders, which want the
    `tip`. Pools: by address, by pair, or all of a mint. `blockhash_life_s`: how old a blockhash may be that is held
    ready for the next transaction; 0: asked for at each. `lookup_tables`: those that transactions may use, in order
    of preference; `lookup_refresh_s`: how often they are looked at, as they may be extended or given up."""

    endpoints: tuple[RpcEndpoint, ...] = ()
    witness: RpcEndpoint | None = None
    bundles: tuple[RpcEndpoint, ...] = ()
    relays: tuple[RpcEndpoint, ...] = ()
    tip: Tip | None = None
    pools: tuple[Address, ...] = ()
    pairs: tuple[Pair, ...] = ()
    mints: tuple[Mint, ...] = ()
    lookup_tables: tuple[str, ...] = ()
    lookup_refresh_s: float = 10.0
    rpc_timeout_s: float = 5.0
    blockhash_life_s: float = 2.0
    fees: FeePolicy = FeePolicy()
    feed: FeedSettings = FeedSettings()
    drift: DriftPolicy = DriftPolicy()
    guards: GuardPolicy = GuardPolicy()


class LiveMarket:
    """The market of a real chain, open and followed."""

    def __init__(
        self,
        *,
        feed: LiveMarketFeed,
        rpc: Rpc,
        sentinel: DriftSentinel,
        stream: Stream | None,
        clock: Clock,
        cluster: Cluster | None,
    ) -> None:
        self.feed, self.rpc, self.sentinel, self.stream, self._clock = feed, rpc, sentinel, stream, clock
        self.cluster = cluster

    def parts(self) -> Parts:
        """Each endpoint and the stream by name, and whether it can be used now."""
        return [*_endpoint_parts("rpc", self.rpc, self._clock), *self._stream_parts()]

    def _stream_parts(self) -> Parts:
        stream = self.stream
        return [] if stream is None else [("stream", lambda: stream.is_connected)]


class Live:
    """Everything live, open. `witness` is None where none is configured. `tables`: the lookup tables that transactions
    use, and `tip_accounts` what they pay a tip to. `parts`: by name, whether what the engine leans on answers."""

    def __init__(
        self,
        *,
        chain: SolanaChain,
        witness: SolanaChain | None,
        feed: LiveMarketFeed,
        signer: SocketSigner,
        sentinel: DriftSentinel,
        rpc: Rpc,
        tables: LookupTables,
        tip_accounts: tuple[str, ...] = (),
        parts: tuple[tuple[str, Callable[[], bool | str]], ...] = (),
    ) -> None:
        self.chain, self.witness, self.feed = chain, witness, feed
        self.signer, self.sentinel, self.rpc = signer, sentinel, rpc
        self.tables, self.tip_accounts, self.parts = tables, tip_accounts, parts

    def release(self, pool: Address) -> bool:
        """Quote a quarantined pool again; whether it was quarantined."""
        return release(self.sentinel, pool)


def read_live(path: Path, rpc_url: str = "") -> LiveConfig:
    """The file's configuration; `rpc_url` is the endpoint of one that names none. Raises ConfigError: missing,
    malformed, contradictory. What it says never includes an address of an endpoint."""
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigError(f"{path} is too large")
        config = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), type=LiveConfig)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if rpc_url and not config.endpoints:
        config = replace(config, endpoints=(endpoint_at(rpc_url),))
    return check_live(config)


def market_at(url: str, pools: Sequence[str], pairs: Sequence[tuple[Mint, Mint]]) -> LiveConfig:
    """The configuration of a market that is only looked at, through one endpoint. Raises ConfigError."""
    named = tuple(Pair(a, b) for a, b in pairs)
    return check_live(LiveConfig(endpoints=(endpoint_at(url),), pools=tuple(map(Address, pools)), pairs=named))


def endpoint_at(url: str) -> RpcEndpoint:
    """The endpoint at `url`. Raises ConfigError, which does not repeat it."""
    try:
        found = endpoint_from_url(url)
    except ValueError:
        raise ConfigError("the RPC URL is not one") from None
    if not found.url.startswith(("http://", "https://")) or not found.name:
        raise ConfigError("the RPC URL is not one that begins with http:// or https://")
    return found


def check_live(config: LiveConfig) -> LiveConfig:
    """`config`, if it can be run. Raises ConfigError."""
    if not config.endpoints:
        raise ConfigError("live: at least one endpoint")
    if not (config.pools or config.pairs or config.mints):
        raise ConfigError("live: no pools, no pairs, no mints: nothing could be traded")
    if problem := check_fees(config.fees):
        raise ConfigError(f"live: {problem}")
    if (config.bundles or config.relays) and (config.tip is None or not config.tip.accounts):
        raise ConfigError("live: bundle senders and relays want a tip with accounts")
    names = [each.name for each in (*config.endpoints, *config.bundles, *config.relays)]
    if len(set(names)) != len(names):
        raise ConfigError("live: two endpoints of the same name")
    if config.witness is not None and config.witness.url in {each.url for each in config.endpoints}:
        raise ConfigError("live: the witness must be another provider than the endpoints")
    if len(config.lookup_tables) > MAX_TABLES:
        raise ConfigError(f"live: at most {MAX_TABLES} lookup_tables")
    problem = next(filter(None, _problems(config)), "")
    if problem:
        raise ConfigError(f"live: {problem}")
    return config


def _problems(config: LiveConfig) -> Iterator[str]:
    """What is wrong with each part; "" where nothing is."""
    yield checks.wrong_addresses("pools", config.pools)
    yield checks.wrong_addresses("mints", config.mints)
    yield checks.wrong_addresses("lookup_tables", config.lookup_tables)
    for pair in config.pairs:
        yield checks.wrong_pair(pair.a, pair.b, pair.venues)
    witness = () if config.witness is None else (config.witness,)
    for endpoint in (*config.endpoints, *witness, *config.bundles, *config.relays):
        yield checks.wrong_endpoint(endpoint)
    if config.tip is not None:
        yield checks.wrong_tip(config.tip.lamports, config.tip.accounts)
    feed = config.feed
    times = {"feed: stale_after_s": feed.stale_after_s, "feed: poll_s": feed.poll_s, "feed: verify_s": feed.verify_s}
    times |= {"rpc_timeout_s": config.rpc_timeout_s, "lookup_refresh_s": config.lookup_refresh_s}
    yield checks.wrong_times(times, feed.commitment, config.blockhash_life_s)
    yield checks.wrong_guards(config.guards, config.drift)


@asynccontextmanager
async def open_live(
    config: LiveConfig, *, mode: Mode, clock: Clock, tokens: TokenList, signer_socket: Path
) -> AsyncIterator[Live]:
    """Raises ConfigError (no signer, another cluster) and ChainError (the chain does not answer)."""
    async with AsyncExitStack() as opened:
        signer = SocketSigner(signer_socket)
        opened.push_async_callback(signer.close)
        await signer.open(mode)
        market = await opened.enter_async_context(open_market(config, clock=clock, tokens=tokens, mode=mode))
        rpc, feed, stream, sentinel = market.rpc, market.feed, market.stream, market.sentinel
        senders = Senders(await _senders(opened, config, rpc, clock))
        opened.push_async_callback(senders.close)
        tables = await _open_tables(opened, config, rpc, clock, lambda: signer.lookup_tables)
        blockhashes = RecentBlockhash(rpc, clock, config.blockhash_life_s)
        if config.blockhash_life_s:
            _beside(opened, blockhashes.keep(), "blockhashes")
        chain = SolanaChain(
            rpc=rpc, senders=senders, clock=clock, wallet=signer.wallet, market=feed.current, stream=stream,
            fees=config.fees, tip=config.tip, lookup_tables=tables, sentinel=sentinel, reread=feed.reread,
            guards=config.guards, blockhashes=blockhashes,
        )  # fmt: skip
        opened.push_async_callback(chain.close)
        rechecks = Rechecks(
            sentinel=sentinel, reread=feed.reread, rehearse=chain.rehearse, clock_now=lambda: feed.current().clock,
            wallet=signer.wallet,
        )  # fmt: skip
        if config.drift.release_after:
            _beside(opened, rechecks.keep(clock), "pool-rechecks")
        parts: Parts = [("signer", lambda: signer.state), *market.parts()]
        if config.lookup_tables:
            parts.append(("lookup tables", lambda: tables.state))
        witness = None
        if config.witness is not None:
            other = await _open_rpc(opened, (config.witness,), clock, config.rpc_timeout_s)
            if await _patiently(lambda: _cluster(other, mode), clock) != market.cluster:
                raise ConfigError("the witness is of another cluster than the endpoints")
            witness = SolanaChain(rpc=other, senders=senders, clock=clock, wallet=signer.wallet, market=feed.current)
            parts += _endpoint_parts("witness", other, clock)
        _beside(opened, signer.watch(clock), "signer-watch")
        tip = config.tip
        yield Live(
            chain=chain, witness=witness, feed=feed, signer=signer, sentinel=sentinel, rpc=rpc, tables=tables,
            tip_accounts=tip.accounts if tip is not None and tip.lamports else (), parts=tuple(parts),
        )  # fmt: skip


async def cluster_at(endpoints: tuple[RpcEndpoint, ...], clock: Clock) -> Cluster | None:
    """Which cluster the endpoints are of; None: a chain of somebody's own. Raises ChainError."""
    async with AsyncExitStack() as opened:
        rpc = await _open_rpc(opened, endpoints, clock, LiveConfig().rpc_timeout_s)
        return await _patiently(lambda: _cluster(rpc, None), clock)


@asynccontextmanager
async def open_market(
    config: LiveConfig, *, clock: Clock, tokens: TokenList, mode: Mode | None = None
) -> AsyncIterator[LiveMarket]:
    """The market alone, of the programs of the endpoints' cluster; `mode` None: whichever cluster that is.

    Raises ConfigError, ChainError.
    """
    async with AsyncExitStack() as opened:
        rpc = await _open_rpc(opened, config.endpoints, clock, config.rpc_timeout_s)
        cluster = await _patiently(lambda: _cluster(rpc, mode), clock)
        stream = await _open_stream(opened, config, clock)
        sentinel = DriftSentinel(config.drift)
        feed = LiveMarketFeed(
            rpc=rpc,
            clock=clock,
            tokens=tokens,
            pools=await _patiently(lambda: _pools(config, rpc, cluster), clock),
            stream=stream,
            settings=config.feed,
            sentinel=sentinel,
            guard=TokenGuard(config.guards),
            price_guard=PriceGuard(config.guards),
            cluster=cluster,
        )
        await _patiently(feed.open, clock)
        opened.push_async_callback(feed.close)
        yield LiveMarket(feed=feed, rpc=rpc, sentinel=sentinel, stream=stream, clock=clock, cluster=cluster)


async def _open_tables(
    opened: AsyncExitStack, config: LiveConfig, rpc: Rpc, clock: Clock, allowed: Allowed
) -> LookupTables:
    """The configured lookup tables, read and followed. Raises ConfigError, ChainError."""
    tables = LookupTables(rpc, [Pubkey.from_string(key) for key in config.lookup_tables], allowed)
    if config.lookup_tables:
        await _patiently(tables.refresh, clock)
        _beside(opened, tables.keep(clock, config.lookup_refresh_s), "lookup-tables")
    return tables


async def _patiently(call: Callable[[], Awaitable[T]], clock: Clock) -> T:
    """What `call` gives, tried again for START_LIMIT_S where no endpoint answers. Raises its ChainError then."""
    end_s = clock.monotonic_s() + START_LIMIT_S
    while True:
        try:
            return await call()
        except NodeFault:
            if clock.monotonic_s() > end_s:
                raise
            await clock.sleep(START_RETRY_S)


def _beside(opened: AsyncExitStack, work: Coroutine[Any, Any, None], name: str) -> None:
    """Run `work` until `opened` closes."""
    opened.push_async_callback(_end, asyncio.create_task(work, name=name))


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _endpoint_parts(kind: str, rpc: Rpc, clock: Clock) -> Parts:
    return [
        (f"{kind} {state.name}", lambda state=state: state.is_open(clock.monotonic_s()))  # type: ignore[misc]
        for state in rpc.endpoints
    ]


async def _open_rpc(opened: AsyncExitStack, endpoints: tuple[RpcEndpoint, ...], clock: Clock, timeout_s: float) -> Rpc:
    rpc = Rpc(endpoints, clock, timeout_s=timeout_s)
    await rpc.open()
    opened.push_async_callback(rpc.close)
    return rpc


async def _open_stream(opened: AsyncExitStack, config: LiveConfig, clock: Clock) -> Stream | None:
    streaming = next((each for each in config.endpoints if each.websocket_url), None)
    if streaming is None:
        return None
    stream = Stream(streaming.websocket_url, clock, name=streaming.name)
    await stream.open()
    opened.push_async_callback(stream.close)
    return stream


async def _senders(opened: AsyncExitStack, config: LiveConfig, rpc: Rpc, clock: Clock) -> list[Sender]:
    senders: list[Sender] = [NodeSender(rpc, state) for state in rpc.endpoints]
    further = (*config.bundles, *config.relays)
    if further:
        other = await _open_rpc(opened, further, clock, config.rpc_timeout_s)
        states: list[EndpointState] = list(other.endpoints)
        senders += [BundleSender(other, state) for state in states[: len(config.bundles)]]
        senders += [RelaySender(other, state) for state in states[len(config.bundles) :]]
    return senders


async def _pools(config: LiveConfig, rpc: Rpc, cluster: Cluster | None) -> list[Address]:
    found = list(config.pools)
    for pair in config.pairs:
        found += await discover_pair(rpc, pair.a, pair.b, pair.venues or tuple(VENUES), cluster=cluster)
    for mint in config.mints:
        found += await discover_mint(rpc, mint, cluster=cluster)
    return list(dict.fromkeys(found))


async def _told_cluster(rpc: Rpc) -> Cluster | None:
    """The cluster of every endpoint that answers. Raises ConfigError where they differ: one that knows nothing of a
    transaction must not be one of another cluster. ChainError where none answers."""
    asked = (rpc.ask_one(state, "getGenesisHash", [], str) for state in rpc.endpoints)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    told: dict[Cluster | None, str] = {}
    problems: list[BaseException] = []
    for state, answer in zip(rpc.endpoints, answers, strict=True):
        if isinstance(answer, str):
            told.setdefault(cluster_of(answer), state.name)
        else:
            problems.append(answer)
    if not told:
        raise problems[0]
    if len(told) > 1:
        raise ConfigError(f"the endpoints are of different clusters: {', '.join(told.values())}")
    return next(iter(told))


async def _cluster(rpc: Rpc, mode: Mode | None) -> Cluster | None:
    """Which cluster the endpoints are of; None: a chain of somebody's own. Raises ConfigError where `mode` wants
    another one, ChainError; without a mode, an answer that says nothing counts as a chain of somebody's own."""
    try:
        cluster = await _told_cluster(rpc)
    except ChainError as error:
        if mode is not None or error.code != NODE_REFUSED:
            raise
        return None
    if mode is not None and (cluster is Cluster.MAINNET) != (mode is Mode.MAINNET):
        raise ConfigError(f"the endpoints are not of the cluster of mode {mode}")
    return cluster
