"""How orders, quotes and events look on a terminal. Values of `fillwright.wire` in, rich renderables out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fillwright import wire
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


def name(token: wire.TokenRef) -> str:
    """A token's symbol, or the beginning of its mint."""
    return token.symbol or short(token.mint)


def short(text: str | None, chars: int = 8) -> str:
    """The beginning of a long identifier."""
    if not text:
        return "–"
    return text if len(text) <= chars + 1 else text[:chars] + "…"


def status_text(status: OrderStatus) -> Text:
    return Text(str(status), style=STATUS_STYLE.get(status, ""))


def number(text: str | None, significant: int = 8) -> str:
    """A decimal string, shortened for reading only."""
    if text is None:
        return "–"
    value = Decimal(text)
    if value == 0:
        return "0"
    rounded = format(value.normalize(), f".{significant}g") if len(text) > significant + 2 else format(value, "f")
    return format(Decimal(rounded), "f")


def pair(order: wire.OrderView | wire.QuoteView) -> str:
    return f"{name(order.input)} → {name(order.output)}"


def side(order: wire.OrderView | wire.QuoteView) -> str:
    """What is fixed, such as `sell 1.5 SOL` or `buy 100 USDC`."""
    if order.swap_mode == "exact_in":
        return f"{number(order.amount)} {name(order.input)}"
    return f"buy {number(order.amount)} {name(order.output)}"


def orders_table(orders: Iterable[wire.OrderView], title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    for column in ("order", "pair", "amount", "status", "venue", "price", "slippage", "tries", "signature"):
        table.add_column(column, justify="right" if column in ("amount", "price", "slippage", "tries") else "left")
    for order in orders:
        table.add_row(
            short(order.id, 13),
            pair(order),
            side(order),
            status_text(order.status),
            order.route.legs[0].dex if order.route else "–",
            number(order.executed_price),
            "–" if order.realised_slippage_bps is None else f"{order.realised_slippage_bps} bp",
            str(order.attempts),
            short(order.signature),
        )
    return table


def candidates_table(candidates: Sequence[wire.CandidateView], route: wire.RouteView | None, output: str) -> Table:
    """Every pool's answer, best first, the chosen one marked."""
    chosen = {leg.pool for leg in route.legs} if route else set()
    table = Table(header_style="bold", pad_edge=False)
    for column in ("", "venue", "pool", f"out ({output})", "price", "impact", "behind best"):
        table.add_column(column, justify="left" if column in ("", "venue", "pool") else "right")
    for candidate in sorted(candidates, key=_rank):
        won = candidate.pool in chosen
        style = "bold green" if won else ""
        mark = "►" if won else ""
        if candidate.refusal:
            row = (mark, candidate.venue, short(candidate.pool), f"refused: {candidate.refusal}", "", "", "")
            table.add_row(*row, style="dim")
            continue
        table.add_row(
            mark,
            candidate.venue,
            short(candidate.pool),
            number(candidate.amount_out),
            number(candidate.price),
            f"{candidate.price_impact_bps} bp",
            "best" if won else f"{candidate.behind_bps} bp",
            style=style,
        )
    return table


def _rank(candidate: wire.CandidateView) -> tuple[bool, Decimal]:
    return (candidate.refusal is not None, Decimal(candidate.behind_bps or 0))


def decision_line(candidates: Sequence[wire.CandidateView], route: wire.RouteView | None) -> str:
    """One sentence: who won against whom, and by how much."""
    if route is None or not route.legs:
        return "no executable route"
    priced = sorted((c for c in candidates if not c.refusal), key=_rank)
    winner = route.legs[0]
    others = [c for c in priced if c.pool != winner.pool]
    if not others:
        return f"{winner.dex} ({winner.venue}) is the only pool that can execute it"
    runner_up = others[0]
    return f"{winner.dex} ({winner.venue}) beats {runner_up.dex} ({runner_up.venue}) by {runner_up.behind_bps} bp"


def quote_view(quote: wire.QuoteView) -> RenderableType:
    title = Text.assemble((side(quote), "bold"), f"  {pair(quote)}  slot {quote.slot}")
    table = candidates_table(quote.candidates, quote.route, name(quote.output))
    if quote.route is None:
        reason = f"{quote.error.code}: {quote.error.message}" if quote.error else "no route"
        return Group(title, table, Text(reason, style="red"))
    route = quote.route
    bound = "at least" if quote.swap_mode == "exact_in" else "at most"
    limit_token = name(quote.output if quote.swap_mode == "exact_in" else quote.input)
    summary = (
        f"pay {route.amount_in} {name(quote.input)}, receive {route.amount_out} {name(quote.output)} "
        f"({bound} {route.limit} {limit_token}); {decision_line(quote.candidates, route)}"
    )
    return Group(title, table, Text(summary))


def event_line(event: wire.EventView) -> Text:
    """One event in one line."""
    line = Text.assemble(
        (event.at[11:23], "dim"),
        "  ",
        (short(event.order_id, 13), "dim"),
        "  ",
        (f"{event.status:<12}", STATUS_STYLE.get(event.status, "")),
        f" {event.type:<11} ",
    )
    line.append(event_detail(event), style="dim")
    return line


def event_detail(event: wire.EventView) -> str:
    """What an event says beyond its type."""
    data = wire.event_data(event)
    match data:
        case wire.RoutingData():
            return decision_line(data.candidates, data.route)
        case wire.BuiltData():
            return f"attempt {data.attempt}, signature {short(data.signature)}, limit {data.limit}"
        case wire.AttemptData():
            return f"attempt {data.attempt}, signature {short(data.signature)}"
        case wire.RetryingData():
            return f"{data.error.code}: {data.error.message}; again at {data.retry_at[11:23]}"
        case wire.ConfirmedData():
            return f"filled at {number(data.fill.price)}: {data.fill.amount_in} in, {data.fill.amount_out} out"
        case wire.FailureData():
            return f"{data.error.code}: {data.error.message}"
        case wire.ReasonData():
            return data.reason
        case _:
            return ""


def order_view(order: wire.OrderView) -> RenderableType:
    """One order in full."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    rows: list[tuple[str, RenderableType | None]] = [
        ("order", order.id),
        ("status", status_text(order.status)),
        ("what", f"{side(order)}  {pair(order)}"),
        ("client order id", order.client_order_id),
        ("venue", ", ".join(f"{leg.venue} {leg.pool}" for leg in order.route.legs) if order.route else None),
        ("quoted", f"{order.route.amount_in} in, {order.route.amount_out} out" if order.route else None),
        ("filled", f"{order.fill.amount_in} in, {order.fill.amount_out} out" if order.fill else None),
        ("executed price", order.executed_price),
        ("arrival price", order.arrival_price),
        ("slippage", order.realised_slippage_bps and f"{order.realised_slippage_bps} bp against the quote"),
        ("network cost", f"{order.fill.fee} SOL fee, {order.fill.rent} SOL rent" if order.fill else None),
        ("signature", order.signature),
        ("error", f"{order.error.code}: {order.error.message}" if order.error else None),
        ("attempts", str(order.attempts)),
    ]
    for label, value in rows:
        if value:
            table.add_row(label, value)
    return table
