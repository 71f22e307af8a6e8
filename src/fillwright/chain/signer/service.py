"""The signer's process: a Unix socket for its own user, a key, a policy, a spending book, a kill switch.

In: messages with the plans they were built for. Out: signatures, or refusals with their reasons. It takes no
order, sends nothing, and asks the network for lookup tables only. Must not: log what it signs, or its key.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec
import structlog
from solders.pubkey import Pubkey
from solders.signature import Signature

from fillwright.chain.endpoint import endpoint_from_url
from fillwright.chain.lookup import LookupTables
from fillwright.chain.rpc import Rpc
from fillwright.chain.signer.judge import Tables, judge, judge_sweep, tables_used
from fillwright.chain.signer.policy import Policy
from fillwright.chain.signer.protocol import Ask, FrameTooLong, Told, frame, read_frame
from fillwright.chain.signer.secret import SecretKey
from fillwright.chain.signer.spending import SpendingBook
from fillwright.domain.errors import ChainError, ConfigError, SignerRefused
from fillwright.domain.transactions import SwapPlan
from fillwright.ports import Clock

MAX_CLIENTS = 64
HALT_FILE = "signer-halted"
MARKER_PURPOSE = "fillwright order markers"
_SOCKET_MODE = 0o600
_ORDER_ID_CHARS = 36

_log = structlog.get_logger("fillwright.signer")
_ask = msgspec.json.Decoder(Ask).decode
_encode = msgspec.json.Encoder().encode


class TableSource(Protocol):
    """Where the signer reads lookup tables: never from whoever wants a signature."""

    async def tables(self, names: list[str], *, refresh: bool = False) -> Tables:
        """The addresses in each table, as they are known or, with `refresh`, now. Raises ChainError."""


class RpcTables:
    """Tables over the policy's own RPC, at finalized."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._rpc = Rpc([endpoint_from_url(url, name="signer")], clock)
        self._tables = LookupTables(self._rpc)

    async def open(self) -> None:
        await self._rpc.open()

    async def close(self) -> None:
        await self._rpc.close()

    async def tables(self, names: list[str], *, refresh: bool = False) -> Tables:
        found = await self._tables.get([Pubkey.from_string(name) for name in names], refresh)
        return {str(table.key): table.addresses for table in found}


class SignerService:
    """Judges and signs; one request at a time, so that the day's limits can't be raced."""

    def __init__(
        self,
        *,
        key: SecretKey,
        policy: Policy,
        book: SpendingBook,
        clock: Clock,
        halt_file: Path,
        tables: TableSource | None = None,
    ) -> None:
        self._key = key
        self._policy = policy
        self._book = book
        self._clock = clock
        self._halt_file = halt_file
        self._tables = tables
        self._turn = asyncio.Lock()

    @property
    def wallet(self) -> str:
        return str(self._key.wallet)

    @property
    def is_halted(self) -> bool:
        """Whether the kill switch is on: a file, so that anyone at the machine can throw it without this process."""
        return self._halt_file.exists()

    async def sign(self, message: bytes, plan: SwapPlan) -> bytes:
        """The signature. Raises SignerRefused."""
        async with self._turn:
            if self.is_halted:
                raise SignerRefused("the kill switch is on: nothing is signed", code="signer_halted")
            tables = await self._resolve(message)
            verdict = judge(message, plan, self._key.wallet, self._policy, tables)
            signature = self._key.sign(message)
            per_day = self._policy.spend[verdict.input_mint].per_day
            name = str(Signature.from_bytes(signature))
            max_fees = self._policy.max_order_fees_lamports
            self._book.reserve(verdict, name, per_day, max_fees, self._clock.now_ms())
            if self.is_halted:
                raise SignerRefused("the kill switch is on: nothing is signed", code="signer_halted")
            return signature

    async def sweep(self, message: bytes) -> bytes:
        """The signature of a message that gives markers' rent back. Raises SignerRefused."""
        async with self._turn:
            if self.is_halted:
                raise SignerRefused("the kill switch is on: nothing is signed", code="signer_halted")
            markers = judge_sweep(message, self._key.wallet, self._policy)
            self._book.sweep(markers, self._policy.sweep_after_s * 1_000, self._clock.now_ms())
            return self._key.sign(message)

    async def answer(self, raw: bytes) -> Told:
        """The reply to a request's bytes, whatever they are."""
        try:
            ask = _ask(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return Told(error="signer_refused", reason="the request can't be read")
        if ask.op == "hello":
            secret = self._key.derive(MARKER_PURPOSE)
            return Told(
                wallet=self.wallet, mode=self._policy.mode, halted=self.is_halted, marker_key=secret,
                lookup_tables=self._policy.lookup_tables,
            )  # fmt: skip
        plan = ask.plan
        order_id, attempt = (_order_name(plan), plan.attempt) if plan is not None else ("", 0)
        try:
            if ask.op == "sweep":
                signature = await self.sweep(ask.message)
            elif plan is not None:
                signature = await self.sign(ask.message, plan)
            else:
                raise SignerRefused("no plan, no signature")
        except SignerRefused as error:
            _log.warning("refused to sign", order_id=order_id, attempt=attempt, code=error.code, reason=error.message)
            return Told(wallet=self.wallet, error=error.code, reason=error.message)
        _log.info("signed", order_id=order_id, attempt=attempt)
        return Told(wallet=self.wallet, mode=self._policy.mode, signature=signature)

    async def _resolve(self, message: bytes) -> Tables:
        used = tables_used(message)
        if not used:
            return {}
        if self._tables is None or not used.keys() <= set(self._policy.lookup_tables):
            raise SignerRefused("the policy does not allow the message's lookup tables")
        try:
            tables = await self._tables.tables(list(used))
            if _reaches_past(used, tables):
                tables = await self._tables.tables(list(used), refresh=True)
        except ChainError as error:
            raise SignerRefused("the message's lookup tables can't be read", code="signer_unavailable") from error
        if _reaches_past(used, tables):
            # They have just been extended, and the node that is asked here does not call that final yet.
            raise SignerRefused("the message's lookup tables are not known to be that long", code="signer_unavailable")
        return tables


class SignerServer:
    """The socket. Only processes of the same user are answered."""

    def __init__(self, service: SignerService, path: Path, *, peer_uid: Callable[[socket.socket], int] | None = None):
        self._service = service
        self._path = path
        self._peer_uid = peer_uid or _peer_uid
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def open(self) -> None:
        """Listen. Raises ConfigError where another signer is listening there."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._path.exists():
            if await _is_alive(self._path):
                raise ConfigError(f"{self._path}: another signer is listening here")
            self._path.unlink()
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, str(self._path))
        finally:
            os.umask(before)
        self._path.chmod(_SOCKET_MODE)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._clients.values():
            # Its task ends by itself at the end of the stream.
            writer.close()
        await asyncio.gather(*self._clients, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is served by a task")
        self._clients[task] = writer
        try:
            peer = writer.get_extra_info("socket")
            if len(self._clients) > MAX_CLIENTS or self._peer_uid(peer) != os.getuid():
                return
            while True:
                reply = await self._service.answer(await read_frame(reader))
                writer.write(frame(_encode(reply)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, FrameTooLong):
            return
        finally:
            self._clients.pop(task, None)
            writer.close()


def _reaches_past(used: Mapping[str, int], tables: Tables) -> bool:
    return any(most >= len(tables[name]) for name, most in used.items())


def _order_name(plan: SwapPlan) -> str:
    """The order's id for a log line, if it can be one: whatever else stands there may be anything."""
    return plan.order_id if len(plan.order_id) <= _ORDER_ID_CHARS else "not an order id"


def _peer_uid(peer: socket.socket) -> int:
    """The user at the other end, where the system tells; elsewhere the socket's mode alone keeps others out."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return os.getuid()
    credentials = peer.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


async def _is_alive(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(path))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
