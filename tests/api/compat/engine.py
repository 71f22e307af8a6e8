"""A real engine behind a real server, in a thread of its own, and clients that speak as the earlier ones did."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from fillwright import app
from fillwright.config import Settings

Message = dict[str, Any]
ENDS = {"confirmed", "failed", "slippage_failed"}
TIMEOUT_S = 20.0

QUICK: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 0,
    "mode": "paper",
    "paper_raydium_quote_delay_ms": 20,
    "paper_meteora_quote_delay_ms": 20,
    "paper_execution_delay_min_ms": 150,
    "paper_execution_delay_max_ms": 200,
    "paper_failure_rate": 0.0,
    "paper_market": False,
    "paper_raydium_liquidity": 100_000_000,
    "paper_meteora_liquidity": 120_000_000,
    "backoff_s": 0.05,
}
"""Fast enough for tests, slow enough for a socket to be open before the order ends; a deep market that stays put, so
that no test moves the price for another."""

ORDERS: dict[str, Message] = {
    "000": {"inputToken": "SOL", "outputToken": "USDC", "amount": 1.5},
    "001": {"tokenIn": "SOL", "tokenOut": "USDC", "amountIn": 1.5},
    "002": {"type": "market", "tokenIn": "SOL", "tokenOut": "USDC", "amountIn": 1.5, "slippage": 0.02},
    "003": {"tokenIn": "SOL", "tokenOut": "USDC", "amount": 1.5, "maxSlippage": 0.03},
    "004": {"userWallet": "alice-wallet", "inputToken": "SOL", "outputToken": "USDC", "inputAmount": 1.5},
}
SOCKETS = {
    "000": "/api/orders/ws",
    "001": "/api/orders/upgrade/{}",
    "002": "/api/orders/{}/ws",
    "003": "/api/orders/{}/ws",
    "004": "/ws/orders/{}",
}


class Client:
    """One team's client."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx2.Client(base_url=url, timeout=TIMEOUT_S)

    def close(self) -> None:
        self.http.close()

    def post(self, path: str, body: object, **headers: str) -> httpx2.Response:
        return self.http.post(path, json=body, headers=headers)

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return self.http.get(path, headers=headers)

    def order(self, dialect: str, **changes: Any) -> str:
        """Place the dialect's order; its id."""
        response = self.post("/api/orders/execute", {**ORDERS[dialect], **changes})
        assert response.is_success, response.text
        answer = response.json()
        return str(answer.get("data", answer)["orderId"])

    def ended(self, dialect: str, **changes: Any) -> str:
        """Place the dialect's order and wait until it has ended; its id."""
        order_id = self.order(dialect, **changes)
        self.watch("004", order_id)
        return order_id

    @contextmanager
    def socket(self, path: str, **headers: str) -> Iterator[Any]:
        with connect(self.url.replace("http", "ws") + path, additional_headers=headers, open_timeout=10) as socket:
            yield socket

    def watch(self, dialect: str, order_id: str) -> list[Message]:
        """Every message about an order, as the dialect's client would get them."""
        with self.socket(SOCKETS[dialect].format(order_id)) as socket:
            if dialect == "000":
                socket.send(json.dumps({"orderId": order_id}))
            return heard(socket, until_end=dialect in ("000", "001"))


def heard(socket: Any, *, until_end: bool = False) -> list[Message]:
    """Messages until the server closes, or until one says that the order has ended."""
    messages: list[Message] = []
    try:
        while True:
            messages.append(json.loads(socket.recv(timeout=TIMEOUT_S)))
            if until_end and str(messages[-1].get("status", "")).lower() in ENDS:
                break
    except ConnectionClosed:
        pass
    return messages


@contextmanager
def running(folder: Path, **changes: Any) -> Iterator[str]:
    """An engine; its URL."""
    settings = Settings(_env_file=None, data_dir=folder, **{**QUICK, **changes})  # type: ignore[call-arg]
    thread = _EngineThread(settings)
    thread.start()
    try:
        yield thread.url()
    finally:
        thread.stop()


@contextmanager
def client(folder: Path, **changes: Any) -> Iterator[Client]:
    with running(folder, **changes) as url:
        found = Client(url)
        try:
            yield found
        finally:
            found.close()


class _EngineThread(threading.Thread):
    def __init__(self, settings: Settings) -> None:
        super().__init__(name="engine", daemon=True)
        self._settings = settings
        self._serving = threading.Event()
        self._url = ""
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._serving.set()

    def url(self) -> str:
        self._serving.wait(TIMEOUT_S)
        if self._error is not None:
            raise self._error
        return self._url

    def stop(self) -> None:
        if self._loop is not None and self._over is not None and self.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
        self.join(TIMEOUT_S)
        if self._error is not None:
            raise self._error

    async def _serve(self) -> None:
        self._over, self._loop = asyncio.Event(), asyncio.get_running_loop()
        async with app.running(self._settings) as engine:
            self._url = engine.url
            self._serving.set()
            await self._over.wait()


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds that no message announces."""
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
