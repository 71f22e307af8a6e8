"""The Python SDK: submit, wait, stream, quote, list. `AsyncClient` and `Client` offer the same calls.

In: plain arguments. Out: the structs of `fillwright.wire`. A call that the server refuses raises ApiError with
its stable code; one that got no usable answer raises Unreachable. `submit` may be repeated after a lost reply
without ever ordering twice: an order that names no client order id is given one. Streams resume by themselves
from the last event seen: no gap, no duplicate, across restarts of the server too.
"""

from __future__ import annotations

from fillwright.client.asynchronous import AsyncClient
from fillwright.client.blocking import Client
from fillwright.client.calls import DEFAULT_URL, OrderFields, OrderWhere, QuoteFields
from fillwright.client.errors import ApiError, Patience, Unreachable

__all__ = [
    "DEFAULT_URL",
    "ApiError",
    "AsyncClient",
    "Client",
    "OrderFields",
    "OrderWhere",
    "Patience",
    "QuoteFields",
    "Unreachable",
]
