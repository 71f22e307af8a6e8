"""The frames of the WebSocket `/v1/stream`, both ways."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from fillwright.wire.events import EventView
from fillwright.wire.orders import OrderView


class Subscribe(Struct, frozen=True, tag_field="op", tag="subscribe", forbid_unknown_fields=True, omit_defaults=True):
    """Exactly one of `order_id`, `wallet` and `all` (true). `from_seq`: the sequence of the last event seen.
    Without it an order's stream starts at its first event, the others with the next event."""

    order_id: str | None = None
    wallet: str | None = None
    all: bool = False
    from_seq: Annotated[int, Meta(ge=0)] | None = None


class Unsubscribe(
    Struct, frozen=True, tag_field="op", tag="unsubscribe", forbid_unknown_fields=True, omit_defaults=True
):
    order_id: str | None = None
    wallet: str | None = None
    all: bool = False


class Ping(Struct, frozen=True, tag_field="op", tag="ping", forbid_unknown_fields=True):
    """Answered by a heartbeat."""


class Subscribed(Struct, frozen=True, kw_only=True, tag_field="op", tag="subscribed", omit_defaults=True):
    """Every event of the target with sequence > `from_seq` follows. `order`: an order's state right now."""

    mode: str
    from_seq: int
    order_id: str | None = None
    wallet: str | None = None
    all: bool = False
    order: OrderView | None = None


class Unsubscribed(Struct, frozen=True, kw_only=True, tag_field="op", tag="unsubscribed", omit_defaults=True):
    mode: str
    order_id: str | None = None
    wallet: str | None = None
    all: bool = False


class EventFrame(Struct, frozen=True, tag_field="op", tag="event"):
    event: EventView


class Heartbeat(Struct, frozen=True, kw_only=True, tag_field="op", tag="heartbeat"):
    """`sequence`: everything up to it that belongs to the socket's subscriptions has been sent."""

    mode: str
    at: str
    sequence: int


class StreamError(Struct, frozen=True, kw_only=True, tag_field="op", tag="error"):
    mode: str
    code: str
    message: str


ClientFrame = Subscribe | Unsubscribe | Ping
ServerFrame = Subscribed | Unsubscribed | EventFrame | Heartbeat | StreamError
