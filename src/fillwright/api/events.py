"""Order events -> wire events, and each event encoded at most once for all that read it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from fillwright import wire
from fillwright.api import views
from fillwright.api.frames import text_frame
from fillwright.domain.amounts import SwapMode, format_units
from fillwright.domain.lifecycle import TERMINAL
from fillwright.domain.orders import (
    Accepted,
    Built,
    Cancelled,
    Confirmed,
    EventBody,
    Expired,
    Failed,
    Landed,
    NeedsReview,
    OrderEvent,
    OrderId,
    OrderSpec,
    Rebid,
    Retrying,
    RolledBack,
    Routed,
    Submitted,
    Triggered,
)
from fillwright.domain.tokens import TokenList


class Context(msgspec.Struct, frozen=True):
    """What an event of an order needs from the order to be shown and to find its readers."""

    sides: views.Sides
    targets: tuple[Target, ...]
    """Every target that the order's events belong to."""


def context_of(order_id: OrderId, spec: OrderSpec, tokens: TokenList) -> Context:
    """The context of the events of the order with this id and spec."""
    account = spec.account
    targets = (Target(account, "order", order_id), Target(account, "wallet", spec.wallet), Target(account, "all"))
    return Context(views.sides_of(spec, tokens), targets)


class Target(NamedTuple):
    """Whose events a stream carries: `kind` is `order`, `wallet` or `all`; `value` the order's id or the wallet.
    Events of other accounts never belong to it."""

    account: str
    kind: str
    value: str = ""


def event_view(event: OrderEvent, context: Context, mode: str, tokens: TokenList) -> wire.EventView:
    """One event as the API shows it: the same, whoever asks and whenever."""
    return wire.EventView(
        mode=mode,
        type=event.kind,
        order_id=event.order_id,
        status=event.status,
        number=event.number,
        sequence=event.sequence,
        at=views.rfc3339(event.at_ms),
        slot=_slot(event.body),
        data=_data(event.body, context.sides, tokens),
    )


class Encoded:
    """An event that is encoded when the first reader wants it, and then shared by all readers."""

    __slots__ = ("_frame", "_json", "_sse", "_text", "_tokens", "context", "event", "mode", "sequence", "targets")

    def __init__(self, event: OrderEvent, context: Context, mode: str, tokens: TokenList) -> None:
        self.event = event
        self.sequence = event.sequence
        self.context = context
        self.mode = mode
        self.targets = context.targets
        self._tokens = tokens
        self._json: bytes | None = None
        self._text: str | None = None
        self._frame: bytes | None = None
        self._sse: bytes | None = None

    @property
    def terminal(self) -> bool:
        """Whether the order's log ends with this event."""
        return self.event.status in TERMINAL

    @property
    def json(self) -> bytes:
        if self._json is None:
            self._json = wire.encode(event_view(self.event, self.context, self.mode, self._tokens))
        return self._json

    @property
    def text(self) -> str:
        """The WebSocket frame: wire.EventFrame."""
        if self._text is None:
            self._text = f'{{"op":"event","event":{self.json.decode()}}}'
        return self._text

    @property
    def frame(self) -> bytes:
        """The same, as it goes over the wire."""
        if self._frame is None:
            self._frame = text_frame(b'{"op":"event","event":%s}' % self.json)
        return self._frame

    @property
    def sse(self) -> bytes:
        """The server-sent event; its id is the sequence to resume from."""
        if self._sse is None:
            self._sse = b"id: %d\nevent: %s\ndata: %s\n\n" % (self.sequence, self.event.kind.encode(), self.json)
        return self._sse


def _slot(body: EventBody) -> int | None:
    match body:
        case Accepted() | Routed() | Landed():
            return body.slot
        case Confirmed():
            return body.fill.slot
        case _:
            return None


def _data(body: EventBody, sides: views.Sides, tokens: TokenList) -> wire.EventData:
    match body:
        case Accepted():
            return _accepted(body, sides)
        case Triggered() | Cancelled():
            return wire.ReasonData(body.reason)
        case Routed():
            candidates = views.candidate_views(body.candidates, sides, tokens)
            return wire.RoutingData(candidates, views.route_view(body.route, sides, tokens) if body.route else None)
        case Built():
            return _built(body, sides)
        case Submitted() | Landed() | RolledBack():
            return wire.AttemptData(body.attempt, body.signature)
        case Rebid():
            return wire.RebidData(body.attempt, body.bid, body.signature, str(body.unit_price))
        case Retrying():
            at = views.rfc3339(body.retry_at_ms)
            return wire.RetryingData(body.attempt, views.error_view(body.error), at, str(body.fee_lamports))
        case Confirmed():
            return wire.ConfirmedData(views.fill_view(body.fill, sides), str(body.fee_lamports))
        case Failed():
            return wire.FailureData(body.attempt, views.error_view(body.error), str(body.fee_lamports))
        case NeedsReview():
            return wire.FailureData(body.attempt, views.error_view(body.error))
        case Expired():
            return wire.FailureData(0, views.error_view(body.error))


def _accepted(body: Accepted, sides: views.Sides) -> wire.AcceptedData:
    ready_at = None if body.ready_at_ms is None else views.rfc3339(body.ready_at_ms)
    return wire.AcceptedData(**views.terms(body.spec, sides), arrival_price=body.arrival_price, ready_at=ready_at)


def _built(body: Built, sides: views.Sides) -> wire.BuiltData:
    bounded = sides.output if sides.mode is SwapMode.EXACT_IN else sides.input
    return wire.BuiltData(
        attempt=body.attempt,
        signature=body.signature,
        last_valid_block_height=body.last_valid_block_height,
        limit=format_units(body.limit, bounded.decimals),
        limit_units=str(body.limit),
    )
