"""Five orders at once in a client dialect, one WebSocket each: states live, the routing decisions, a summary.

    fillwright serve &
    python examples/demo_client.py                 # dialect 002, http://localhost:3000
    API_BASE=http://localhost:3000 python examples/demo_client.py --dialect 004

Talks to the server as a client of that dialect would, and knows nothing else of it. Exits with 0 if every order
was confirmed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

ORDERS = (
    ("SOL", "USDC", 100),
    ("ETH", "USDT", 50),
    ("BTC", "USDC", 1),
    ("BONK", "SOL", 1_000_000),
    ("RAY", "USDC", 500),
)
ENDS = ("confirmed", "failed", "slippage_failed")
TIME_LIMIT_S = 120.0

BODIES = {
    "000": ("inputToken", "outputToken", "amount", {}),
    "001": ("tokenIn", "tokenOut", "amountIn", {}),
    "002": ("tokenIn", "tokenOut", "amountIn", {"type": "market", "slippage": 0.05}),
    "003": ("tokenIn", "tokenOut", "amount", {"maxSlippage": 0.05}),
    "004": ("inputToken", "outputToken", "inputAmount", {"userWallet": "demo-wallet"}),
}
SOCKETS = {
    "000": "/api/orders/ws",
    "001": "/api/orders/upgrade/{}",
    "002": "/api/orders/{}/ws",
    "003": "/api/orders/{}/ws",
    "004": "/ws/orders/{}",
}


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def submit(http: httpx2.AsyncClient, dialect: str, order: tuple[str, str, float]) -> str:
    """Place an order; its id."""
    names = BODIES[dialect]
    body = {names[0]: order[0], names[1]: order[1], names[2]: order[2], **names[3]}
    response = await http.post("/api/orders/execute", json=body)
    answer = response.json()
    if response.status_code not in (200, 201):
        raise SystemExit(f"refused: {answer.get('error')}")
    return str(answer.get("data", answer)["orderId"])


async def watch(base: str, dialect: str, order_id: str) -> AsyncIterator[dict[str, Any]]:
    """Every message about an order, until it has ended."""
    path = SOCKETS[dialect].format(order_id)
    async with connect(base.replace("http", "ws", 1) + path) as socket:
        if dialect == "000":
            await socket.send(json.dumps({"orderId": order_id}))
        while True:
            try:
                message = json.loads(await socket.recv())
            except ConnectionClosed:
                return
            yield message
            if dialect in ("000", "001") and str(message.get("status", "")).lower() in ENDS:
                return


def routing(message: dict[str, Any]) -> str | None:
    """A routing decision in words, as far as the dialect tells."""
    found = message.get("routing")
    if found:
        quotes = (
            f"{dex} {found[dex]['outputAmount']:.6f} (fee {found[dex]['fee']:.4f})" for dex in ("raydium", "meteora")
        )
        return f"{', '.join(quotes)} -> {found['selected']}"
    data = message.get("data") or {}
    dex = data.get("selectedDex") or data.get("dex")
    return f"-> {dex}" if dex and message["status"].lower() == "building" else None


async def run_one(http: httpx2.AsyncClient, base: str, dialect: str, order: tuple[str, str, float]) -> bool:
    label = f"{order[0]}>{order[1]} {order[2]}"
    order_id = await submit(http, dialect, order)
    say(f"{label:<18} accepted  {order_id}")
    last: dict[str, Any] = {}
    async for message in watch(base, dialect, order_id):
        if "status" not in message or "message" in message:
            continue
        last = message
        chosen = routing(message)
        say(f"{label:<18} {message['status'].lower():<10}{'routing: ' + chosen if chosen else ''}".rstrip())
    data = last.get("data") or {}
    result = last.get("txHash") or data.get("txHash") or last.get("error") or data.get("error") or ""
    ended = str(last.get("status", "lost")).lower()
    say(f"{label:<18} {ended}: {result}")
    return ended == "confirmed"


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect", choices=sorted(BODIES), default="002")
    dialect = parser.parse_args().dialect
    base = os.environ.get("API_BASE", "http://localhost:3000").rstrip("/")
    async with httpx2.AsyncClient(base_url=base, timeout=30) as http, asyncio.timeout(TIME_LIMIT_S):
        confirmed = await asyncio.gather(*(run_one(http, base, dialect, order) for order in ORDERS))
    say(f"\n{sum(confirmed)} of {len(confirmed)} confirmed, {len(confirmed) - sum(confirmed)} failed")
    return 0 if all(confirmed) else 1


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except httpx2.ConnectError:
        sys.exit("nobody answers; start the engine with: fillwright serve")
