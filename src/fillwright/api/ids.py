"""Order ids as they come in from outside."""

from __future__ import annotations

import re

from fillwright.api.problems import InvalidParameter
from fillwright.domain.errors import InvalidInput
from fillwright.domain.orders import OrderId

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_MESSAGE = "an order's id is a UUID"


def parse_order_id(text: str) -> OrderId:
    """The id in a path, in its canonical spelling. Raises InvalidParameter `id_invalid`."""
    if _UUID.fullmatch(text) is None:
        raise InvalidParameter("id_invalid", _MESSAGE, "order_id")
    return OrderId(text.lower())


def order_id_field(value: object, pointer: str) -> OrderId:
    """As `parse_order_id`, for a field of a JSON object. Raises InvalidInput `id_invalid`."""
    if not isinstance(value, str) or _UUID.fullmatch(value) is None:
        raise InvalidInput("id_invalid", _MESSAGE, pointer=pointer)
    return OrderId(value.lower())
