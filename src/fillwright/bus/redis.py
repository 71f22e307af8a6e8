"""The bus of many processes, over Redis: a doorbell, due orders to one worker each, a fan-out of committed events.

In: rings and committed events, on the event loop. Out: the same, in every process. Redis may be absent, wiped or
frozen at any time: nothing waits for it and nothing is kept in it. What one process does reaches its own readers
at once; while Redis is away every subscription is told again and again that it has fallen behind, so that its
reader looks into the store, and workers find what is due by their sweep.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from fillwright import observe
from fillwright.bus.connection import client
from fillwright.bus.dispatch import FIELD, MAX_ENTRIES, Dispatch, entries
from fillwright.bus.memory import MemoryBus, MemorySubscription
from fillwright.bus.order import InSequence
from fillwright.domain.orders import OrderEvent, OrderId
from fillwright.ports import AtOnce, Ring

MAX_UNSENT = 2_000
"""Messages that wait for Redis; the oldest are dropped beyond, and found in the store by their readers."""
MAX_AT_ONCE = 200
HOLE_WAIT_S = 0.01
"""How long an event waits for one before it that another process has committed and not yet published."""
BEAT_S = 1.0
SILENCE_S = 3.0
"""Without even our own beat for so long, the connection is taken for dead."""
AWAY_SWEEP_S = 0.5
RETRY_S = 0.25
MAX_CANCELS = 20
TIMEOUT_S = 2.0

_ID_BYTES = 8
_BEAT = b"beat"
_LOST = (RedisError, OSError, TimeoutError)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[OrderEvent]).decode


class RedisBus:
    """`ports.Bus` for all processes that share `url` and `prefix`, which `under` may set before `open`. A process that
    `hears` no events can't subscribe, and is spared all that the others publish."""

    def __init__(self, url: str, *, prefix: str = "fillwright", hears: bool = True) -> None:
        """Raises ConfigError where `url` is no address of a Redis."""
        _client(url)
        self._hears = hears
        self.url = url
        self.under(prefix)
        self._id = secrets.token_bytes(_ID_BYTES)
        self._local = MemoryBus()
        self._sequence = InSequence()
        self._unsent: deque[tuple[str, bytes]] = deque(maxlen=MAX_UNSENT)
        self._to_send = asyncio.Event()
        self._ring_waits = False
        self._due: list[OrderId] = []
        self._dispatch: Dispatch | None = None
        self._hole_timer: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._failing: dict[str, str] = {}
        """What does not work now, and why: told once, when it begins."""
        self._closed = False
        self.connected = False

    def under(self, prefix: str) -> None:
        """Share with those of this prefix alone. Channels know no numbers of databases: it must be the engine's own."""
        self._bell = f"{prefix}:bell"
        self._news = f"{prefix}:events"
        self._stream = f"{prefix}:due"

    @property
    def standing(self) -> bool | str:
        """Whether Redis answers, or what it refuses."""
        refused = self._failing.get("sending")
        return f"refuses messages: {refused}" if self.connected and refused is not None else self.connected

    async def open(self) -> None:
        """Start to look for Redis; does not wait for it."""
        self._tasks = [
            asyncio.create_task(self._keep_receiving(), name="bus-receive"),
            asyncio.create_task(self._keep_sending(), name="bus-send"),
            asyncio.create_task(self._beat(), name="bus-beat"),
        ]

    async def close(self) -> None:
        """End every subscription and every wait. What is unsent is dropped: the store has it."""
        self._closed = True
        waiting = {task for task in self._tasks if not task.done()}
        for _ in range(MAX_CANCELS):
            if not waiting:
                break
            for task in waiting:
                task.cancel()
            # A timeout inside the client that expires at this moment swallows the cancellation.
            _, waiting = await asyncio.wait(waiting, timeout=RETRY_S)
        if self._hole_timer is not None:
            self._hole_timer.cancel()
        if self._dispatch is not None:
            await self._dispatch.close()
        await self._local.close()
        self.connected = False

    def ring(self, order_ids: Sequence[OrderId] = ()) -> None:
        if order_ids and len(self._due) < MAX_UNSENT and self.connected:
            self._due.extend(order_ids)
            self._to_send.set()
            return
        self._local.ring()
        self._ring_others()

    async def wait_ring(self, timeout_s: float, room: int = 0) -> Ring | None:
        """`room` above 0: this process has a worker, which takes part in the dispatch from then on."""
        if room and self._dispatch is None and not self._closed:
            self._dispatch = Dispatch(_client(self.url), self._stream, self._take_due)
            self._tasks.append(asyncio.create_task(self._dispatch.run(), name="bus-dispatch"))
        if self._dispatch is None:
            return await self._local.wait_ring(timeout_s, room)
        self._dispatch.want(room)
        try:
            return await self._local.wait_ring(timeout_s, room)
        finally:
            self._dispatch.want(0)

    def _take_due(self, order_ids: Sequence[OrderId]) -> None:
        """Ids for this process's worker. One that has stopped waiting may have no room: then the others look, too."""
        self._local.ring(order_ids)
        if self._dispatch is not None and not self._dispatch.wanted:
            self._ring_others()

    def _ring_others(self) -> None:
        if not self._ring_waits:
            self._ring_waits = True
            self._send(self._bell, b"")

    def publish(self, events: Sequence[OrderEvent]) -> None:
        if not events:
            return
        self._send(self._news, _encode(events))
        if self._hears:
            self._deliver(tuple(events))

    def subscribe(self, capacity: int = 10_000, at_once: AtOnce | None = None) -> MemorySubscription:
        """A feed of what is published anywhere from now on. Raises ValueError where `capacity` is not positive,
        RuntimeError in a process that hears no events."""
        if not self._hears:
            raise RuntimeError("this process does not follow events")
        return self._local.subscribe(capacity, at_once)

    def resync(self) -> None:
        """Tell every reader that it may have missed something."""
        self._local.resync()

    def _send(self, channel: str, message: bytes) -> None:
        self._unsent.append((channel, self._id + message))
        self._to_send.set()

    def _deliver(self, events: Sequence[OrderEvent]) -> None:
        for batch in self._sequence.take(events):
            self._local.publish(batch)
        if self._sequence.waits and self._hole_timer is None:
            self._hole_timer = asyncio.get_running_loop().call_later(HOLE_WAIT_S, self._give_up_hole)

    def _give_up_hole(self) -> None:
        self._hole_timer = None
        for batch in self._sequence.release():
            self._local.publish(batch)

    async def _keep_sending(self) -> None:
        """Send what is unsent, in order, as soon as Redis takes it."""
        async with _client(self.url) as redis:
            while not self._closed:
                await self._to_send.wait()
                batch = [self._unsent.popleft() for _ in range(min(len(self._unsent), MAX_AT_ONCE))]
                due, self._due = self._due, []
                if not self._unsent:
                    self._to_send.clear()
                self._ring_waits = False
                try:
                    await self._publish(redis, batch, entries(due))
                except _LOST as error:
                    # Readers elsewhere find it in the store; sending it late would gain nothing.
                    self._fails("sending", error)
                    await asyncio.sleep(RETRY_S)
                else:
                    self._works("sending")

    async def _publish(self, redis: Redis[bytes], batch: Sequence[tuple[str, bytes]], due: Sequence[bytes]) -> None:
        """All in one write, past the client's pipeline, which costs as much again."""
        commands: list[tuple[Any, ...]] = [
            ("XADD", self._stream, "MAXLEN", "~", MAX_ENTRIES, "*", FIELD, entry) for entry in due
        ]
        commands += [("PUBLISH", channel, message) for channel, message in batch]
        connection: Any = await redis.connection_pool.get_connection()
        try:
            await connection.send_packed_command(connection.pack_commands(commands))
            for _ in commands:
                await connection.read_response()
        except BaseException:
            # What is still to be read belongs to these commands.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await redis.connection_pool.release(connection)

    async def _keep_receiving(self) -> None:
        async with _client(self.url) as redis:
            while not self._closed:
                try:
                    async with redis.pubsub() as subscription:
                        await subscription.subscribe(self._bell, *([self._news] if self._hears else []))
                        await self._receive(subscription)
                except _LOST as error:
                    self._fails("hearing", error)
                self.connected = False
                self.resync()
                await asyncio.sleep(RETRY_S)

    async def _receive(self, subscription: PubSub) -> None:
        """Until the connection is lost, or has been silent for too long: TimeoutError."""
        loop = asyncio.get_running_loop()
        heard_s = loop.time()
        while loop.time() - heard_s < SILENCE_S:
            message = await subscription.get_message(ignore_subscribe_messages=True, timeout=BEAT_S)
            if message is None:
                continue
            heard_s = loop.time()
            if not self.connected:
                self.connected = True
                self._works("hearing")
                # What was published before this moment has not reached us.
                self.resync()
                self._local.ring()
            self._take(message["channel"].decode(), message["data"])
        raise TimeoutError

    def _take(self, channel: str, data: bytes) -> None:
        sender, body = data[:_ID_BYTES], data[_ID_BYTES:]
        if sender == self._id or body == _BEAT:
            return
        if channel == self._bell:
            self._local.ring()
            return
        try:
            events = _decode(body)
        except msgspec.MsgspecError:
            observe.stream_fault("bus_message_invalid")
            self.resync()
            return
        if events:
            self._deliver(events)

    def _fails(self, what: str, error: Exception) -> None:
        if what not in self._failing:
            self._failing[what] = type(error).__name__
            observe.bus_failing(what, str(error) or type(error).__name__)

    def _works(self, what: str) -> None:
        if self._failing.pop(what, None) is not None:
            observe.bus_works(what)

    async def _beat(self) -> None:
        """Hear ourselves, and keep readers going while we do not."""
        elapsed_s = BEAT_S
        while not self._closed:
            if elapsed_s >= BEAT_S:
                elapsed_s = 0.0
                self._send(self._bell, _BEAT)
            await asyncio.sleep(AWAY_SWEEP_S)
            elapsed_s += AWAY_SWEEP_S
            if not self.connected:
                self.resync()


def _client(url: str) -> Redis[bytes]:
    return client(url, timeout_s=SILENCE_S, connect_timeout_s=TIMEOUT_S)
