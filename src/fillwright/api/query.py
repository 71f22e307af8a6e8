"""Query parameters, read as strictly as bodies are: whole numbers in their plain spelling, nothing unknown, nothing
twice. A misspelt filter would otherwise list everything.
"""

from __future__ import annotations

import re

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from fillwright.api.problems import InvalidParameter

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,99}", re.ASCII)
_MAX_NAME_CHARS = 64


def _whole(value: object) -> object:
    if isinstance(value, str) and _WHOLE.fullmatch(value) is None:
        raise PydanticCustomError("int_parsing", "this must be a whole number, in digits")
    return value


Whole = BeforeValidator(_whole)
"""Annotates an integer: " 1", "1_0", "1.0" and "+1" are none."""


async def known(request: Request) -> None:
    """A dependency: refuse a parameter that the route does not have, and one that is given twice. Raises
    InvalidParameter."""
    names = {field.alias for field in request.scope["route"].dependant.query_params}
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in names:
            shown = name[:_MAX_NAME_CHARS]
            raise InvalidParameter("unknown_field", "this query parameter is not known here", shown)
        if name in seen:
            raise InvalidParameter("filter_conflict", "this query parameter is given more than once", name)
        seen.add(name)
