"""The engine's side of the signer's socket. Implements `ports.Signer`; holds no key."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from fillwright.chain.signer.protocol import Ask, FrameTooLong, Told, frame, read_frame
from fillwright.config import Mode
from fillwright.domain.errors import ConfigError, SignerRefused
from fillwright.domain.transactions import Signed, SwapPlan
from fillwright.ports import Clock

WATCH_S = 1.0
"""How often the signer is asked whether it is there and signs, for whoever looks at the engine's health."""
SIGNS, HALTED, AWAY = "ok", "halted by its kill switch", "can't be reached"
OTHER = "is another wallet's now"

_told = msgspec.json.Decoder(Told).decode
_encode = msgspec.json.Encoder().encode
_ONE_SIGNATURE = b"\x01"


class SocketSigner:
    """One connection, made again when it breaks; requests go one after the other."""

    def __init__(self, path: Path, *, timeout_s: float = 5.0) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()
        self._wallet = ""
        self._marker_secret = b""
        self._lookup_tables: frozenset[str] = frozenset()
        self.state = AWAY

    @property
    def wallet(self) -> str:
        return self._wallet

    @property
    def marker_secret(self) -> bytes:
        """The key of the marker seeds: the same for every engine of this wallet, wherever it runs."""
        return self._marker_secret

    @property
    def lookup_tables(self) -> frozenset[str]:
        """The tables that its policy allows, as it said last."""
        return self._lookup_tables

    async def open(self, mode: Mode) -> None:
        """Ask for the wallet. Raises ConfigError where no signer listens, or one for another mode."""
        try:
            told = await self._ask(Ask("hello"))
        except SignerRefused as error:
            raise ConfigError(f"no signer at {self._path}: start `fillwright signer run`") from error
        if told.mode != mode:
            raise ConfigError(f"the signer's policy is for {told.mode}, not for {mode}")
        self._wallet, self._marker_secret = told.wallet, told.marker_key
        self._lookup_tables = frozenset(told.lookup_tables)
        self.state = HALTED if told.halted else SIGNS

    async def watch(self, clock: Clock) -> None:
        """Keep `state` true until cancelled."""
        while True:
            await clock.sleep(WATCH_S)
            await self.look()

    async def look(self) -> None:
        """Ask once whether the signer is there, still this wallet's, and signing."""
        try:
            told = await self._ask(Ask("hello"))
        except SignerRefused:
            self.state = AWAY
        else:
            self._lookup_tables = frozenset(told.lookup_tables)
            self.state = OTHER if told.wallet != self._wallet else HALTED if told.halted else SIGNS

    async def close(self) -> None:
        async with self._turn:
            await self._drop()

    async def sign(self, message: bytes, plan: SwapPlan) -> Signed:
        """As the port says. Raises SignerRefused; also where the answer is not a signature of this wallet."""
        return await self._signed(Ask("sign", message, plan))

    async def sweep(self, message: bytes) -> Signed:
        """Sign a message that gives markers' rent back. Raises SignerRefused."""
        return await self._signed(Ask("sweep", message))

    async def _signed(self, ask: Ask) -> Signed:
        message = ask.message
        told = await self._ask(ask)
        if told.error:
            raise SignerRefused(told.reason, code=told.error)
        try:
            signature = Signature.from_bytes(told.signature)
        except ValueError:
            raise SignerRefused("the signer's answer is no signature", code="signer_unavailable") from None
        if not signature.verify(Pubkey.from_string(self._wallet), message):
            raise SignerRefused("the signer signed something else", code="signer_unavailable")
        return Signed(str(signature), _ONE_SIGNATURE + bytes(signature) + message)

    async def _ask(self, ask: Ask) -> Told:
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeout_s):
                    reader, writer = await self._connect()
                    writer.write(frame(_encode(ask)))
                    await writer.drain()
                    return _told(await read_frame(reader))
            except (OSError, asyncio.IncompleteReadError, TimeoutError, FrameTooLong, msgspec.MsgspecError) as error:
                await self._drop()
                text = f"the signer does not answer: {type(error).__name__}"
                raise SignerRefused(text, code="signer_unavailable") from error
            except asyncio.CancelledError:
                # The answer that is still to come belongs to nobody any more.
                await self._drop()
                raise

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(str(self._path))
        return self._streams

    async def _drop(self) -> None:
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
