"""Order ids as the dialects' clients send them back: with dashes or without."""

from __future__ import annotations

from fillwright.api.ids import parse_order_id
from fillwright.domain.errors import InvalidInput
from fillwright.domain.orders import OrderId

COMPACT_CHARS = 32
_GROUPS = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))


def order_id_of(text: str) -> OrderId | None:
    """The id in its canonical spelling; None for what can be no id."""
    if len(text) == COMPACT_CHARS:
        text = "-".join(text[start:end] for start, end in _GROUPS)
    try:
        return parse_order_id(text)
    except InvalidInput:
        return None
