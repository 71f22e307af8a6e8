"""A paper chain for many processes: the one owner of its ledger, answering over a socket.

In: calls, as `ports.Chain` has them. Out: answers, and unasked the market as it changes and what becomes of the
transactions that a connection has sent. Must not: know orders, or answer anything that the chain itself would not.
"""

from __future__ import annotations

import asyncio
import errno
import os
import pickle
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from fillwright import observe
from fillwright.domain.accounts import Address
from fillwright.domain.errors import ChainError, ConfigError, FillwrightError, SimulationFailed
from fillwright.domain.transactions import Commitment
from fillwright.market.feed import MarketFeed
from fillwright.market.snapshot import Snapshot
from fillwright.paper.chain import PaperChain
from fillwright.paper.link import (
    MARKET_ID,
    NEWS_ID,
    NOTHING,
    Answer,
    Call,
    Failure,
    Frames,
    Market,
    News,
    World,
    decode_call,
    encode,
    parse_address,
)
from fillwright.venues.venue import Pool

MARKET_INTERVAL_S = 0.005
SILENCE_S = 1.0
"""The market is told at least this often, so that a connection's end is noticed."""
MAX_FOLLOWED = 50_000
MAX_LOOKS = 600
LOOK_S = 1.0
_SOCKET_MODE = 0o600


class PaperServer:
    """Serves an open chain at `address` until closed. `market` is what trades on it, `follows` as the world's."""

    def __init__(
        self, chain: PaperChain, market: MarketFeed, address: str, *, wallet: str, follows: bool = False
    ) -> None:
        self._chain = chain
        self._market = market
        self._wallet = wallet
        self._follows = follows
        self._where = address
        self._address = parse_address(address)
        self._peers: dict[Frames, set[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.AbstractServer | None = None
        self._told: Snapshot | None = None
        self._operations: dict[str, tuple[msgspec.msgpack.Decoder[Any], Callable[..., Awaitable[Any]]]] = {
            "simulate": (_decoder(tuple[bytes]), chain.simulate),
            "send": (_decoder(tuple[bytes, str]), self._send),
            "follow": (_decoder(tuple[str]), self._no_answer),
            "status": (_decoder(tuple[str, bool]), chain.status),
            "transaction": (_decoder(tuple[str]), chain.transaction),
            "slot": (_decoder(tuple[Commitment]), chain.slot),
            "marker_exists": (_decoder(tuple[str, int]), chain.marker_exists),
            "signature_in_history": (_decoder(tuple[str, int]), chain.signature_in_history),
        }

    async def start(self) -> None:
        """Bind and serve. Raises ConfigError where the address can't be bound."""
        loop = asyncio.get_running_loop()

        def peer() -> _Peer:
            return _Peer(self._receive, self._leave, self._enter)

        try:
            if isinstance(self._address, Path):
                self._address.parent.mkdir(parents=True, exist_ok=True)
                if await _answers(self._address):
                    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
                self._address.unlink(missing_ok=True)
                self._server = await loop.create_unix_server(peer, str(self._address))
                self._address.chmod(_SOCKET_MODE)
            else:
                self._server = await loop.create_server(peer, *self._address)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else error
            raise ConfigError(f"can't listen on {self._where}: {why}") from error
        self._spawn(self._tell_market())

    async def close(self) -> None:
        """Cut every connection: whoever waits for an answer knows nothing."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in tuple(self._peers):
            peer.abort()
        if isinstance(self._address, Path):
            self._address.unlink(missing_ok=True)

    def _enter(self, peer: Frames) -> None:
        # All others are told what this one begins with, so that the same changes follow for all.
        try:
            newest = self._tell()
        except ChainError as error:
            observe.feed_behind(error.code)
            peer.abort()
            return
        self._peers[peer] = set()
        whole = {address: _pickled(pool) for address, pool in newest.pools.items()}
        blockhash = self._chain.newest_blockhash()
        market = Market(newest.clock, blockhash, whole, self._world(newest), whole=True)
        peer.send(Answer(MARKET_ID, None, _raw(market)))

    def _leave(self, peer: Frames) -> None:
        self._peers.pop(peer, None)

    def _receive(self, peer: Frames, frame: bytes) -> None:
        try:
            call = decode_call(frame)
            decoder, operation = self._operations[call.operation]
            arguments = decoder.decode(call.body)
        except (msgspec.MsgspecError, KeyError):
            peer.abort()
            return
        self._spawn(self._answer(peer, call, operation, arguments))

    async def _answer(
        self, peer: Frames, call: Call, operation: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]
    ) -> None:
        failure, body = None, NOTHING
        if call.operation in ("send", "follow"):
            self._follow(peer, arguments[-1])
        try:
            body = _raw(await operation(*arguments))
        except FillwrightError as error:
            reason = error.reason if isinstance(error, SimulationFailed) else ""
            failure = Failure(type(error).__name__, error.code, error.message, reason)
        except Exception as error:  # noqa: BLE001 - one call's defect must not stop the chain
            observe.unexpected_error("paper", error)
            failure = Failure(ChainError.__name__, "chain_failed", "the paper chain failed on this call")
        peer.send(Answer(call.id, failure, body))

    async def _send(self, raw: bytes, _: str) -> None:
        await self._chain.send(raw)

    async def _no_answer(self, _: str) -> None:
        return

    def _follow(self, peer: Frames, signature: str) -> None:
        followed = self._peers.get(peer)
        if followed is None or signature in followed or len(followed) >= MAX_FOLLOWED:
            return
        followed.add(signature)
        self._spawn(self._tell_news(peer, followed, signature))

    async def _tell_news(self, peer: Frames, followed: set[str], signature: str) -> None:
        """Tell `peer` of the signature until it is final, the peer has left, or there is never anything."""
        try:
            for _ in range(MAX_LOOKS):
                await self._chain.wait_for_news(signature, LOOK_S)
                if peer not in self._peers:
                    return
                status = await self._chain.status(signature, search_history=True)
                if status is None:
                    continue
                transaction = await self._chain.transaction(signature)
                peer.send(Answer(NEWS_ID, None, _raw(News(signature, status, transaction))))
                if status.commitment is Commitment.FINALIZED and transaction is not None:
                    return
        finally:
            followed.discard(signature)

    async def _tell_market(self) -> None:
        """Push what has changed, to all at once."""
        loop = asyncio.get_running_loop()
        told_s = 0.0
        while True:
            before = self._told
            try:
                if before is None or _differ(self._market.current(), before) or loop.time() - told_s > SILENCE_S:
                    self._tell()
                    told_s = loop.time()
            except ChainError as error:
                # Peers that hear nothing take the market for lost, which it is.
                observe.feed_behind(error.code)
                await asyncio.sleep(SILENCE_S)
            await asyncio.sleep(MARKET_INTERVAL_S)

    def _tell(self) -> Snapshot:
        """Bring every peer up to the market as it is now. Raises ChainError."""
        newest, told = self._market.current(), self._told
        if self._peers:
            message = Answer(MARKET_ID, None, _raw(self._changes(newest, told)))
            for peer in tuple(self._peers):
                peer.send(message)
        self._told = newest
        return newest

    def _changes(self, newest: Snapshot, told: Snapshot | None) -> Market:
        """What whoever knows `told` needs to know `newest`."""
        if told is None:
            told = Snapshot(newest.clock, {}, {})
        before = told.pools
        changed = {a: _pickled(pool) for a, pool in newest.pools.items() if before.get(a) is not pool}
        gone: tuple[Address, ...] = ()
        if newest.by_pair is not told.by_pair:
            gone = tuple(sorted(before.keys() - newest.pools.keys()))
        renewed = gone or changed.keys() - before.keys() or newest.unpriced != told.unpriced
        world = self._world(newest) if renewed else None
        return Market(newest.clock, self._chain.newest_blockhash(), changed, world, gone)

    def _world(self, snapshot: Snapshot) -> World:
        return World(self._wallet, self._market.tokens.all(), snapshot.unpriced, self._follows)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Peer(Frames):
    """A connection that is greeted."""

    def __init__(
        self,
        on_frame: Callable[[Frames, bytes], None],
        on_lost: Callable[[Frames], None],
        on_made: Callable[[Frames], None],
    ) -> None:
        super().__init__(on_frame, on_lost)
        self._on_made = on_made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._on_made(self)


def _differ(newest: Snapshot, told: Snapshot) -> bool:
    if newest.pools is not told.pools or newest.slot != told.slot:
        return True
    return newest.unpriced is not told.unpriced and newest.unpriced != told.unpriced


async def _answers(path: Path) -> bool:
    """Whether somebody listens on this socket, rather than having left it behind."""
    try:
        _, writer = await asyncio.open_unix_connection(str(path))
    except OSError:
        return False
    writer.close()
    return True


def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(encode(value))


def _pickled(pool: Pool) -> bytes:
    return pickle.dumps(pool, protocol=5)
