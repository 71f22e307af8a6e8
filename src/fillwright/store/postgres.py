"""The scale-out store: PostgreSQL 14 or newer, any number of processes, each with one writer connection.

In: what `ports.Store` takes. Out: answers that are durable. Flushes of all processes share one counter, locked
from the moment it is raised to the commit: the log has no gaps, and a reader that has seen a sequence number
will find nothing before it later. A lease is checked in the row that a write changes. The schema is made by
`fillwright db migrate`; serving needs no right to change it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import asyncpg

from fillwright.domain.errors import ConfigError, IdempotencyMismatch, StaleLease, StoreError, Unavailable
from fillwright.domain.orders import Attempt, Fill, Order, OrderEvent, OrderId
from fillwright.domain.queue import DEFAULT_RULES, QueueRules, QueueState
from fillwright.ports import Change, CommitListener, Lease, OrderFilter, StoreStats
from fillwright.store import postgres_reads as reads
from fillwright.store.postgres_connections import Connection, Connections, Server
from fillwright.store.postgres_flush import NewOrder, Step
from fillwright.store.postgres_schema import check
from fillwright.store.postgres_writer import Writer
from fillwright.store.queries import load

MAX_CONNECTIONS = 10
"""Of one process: one writes, the others read and lease."""

IDENTITY_CHARS = 12
LINE_UP_TIMEOUT_S = 60.0
"""For all open orders into their wallets' lines, once at the start."""

T = TypeVar("T")
_SQL = load("postgres")


class PostgresStore:
    """`ports.Store` on the database at `url`. Opened once. `rules` are those of every process on this database.
    `connections`: at least 2."""

    def __init__(self, url: str, *, connections: int = MAX_CONNECTIONS, rules: QueueRules = DEFAULT_RULES) -> None:
        self._rules = rules
        self._server = Server(url)
        self._writer = Writer(self._server, in_line=rules.wallet_order)
        self._connections = Connections(self._server, size=connections - 1)

    async def open(self, on_commit: CommitListener) -> None:
        """Raises Unavailable where the server can't be reached, ConfigError where the schema is not this one."""
        await self._connections.run(check)
        if self._rules.wallet_order:
            await self._connections.run(_line_up)
        await self._writer.open(on_commit)

    async def close(self) -> None:
        """Flush what is pending, finish the reads under way, hang up."""
        await self._writer.close()
        await self._connections.close()
        await self._server.close()

    async def ready(self) -> None:
        await self._writer.ready()
        await self._connections.run(_may_write)

    async def bind(self, mode: str) -> None:
        """Keep orders of `mode` alone, for ever: one that was accepted on one cluster must not be executed on another.
        Raises ConfigError where those of another mode are kept here."""
        held = await self._value("bind_mode", mode)
        if held != mode:
            raise ConfigError(
                f"the database holds orders of mode {held}, not {mode}: choose another FILLWRIGHT_DATABASE_URL",
                code="mode_mismatch",
            )

    async def identity(self) -> str:
        """A mark of this database, the same for every process on it. Text of hexadecimal digits."""
        found: str = await self._value("identity")
        return found[:IDENTITY_CHARS]

    async def insert(self, order: Order, event: OrderEvent) -> Order:
        if await self._writer.submit(NewOrder(order, event)):
            return order
        return await self._stored(order)

    async def insert_many(self, items: Sequence[tuple[Order, OrderEvent]]) -> list[Order | Exception]:
        """Raises Unavailable where none was tried."""
        tried = [self._tried(NewOrder(order, event)) for order, event in items]
        found = await asyncio.gather(*tried, return_exceptions=True)
        outcomes = [_checked(outcome) for outcome in found]
        untried = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
        if untried and len(untried) == len(outcomes):
            raise untried[0]
        return outcomes

    async def change(self, change: Change) -> None:
        if change.order.version != change.expected_version + len(change.events):
            raise StoreError(f"order {change.order.id}: its version is not the number of its last event")
        if change.bid is not None and change.attempt is not None:
            raise StoreError("a bid is added by a change of its own")
        await self._writer.submit(Step(change))

    async def register(self, worker: str) -> Lease:
        epoch = await self._value("register_epoch", worker, again=False)
        return Lease(worker, epoch)

    async def heartbeat(self, lease: Lease) -> None:
        if not await self._value("beat_epoch", lease.epoch):
            raise StaleLease(f"epoch {lease.epoch} has ended")

    async def reap(self, silent_ms: int) -> int:
        released: int = await self._value("reap_epochs", silent_ms)
        return released

    async def retire(self, lease: Lease) -> None:
        await self._value("end_epoch", lease.epoch)

    async def claim(
        self, lease: Lease, now_ms: int, limit: int, order_ids: Sequence[OrderId] | None = None
    ) -> list[Order]:
        if limit < 1:
            return []

        async def take(connection: Connection) -> list[Order]:
            name, values = self._claim(lease, now_ms, limit, order_ids)
            ended, orders = reads.claimed(await connection.fetch(_SQL[name], *values))
            if ended:
                raise StaleLease(f"epoch {lease.epoch} has ended")
            return orders

        return await self._connections.run(take, again=False)

    def _claim(
        self, lease: Lease, now_ms: int, limit: int, order_ids: Sequence[OrderId] | None
    ) -> tuple[str, tuple[Any, ...]]:
        """The statement that claims, and its values."""
        rules = self._rules
        values = (lease.epoch, now_ms, limit, rules.priority_step_ms)
        if rules.orders_per_minute:
            return "claim_within", (*values, rules.orders_per_minute, rules.wallet_order)
        if rules.wallet_order:
            return "claim_in_line", values
        if order_ids is not None:
            return "claim_these", (lease.epoch, now_ms, order_ids[:limit])
        return "claim_orders", values

    async def held(self, lease: Lease) -> list[Order]:
        return await self._read(reads.held, lease.epoch)

    async def queue_state(self) -> QueueState:
        return QueueState(await self._value("queue_state"))

    async def set_queue_state(self, state: QueueState) -> None:
        await self._value("set_queue_state", state.value)

    async def next_ready_ms(self) -> int | None:
        return await self._connections.run(reads.next_ready_ms)

    async def get(self, order_id: OrderId) -> Order | None:
        return await self._read(reads.get, order_id)

    async def version(self, order_id: OrderId) -> int | None:
        return await self._value("order_version", order_id)  # type: ignore[no-any-return]

    async def find(self, account: str, client_order_id: str) -> Order | None:
        return await self._read(reads.find, account, client_order_id)

    async def events(self, order_id: OrderId, after: int = 0, limit: int = 1000) -> list[OrderEvent]:
        return await self._read(reads.events, order_id, after, limit)

    async def events_since(self, sequence: int, limit: int = 1000) -> list[OrderEvent]:
        return await self._read(reads.events_since, sequence, limit)

    async def attempts(self, order_id: OrderId) -> list[Attempt]:
        return await self._read(reads.attempts, order_id)

    async def fills(self, order_id: OrderId) -> list[Fill]:
        return await self._read(reads.fills, order_id)

    async def page(self, where: OrderFilter, before: OrderId | None, limit: int) -> list[Order]:
        return await self._read(reads.page, where, before, limit)

    async def stats(self, now_ms: int) -> StoreStats:
        return await self._read(reads.stats, now_ms)

    async def last_sequence(self) -> int:
        return await self._connections.run(reads.last_sequence)

    def _tried(self, one: NewOrder) -> Awaitable[Order]:
        """Under way when this returns, so that all of them go into one flush."""
        try:
            future = self._writer.submit(one)
        except Unavailable as error:
            future = asyncio.get_running_loop().create_future()
            future.set_exception(error)
        return self._outcome(one.order, future)

    async def _outcome(self, order: Order, future: asyncio.Future[bool]) -> Order:
        return order if await future else await self._stored(order)

    async def _stored(self, order: Order) -> Order:
        """The order that stands in the way of a new one, if it is the same request."""
        spec = order.spec
        if spec.client_order_id is not None:
            stored = await self.find(spec.account, spec.client_order_id)
            if stored is not None:
                if stored.spec != spec:
                    raise IdempotencyMismatch(f"client order id {spec.client_order_id} was used for another order")
                return stored
        stored = await self.get(order.id)
        if stored is None or stored.spec != spec:
            raise StoreError(f"another order has the id {order.id}")
        return stored

    async def _value(self, name: str, *values: Any, again: bool = True) -> Any:
        async def ask(connection: Connection) -> Any:
            return await connection.fetchval(_SQL[name], *values)

        return await self._connections.run(ask, again=again)

    async def _read(self, read: Callable[..., Awaitable[T]], *values: Any) -> T:
        async def ask(connection: Connection) -> T:
            return await read(connection, *values)

        return await self._connections.run(ask)


async def _line_up(connection: Connection) -> None:
    await connection.execute(_SQL["line_up"], timeout=LINE_UP_TIMEOUT_S)


async def _may_write(connection: Connection) -> None:
    if await connection.fetchval(_SQL["read_only"]):
        raise asyncpg.ReadOnlySQLTransactionError("PostgreSQL takes no writes")


def _checked(outcome: Order | BaseException) -> Order | Exception:
    if isinstance(outcome, Order | Exception):
        return outcome
    raise outcome
