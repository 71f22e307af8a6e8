"""How processes talk to a paper chain: frames of MessagePack over a Unix socket or TCP.

In: bytes of a stream. Out: whole frames; and what they may hold. A call has an id above 0, its answer the same;
what the server says unasked has an id of its own. Must not: carry anything that is not a value of these types.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from fillwright.domain.accounts import Address, ChainClock
from fillwright.domain.errors import ChainError, ConfigError
from fillwright.domain.tokens import Token
from fillwright.domain.transactions import Blockhash, LandedTransaction, SignatureStatus
from fillwright.market.snapshot import Unpriced

MAX_FRAME_BYTES = 64 << 20
MAX_UNSENT_BYTES = 64 << 20
"""What may wait for a peer that does not read before it is cut off."""
MARKET_ID = 0
NEWS_ID = -1
_LENGTH = struct.Struct("<I")


class Call(msgspec.Struct, array_like=True):
    id: int
    operation: str
    body: msgspec.Raw


class Failure(msgspec.Struct, array_like=True):
    """An error of the chain's: `kind` is its class, `reason` a SimulationFailed's."""

    kind: str
    code: str
    message: str
    reason: str = ""


class Answer(msgspec.Struct, array_like=True):
    id: int
    failure: Failure | None
    body: msgspec.Raw


class World(msgspec.Struct, array_like=True):
    """What the chain is. `follows`: its pools are a real chain's, which come and go."""

    wallet: str
    tokens: tuple[Token, ...]
    unpriced: tuple[Unpriced, ...]
    follows: bool = False


class Market(msgspec.Struct, array_like=True):
    """The market's clock, a fresh blockhash, and the pools that have changed or are gone; with `whole`, all of them.
    A world comes with the first one, and when its tokens or what can't be priced have changed."""

    clock: ChainClock
    blockhash: Blockhash
    pools: dict[Address, bytes]
    world: World | None = None
    gone: tuple[Address, ...] = ()
    whole: bool = False


class News(msgspec.Struct, array_like=True):
    """What has become of a signature; `transaction` once it can be read."""

    signature: str
    status: SignatureStatus
    transaction: LandedTransaction | None


encode = msgspec.msgpack.Encoder().encode
decode_call = msgspec.msgpack.Decoder(Call).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode
NOTHING = msgspec.Raw(encode(None))


class Frames(asyncio.Protocol):
    """One end of a connection. `on_frame` is given each whole frame, `on_lost` is told once that it is over."""

    def __init__(self, on_frame: Callable[[Frames, bytes], None], on_lost: Callable[[Frames], None]) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport) or hasattr(transport, "write"):
            self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > MAX_FRAME_BYTES:
                self.abort()
                return
            end = start + _LENGTH.size + length
            if end > len(buffer):
                break
            self._on_frame(self, bytes(buffer[start + _LENGTH.size : end]))
            start = end
        del buffer[:start]

    def send(self, message: Any) -> None:
        """Hand a message to the peer; one that has stopped reading is cut off."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        frame = encode(message)
        transport.write(_LENGTH.pack(len(frame)) + frame)
        if transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            transport.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def parse_address(text: str) -> Path | tuple[str, int]:
    """`unix:/path`, or `host:port`. Raises ConfigError."""
    if text.startswith("unix:"):
        return Path(text.removeprefix("unix:"))
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit() and int(port) < 65_536):
        raise ConfigError(f"{text!r} is no address: give unix:/path or host:port")
    return host.strip("[]"), int(port)


def unreachable() -> ChainError:
    return ChainError("the paper chain can't be reached", code="chain_unreachable")
