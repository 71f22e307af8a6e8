"""One stream's subscriptions: replay from a sequence, then live, each event once and in order.

Where several subscriptions of one stream overlap, an event is sent once: whatever an older subscription has
sent or is going to send, a newer one leaves to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fillwright import observe
from fillwright.api.events import Encoded, Target
from fillwright.api.outbox import Message, Outbox
from fillwright.api.streams import Hub

FINAL_STEP = 256
"""How many events at most are taken from the hub's ring in the step that makes a subscription live."""
MAX_JOINED = 64
"""How many events go out as one message: a reader's buffer is looked at in between."""


class Feed:
    """`render` makes a message of an event, `join` one of several, where given; `beat` makes a heartbeat of
    the hub's sequence."""

    def __init__(
        self,
        hub: Hub,
        outbox: Outbox,
        *,
        render: Callable[[Encoded], Message],
        beat: Callable[[int], Message],
        end: Callable[[], None],
        join: Callable[[Sequence[Encoded]], Message] | None = None,
    ) -> None:
        self._hub = hub
        self._outbox = outbox
        self._render = render
        self._join = join
        self._beat = beat
        self._end = end
        self._starts: dict[Target, int] = {}
        """Target -> the sequence after which its events are this stream's; live ones only."""
        self._ahead: set[int] = set()
        """Sent in a replay, and not handed out by the hub yet."""
        self._replaying = False

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(self._starts)

    def follows(self, target: Target) -> bool:
        return target in self._starts

    async def subscribe(self, target: Target, from_seq: int) -> None:
        """Send every event of `target` after `from_seq`, then go live. Raises ReaderTooSlow, Unavailable."""
        self._replaying = True
        reached = from_seq
        while not self._goes_live(target, from_seq, reached):
            batch, reached = await self._hub.past(target, reached)
            await self._replay(batch)
        self._replaying = False

    def unsubscribe(self, target: Target) -> bool:
        """Whether there was such a subscription."""
        self._hub.unfollow(self, target)
        return self._starts.pop(target, None) is not None

    def deliver(self, batch: Sequence[Encoded]) -> None:
        if not self._ahead and len(self._starts) == 1 and batch[0].sequence > next(iter(self._starts.values())):
            # A single subscription that was live before: all that the hub gives belongs to it.
            self._push(batch)
            return
        owned = []
        for encoded in batch:
            if encoded.sequence in self._ahead:
                self._ahead.discard(encoded.sequence)
            elif self._owns(encoded):
                owned.append(encoded)
        self._push(owned)

    def heartbeat(self) -> None:
        if not self._replaying and not self._outbox.busy:
            self._outbox.push(self._beat(self._hub.last))

    def end(self) -> None:
        self._end()

    def _goes_live(self, target: Target, from_seq: int, reached: int) -> bool:
        """Take the rest from the ring and go live, in one step, if the ring has it and it is short."""
        if not self._hub.covers(reached):
            return False
        rest = self._hub.since(reached, FINAL_STEP + 1)
        if len(rest) > FINAL_STEP:
            return False
        self._push([encoded for encoded in rest if target in encoded.targets and not self._owns(encoded)])
        self._starts[target] = from_seq
        self._ahead = {sequence for sequence in self._ahead if sequence > self._hub.last}
        self._hub.follow(self, target)
        return True

    async def _replay(self, batch: Sequence[Encoded]) -> None:
        owned = [encoded for encoded in batch if not self._owns(encoded)] if self._starts else batch
        handed_out = self._hub.last
        self._ahead.update(encoded.sequence for encoded in owned if encoded.sequence > handed_out)
        for part in self._parts(owned):
            await self._outbox.put(self._message(part), len(part))

    def _owns(self, encoded: Encoded) -> bool:
        """Whether a live subscription has sent this event or will be given it."""
        starts = self._starts
        return any(starts.get(target, encoded.sequence) < encoded.sequence for target in encoded.targets)

    def _push(self, batch: Sequence[Encoded]) -> None:
        for part in self._parts(batch):
            try:
                message = self._message(part)
            except Exception as error:  # noqa: BLE001 - an event that can't be shown must end this stream, not all
                observe.unexpected_error("stream", error)
                self._outbox.drop()
                return
            self._outbox.push(message, len(part))

    def _parts(self, batch: Sequence[Encoded]) -> Iterator[Sequence[Encoded]]:
        """What goes out as one message each. A batch that is one already stays the same object, so that readers who
        share it can share its message too."""
        step = MAX_JOINED if self._join is not None else 1
        if len(batch) <= step:
            return iter((batch,) if batch else ())
        return (batch[start : start + step] for start in range(0, len(batch), step))

    def _message(self, part: Sequence[Encoded]) -> Message:
        return self._render(part[0]) if self._join is None else self._join(part)
