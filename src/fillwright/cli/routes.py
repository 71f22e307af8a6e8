"""How decisions look on a terminal: the pools asked, the route as a tree, what it is measured against.

Values of `fillwright.wire` in, rich renderables or DOT text out.
"""

from __future__ import annotations

from decimal import Decimal

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from fillwright import wire
from fillwright.cli.show import (
    bps,
    candidates_table,
    decision_line,
    facts,
    name,
    number,
    short,
    swap,
)
from fillwright.domain.amounts import SwapMode

MAX_SHOWN_CANDIDATES = 30
_VISIBLE = Decimal("1e-9")
"""Parts of a cost that are smaller than this share of the whole come from the arrival price's last digit."""


def quote_view(quote: wire.QuoteView, width: int) -> RenderableType:
    """What an order would get."""
    title = Text.assemble((swap(quote), "bold"), (f"  slot {quote.slot}, {quote.mode}", "dim"))
    took = ("decided in", f"{quote.routing_us:,} µs, answered in {quote.took_us / 1_000:,.1f} ms")
    if quote.route is None:
        return Group(title, *_asked(quote, width), _reason(quote))
    return Group(
        title, *_asked(quote, width), route_tree(quote), "", facts((*_outcome(quote), *_measures(quote), took))
    )


def explain_view(explained: wire.ExplainView, width: int) -> RenderableType:
    """A decision taken again."""
    title = Text.assemble((swap(explained), "bold"), (f"  slot {explained.slot}, {explained.mode}", "dim"))
    replay = (
        Text(f"the same as was decided, from {explained.pools} stored pools", style="green")
        if explained.same
        else Text("NOT the same as was decided: " + ", ".join(explained.differences), style="bold red")
    )
    head = facts(
        (
            ("order", explained.order_id),
            ("status", str(explained.status)),
            ("decided", f"{explained.at}, event {explained.number}"),
            ("replay", replay),
        )
    )
    if explained.route is None:
        return Group(title, head, *_asked(explained, width), _reason(explained))
    prices = (("arrival price", explained.arrival_price), ("price then", explained.mid_price))
    body = facts((*_outcome(explained), *_measures(explained), *prices))
    parts: list[RenderableType] = [title, head, *_asked(explained, width), route_tree(explained), "", body]
    if explained.shortfall is not None:
        parts += ["", shortfall_view(explained.shortfall)]
    return Group(*parts)


def route_tree(decided: wire.QuoteView | wire.ExplainView) -> Tree:
    """The route: its paths, their steps, and in each the pools side by side."""
    route = decided.route
    if route is None:
        return Tree("no executable route")
    paid, received = name(decided.input), name(decided.output)
    root = Tree(Text(f"{number(route.amount_in, 9)} {paid} → {number(route.amount_out, 9)} {received}", style="bold"))
    for path in decided.paths:
        along = " → ".join([name(path.hops[0].input), *(name(hop.output) for hop in path.hops)])
        branch = root
        if len(decided.paths) > 1 or len(path.hops) > 1:
            branch = root.add(f"{_percent(path.share_bps)}  {along}")
        for hop in path.hops:
            twig = branch
            if len(path.hops) > 1:
                left = f", {number(hop.dust)} {name(hop.output)} stay as dust" if Decimal(hop.dust or 0) else ""
                twig = branch.add(f"{name(hop.input)} → {name(hop.output)}{left}")
            for at, share in zip(hop.legs, hop.shares_bps, strict=True):
                twig.add(_leg(route.legs[at], share))
    return root


def _leg(leg: wire.LegView, share_bps: str) -> Text:
    amounts = f"{number(leg.amount_in, 9)} {name(leg.input)} → {number(leg.amount_out, 9)} {name(leg.output)}"
    paid: dict[str, Decimal] = {}
    for fee in leg.fees:
        token = fee.symbol or short(fee.mint)
        paid[token] = paid.get(token, Decimal(0)) + Decimal(fee.amount)
    fees = " + ".join(f"{number(str(amount), 4)} {token}" for token, amount in paid.items()) or "none"
    return Text.assemble(
        (f"{_percent(share_bps)}  ", "cyan"), (leg.venue, "green"), f" {short(leg.pool)}  {amounts}",
        (f"  fees {fees}, impact {bps(leg.price_impact_bps)}", "dim"),
    )  # fmt: skip


def shortfall_view(shortfall: wire.ShortfallView) -> RenderableType:
    """What the fill cost against the arrival price, part by part."""
    token = name(shortfall.token)
    rows: list[tuple[str, RenderableType | None]] = [
        ("cost", f"against {number(shortfall.benchmark, 9)} {token} at the arrival price")
    ]
    whole = Decimal(shortfall.benchmark)
    for part in ("delay", "fees", "impact", "dust", "timing", "network"):
        value = Decimal(getattr(shortfall, part))
        if abs(value) > whole * _VISIBLE:
            share = str(value * 10_000 / whole) if whole else "0"
            rows.append((f"  {part}", f"{number(str(value), 6)} {token}  {bps(share)}"))
    rows.append(("  together", f"{number(shortfall.total, 6)} {token}  {bps(shortfall.total_bps)}"))
    return facts(rows)


def dot(decided: wire.QuoteView | wire.ExplainView) -> str:
    """The route as a graph in the DOT language: tokens are nodes, legs are edges."""
    lines = ["digraph route {", "  rankdir=LR;"]
    for leg in decided.route.legs if decided.route else ():
        label = f"{leg.venue}\\n{leg.amount_in} → {leg.amount_out}"
        lines.append(f"  {_quoted(name(leg.input))} -> {_quoted(name(leg.output))} [label={_quoted(label)}];")
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    return '"' + text.replace('"', r"\"") + '"'


def _asked(decided: wire.QuoteView | wire.ExplainView, width: int) -> list[RenderableType]:
    if not decided.candidates:
        return []
    return [candidates_table(decided.candidates[:MAX_SHOWN_CANDIDATES], decided.route, decided, width)]


def _reason(decided: wire.QuoteView | wire.ExplainView) -> Text:
    reason = f"{decided.error.code}: {decided.error.message}" if decided.error else "no route"
    return Text(reason, style="red")


def _outcome(decided: wire.QuoteView | wire.ExplainView) -> tuple[tuple[str, RenderableType | None], ...]:
    route = decided.route
    if route is None:
        return ()
    exact_in = decided.swap_mode is SwapMode.EXACT_IN
    bound, limited = ("at least", decided.output) if exact_in else ("at most", decided.input)
    return (
        ("pay", f"{number(route.amount_in, 12)} {name(decided.input)}"),
        ("receive", f"{number(route.amount_out, 12)} {name(decided.output)}"),
        (bound, f"{number(route.limit, 12)} {name(limited)}"),
        ("decision", decision_line(decided.candidates, route)),
    )


def _measures(decided: wire.QuoteView | wire.ExplainView) -> tuple[tuple[str, RenderableType | None], ...]:
    route, single = decided.route, decided.best_single
    if route is None:
        return ()
    alone = None
    if single is not None:
        exact_in = decided.swap_mode is SwapMode.EXACT_IN
        amount = single.amount_out if exact_in else single.amount_in
        alone = f"{number(amount, 12)} {name(decided.output if exact_in else decided.input)} on {single.venue}"
    limit = None
    if decided.bound is not None and decided.behind_bound_bps is not None:
        limit = f"{number(decided.bound, 12)} {name(decided.output)}, {bps(decided.behind_bound_bps)} away at most"
    space = (
        f"{route.size_bytes} bytes, {route.locks} accounts, {route.compute_units:,} compute units"
        if route.size_bytes and route.compute_units
        else None
    )
    dust = ", ".join(f"{number(one.amount)} {one.symbol or short(one.mint)}" for one in route.dust)
    return (
        ("price impact", bps(route.price_impact_bps)),
        ("best pool alone", alone),
        ("gain over it", f"{bps(decided.gain_bps)}, net of network costs" if decided.gain_bps is not None else None),
        ("no route gives", limit and f"more than {limit}"),
        ("dust", dust or None),
        ("transaction", space),
    )


def _percent(share_bps: str) -> str:
    return f"{Decimal(share_bps) / 100:.1f} %"
