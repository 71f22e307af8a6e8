"""Order events -> encoded ones, with what each needs of its order to be shown and to find its readers.

An order's first event tells its context; that of an open order is remembered, any other is read from the store.
"""

from __future__ import annotations

from collections.abc import Sequence

from fillwright import observe
from fillwright.api.events import Context, Encoded, context_of
from fillwright.api.services import Services
from fillwright.domain.orders import Accepted, OrderEvent, OrderId

MAX_CONTEXTS = 50_000
"""Open orders whose context is remembered."""


class Encoder:
    """Shared by all streams of the process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._contexts: dict[OrderId, Context] = {}

    def encode_known(self, events: Sequence[OrderEvent]) -> list[Encoded] | None:
        """`events` without waiting; None where the context of any must be read."""
        known = self._known(events)
        return None if any(context is None for context in known.values()) else self._with(events, known)

    async def encode(self, events: Sequence[OrderEvent]) -> list[Encoded]:
        """`events`; those whose order the store does not have are left out. Raises what the store raises."""
        known = self._known(events)
        for order_id, context in known.items():
            if context is None:
                known[order_id] = await self._read_context(order_id)
        return self._with(events, known)

    def remember(self, handed_out: Sequence[Encoded]) -> None:
        """Keep the contexts of open orders for their next events."""
        for encoded in handed_out:
            order_id = encoded.event.order_id
            if encoded.terminal:
                self._contexts.pop(order_id, None)
            elif order_id not in self._contexts:
                if len(self._contexts) >= MAX_CONTEXTS:
                    self._contexts.pop(next(iter(self._contexts)))
                self._contexts[order_id] = encoded.context

    def _known(self, events: Sequence[OrderEvent]) -> dict[OrderId, Context | None]:
        """The contexts of the events' orders; None for one that must be read."""
        tokens = self._services.market.tokens
        known: dict[OrderId, Context | None] = {}
        for event in events:
            if isinstance(event.body, Accepted):
                known[event.order_id] = context_of(event.order_id, event.body.spec, tokens)
            elif event.order_id not in known:
                known[event.order_id] = self._contexts.get(event.order_id)
        return known

    def _with(self, events: Sequence[OrderEvent], known: dict[OrderId, Context | None]) -> list[Encoded]:
        services = self._services
        mode, tokens = services.mode, services.market.tokens
        found = [(event, known[event.order_id]) for event in events]
        return [Encoded(event, context, mode, tokens) for event, context in found if context is not None]

    async def _read_context(self, order_id: OrderId) -> Context | None:
        order = await self._services.store.get(order_id)
        if order is None:
            observe.stream_fault("order_missing")
            return None
        return context_of(order.id, order.spec, self._services.market.tokens)
