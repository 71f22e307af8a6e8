"""The local node on loopback: HTTP for JSON-RPC and, on the same port and the next one, WebSocket subscriptions.

In: requests. Out: answers, or the connection's faults: 429, 5xx, lost replies, cut sockets. Slots pass on a
timer (`run`) or by hand (`chain.advance`). Must not: listen beyond loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from fillwright.localnet.chain import Landed, LocalChain
from fillwright.localnet.faults import Fault
from fillwright.localnet.methods import LostReply, Methods, RpcFault
from fillwright.localnet.render import account_json
from fillwright.localnet.tips import block_engine, relay

LOOPBACK = "127.0.0.1"
BUNDLE_PATH = "/api/v1/bundles"
RELAY_PATH = "/fast"
"""Where the stand-ins of a block engine and of a relay answer."""
MAX_BODY_BYTES = 1024 * 1024
MAX_SOCKETS = 256
MAX_OUTBOX = 10_000
MAX_SUBSCRIPTIONS = 20_000

_encode = msgspec.json.Encoder().encode


class _Socket:
    """One client's subscriptions. `outbox` None at its end means: cut the connection."""

    def __init__(self) -> None:
        self.outbox: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_OUTBOX)
        self.accounts: dict[int, tuple[str, str]] = {}
        self.signatures: dict[int, tuple[str, str]] = {}
        self.slots: set[int] = set()
        self.seen: dict[int, Any] = {}

    def put(self, frame: bytes | None) -> None:
        """A client that reads too slowly is cut."""
        if self.outbox.full():
            self.outbox.get_nowait()
            frame = None
        self.outbox.put_nowait(frame)


class LocalNode:
    """Serves one LocalChain."""

    def __init__(self, chain: LocalChain) -> None:
        self.chain = chain
        self.port = 0
        self.requests = 0
        self._methods = Methods(chain)
        self._sockets: set[_Socket] = set()
        self._runner: web.AppRunner | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._next_subscription = 0

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def websocket_url(self) -> str:
        return f"ws://{LOOPBACK}:{self.port}"

    async def open(self, port: int = 0) -> None:
        """Listen on `port` (0: any free one) of 127.0.0.1; on the next one too, if it is free, where clients that are
        given only the HTTP address look for WebSockets."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/", self._http)
        app.router.add_post(BUNDLE_PATH, self._http)
        app.router.add_post(RELAY_PATH, self._http)
        app.router.add_get("/", self._websocket)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        if port:
            with contextlib.suppress(OSError):
                await web.TCPSite(self._runner, LOOPBACK, port + 1).start()
        self.chain.on_change.append(self._changed)

    async def close(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        if self._changed in self.chain.on_change:
            self.chain.on_change.remove(self._changed)
        for socket in self._sockets:
            socket.put(None)
        if self._runner is not None:
            await self._runner.cleanup()

    def run(self) -> None:
        """Let a slot pass every `slot_ms`."""
        self._ticker = asyncio.create_task(self._tick(), name="localnet-slots")

    def cut_sockets(self) -> None:
        """Break every WebSocket connection."""
        for socket in self._sockets:
            socket.put(None)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += self.chain.slot_ms / 1_000
            await asyncio.sleep(max(0.0, due - loop.time()))
            self.chain.advance()

    async def _http(self, request: web.Request) -> web.Response:
        self.requests += 1
        dice = self.chain.dice
        if dice.happens(Fault.HTTP_429):
            return web.Response(status=429, text="too many requests", headers={"Retry-After": "0"})
        if dice.happens(Fault.HTTP_5XX):
            return web.Response(status=503, text="service unavailable")
        try:
            body = msgspec.json.decode(await request.read())
        except (msgspec.DecodeError, RecursionError):
            return _json({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "Parse error"}})
        try:
            if isinstance(body, list):
                return _json([self._answer(each, request.path) for each in body])
            return _json(self._answer(body, request.path))
        except LostReply:
            return web.Response(status=502, text="bad gateway")

    def _answer(self, body: Any, path: str) -> dict[str, Any]:
        if not isinstance(body, dict) or not isinstance(body.get("method"), str):
            return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "Invalid request"}}
        head = {"jsonrpc": "2.0", "id": body.get("id")}
        try:
            return {**head, "result": self._call(path, body["method"], body.get("params") or [])}
        except RpcFault as fault:
            return {**head, "error": {"code": fault.code, "message": fault.message, "data": fault.data}}

    def _call(self, path: str, method: str, params: list[Any]) -> Any:
        """Raises RpcFault, LostReply."""
        if path == BUNDLE_PATH:
            return block_engine(self.chain, method, params)
        if path == RELAY_PATH:
            return relay(self.chain, method, params)
        return self._methods.call(method, params)

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(heartbeat=30.0, max_msg_size=MAX_BODY_BYTES, compress=False)
        await response.prepare(request)
        if len(self._sockets) >= MAX_SOCKETS:
            await response.close(code=WSCloseCode.TRY_AGAIN_LATER)
            return response
        socket = _Socket()
        self._sockets.add(socket)
        writer = asyncio.create_task(self._write(socket, response))
        try:
            async for message in response:
                if message.type is WSMsgType.TEXT:
                    self._subscribe(socket, message.data)
        finally:
            self._sockets.discard(socket)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return response

    async def _write(self, socket: _Socket, response: web.WebSocketResponse) -> None:
        while True:
            frame = await socket.outbox.get()
            if frame is None or self.chain.dice.happens(Fault.CUT_SOCKET):
                await response.close(code=WSCloseCode.GOING_AWAY)
                return
            await response.send_str(frame.decode())

    def _subscribe(self, socket: _Socket, text: str) -> None:
        try:
            body = msgspec.json.decode(text)
            method, params = body["method"], body.get("params") or []
            result = self._follow(socket, method, params)
        except (msgspec.DecodeError, RecursionError, KeyError, IndexError, TypeError, AttributeError) as error:
            frame = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": str(error)}}
            socket.put(_encode(frame))
            return
        socket.put(_encode({"jsonrpc": "2.0", "id": body.get("id"), "result": result}))
        self._notify(socket, set(), only=result if not isinstance(result, bool) else None)

    def _follow(self, socket: _Socket, method: str, params: list[Any]) -> int | bool:
        if method.endswith("Unsubscribe"):
            number = params[0]
            socket.slots.discard(number)
            return (socket.accounts.pop(number, None) or socket.signatures.pop(number, None)) is not None
        if len(socket.accounts) + len(socket.signatures) >= MAX_SUBSCRIPTIONS:
            raise TypeError("too many subscriptions")
        self._next_subscription += 1
        number = self._next_subscription
        commitment = (params[1] if len(params) > 1 else {}).get("commitment", "finalized")
        if method == "accountSubscribe":
            socket.accounts[number] = (params[0], commitment)
            socket.seen[number] = self.chain.account(params[0], commitment)
        elif method == "signatureSubscribe":
            socket.signatures[number] = (params[0], commitment)
        elif method == "slotSubscribe":
            socket.slots.add(number)
        else:
            raise KeyError(f"no such subscription: {method}")
        return number

    def _changed(self, changed: set[str], landed: Landed | None) -> None:
        for socket in tuple(self._sockets):
            self._notify(socket, changed)
            if landed is None:
                slot = self.chain.slot
                for number in socket.slots:
                    result = {"slot": slot, "parent": slot - 1, "root": self.chain.slot_at("finalized")}
                    socket.put(_notice("slotNotification", number, result))

    def _notify(self, socket: _Socket, changed: set[str], only: int | None = None) -> None:
        """Tell of accounts and signatures that look different at their commitment by now."""
        for number, (address, commitment) in tuple(socket.accounts.items()):
            if changed and address not in changed:
                continue
            account = self.chain.account(address, commitment)
            if account != socket.seen.get(number):
                socket.seen[number] = account
                value = account_json(account) or {"lamports": 0, "owner": "1" * 32, "data": ["", "base64"]}
                slot = self.chain.slot_at(commitment)
                socket.put(_notice("accountNotification", number, {"context": {"slot": slot}, "value": value}))
        for number, (signature, commitment) in tuple(socket.signatures.items()):
            landed = self.chain.ledger.get(signature)
            if landed is not None and landed.slot <= self.chain.slot_at(commitment) and only in (None, number):
                del socket.signatures[number]
                result = {"context": {"slot": landed.slot}, "value": {"err": landed.error}}
                socket.put(_notice("signatureNotification", number, result))


def _notice(method: str, number: int, result: Any) -> bytes:
    return _encode({"jsonrpc": "2.0", "method": method, "params": {"result": result, "subscription": number}})


def _json(body: Any) -> web.Response:
    return web.Response(body=_encode(body), content_type="application/json")
