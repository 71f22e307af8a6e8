"""Whether the engine's stored outcomes are those that its events told.

In: each order's last status by its events. Out: how many orders were found in the engine's list, and each that is
missing there or stands otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from fillwright.load.wire import LoadError, response, target

if TYPE_CHECKING:
    from fillwright.load.generator import Load

PAGE = 200
SPARE_PAGES = 50
"""Pages that orders of others may fill meanwhile."""


class _Order(msgspec.Struct):
    id: str
    status: str


class _Page(msgspec.Struct):
    orders: list[_Order]
    next_cursor: str | None = None


_decode_page = msgspec.json.Decoder(_Page).decode


async def compare(load: Load, told: Mapping[str, str | None]) -> tuple[int, list[str]]:
    """`told`: each accepted order's last status; None where no last event has come. Raises LoadError, OSError."""
    reader, writer = await target(load.url).connect()
    stored: dict[str, str] = {}
    cursor: str | None = ""
    try:
        for _ in range(len(told) // PAGE + SPARE_PAGES):
            if cursor is None or len(stored) == len(told):
                break
            writer.write(_request(load, cursor))
            status, body = await response(reader)
            if status != 200:
                raise LoadError(f"the list of orders was refused with {status}")
            page = _decode_page(body)
            stored |= {order.id: order.status for order in page.orders if order.id in told}
            cursor = page.next_cursor
    finally:
        writer.close()
    wrong = [f"{order_id} is not in the list of orders" for order_id in told if order_id not in stored]
    wrong += [
        f"{order_id} ended as {last} by its events, but is stored as {stored[order_id]}"
        for order_id, last in told.items()
        if last is not None and stored.get(order_id, last) != last
    ]
    return len(stored), wrong


def _request(load: Load, cursor: str) -> bytes:
    after = f"&cursor={cursor}" if cursor else ""
    return f"{target(load.url).head('GET', f'/v1/orders?limit={PAGE}{after}', load.api_key)}\r\n".encode()
