"""What stalled subscribers cost the others: a thousand WebSockets follow all events, a fifth stops reading.

`python -m benchmarks.streams [sockets]`. Baseline of the same run: the same sockets, none stalled. The subscribers
are a process of their own; latency is from an event's time to its arrival.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
import time
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlsplit

import uvloop
from tests.system.process import EngineProcess, free_port

from benchmarks.figures import Figure, show
from benchmarks.scaleout import AT_ONCE
from fillwright.load import Load, Percentiles, generate, percentiles

SOCKETS = 1_000
STALLED = 5
"""One in so many stops reading."""
PAST = 2_000
"""Orders whose events lie behind when the first subscriber comes."""
ORDERS = 60
RATE = 5.0
ROUNDS = 3
SETTLE_S = 3.0
"""For the replays of the stalled ones to come to a halt."""
SAMPLED = 20
"""One in so many readers is measured; the others only read."""
_AT = b'"at":"'
_PING = b"\x89\x04"
"""How a ping of the server's begins; no JSON holds such bytes."""
_PONG = b"\x8a\x84\x00\x00\x00\x00"


async def subscribed(url: str, *, since: int | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket that follows all events, without a library: a thousand must fit one process. `since`: also all of
    the past after this sequence, much more than the system's buffers hold."""
    parts = urlsplit(url)
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    held.setblocking(False)
    await asyncio.get_running_loop().sock_connect(held, (parts.hostname, parts.port))
    reader, writer = await asyncio.open_connection(sock=held, limit=65_536)
    key = b64encode(b"0123456789abcdef").decode()
    writer.write(
        f"GET /v1/stream HTTP/1.1\r\nhost: {parts.netloc}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    message = b'{"op":"subscribe","all":true%s}' % (b"" if since is None else b',"from_seq":%d' % since)
    writer.write(bytes((0x81, 0x80 | len(message), 0, 0, 0, 0)) + message)
    return reader, writer


async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lags_ms: list[float] | None) -> None:
    """Read on, and answer pings; `lags_ms` takes each event's lag."""
    while lags_ms is None:
        chunk = await reader.read(1 << 16)
        if not chunk:
            return
        at = chunk.find(_PING)
        if at >= 0:
            writer.write(_PONG + chunk[at + 2 : at + 6])
    while True:
        head = await reader.readexactly(2)
        length = head[1] & 0x7F
        if length == 126:
            length = int.from_bytes(await reader.readexactly(2))
        elif length == 127:
            length = int.from_bytes(await reader.readexactly(8))
        body = await reader.readexactly(length)
        if head == _PING:
            writer.write(_PONG + body)
        at = body.find(_AT)
        if at >= 0:
            now_ms = time.time() * 1000
            second, milli = body[at + 6 : at + 25].decode(), int(body[at + 26 : at + 29])
            lags_ms.append(now_ms - _epoch_ms(second) - milli)


def _epoch_ms(second: str) -> float:
    return (time.mktime(time.strptime(second, "%Y-%m-%dT%H:%M:%S")) - time.timezone) * 1000


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


async def run(engine: EngineProcess, sockets: int, stalled: int) -> tuple[Percentiles, float]:
    """The readers' lags while orders are executed, and the engine's memory afterwards."""
    lags_ms: list[float] = []
    held = []
    for number in range(sockets):
        held.append(await subscribed(engine.url, since=0 if number < stalled else None))
        if number < stalled:
            held[-1][1].transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(SETTLE_S)
    tasks = [
        asyncio.create_task(read(reader, writer, lags_ms if number % SAMPLED == 0 else None))
        for number, (reader, writer) in enumerate(held[stalled:])
    ]
    report = await generate(Load(engine.url, orders=ORDERS, clients=10, rate=RATE))
    memory = resident_mb(engine.pid)
    if report.violations:
        raise SystemExit(f"the engine broke its promises: {report.violations[:5]}")
    alive = sum(not task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _, writer in held:
        writer.transport.abort()
    if alive < len(tasks):
        raise SystemExit(f"{len(tasks) - alive} readers were dropped while {stalled} were stalled")
    return percentiles(lags_ms), memory


async def measure(engine: EngineProcess, sockets: int) -> list[Figure]:
    stalled = sockets // STALLED
    await generate(Load(engine.url, orders=PAST, clients=20))
    await run(engine, sockets, 0)
    rounds = []
    for _ in range(ROUNDS):
        rounds.append((await run(engine, sockets, 0), await run(engine, sockets, stalled)))  # noqa: PERF401
    calm, disturbed = (
        sorted(rounds, key=lambda pair, side=side: pair[side][0].p99_ms)[ROUNDS // 2][side]  # type: ignore[misc]
        for side in (0, 1)
    )
    grown = (disturbed[0].p99_ms / calm[0].p99_ms - 1) * 100
    told = f"none stalled: p50/p99 {calm[0].p50_ms:.1f}/{calm[0].p99_ms:.1f} ms"
    return [
        Figure(f"event lag p50, {sockets} sockets, {stalled} stalled", disturbed[0].p50_ms, "ms", baseline=told),
        Figure("event lag p99", disturbed[0].p99_ms, "ms"),
        Figure("  growth of p99 (medians of three runs each)", grown, "%", 10),
        Figure("memory of the engine, stalled", disturbed[1], "MB", baseline=f"none stalled: {calm[1]:,.0f} MB"),
    ]


def main() -> None:
    sockets = int(sys.argv[1]) if len(sys.argv) > 1 else SOCKETS
    with tempfile.TemporaryDirectory(prefix="fillwright-bench-") as folder:
        data = Path(folder) / "data"
        data.mkdir()
        engine = EngineProcess(data, free_port(), **AT_ONCE)
        try:
            engine.start()
            show("Subscribers that stop reading", uvloop.run(measure(engine, sockets)))
        finally:
            engine.kill()


if __name__ == "__main__":
    main()
