"""`order`, `quote` and `explain`: what to trade, and how it is or was routed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fillwright.cli.output import console, emit
from fillwright.cli.remote import DEFAULT_URL, ApiKey, Json, Url, run, whole_id

Input = Annotated[str, typer.Argument(metavar="INPUT", help="Token to spend: symbol or mint.")]
Output = Annotated[str, typer.Argument(metavar="OUTPUT", help="Token to receive: symbol or mint.")]
Amount = Annotated[str, typer.Argument(metavar="AMOUNT", help="Amount in whole tokens, such as 1.5.")]
ExactOut = Annotated[bool, typer.Option("--exact-out", help="AMOUNT is what to receive.")]
Slippage = Annotated[int | None, typer.Option("--slippage-bps", help="Tolerance after the quote, in basis points.")]
FillTo = Annotated[
    str | None, typer.Option("--fill-to-price", help="Execute as much of AMOUNT as gets at least this price.")
]
MaxLegs = Annotated[int | None, typer.Option(help="Most pools that the route may use.")]
MaxHops = Annotated[int | None, typer.Option(help="Most pools one after the other.")]
DirectOnly = Annotated[bool, typer.Option("--direct-only", help="Only pools of the pair itself.")]
Venues = Annotated[list[str] | None, typer.Option("--venue", help="Only this venue or DEX; may be repeated.")]
NotVenues = Annotated[list[str] | None, typer.Option("--exclude-venue", help="Not this venue or DEX.")]
Pools = Annotated[list[str] | None, typer.Option("--pool", help="Only this pool; may be repeated.")]
NotPools = Annotated[list[str] | None, typer.Option("--exclude-pool", help="Not this pool.")]


def order(
    input_: Input,
    output: Output,
    amount: Amount,
    exact_out: ExactOut = False,
    slippage_bps: Slippage = None,
    min_out: Annotated[str | None, typer.Option(help="Least output to accept, instead of a tolerance.")] = None,
    max_in: Annotated[str | None, typer.Option(help="Most input to pay, with --exact-out.")] = None,
    fill_to_price: FillTo = None,
    max_legs: MaxLegs = None,
    max_hops: MaxHops = None,
    direct_only: DirectOnly = False,
    venue: Venues = None,
    exclude_venue: NotVenues = None,
    pool: Pools = None,
    exclude_pool: NotPools = None,
    client_order_id: Annotated[str | None, typer.Option(help="Repeat safely: the same id is one order.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once the order is accepted.")] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Order, and watch it to its end. Exit status 0 only when it is confirmed."""
    fields = _fields(
        input_, output, amount, exact_out, slippage_bps=slippage_bps, min_out=min_out, max_in=max_in,
        fill_to_price=fill_to_price, max_legs=max_legs, max_hops=max_hops, direct_only=direct_only, venues=venue,
        exclude_venues=exclude_venue, pools=pool, exclude_pools=exclude_pool, client_order_id=client_order_id,
    )  # fmt: skip

    async def place() -> int:
        from rich.console import Group

        from fillwright.cli import show
        from fillwright.client import AsyncClient

        async with AsyncClient(url, api_key=api_key) as client:
            placed = await client.submit(**fields)
            if detach:
                emit(placed, json, lambda: show.order_view(placed))
                return 0
            async for event in client.stream(placed.id):
                emit(event, json, lambda event=event: show.event_line(event, with_order=False))  # type: ignore[misc]
            ended = await client.get(placed.id)
            emit(ended, json, lambda: Group("", show.order_view(ended)))
            return 0 if ended.status == "confirmed" else 1

    raise typer.Exit(run(place()))


def quote(
    input_: Input,
    output: Output,
    amount: Amount,
    exact_out: ExactOut = False,
    slippage_bps: Slippage = None,
    fill_to_price: FillTo = None,
    max_legs: MaxLegs = None,
    max_hops: MaxHops = None,
    direct_only: DirectOnly = False,
    venue: Venues = None,
    exclude_venue: NotVenues = None,
    pool: Pools = None,
    exclude_pool: NotPools = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """What an order would get now, from every pool and from the best route over them."""
    fields = _fields(
        input_, output, amount, exact_out, slippage_bps=slippage_bps, fill_to_price=fill_to_price,
        max_legs=max_legs, max_hops=max_hops, direct_only=direct_only, venues=venue, exclude_venues=exclude_venue,
        pools=pool, exclude_pools=exclude_pool,
    )  # fmt: skip

    async def ask() -> int:
        from fillwright.cli import routes
        from fillwright.client import AsyncClient

        async with AsyncClient(url, api_key=api_key) as client:
            answer = await client.quote(**fields)
            emit(answer, json, lambda: routes.quote_view(answer, console.width))
            return 0 if answer.route is not None else 1

    raise typer.Exit(run(ask()))


def explain(
    order_id: Annotated[str, typer.Argument(help="The order's id, or its end as `orders` shows it.")],
    number: Annotated[
        int | None, typer.Option(help="Of a routing event, where there are several; else the last.")
    ] = None,
    dot: Annotated[bool, typer.Option("--dot", help="The route as a graph in the DOT language.")] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Why an order was routed as it was: its decision, taken again from what was stored. Exit status 0 only when it
    comes out the same."""

    async def fetch() -> int:
        from fillwright.cli import routes
        from fillwright.client import AsyncClient

        async with AsyncClient(url, api_key=api_key) as client:
            answer = await client.explain(await whole_id(client, order_id), number=number)
            if dot:
                typer.echo(routes.dot(answer))
            else:
                emit(answer, json, lambda: routes.explain_view(answer, console.width))
            return 0 if answer.same else 1

    raise typer.Exit(run(fetch()))


def _fields(input_: str, output: str, amount: str, exact_out: bool, **optional: Any) -> dict[str, Any]:
    """The request's fields: of the optional ones those that were given."""
    fields: dict[str, Any] = {"input": input_, "output": output, "amount": amount}
    fields["swap_mode"] = "exact_out" if exact_out else "exact_in"
    return fields | {key: value for key, value in optional.items() if value}
