"""One seeded run of the whole engine: clients, lives that are killed and frozen, a hostile chain, and the
invariants that must hold in the end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence

import msgspec

from fillwright.config import Settings
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import FillwrightError
from fillwright.domain.lifecycle import TERMINAL, replay
from fillwright.domain.orders import OrderId, OrderSpec, OrderStatus, OrderType
from fillwright.execution.bids import Bidding, BidPolicy
from fillwright.execution.intake import Intake
from fillwright.execution.retry import RetryPolicy
from fillwright.execution.worker import Worker
from fillwright.ports import Change, Ring
from simulation import loop, market, ports
from simulation.mutants import SOUND, Mutant

ORDERS = 5
LIMIT_S = 4_000.0
CLIENT_TRIES = 200
AFTERMATH_S = 80.0
"""How long the chain goes on once every order has ended: whatever was sent has landed by then, or never will."""
SETTINGS = Settings(_env_file=None, sweep_s=1.0, heartbeat_s=1.0, lease_ttl_s=6.0)  # type: ignore[call-arg]


class Result(msgspec.Struct):
    """`violations` is empty for a sound run. `digest` names the event log: equal seeds give equal digests."""

    violations: list[str]
    digest: str
    statuses: dict[str, int]


class _Bus:
    """A doorbell that may lose rings; the sweep must find what was not rung."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._named: list[OrderId] = []

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    def ring(self, order_ids: Sequence[OrderId] = ()) -> None:
        self._named.extend(order_ids)
        self._rung.set()

    async def wait_ring(self, timeout_s: float, room: int = 0) -> Ring | None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return None
        self._rung.clear()
        named, self._named = self._named, []
        return Ring(tuple(named) if len(named) <= room else ())

    def publish(self, events: object) -> None: ...

    def subscribe(self, capacity: int = 10_000) -> None: ...


class _WatchedStore(ports.StoreView):
    """Notes which orders this life has given to a person, and whether it had a witness to ask before; and bids that
    it has made although its `node` had told it of one before."""

    def __init__(self, world: World, process: ports.Process, node: ports.ChainView, *, witnessed: bool) -> None:
        super().__init__(world.store, process)
        self._world = world
        self._node = node
        self._witnessed = witnessed

    async def change(self, change: Change) -> None:
        order = change.order
        if order.status is OrderStatus.NEEDS_REVIEW:
            self._world.reviewed.setdefault(order.id, []).append(self._witnessed)
        if change.bid is not None:
            attempt = self._world.store.all_attempts[order.id, order.attempt]
            if not self._node.told.isdisjoint(attempt.signatures):
                self._world.needless.append(change.bid.signature)
        await super().change(change)


class World:
    def __init__(self, seed: int, mutant: Mutant, faults: ports.Faults, bids: BidPolicy) -> None:
        self.rng = random.Random(seed)
        self.mutant = mutant
        self.faults = faults
        self.store = ports.SimStore(self.rng, faults)
        self.bids = bids
        self.store.fencing, self.store.idempotent = mutant.fencing, mutant.idempotent
        self.store.guards_bids = mutant.guards_bids
        self.chain = ports.SimChain(self.rng, faults)
        self.ids = ports.CountingIds()
        self.accepted: dict[str, OrderId] = {}
        self.reviewed: dict[OrderId, list[bool]] = {}
        self.needless: list[str] = []
        self.lives: list[tuple[ports.Process, Worker, Intake]] = []

    async def start_life(self) -> None:
        process = ports.Process(self.rng, self.faults.max_pause_s)
        clock = ports.LoopClock(skew_ms=self.rng.randint(-2_000, 2_000))
        witnessed = self.rng.random() < 0.5
        node = ports.ChainView(self.chain, self.store, process, self.rng, self.faults, honest=False)
        witness = ports.ChainView(self.chain, self.store, process, self.rng, self.faults, honest=True)
        store = _WatchedStore(self, process, node, witnessed=witnessed)
        attempts = self.mutant.attempts(
            chain=node,
            signer=ports.SimSigner(process),
            clock=clock,
            marker_secret=b"secret",
            rebroadcast_s=2.0,
            witness=witness if witnessed else None,
            bidding=Bidding(node, self.bids),
        )
        feed = market.OnePoolFeed(process)
        journey = self.mutant.journey(
            store=store,
            clock=clock,
            market=feed,
            attempts=attempts,
            policy=RetryPolicy(3, 1_000, 3_000_000),
            quote_timeout_s=10.0,
        )
        bus = _Bus()
        intake = Intake(settings=SETTINGS, store=store, bus=bus, clock=clock, ids=self.ids, market=feed)  # type: ignore[arg-type]
        worker = self.mutant.worker(name="w", settings=SETTINGS, store=store, bus=bus, clock=clock, journey=journey)  # type: ignore[arg-type]
        await worker.start()
        self.lives.append((process, worker, intake))

    def kill(self, index: int) -> None:
        """As kill -9: nothing of this life is ever seen again."""
        process, worker, _ = self.lives.pop(index)
        process.dead = True
        for task in (*worker._loops, *worker._running.values()):
            task.cancel()

    def rest(self) -> None:
        """End the lives that have nothing left to do; one that is frozen, or still moves an order, may yet err."""
        now_s = asyncio.get_running_loop().time()
        for index in reversed(range(len(self.lives))):
            process, worker, _ = self.lives[index]
            if process.frozen_until_s <= now_s and not worker._running:
                self.kill(index)

    async def client(self, number: int) -> None:
        """Submits one order until it is told that it was accepted; the same key and body every time."""
        await asyncio.sleep(self.rng.random() * 20)
        spec = OrderSpec(
            account="default",
            wallet="w",
            type=OrderType.MARKET,
            input_mint=market.POOL.mints[0],
            output_mint=market.POOL.mints[1],
            mode=SwapMode.EXACT_IN,
            amount=1_000_000 + number,
            slippage_bps=100,
            client_order_id=f"client-{number}",
            marker=self.rng.random() < 0.5,
        )
        for _ in range(CLIENT_TRIES):
            if self.lives:
                _, _, intake = self.rng.choice(self.lives)
                try:
                    async with asyncio.timeout(3.0):
                        order = await intake.submit(spec)
                    self.accepted[f"client-{number}"] = order.id
                    return
                except (FillwrightError, TimeoutError):
                    pass
            await asyncio.sleep(1.0)

    async def havoc(self) -> None:
        """Kills, freezes and new lives, until the havoc is over and one life stays."""
        for _ in range(self.rng.randint(1, 6)):
            await asyncio.sleep(self.rng.expovariate(1 / 25))
            action = self.rng.random()
            if action < 0.5 and self.lives:
                self.kill(self.rng.randrange(len(self.lives)))
                await asyncio.sleep(self.rng.random() * 8)
            elif action < 0.75 and self.lives:
                process, _, _ = self.rng.choice(self.lives)
                process.frozen_until_s = asyncio.get_running_loop().time() + self.rng.uniform(1, 90)
            if len(self.lives) < 2:
                await self.start_life()
        if not self.lives:
            await self.start_life()

    async def run(self) -> Result:
        blocks = asyncio.create_task(self.chain.grow())
        await self.start_life()
        clients = [asyncio.create_task(self.client(number)) for number in range(ORDERS)]
        await self.havoc()
        await asyncio.gather(*clients)
        while not self.settled() and asyncio.get_running_loop().time() < LIMIT_S:
            await asyncio.sleep(5.0)
        self.rest()
        await asyncio.sleep(AFTERMATH_S)
        blocks.cancel()
        return self.result()

    def settled(self) -> bool:
        orders = self.store.orders.values()
        return len(self.accepted) == ORDERS and all(order.status in TERMINAL for order in orders)

    def result(self) -> Result:
        digest = ports.hashlib.sha256(msgspec.json.encode(self.store.log)).hexdigest()
        statuses = Counter(str(order.status) for order in self.store.orders.values())
        return Result(self.violations(), digest, dict(statuses))

    def violations(self) -> list[str]:
        """Every invariant of the engine that this run broke."""
        found = []
        swaps = Counter(order_id for order_id, _ in self.chain.final_swaps)
        by_client: Counter[str] = Counter()
        for order in self.store.orders.values():
            by_client[order.spec.client_order_id or ""] += swaps[order.id]
        found += [f"I1 {key} landed {n} times" for key, n in by_client.items() if n > 1]
        if len(self.accepted) < ORDERS:
            found.append(f"I2 only {len(self.accepted)} of {ORDERS} orders were ever accepted")
        for key, order_id in self.accepted.items():
            order = self.store.orders.get(order_id)
            if order is None or order.status not in TERMINAL:
                found.append(f"I2 {key} does not end: {order and order.status}")
        for order in self.store.orders.values():
            confirmed = order.status is OrderStatus.CONFIRMED
            if order.status is OrderStatus.NEEDS_REVIEW:
                found += self._review_violations(order.id)
            elif confirmed != (swaps[order.id] == 1):
                found.append(f"I3 {order.id} is {order.status} but landed {swaps[order.id]} times")
            found += self._log_violations(order.id)
        found += [f"I6 {signature[:8]} sent uncommitted" for signature in self.chain.uncommitted_sends]
        found += self._bid_violations()
        found += self._fee_violations()
        final = {signature for _, signature in self.chain.final_swaps}
        found += [f"I5 fill {s[:8]} never landed" for s in self.store.all_fills if s not in final]
        return found

    def _review_violations(self, order_id: OrderId) -> list[str]:
        """An order may be given to a person only where no answer that its engine could have had would have decided
        it: its transaction is final, the only node that was asked never admits to it, and there was no witness."""
        attempts = [a for (of, _), a in sorted(self.store.all_attempts.items()) if of == order_id]
        sent = [self.chain.transactions.get(signature) for signature in attempts[-1].signatures] if attempts else []
        if any(self.reviewed.get(order_id, ())):
            return [f"I3 {order_id} needs review though a witness could tell"]
        if not any(each is not None and each.final and each.hidden for each in sent):
            return [f"I3 {order_id} needs review though its node could tell"]
        return []

    def _bid_violations(self) -> list[str]:
        """An attempt's bids stand under its marker, are numbered from 2, differ in nothing but their rising price, and
        end once one of them has been seen."""
        found = [f"I8 {signature[:8]} was bid although one before it had been seen" for signature in self.needless]
        for (order_id, number), attempt in self.store.all_attempts.items():
            if attempt.bids and not attempt.marker_seed:
                found.append(f"I8 {order_id} bids without a marker")
            if [bid.number for bid in attempt.bids] != list(range(2, len(attempt.bids) + 2)):
                found.append(f"I8 {order_id} has bids numbered wrongly")
            said = [ports.read_message(raw) for raw in (attempt.raw, *(bid.raw for bid in attempt.bids))]
            prices = [price for _, _, price in said]
            if prices != sorted(set(prices)) or len({(str(plan), str(over)) for plan, over, _ in said}) != 1:
                found.append(f"I8 {order_id} attempt {number} bids for something else")
        return found

    def _fee_violations(self) -> list[str]:
        """I5 for what the network took: never more is booked than was paid, and all of it is, those bids included that
        failed beside the one that swapped, unless a node never admits to one of them."""
        found = []
        hidden = {tx.plan.order_id for tx in self.chain.transactions.values() if tx.hidden}
        for order_id, order in self.store.orders.items():
            booked = sum(a.fee_lamports for (of, _), a in self.store.all_attempts.items() if of == order_id)
            paid = self.chain.fees[order_id]
            told = order.failed_fee_lamports + (order.fill.fee_lamports if order.fill is not None else 0)
            if told != booked:
                found.append(f"I5 {order_id} tells of {told} lamports of fees, and has booked {booked}")
            if booked > paid or (booked < paid and order_id not in hidden):
                found.append(f"I5 {order_id} has booked {booked} of {paid} lamports of fees")
        return found

    def _log_violations(self, order_id: OrderId) -> list[str]:
        events = [event for event in self.store.log if event.order_id == order_id]
        if [event.number for event in events] != list(range(1, len(events) + 1)):
            return [f"I4 {order_id} has gaps in its log"]
        terminal = [event for event in events if event.status in TERMINAL]
        if len(terminal) > 1 or (terminal and terminal[0] is not events[-1]):
            return [f"I4 {order_id} goes on after its end"]
        try:
            if replay(events) != self.store.orders[order_id]:
                return [f"I4 {order_id} is not the fold of its log"]
        except FillwrightError as error:
            return [f"I4 {order_id}: {error}"]
        return []


PROFILES = (
    ports.Faults(),
    ports.Faults(fork=0.5, revert=0.5, landing_delay_blocks=20, liar=0.0, send_dropped=0.05),
    ports.Faults(store_lost_reply=0.05, store_unavailable=0.05),
    ports.Faults(stuck=0.6, fork=0.3, liar=0.0, false_null=0.0, store_lost_reply=0.02),
)
"""Seeds take turns: a lossy network with lying nodes, a chain of forks, a store that loses replies, a busy network on
which many transactions land late or never."""
BIDS = BidPolicy(after_blocks=12, max_bids=4)


def simulate(seed: int, mutant: Mutant = SOUND) -> Result:
    """Run one seed to its end."""

    async def main() -> Result:
        return await World(seed, mutant, PROFILES[seed % len(PROFILES)], BIDS).run()

    return loop.run(main(), seed)
