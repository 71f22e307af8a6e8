"""Lists with limit and offset over a store that pages by id."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fillwright.api.compat.dialects import Dialect, statuses_of
from fillwright.domain.errors import InvalidInput
from fillwright.domain.orders import Order, OrderId, OrderStatus
from fillwright.ports import OrderFilter, Store

MAX_OFFSET = 100_000
PAGE = 500
DEFAULT_USER_LIMIT = 50


class Window(msgspec.Struct, frozen=True):
    limit: int
    offset: int


def window(query: Mapping[str, str], dialect: Dialect) -> Window:
    """The part of the list that is asked for. What makes no sense is the default; what is too much, the most."""
    limit = _whole(query.get("limit"), dialect.list_limit)
    offset = _whole(query.get("offset"), 0)
    return Window(min(limit or dialect.list_limit, dialect.max_list_limit), min(offset, MAX_OFFSET))


def strict_limit(query: Mapping[str, str], dialect: Dialect) -> int:
    """004's limit. Raises InvalidInput outside its range."""
    text = query.get("limit")
    limit = DEFAULT_USER_LIMIT if text is None else _whole(text, 0)
    if not 1 <= limit <= dialect.max_list_limit:
        message = f"Limit must be a number between 1 and {dialect.max_list_limit}"
        raise InvalidInput("limit_invalid", message, status=400)
    return limit


def statuses(query: Mapping[str, str]) -> tuple[OrderStatus, ...] | None:
    """The canonical statuses behind `?status=`; None without it. Raises InvalidInput."""
    text = query.get("status")
    if not text:
        return None
    found = statuses_of(text)
    if not found:
        raise InvalidInput("status_invalid", "status is one of the order statuses", status=400)
    return found


async def fetch(
    store: Store, account: str, part: Window, wanted: tuple[OrderStatus, ...] | None, *, wallet: str | None = None
) -> list[Order]:
    """The account's orders, newest first, in any of the wanted statuses."""
    last = part.offset + part.limit
    found: list[Order] = []
    for status in wanted if wanted is not None else (None,):
        found += await _newest(store, OrderFilter(account, status, wallet), last)
    found.sort(key=lambda order: order.id, reverse=True)
    return found[part.offset : last]


async def newest(store: Store, account: str, limit: int) -> list[Order]:
    """The account's `limit` newest orders."""
    return await _newest(store, OrderFilter(account), limit)


async def _newest(store: Store, where: OrderFilter, limit: int) -> list[Order]:
    found: list[Order] = []
    before: OrderId | None = None
    while len(found) < limit:
        size = min(PAGE, limit - len(found))
        page = await store.page(where, before, size)
        found += page
        if len(page) < size:
            break
        before = page[-1].id
    return found


def _whole(text: str | None, default: int) -> int:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 9:
        return default
    return int(text)
