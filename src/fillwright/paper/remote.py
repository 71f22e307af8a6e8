"""A paper chain in another process, as a chain and as a market feed.

In: where it listens. Out: what `ports.Chain` and `MarketFeed` promise. The market is a replica that the chain's
process keeps fresh, a few milliseconds behind, as any feed is; final outcomes are remembered, since they never
change. While the connection is gone every call raises ChainError: its outcome is unknown. It comes back by itself.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from solders.pubkey import Pubkey

from fillwright import observe
from fillwright.config import Settings
from fillwright.domain.accounts import Mint
from fillwright.domain.errors import (
    AlreadyProcessed,
    BlockhashNotFound,
    ChainError,
    ConfigError,
    Refusal,
    SimulationFailed,
    StoreError,
    Unavailable,
)
from fillwright.domain.tokens import TokenList
from fillwright.domain.transactions import (
    Blockhash,
    Commitment,
    LandedTransaction,
    SignatureStatus,
    Simulation,
    SwapPlan,
)
from fillwright.market.snapshot import Snapshot, index_pairs, venue_for
from fillwright.paper.ledger import read_pool
from fillwright.paper.link import (
    MARKET_ID,
    NEWS_ID,
    Answer,
    Call,
    Failure,
    Frames,
    Market,
    News,
    World,
    decode_answer,
    encode,
    parse_address,
    unreachable,
)
from fillwright.paper.transaction import build_message, signature_of
from fillwright.ports import Clock

MAX_REMEMBERED = 20_000
MAX_CALLS = 50_000
OPEN_LIMIT_S = 30.0
SILENCE_S = 5.0
"""Without a word from the server for so long, the connection is taken for dead."""
RETRY_S = 0.1
_MS = 1_000

T = TypeVar("T")
_decode_market = msgspec.msgpack.Decoder(Market).decode
_decode_news = msgspec.msgpack.Decoder(News).decode
_decode_flag = msgspec.msgpack.Decoder(bool).decode
_decode_int = msgspec.msgpack.Decoder(int).decode
_decode_simulation = msgspec.msgpack.Decoder(Simulation).decode
_decode_status = msgspec.msgpack.Decoder(SignatureStatus | None).decode
_decode_transaction = msgspec.msgpack.Decoder(LandedTransaction | None).decode


class RemoteChain:
    """Implements `ports.Chain`. `open` before use; `wallet` is whose transactions the chain takes."""

    def __init__(self, address: str) -> None:
        self._where = address
        self._address = parse_address(address)
        self._link: Frames | None = None
        self._calls: dict[int, asyncio.Future[bytes | msgspec.Raw]] = {}
        self._ids = count(1)
        self._final: OrderedDict[str, News] = OrderedDict()
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._followed: set[str] = set()
        self._ready = asyncio.Event()
        self._heard_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._lost: asyncio.Future[None] | None = None
        self._blockhash: Blockhash | None = None
        self._payer: Pubkey | None = None
        self._snapshot: Snapshot | None = None
        self._world: World | None = None
        self._tokens = TokenList(())

    @property
    def connected(self) -> bool:
        return self._link is not None

    @property
    def wallet(self) -> str:
        return self._opened_world().wallet

    @property
    def tokens(self) -> TokenList:
        """Those that have been told; more may come where pools are followed."""
        return self._tokens

    @property
    def follows(self) -> bool:
        """Whether the pools are a real chain's."""
        return self._opened_world().follows

    def snapshot(self) -> Snapshot:
        """The newest market that has been told; the one before the connection was lost while it is gone."""
        if self._snapshot is None:
            raise RuntimeError("the paper chain has not been opened")
        return self._snapshot

    async def open(self) -> None:
        """Connect. Raises Unavailable where nothing answers in time."""
        self._task = asyncio.create_task(self._keep_connected(), name="paper-link")
        try:
            async with asyncio.timeout(OPEN_LIMIT_S):
                await self._ready.wait()
        except TimeoutError:
            await self.close()
            raise Unavailable(f"no paper chain answers at {self._where}", code="chain_unreachable") from None

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._link is not None:
            self._link.abort()
            self._drop(self._link)

    async def latest_blockhash(self) -> Blockhash:
        if self._link is None or self._blockhash is None:
            raise unreachable()
        return self._blockhash

    async def block_height(self, commitment: Commitment) -> int:
        return await self.slot(commitment)

    async def slot(self, commitment: Commitment) -> int:
        return _decode_int(await self._call("slot", commitment))

    async def build(self, plan: SwapPlan, blockhash: Blockhash) -> bytes:
        if self._payer is None:
            raise unreachable()
        return build_message(plan, blockhash, self._payer)

    async def simulate(self, message: bytes) -> Simulation:
        return _decode_simulation(await self._call("simulate", message))

    async def send(self, raw: bytes) -> None:
        signature = signature_of(raw)
        self._follow_from_now(signature)
        await self._call("send", raw, signature)

    async def status(self, signature: str, search_history: bool) -> SignatureStatus | None:
        known = self._final.get(signature)
        if known is not None:
            return known.status
        status: SignatureStatus | None = _decode_status(await self._call("status", signature, search_history))
        return status

    async def transaction(self, signature: str) -> LandedTransaction | None:
        known = self._final.get(signature)
        if known is not None:
            return known.transaction
        landed: LandedTransaction | None = _decode_transaction(await self._call("transaction", signature))
        return landed

    async def marker_exists(self, marker_seed: str, min_context_slot: int) -> bool:
        return _decode_flag(await self._call("marker_exists", marker_seed, min_context_slot))

    async def signature_in_history(self, signature: str, min_context_slot: int) -> bool:
        return _decode_flag(await self._call("signature_in_history", signature, min_context_slot))

    async def wait_for_news(self, signature: str, timeout_s: float) -> None:
        if signature in self._final:
            return
        if signature not in self._followed and self._link is not None:
            self._follow_from_now(signature)
            try:
                await self._call("follow", signature)
            except ChainError:
                self._followed.discard(signature)
        if signature in self._final:
            return
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiters.setdefault(signature, [])
        waiting.append(news)
        timer = asyncio.get_running_loop().call_later(timeout_s, _wake, news)
        try:
            await news
        finally:
            timer.cancel()
            waiting.remove(news)
            if not waiting:
                self._waiters.pop(signature, None)

    def _follow_from_now(self, signature: str) -> None:
        if len(self._followed) >= MAX_REMEMBERED:
            self._followed.clear()
        self._followed.add(signature)

    def _opened_world(self) -> World:
        if self._world is None:
            raise RuntimeError("the paper chain has not been opened")
        return self._world

    async def _call(self, operation: str, *arguments: Any) -> bytes | msgspec.Raw:
        """The encoded answer. Raises ChainError and what the chain raised."""
        link = self._link
        if link is None:
            raise unreachable()
        if len(self._calls) >= MAX_CALLS:
            raise ChainError("too many calls are under way", code="chain_overloaded")
        number = next(self._ids)
        future: asyncio.Future[bytes | msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._calls[number] = future
        link.send(Call(number, operation, msgspec.Raw(encode(arguments))))
        try:
            return await future
        finally:
            self._calls.pop(number, None)

    def _receive(self, _: Frames, frame: bytes) -> None:
        self._heard_s = asyncio.get_running_loop().time()
        answer: Answer = decode_answer(frame)
        if answer.id == MARKET_ID:
            self._take_market(_decode_market(answer.body))
        elif answer.id == NEWS_ID:
            self._take_news(_decode_news(answer.body))
        else:
            future = self._calls.get(answer.id)
            if future is None or future.done():
                return
            if answer.failure is not None:
                future.set_exception(_error(answer.failure))
            else:
                future.set_result(answer.body)

    def _take_market(self, market: Market) -> None:
        changed = {address: read_pool(state) for address, state in market.pools.items()}
        world, before = market.world, self._snapshot
        if world is not None:
            if self._world is None or self._world.tokens != world.tokens:
                self._tokens = TokenList(world.tokens)
            self._world = world
            self._payer = Pubkey.from_string(world.wallet)
        if market.whole and world is not None:
            self._snapshot = Snapshot(market.clock, changed, index_pairs(changed.values()), world.unpriced)
            self._ready.set()
        elif before is not None:
            pools, by_pair = before.pools, before.by_pair
            if changed:
                pools = {**pools, **changed}
            if market.gone:
                gone = set(market.gone)
                pools = {address: pool for address, pool in pools.items() if address not in gone}
            if market.gone or len(pools) != len(before.pools):
                by_pair = index_pairs(pools.values())
            unpriced = before.unpriced if world is None else world.unpriced
            self._snapshot = Snapshot(market.clock, pools, by_pair, unpriced)
        self._blockhash = market.blockhash

    def _take_news(self, news: News) -> None:
        if news.status.commitment is Commitment.FINALIZED and news.transaction is not None:
            self._final[news.signature] = news
            self._followed.discard(news.signature)
            if len(self._final) > MAX_REMEMBERED:
                self._final.popitem(last=False)
        for waiting in self._waiters.get(news.signature, ()):
            _wake(waiting)

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        told = False
        while True:
            try:
                await self._connect(loop)
            except OSError as error:
                if not told:
                    told = True
                    observe.paper_chain_away(self._where, error.strerror or str(error))
                await asyncio.sleep(RETRY_S)
                continue
            if told:
                told = False
                observe.paper_chain_back(self._where)
            while self._link is not None and loop.time() - self._heard_s < SILENCE_S and self._lost is not None:
                await asyncio.wait({self._lost}, timeout=SILENCE_S / 2)
                if self._lost.done():
                    break
            observe.chain_unusable("", "chain_unreachable")
            if self._link is not None:
                self._link.abort()
                self._drop(self._link)
            await asyncio.sleep(RETRY_S)

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        self._lost = loop.create_future()
        self._heard_s = loop.time()

        def link() -> Frames:
            return Frames(self._receive, self._drop)

        if isinstance(self._address, Path):
            _, protocol = await loop.create_unix_connection(link, str(self._address))
        else:
            _, protocol = await loop.create_connection(link, *self._address)
        self._link = protocol

    def _drop(self, link: Frames) -> None:
        """The connection is over: what was asked is unknown."""
        if self._link is not None and link is not self._link:
            return
        self._link = None
        self._followed.clear()
        for future in self._calls.values():
            if not future.done():
                future.set_exception(unreachable())
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)


class RemoteMarket:
    """Implements `market.feed.MarketFeed` on an open RemoteChain."""

    def __init__(self, *, settings: Settings, clock: Clock, chain: RemoteChain) -> None:
        self._clock = clock
        self._chain = chain
        self._delays_ms = {
            "raydium": settings.paper_raydium_quote_delay_ms,
            "meteora": settings.paper_meteora_quote_delay_ms,
        }

    @property
    def tokens(self) -> TokenList:
        return self._chain.tokens

    def current(self) -> Snapshot:
        return self._chain.snapshot()

    async def fetch(self, input_mint: Mint, output_mint: Mint) -> Snapshot:
        """As `PaperMarketFeed.fetch`, or, of pools that are followed, as the live feed's. Raises ChainError while the
        chain is away, as its pools may be stale, and where only stale pools could trade the pair."""
        if not self._chain.follows and any(self._delays_ms.values()):
            asked = {venue_for(pool).dex for pool in self.current().of_pair(input_mint, output_mint)}
            delay_ms = max((self._delays_ms.get(dex, 0) for dex in asked), default=0)
            if delay_ms:
                await self._clock.sleep(delay_ms / _MS)
        if not self._chain.connected:
            raise unreachable()
        snapshot = self.current()
        stale = self._chain.follows and any(each.reason == Refusal.STALE for each in snapshot.unpriced)
        if stale and not snapshot.of_pair(input_mint, output_mint):
            # Which pair a stale pool trades is not told: it may be this one.
            raise ChainError("pools are stale, and none else trades the pair", code="market_stale")
        return snapshot


_KINDS: dict[str, type[ChainError]] = {kind.__name__: kind for kind in (AlreadyProcessed, BlockhashNotFound)}


def _error(failure: Failure) -> Exception:
    """The error that the chain raised, as it was raised there; an unknown one leaves the outcome unknown."""
    if failure.kind == SimulationFailed.__name__:
        return SimulationFailed(failure.message, reason=failure.reason)
    if failure.kind in (StoreError.__name__, ConfigError.__name__):
        return ChainError(failure.message, code="chain_failed")
    return _KINDS.get(failure.kind, ChainError)(failure.message, code=failure.code)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
