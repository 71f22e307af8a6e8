"""How orders, quotes and events look on a terminal. Values of `fillwright.wire` in, rich renderables out.

What is shown is rounded for reading; whoever wants every digit asks for JSON. A narrow terminal gets fewer
columns instead of broken ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from fillwright import wire
from fillwright.domain.amounts import SwapMode
from fillwright.domain.orders import OrderStatus

STATUS_STYLE = {
    OrderStatus.WAITING: "dim",
    OrderStatus.PENDING: "dim",
    OrderStatus.ROUTING: "cyan",
    OrderStatus.BUILDING: "blue",
    OrderStatus.SUBMITTED: "magenta",
    OrderStatus.CONFIRMED: "bold green",
    OrderStatus.FAILED: "bold red",
    OrderStatus.CANCELLED: "yellow",
    OrderStatus.EXPIRED: "yellow",
    OrderStatus.NEEDS_REVIEW: "bold yellow",
}
ID_CHARS = 8
"""An order's id ends in random digits: so many of them tell orders apart, and are accepted in its place."""
FULL_ID_COLUMNS = 150
SIGNATURE_COLUMNS = 120
VENUE_COLUMNS = 96
NOTHING = "–"


def name(token: wire.TokenRef) -> str:
    """A token's symbol, or the beginning of its mint."""
    return token.symbol or short(token.mint)


def short(text: str | None, chars: int = 8) -> str:
    """The beginning of a long identifier."""
    if not text:
        return NOTHING
    return text if len(text) <= chars + 1 else text[:chars] + "…"


def short_id(order_id: str) -> str:
    """The end of an order's id."""
    return order_id[-ID_CHARS:]


def status_text(status: OrderStatus) -> Text:
    return Text(str(status), style=STATUS_STYLE.get(status, ""))


def number(text: str | None, significant: int = 7) -> str:
    """A decimal string for reading: grouped, and rounded to so many digits where it has a fraction."""
    if text is None:
        return NOTHING
    value = Decimal(text)
    if value == 0:
        return "0"
    if value != value.to_integral_value():
        whole_digits = max(0, value.adjusted() + 1)
        value = value.quantize(Decimal(1).scaleb(min(0, value.adjusted() + 1 - max(significant, whole_digits))))
    plain = format(value, ",f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def bps(text: str | None) -> str:
    """A decimal string of basis points, such as `13.74 bp`."""
    if text is None:
        return NOTHING
    rounded = Decimal(text).quantize(Decimal("0.01"))
    return f"{rounded:f} bp" if rounded else "0 bp"


def slippage(text: str | None) -> str:
    """Realised slippage in words: positive is worse for the wallet."""
    if text is None:
        return NOTHING
    value = Decimal(text)
    if value == 0:
        return "exactly as quoted"
    return f"{bps(str(abs(value)))} {'worse' if value > 0 else 'better'} than quoted"


def swap(order: wire.OrderTerms | wire.QuoteView | wire.ExplainView) -> str:
    """Both sides, the fixed one with its amount: `1.5 SOL → USDC`, or `USDC → 5 SOL` for exact-out."""
    amount = number(order.amount)
    if order.swap_mode is SwapMode.EXACT_IN:
        return f"{amount} {name(order.input)} → {name(order.output)}"
    return f"{name(order.input)} → {amount} {name(order.output)}"


def orders_table(orders: Iterable[wire.OrderView], width: int) -> Table:
    """Orders in one line each, for a terminal of `width` columns."""
    table = _table()
    columns = ["order", "swap", "status", "price", "slippage"]
    columns += ["venue"] if width >= VENUE_COLUMNS else []
    columns += ["tries", "signature"] if width >= SIGNATURE_COLUMNS else []
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in ("price", "slippage", "tries") else "left"
        # Where the line is too long, the venues of a split route give way, not an id or a price.
        table.add_column(column, justify=justify, no_wrap=column != "venue")
    for order in orders:
        cells: dict[str, RenderableType] = {
            "order": Text(order.id if width >= FULL_ID_COLUMNS else short_id(order.id), style="dim"),
            "swap": swap(order),
            "status": status_text(order.status),
            "price": number(order.executed_price),
            "slippage": bps(order.realised_slippage_bps),
            "venue": Text(venues(order.route), no_wrap=True, overflow="ellipsis"),
            "tries": tries(order),
            "signature": Text(short(order.signature), style="dim"),
        }
        table.add_row(*(cells[column] for column in columns))
    return table


def tries(order: wire.OrderView) -> str:
    """How often it was tried, and with how many further bids: `2`, or `2 + 1 bid`."""
    if not order.bids:
        return str(order.attempts)
    return f"{order.attempts} + {order.bids} {'bid' if order.bids == 1 else 'bids'}"


def venues(route: wire.RouteView | None) -> str:
    """The venues of a route, each once."""
    return " + ".join(dict.fromkeys(leg.venue for leg in route.legs)) if route else NOTHING


def candidates_table(
    candidates: Sequence[wire.CandidateView],
    route: wire.RouteView | None,
    order: wire.OrderTerms | wire.QuoteView | wire.ExplainView,
    width: int,
) -> Table:
    """Every pool's answer, best first, the chosen ones marked."""
    exact_in = order.swap_mode is SwapMode.EXACT_IN
    chosen = {leg.pool for leg in route.legs} if route else set()
    wanted = f"receive {name(order.output)}" if exact_in else f"pay {name(order.input)}"
    wide = width >= VENUE_COLUMNS
    table = _table()
    table.add_column("")
    for column in ("venue", "pool", wanted, *(("price",) if wide else ()), "impact", "behind best"):
        table.add_column(column, justify="left" if column in ("venue", "pool") else "right", no_wrap=True)
    for candidate in sorted(candidates, key=_rank):
        won = candidate.pool in chosen
        mark = "►" if won else ""
        if candidate.refusal:
            refused = (mark, candidate.venue, short(candidate.pool), candidate.refusal)
            table.add_row(*refused, style="dim")
            continue
        cells = [mark, candidate.venue, short(candidate.pool)]
        cells.append(number(candidate.amount_out if exact_in else candidate.amount_in, 9))
        cells += [number(candidate.price)] if wide else []
        behind = "best" if Decimal(candidate.behind_bps or 0) == 0 else bps(candidate.behind_bps)
        table.add_row(*cells, bps(candidate.price_impact_bps), behind, style="bold green" if won else "")
    return table


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)


def _rank(candidate: wire.CandidateView) -> tuple[bool, Decimal]:
    return (bool(candidate.refusal), Decimal(candidate.behind_bps or 0))


def decision_line(candidates: Sequence[wire.CandidateView], route: wire.RouteView | None) -> str:
    """One sentence: who won against whom, or how it is split, and by how much that is better."""
    if route is None or not route.legs:
        return "no executable route"
    priced = [candidate for candidate in sorted(candidates, key=_rank) if not candidate.refusal]
    if len(route.legs) > 1:
        gain = f", {bps(_gain_bps(route, priced[0]))} better than the best pool alone" if priced else ""
        return _legs(route) + gain
    winner = route.legs[0]
    others = [candidate for candidate in priced if candidate.pool != winner.pool]
    if not others:
        return f"{winner.venue} is the only one that can execute it"
    return f"{winner.venue} beats {others[0].venue} by {bps(others[0].behind_bps)}"


def _legs(route: wire.RouteView) -> str:
    """The shares of a split, or each swap of a route over other tokens."""
    legs = route.legs
    if len({(leg.input.mint, leg.output.mint) for leg in legs}) > 1:
        swaps = (f"{number(leg.amount_in)} {name(leg.input)} → {name(leg.output)} on {leg.venue}" for leg in legs)
        return ", ".join(swaps)
    whole = sum(Decimal(leg.amount_in_units) for leg in legs)
    shares = (f"{Decimal(leg.amount_in_units) * 100 / whole:.1f} % {leg.venue}" for leg in legs)
    return "split " + " + ".join(shares)


def _gain_bps(route: wire.RouteView, best: wire.CandidateView) -> str:
    """How much better the route's price is than that of the best pool alone."""
    alone = Decimal(best.amount_out_units or 0) / Decimal(best.amount_in_units or 1)
    together = Decimal(route.amount_out_units) / Decimal(route.amount_in_units)
    return str((together / alone - 1) * 10_000 if alone else Decimal(0))


def facts(rows: Iterable[tuple[str, RenderableType | None]]) -> Table:
    """Labels and values below each other; rows without a value are left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows:
        if value:
            table.add_row(label, value)
    return table


def event_line(event: wire.EventView, *, with_order: bool) -> Table:
    """One event: when, of which order, what, and what it says."""
    line = Table.grid(padding=(0, 2))
    line.add_column(style="dim", no_wrap=True)
    if with_order:
        line.add_column(style="dim", no_wrap=True)
    line.add_column(no_wrap=True, min_width=12)
    line.add_column(overflow="fold")
    order = (short_id(event.order_id),) if with_order else ()
    what = Text(event.type, style=STATUS_STYLE.get(event.status, ""))
    line.add_row(event.at[11:23], *order, what, event_detail(event))
    return line


def event_detail(event: wire.EventView) -> str:
    """What an event says beyond its type."""
    data = wire.event_data(event)
    match data:
        case wire.AcceptedData():
            return swap(data)
        case wire.RoutingData():
            return decision_line(data.candidates, data.route)
        case wire.BuiltData():
            return f"attempt {data.attempt}, signature {short(data.signature)}"
        case wire.AttemptData():
            return f"attempt {data.attempt}, signature {short(data.signature)}"
        case wire.RebidData():
            price = f"at {number(data.unit_price)} micro-lamports a unit"
            return f"attempt {data.attempt}, bid {data.bid} {price}, signature {short(data.signature)}"
        case wire.RetryingData():
            return f"{data.error.code}: {data.error.message}; again at {data.retry_at[11:23]}"
        case wire.ConfirmedData():
            return f"paid {number(data.fill.amount_in)}, received {number(data.fill.amount_out)}"
        case wire.FailureData():
            return f"{data.error.code}: {data.error.message}"
        case wire.ReasonData():
            return data.reason
        case _:
            return ""


def order_view(order: wire.OrderView) -> RenderableType:
    """One order in full, with every digit."""
    paid, received = name(order.input), name(order.output)
    route, fill, failed = order.route, order.fill, order.failed_fee_lamports != "0"
    rows: list[tuple[str, RenderableType | None]] = [
        ("order", order.id),
        ("client order id", order.client_order_id),
        ("swap", Text(swap(order), style="bold")),
        ("status", status_text(order.status)),
        ("error", Text(f"{order.error.code}: {order.error.message}", style="red") if order.error else None),
        ("accepted", order.created_at),
        ("last change", order.updated_at),
        *((f"leg {number}", f"{leg.venue} {leg.pool}") for number, leg in enumerate(route.legs if route else (), 1)),
        ("quoted", f"{route.amount_in} {paid} → {route.amount_out} {received}" if route else None),
        ("filled", f"{fill.amount_in} {paid} → {fill.amount_out} {received}" if fill else None),
        ("arrival price", order.arrival_price),
        ("executed price", order.executed_price),
        ("slippage", slippage(order.realised_slippage_bps) if fill else None),
        ("network cost", f"{fill.fee} SOL fee, {fill.rent} SOL rent" if fill else None),
        ("failed transactions", f"{order.failed_fee_lamports} lamports in fees" if failed else None),
        ("attempts", tries(order)),
        ("signature", order.signature),
        ("mode", order.mode),
    ]
    return facts(rows)
