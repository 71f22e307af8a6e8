"""A process that writes to a store until it is killed, and says on its standard output what was acknowledged.

`writing_child.py DATABASE FIRST`: lines of `order id, version`, each printed after the store has answered.
"""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from fakes.orders import ROUTED, new_order, step
from fillwright.clock import SystemClock
from fillwright.domain.orders import Order
from fillwright.store.sqlite import SqliteStore

IN_FLIGHT = 8
STEPS = 4


def acknowledge(order: Order) -> None:
    os.write(1, f"{order.id} {order.version}\n".encode())


async def main(path: Path, first: int) -> None:
    store = SqliteStore(path, SystemClock())
    await store.open(lambda _: None)
    numbers = count(first)

    async def write() -> None:
        for number in numbers:
            order = await store.insert(*new_order(number, client_order_id=str(number)))
            acknowledge(order)
            for _ in range(STEPS):
                change = step(order, ROUTED)
                await store.change(change)
                order = change.order
                acknowledge(order)

    await asyncio.gather(*(write() for _ in range(IN_FLIGHT)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
