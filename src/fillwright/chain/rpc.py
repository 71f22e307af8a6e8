"""JSON-RPC to several Solana nodes: health, failover, rate limits; a node's errors become the domain's.

In: a method, its parameters, the type of its result. Out: the result and the endpoint that gave it.
Must not: decide what an answer means for an order, or repeat a send by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import Any, TypeAlias, TypeVar

import aiohttp
import msgspec

from fillwright.chain.endpoint import EndpointState, RpcEndpoint
from fillwright.chain.messages import Reply, RpcErrorBody
from fillwright.domain.errors import AlreadyProcessed, BlockhashNotFound, ChainError
from fillwright.ports import Clock

T = TypeVar("T")
Kind: TypeAlias = type[T] | UnionType

MAX_TRIES = 4
"""Endpoints asked for one answer before the caller is told that there is none."""
MAX_REPLY_BYTES = 64 * 1024 * 1024
MAX_CONNECTIONS = 256
_HTTP_TOO_MANY = 429
_HTTP_SERVER_ERROR = 500

_encode = msgspec.json.Encoder().encode
_reply = msgspec.json.Decoder(Reply[Any]).decode

NODE_BEHIND = "node_behind"
NODE_REFUSED = "rpc_refused"
NODE_FAULT = "rpc_fault"
NODE_LIMIT = "rpc_rate_limited"

_BEHIND_CODES = frozenset({-32004, -32005, -32007, -32014, -32016})
"""Block not available, node behind, slot skipped, status not there yet, min context slot not reached."""
_PREFLIGHT_FAILED = -32002


class NodeFault(ChainError):
    """This node gave no usable answer; another may. `retry_after_s` where it said when to come back."""

    code = NODE_FAULT

    def __init__(self, message: str, *, code: str = NODE_FAULT, retry_after_s: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class Answer(msgspec.Struct, frozen=True):
    """A raw result and where it comes from."""

    result: msgspec.Raw
    endpoint: EndpointState


class Rpc:
    """Asks the first healthy endpoint in the order given, and the next one where that fails."""

    def __init__(self, endpoints: Sequence[RpcEndpoint], clock: Clock, *, timeout_s: float = 5.0) -> None:
        if not endpoints:
            raise ValueError("at least one endpoint")
        self.endpoints = tuple(EndpointState(endpoint) for endpoint in endpoints)
        self._clock = clock
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._next_id = 0

    async def open(self) -> None:
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=True)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, method: str, params: Sequence[object], kind: Kind[T]) -> T:
        """The result of `method` from whichever endpoint answers. Raises ChainError."""
        return (await self.ask(method, params, kind))[0]

    async def ask(
        self, method: str, params: Sequence[object], kind: Kind[T], among: Sequence[EndpointState] | None = None
    ) -> tuple[T, EndpointState]:
        """As `call`, and the endpoint that answered; only `among` these, where given."""
        problem: ChainError = ChainError("no endpoint is open", code=NODE_FAULT)
        for state in self._order(among or self.endpoints)[:MAX_TRIES]:
            try:
                return await self.ask_one(state, method, params, kind), state
            except NodeFault as fault:
                problem = fault
        raise problem

    async def ask_one(self, state: EndpointState, method: str, params: Sequence[object], kind: Kind[T]) -> T:
        """The answer of this endpoint alone. Raises NodeFault where another endpoint might answer, and other
        ChainErrors where the request itself is refused."""
        await self._await_turn(state)
        started_s = self._clock.monotonic_s()
        try:
            raw = await self._post(state, method, params)
            reply = _reply(raw)
            if reply.error is not None:
                raise translate(state.name, reply.error)
            result = msgspec.json.decode(reply.result, type=kind)
        except (msgspec.MsgspecError, RecursionError) as error:
            state.failed(self._clock.monotonic_s())
            raise NodeFault(f"{state.name}: an answer to {method} that can't be read") from error
        except NodeFault as fault:
            state.failed(self._clock.monotonic_s(), fault.retry_after_s)
            raise
        except ChainError:
            state.succeeded(self._clock.monotonic_s() - started_s)
            raise
        state.succeeded(self._clock.monotonic_s() - started_s)
        return result

    def _order(self, among: Sequence[EndpointState]) -> list[EndpointState]:
        """Open endpoints as given, then paused ones by when they open: asking late beats not asking."""
        now_s = self._clock.monotonic_s()
        ready = [state for state in among if state.is_open(now_s)]
        paused = sorted((s for s in among if not s.is_open(now_s)), key=lambda state: state.paused_until_s)
        return ready + paused

    async def _await_turn(self, state: EndpointState) -> None:
        """Keep to the endpoint's rate. Raises NodeFault where its turn would come too late."""
        wait_s = state.limit.take(self._clock.monotonic_s())
        if wait_s == 0.0:
            return
        if wait_s > self._timeout_s:
            raise NodeFault(f"{state.name}: its rate limit is used up", code=NODE_LIMIT, retry_after_s=0.0)
        await self._clock.sleep(wait_s)
        if state.limit.take(self._clock.monotonic_s()) > 0.0:
            raise NodeFault(f"{state.name}: its rate limit is used up", code=NODE_LIMIT, retry_after_s=0.0)

    async def _post(self, state: EndpointState, method: str, params: Sequence[object]) -> bytes:
        if self._session is None:
            raise RuntimeError("the RPC client is not open")
        self._next_id += 1
        body = _encode({"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params})
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(state.endpoint.url, data=body, headers=headers) as response:
                raw = await _read(response, state.name)
                if response.status == _HTTP_TOO_MANY:
                    after_s = _seconds(response.headers.get("Retry-After"))
                    raise NodeFault(f"{state.name}: too many requests", code=NODE_LIMIT, retry_after_s=after_s)
                if response.status >= _HTTP_SERVER_ERROR or (response.status >= 400 and not raw.startswith(b"{")):
                    raise NodeFault(f"{state.name}: HTTP {response.status} to {method}")
                return raw
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            # The error's own text may hold the address, and with it a key.
            raise NodeFault(f"{state.name}: {type(error).__name__} on {method}") from None


def translate(name: str, error: RpcErrorBody) -> ChainError:
    """A node's error object as a domain error."""
    text = error.message[:300]
    inner = error.data.get("err") if isinstance(error.data, dict) else None
    if inner == "AlreadyProcessed" or "already been processed" in text:
        return AlreadyProcessed(f"{name}: this transaction has been processed before")
    if inner == "BlockhashNotFound" or "Blockhash not found" in text:
        return BlockhashNotFound(f"{name}: blockhash not found")
    if error.code in _BEHIND_CODES:
        return NodeFault(f"{name}: {text}", code=NODE_BEHIND)
    if error.code == _PREFLIGHT_FAILED or -32602 <= error.code <= -32600:
        return ChainError(f"{name}: {text}", code=NODE_REFUSED)
    return NodeFault(f"{name}: {text} ({error.code})")


async def _read(response: aiohttp.ClientResponse, name: str) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > MAX_REPLY_BYTES:
            raise NodeFault(f"{name}: an answer beyond {MAX_REPLY_BYTES} bytes")
    return b"".join(parts)


def _seconds(text: str | None) -> float | None:
    """None where it is no number of seconds that can be waited: a date, a negative one, no number at all."""
    try:
        seconds = -1.0 if text is None else float(text)
    except ValueError:
        return None
    return seconds if seconds >= 0.0 else None
