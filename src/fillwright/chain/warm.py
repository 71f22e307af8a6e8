"""What every transaction needs from the chain, held ready: a recent blockhash and what was paid lately.

In: an RPC client. Out: answers that are at most so old, asked for before they are needed. A blockhash always comes
with the last valid block height of its own answer: one that was held for a while only expires sooner.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from solders.hash import Hash, ParseHashError

from fillwright.chain.messages import BlockhashJson, FeeSample, InContext
from fillwright.chain.rpc import NODE_FAULT, Rpc
from fillwright.domain.errors import ChainError
from fillwright.domain.transactions import Blockhash, Commitment
from fillwright.ports import Clock

FEES_FRESH_S = 10.0
FEES_USABLE_S = 60.0
"""Older samples are used once more, while newer ones are asked for, up to this age."""
MAX_FEE_KEYS = 4_096


class RecentBlockhash:
    """`life_s` 0: every use asks. `keep` asks ahead of time, so that no order waits for the network."""

    def __init__(self, rpc: Rpc, clock: Clock, life_s: float = 0.0) -> None:
        self._rpc = rpc
        self._clock = clock
        self._life_s = life_s
        self._held: Blockhash | None = None
        self._asked_s = 0.0

    async def get(self) -> Blockhash:
        """At `confirmed`: a newer one can be forked out together with what it was asked for. Raises ChainError."""
        held = self._held
        if held is not None and self._clock.monotonic_s() - self._asked_s < self._life_s:
            return held
        return await self.renew()

    async def renew(self) -> Blockhash:
        """Ask now. Raises ChainError."""
        asked_s = self._clock.monotonic_s()
        params = [{"commitment": Commitment.CONFIRMED}]
        answer = await self._rpc.call("getLatestBlockhash", params, InContext[BlockhashJson])
        try:
            Hash.from_string(answer.value.blockhash)
        except ParseHashError:
            raise ChainError("the node told a blockhash that is none", code=NODE_FAULT) from None
        self._held = Blockhash(answer.value.blockhash, answer.value.last_valid_block_height)
        self._asked_s = asked_s
        return self._held

    def forget(self) -> None:
        """The node that is asked for transactions does not know the held one."""
        self._held = None

    async def keep(self) -> None:
        """Renew in time, until cancelled; what fails is asked for by whoever needs it."""
        while True:
            try:
                await self.renew()
            except ChainError:
                self._held = None
            await self._clock.sleep(self._life_s / 2)


class RecentFees:
    """What was paid lately for the accounts of a plan, by those accounts."""

    def __init__(self, rpc: Rpc, clock: Clock) -> None:
        self._rpc = rpc
        self._clock = clock
        self._samples: OrderedDict[tuple[str, ...], tuple[float, tuple[int, ...]]] = OrderedDict()
        self._asking: dict[tuple[str, ...], asyncio.Task[tuple[int, ...]]] = {}

    async def of(self, accounts: Sequence[str]) -> tuple[int, ...]:
        """Micro-lamports per unit. Nothing known: none, with which a bid is the policy's minimum."""
        key = tuple(sorted(set(accounts)))
        at_s, known = self._samples.get(key, (-FEES_USABLE_S, ()))
        age_s = self._clock.monotonic_s() - at_s
        if age_s < FEES_FRESH_S:
            return known
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask(key))
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        return known if age_s < FEES_USABLE_S else await asyncio.shield(asking)

    async def close(self) -> None:
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, key: tuple[str, ...]) -> tuple[int, ...]:
        try:
            found = await self._rpc.call("getRecentPrioritizationFees", [list(key)], list[FeeSample])
        except ChainError:
            # A bid without samples is the policy's minimum: better than no transaction.
            return self._samples.get(key, (0.0, ()))[1]
        samples = tuple(sample.prioritization_fee for sample in found)
        self._samples[key] = (self._clock.monotonic_s(), samples)
        while len(self._samples) > MAX_FEE_KEYS:
            self._samples.popitem(last=False)
        return samples
