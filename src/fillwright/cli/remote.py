"""What the commands that talk to a running engine have in common: where it is, and which order is meant."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fillwright.domain.errors import Conflict, NotFound

if TYPE_CHECKING:
    from fillwright.client import AsyncClient

DEFAULT_URL = "http://127.0.0.1:3000"
SEARCHED_ORDERS = 1_000
"""How many of the newest orders are searched for an id of which only the end was given."""
ID_CHARS = 36

Url = Annotated[str, typer.Option("--url", envvar="FILLWRIGHT_URL", help="Where the engine listens.")]
ApiKey = Annotated[str | None, typer.Option("--api-key", envvar="FILLWRIGHT_API_KEY", help="Where keys are set up.")]
Json = Annotated[bool, typer.Option("--json", help="JSON lines, as when the output is not a terminal.")]


async def whole_id(client: AsyncClient, text: str) -> str:
    """The id of the one recent order that ends like this. Raises NotFound, Conflict."""
    if len(text) >= ID_CHARS:
        return text
    found = [order.id async for order in client.orders(limit=SEARCHED_ORDERS) if order.id.endswith(text.lower())]
    if not found:
        raise NotFound(f"none of the newest {SEARCHED_ORDERS} orders has an id that ends like this")
    if len(found) > 1:
        raise Conflict("several orders have ids that end like this: give more of it", code="id_ambiguous")
    return found[0]


def run(work: Coroutine[Any, Any, int]) -> int:
    """The exit status of a command's work."""
    return asyncio.run(work)
