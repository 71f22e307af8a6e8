"""The live market: configured pools and every account they need, followed over WebSocket, polled where that fails.

In: pool addresses. Out: frozen snapshots, stamped with their slot. A pool of which any account may have changed
unseen is stale and stands in no snapshot; nor does one that the sentinel has quarantined, or whose price a guard
refuses. Must not: guess.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from fillwright import observe
from fillwright.chain.accounts import CLOCK_SYSVAR, AccountBook, clock_in
from fillwright.chain.batches import MAX_COMPANION_ROUNDS, batches
from fillwright.chain.followed import Followed, Progress, account_of, wrong_decimals
from fillwright.chain.messages import AccountJson, InContext
from fillwright.chain.rpc import Rpc
from fillwright.chain.stream import Stream, Subscription
from fillwright.domain.accounts import Account, Address, ChainClock, Mint
from fillwright.domain.clusters import Cluster
from fillwright.domain.errors import ChainError, FillwrightError, PoolRefused, Refusal
from fillwright.domain.tokens import Token, TokenList
from fillwright.market.drift import DriftSentinel
from fillwright.market.guards import MintVerdict, PriceGuard
from fillwright.market.snapshot import Snapshot, Unpriced, index_pairs, no_pool
from fillwright.ports import Clock
from fillwright.venues.registry import misplaced, venue_of
from fillwright.venues.venue import Pool

MAX_POOLS = 5_000
MAX_FOLLOWED_KEYS = 15_000
"""Accounts followed on the stream, which signatures are followed on too; pools that need others are polled."""
QUARANTINED = "quarantined"
PRICE_REFUSED = "price_refused"

_account_notice = msgspec.json.Decoder(InContext[AccountJson]).decode

Guard = Callable[[Pool, Mapping[Address, Account | None], int], MintVerdict]
"""Why a pool must not be traded, from its own and its mints' accounts and the epoch."""


class FeedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`stale_after_s`: how long nothing may be heard of the chain before a pool counts as stale. `poll_s`: how often
    everything is read when no stream tells of changes; with one, every `verify_s`."""

    stale_after_s: float = 5.0
    poll_s: float = 1.0
    verify_s: float = 30.0
    commitment: str = "processed"


class LiveMarketFeed:
    """Implements `market.feed.MarketFeed`. `open` reads all once. `cluster`: whose programs are traded; None: any."""

    def __init__(
        self,
        *,
        rpc: Rpc,
        clock: Clock,
        tokens: TokenList,
        pools: Sequence[Address],
        stream: Stream | None = None,
        settings: FeedSettings | None = None,
        sentinel: DriftSentinel | None = None,
        guard: Guard | None = None,
        price_guard: PriceGuard | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        if len(pools) > MAX_POOLS:
            raise ValueError(f"more than {MAX_POOLS} pools")
        self._rpc = rpc
        self._clock = clock
        self._tokens = tokens
        self._stream = stream
        self._settings = settings or FeedSettings()
        self._sentinel = sentinel or DriftSentinel()
        self._guard = guard
        self._price_guard = price_guard
        self._cluster = cluster
        self._book = AccountBook()
        self._followed = {address: Followed(address) for address in pools}
        self._users: dict[Address, set[Address]] = {}
        self._subscriptions: dict[Address, Subscription] = {}
        self._gaps: set[Address] = set()
        self._read_s: dict[Address, float] = {}
        self._heard_s = -1e9
        self._progress = Progress()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._newest: Snapshot | None = None
        self._newest_made_of: tuple[int, int, int] | None = None
        self._fresh_until_s = 0.0
        self._changes = 0
        """Decoded pools and gaps in what was heard, counted."""

    @property
    def tokens(self) -> TokenList:
        return self._tokens

    async def open(self) -> None:
        """Read all pools and begin to follow them. Raises ChainError where the chain does not answer."""
        await self._resolve(self._followed.values())
        self._task = asyncio.create_task(self._follow(), name="market-feed")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for subscription in self._subscriptions.values():
            subscription.close()
        self._subscriptions.clear()

    def current(self) -> Snapshot:
        """The newest settled market. Stale, quarantined and guarded pools are listed as unpriced, never among the
        pools."""
        self._apply_changes()
        now_s = self._clock.monotonic_s()
        at = clock_in(self._book)
        newest, made_of = self._newest, self._made_of()
        if newest is None or made_of != self._newest_made_of or now_s > self._fresh_until_s:
            newest = self._gathered(at, now_s)
            self._newest_made_of = made_of
        elif newest.clock != at:
            newest = replace(newest, clock=at)
        self._newest = newest
        return newest

    def _gathered(self, at: ChainClock, now_s: float) -> Snapshot:
        """Every pool looked at anew; sets until when none of them can have grown stale."""
        pools: dict[Address, Pool] = {}
        unpriced: list[Unpriced] = []
        self._fresh_until_s = now_s + self._settings.stale_after_s
        for followed in self._followed.values():
            problem = self._problem(followed, now_s)
            if problem is not None:
                unpriced.append(problem)
            elif followed.pool is not None:
                pools[followed.address] = followed.pool
            known_s = min(self._known_s(key) for key in followed.keys)
            # What is stale already may be heard of at any time.
            self._fresh_until_s = min(self._fresh_until_s, known_s + self._settings.stale_after_s)
        for address, why in ({} if self._price_guard is None else self._price_guard.refused(at, pools)).items():
            unpriced.append(Unpriced(address, pools.pop(address).venue, PRICE_REFUSED, why))
        warnings = {key: each.warnings for key, each in self._followed.items() if key in pools and each.warnings}
        newest = self._newest
        same = newest is not None and newest.pools.keys() == pools.keys()
        by_pair = newest.by_pair if newest is not None and same else index_pairs(pools.values())
        found = Snapshot(at, pools, by_pair, tuple(unpriced), warnings)
        return newest if newest is not None and found == newest else found

    def _made_of(self) -> tuple[int, int, int]:
        """Changes whenever a pool may be quoted otherwise than by the passing of time."""
        stream = self._stream
        connection = -1 if stream is None or not stream.is_connected else stream.connections
        return self._changes, self._sentinel.version, connection

    async def fetch(self, input_mint: Mint, output_mint: Mint) -> Snapshot:
        """As the protocol says: pools of the pair that are stale are read again first. Raises ChainError."""
        now_s = self._clock.monotonic_s()
        pair = {input_mint, output_mint}
        behind = [
            followed
            for followed in self._followed.values()
            if self._is_stale(followed, now_s) and (followed.pool is None or pair & set(followed.pool.mints))
        ]
        if behind:
            await self._resolve(behind)
        snapshot = self.current()
        if not snapshot.of_pair(input_mint, output_mint):
            now_s = self._clock.monotonic_s()
            known = [each for each in self._followed.values() if each.pool is not None and pair == set(each.pool.mints)]
            if any(self._is_stale(each, now_s) for each in known):
                raise ChainError("every pool of the pair is stale", code="market_stale")
        return snapshot

    async def reread(self, address: Address) -> Pool | None:
        """The pool as the chain has it now, read for this question. Raises ChainError."""
        followed = self._followed.get(address)
        if followed is None:
            return None
        await self._resolve([followed])
        return followed.pool

    def freshness_s(self, address: Address) -> float:
        """For how long a pool's accounts have not been known to be current; 0.0 while they are followed."""
        followed = self._followed[address]
        now_s = self._clock.monotonic_s()
        return max(0.0, max(now_s - self._known_s(key) for key in followed.keys))

    def _problem(self, followed: Followed, now_s: float) -> Unpriced | None:
        if followed.unpriced is not None:
            return followed.unpriced
        venue = "" if followed.venue is None else followed.venue.id
        if self._is_stale(followed, now_s):
            detail = f"not heard of for {self.freshness_s(followed.address):.1f} s"
            return Unpriced(followed.address, venue, Refusal.STALE, detail)
        drift = self._sentinel.quarantined.get(followed.address)
        if drift is not None:
            return Unpriced(followed.address, venue, QUARANTINED, drift.detail)
        return None

    def _is_stale(self, followed: Followed, now_s: float) -> bool:
        return any(now_s - self._known_s(key) > self._settings.stale_after_s for key in followed.keys)

    def _known_s(self, key: Address) -> float:
        """When this account was last known to be current: at its last read, or, while it is followed without a gap,
        when the chain was last heard of; not at all, while the chain stands still."""
        read_s = self._read_s.get(key, -1e9)
        is_told = self._is_followed(key) and key not in self._gaps
        return self._progress.bounded(max(read_s, self._heard_s) if is_told else read_s)

    def _is_followed(self, key: Address) -> bool:
        subscription = self._subscriptions.get(key)
        return subscription is not None and subscription.remote_id is not None

    async def _follow(self) -> None:
        """Keep everything current until it is cancelled."""
        verified_s = self._clock.monotonic_s()
        while True:
            self._subscribe()
            await self._pause()
            self._wanted.clear()
            self._apply_changes()
            now_s = self._clock.monotonic_s()
            streaming = self._stream is not None and self._stream.is_connected
            # The clock changes with every slot: a stream that says nothing of it is not to be relied on.
            streaming = streaming and now_s - self._heard_s < self._settings.stale_after_s / 2
            everything = not streaming or now_s - verified_s >= self._settings.verify_s
            behind = self._followed.values() if everything else self._with_gaps()
            try:
                await self._resolve(behind)
            except FillwrightError as error:
                # Nothing is lost: what can't be read grows stale, and is asked for again at the next turn.
                observe.feed_behind(error.code)
                continue
            if everything:
                verified_s = now_s

    async def _pause(self) -> None:
        """Wait for `poll_s`, or until something has to be read sooner."""
        sleeper = asyncio.create_task(self._clock.sleep(self._settings.poll_s))
        waiter = asyncio.create_task(self._wanted.wait())
        try:
            await asyncio.wait((sleeper, waiter), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleeper, waiter):
                task.cancel()
            await asyncio.gather(sleeper, waiter, return_exceptions=True)

    def _with_gaps(self) -> list[Followed]:
        behind = {address for key in self._gaps for address in self._users.get(key, ())}
        for each in self._followed.values():
            if any(key not in self._read_s or not self._is_followed(key) for key in each.keys):
                behind.add(each.address)
        return [self._followed[address] for address in sorted(behind)]

    async def _resolve(self, which: Iterable[Followed]) -> None:
        """Read all accounts of these pools, and those that they turn out to need, until nothing new is named."""
        pools = list(which)
        behind = pools
        for _ in range(MAX_COMPANION_ROUNDS):
            if not behind:
                break
            # A pool that needs further accounts is read again as a whole: its accounts are of one slot.
            read = await self._read([each.keys for each in behind])
            for followed in behind:
                self._rename(followed)
            behind = [each for each in behind if not read.issuperset(each.keys)]
        self._book.take_changed()
        for followed in pools:
            self._decode(followed)

    async def _read(self, groups: Sequence[Sequence[Address]]) -> set[Address]:
        """Read accounts in as few calls as possible; a group that fits one call is read at one slot."""
        read: set[Address] = set()
        for part in batches(groups):
            gaps = {key for key in part if key in self._gaps}
            started_s = self._clock.monotonic_s()
            params = [list(part), {"encoding": "base64", "commitment": self._settings.commitment}]
            answer = await self._rpc.call("getMultipleAccounts", params, InContext[list[AccountJson | None]])
            if len(answer.value) != len(part):
                raise ChainError("the node answered for another number of accounts")
            slot = answer.context.slot
            self._progress.saw(slot, started_s)
            self._book.read(slot, {key: account_of(each) for key, each in zip(part, answer.value, strict=True)})
            self._book.saw_slot(slot)
            for key in part:
                self._read_s[key] = started_s
            self._gaps -= gaps
            read.update(part)
        return read

    def _rename(self, followed: Followed) -> None:
        """Which accounts the pool needs now, its mints included."""
        held = self._held(followed.keys)
        account = held.get(followed.address)
        followed.venue = None if account is None or misplaced(account, self._cluster) else venue_of(account)
        for key in followed.keys:
            self._users.get(key, set()).discard(followed.address)
        followed.need(held)
        for key in followed.keys:
            self._users.setdefault(key, set()).add(followed.address)

    def _decode(self, followed: Followed) -> None:
        """What the settled accounts make of the pool."""
        self._changes += 1
        venue = followed.venue
        if venue is None:
            account = self._book.settled.get(followed.address)
            followed.pool, followed.unpriced = None, no_pool(followed.address, account, self._cluster)
            return
        held = self._held(followed.keys)
        try:
            pool = followed.decoded(venue, held)
        except PoolRefused as error:
            followed.pool = None
            followed.unpriced = Unpriced(followed.address, venue.id, error.reason, error.message)
            return
        followed.pool, followed.unpriced, followed.warnings = pool, None, ()
        if why := wrong_decimals(pool, held, self._tokens):
            followed.unpriced = Unpriced(followed.address, venue.id, Refusal.MALFORMED, why)
            return
        if self._guard is not None:
            verdict = self._guard(pool, self._book.settled, clock_in(self._book).epoch)
            followed.warnings = verdict.warnings
            if why := verdict.refusal:
                followed.unpriced = Unpriced(followed.address, venue.id, Refusal.UNSUPPORTED_FEATURE, why)
        self._know_tokens(pool)

    def _apply_changes(self) -> None:
        """Decode again what has changed; accounts newly needed are read at once."""
        changed = self._book.take_changed()
        for address in sorted({address for key in changed for address in self._users.get(key, ())}):
            followed = self._followed[address]
            self._rename(followed)
            if any(key not in self._book.settled for key in followed.keys):
                self._wanted.set()
            else:
                self._decode(followed)

    def _subscribe(self) -> None:
        """Follow each account that some pool needs, and no other."""
        if self._stream is None:
            return
        needed = {CLOCK_SYSVAR, *(key for each in self._followed.values() for key in each.keys)}
        for key in [key for key in self._subscriptions if key not in needed]:
            self._subscriptions.pop(key).close()
            self._book.forget(key)
            self._read_s.pop(key, None)
            self._gaps.discard(key)
        options = {"encoding": "base64", "commitment": self._settings.commitment}
        room = MAX_FOLLOWED_KEYS - len(self._subscriptions)
        for key in sorted(needed - self._subscriptions.keys())[:room]:
            self._subscriptions[key] = self._stream.subscribe(
                "accountSubscribe", [key, options], self._on_account(key), self._on_gap(key)
            )

    def _on_account(self, key: Address) -> Callable[[msgspec.Raw], None]:
        def on_message(raw: msgspec.Raw) -> None:
            try:
                notice = _account_notice(raw)
            except msgspec.MsgspecError:
                self._on_gap(key)()
                return
            slot = notice.context.slot
            self._heard_s = self._clock.monotonic_s()
            self._progress.saw(slot, self._heard_s)
            self._book.notified(key, slot, account_of(notice.value))
            self._book.saw_slot(slot)

        return on_message

    def _on_gap(self, key: Address) -> Callable[[], None]:
        def on_gap() -> None:
            self._changes += 1
            self._gaps.add(key)
            self._wanted.set()

        return on_gap

    def _held(self, keys: Sequence[Address]) -> dict[Address, Account]:
        settled = self._book.settled
        return {key: account for key in keys if (account := settled.get(key)) is not None}

    def _know_tokens(self, pool: Pool) -> None:
        new = [
            Token("", mint, decimals)
            for mint, decimals in zip(pool.mints, pool.decimals, strict=True)
            if self._tokens.get(mint) is None
        ]
        if new:
            self._tokens = self._tokens.extended(new)
