"""Request bodies: strict JSON in, plain values out, every fault with its own code and pointer.

JSON is read more strictly than the standard library does: no NaN or Infinity, no duplicate keys, no lone
surrogates, no byte order mark, bounded depth. A number beyond a double is read as infinite. Fields are then read
one by one; a field that is missing, unknown or of the wrong type is named by a JSON pointer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from fillwright.domain.errors import InvalidInput

MAX_DEPTH = 32
MAX_NUMBER_CHARS = 400

Read = Callable[[object, str], Any]
"""A field's reader: the JSON value and its pointer -> the value to use. Raises InvalidInput."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """The request's body, a JSON document of at most `limit` bytes by its own account and by count.

    Raises InvalidInput 415 `content_type_unsupported`, 413 `body_too_large`; ClientDisconnect.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)
    if not _is_json(headers.get(b"content-type", b"")):
        raise InvalidInput("content_type_unsupported", "send application/json in UTF-8", status=415)
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> InvalidInput:
    return InvalidInput("body_too_large", f"a body has at most {limit} bytes", status=413)


def _is_json(content_type: bytes) -> bool:
    if content_type == b"application/json":
        return True
    media, _, parameters = content_type.lower().partition(b";")
    return media.strip() == b"application/json" and parameters.replace(b" ", b"").replace(b'"', b"") in (
        b"",
        b"charset=utf-8",
    )


def parse_json(body: bytes | str) -> object:
    """The JSON value that `body` holds. Raises InvalidInput 400 `json_invalid`."""
    try:
        text = body.decode() if isinstance(body, bytes) else body
    except UnicodeDecodeError:
        raise _invalid("it is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise _invalid("it begins with a byte order mark")
    try:
        value = _decode(text)
    except json.JSONDecodeError as error:
        raise _invalid(f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise _invalid(f"it is nested deeper than {MAX_DEPTH} levels") from None
    if text.count("{") + text.count("[") > MAX_DEPTH:
        _check_depth(value)
    if "\\u" in text:
        _check_surrogates(value)
    return value


def _invalid(why: str) -> InvalidInput:
    return InvalidInput("json_invalid", f"the body is not valid JSON: {why}", status=400)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _invalid("an object has the same key twice")
    return found


def _integer(text: str) -> int | float:
    """A number beyond all bounds is valid JSON: the field that it stands in refuses it."""
    return int(text) if len(text) <= MAX_NUMBER_CHARS else math.inf


def _real(text: str) -> float:
    return float(text) if len(text) <= MAX_NUMBER_CHARS else math.inf


def _constant(text: str) -> NoReturn:
    raise _invalid(f"{text.removeprefix('-')} is not JSON")


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_real, parse_constant=_constant
).decode


def _check_depth(value: object) -> None:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise _invalid(f"it is nested deeper than {MAX_DEPTH} levels")


def _check_surrogates(value: object) -> None:
    level: list[object] = [value]
    while level:
        for part in level:
            if isinstance(part, str) and not _encodable(part):
                raise _invalid("a string holds half of a surrogate pair")
        level = [inner for outer in level for inner in (*_inside(outer), *_keys(outer))]


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _keys(value: object) -> list[object]:
    return list(value) if isinstance(value, dict) else []


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_fields(value: object, fields: Mapping[str, Read], required: tuple[str, ...]) -> dict[str, Any]:
    """The fields that `value` holds, each through its reader.

    Raises InvalidInput `field_type` (no object), `unknown_field`, `field_required`, and what readers raise.
    """
    if not isinstance(value, dict):
        raise InvalidInput("field_type", "the body must be a JSON object")
    found: dict[str, Any] = {}
    for name, held in value.items():
        read = fields.get(name)
        if read is None:
            raise InvalidInput("unknown_field", "this field is not known here", pointer=pointer_to(name))
        found[name] = read(held, "/" + name)
    for name in required:
        if name not in found:
            raise InvalidInput("field_required", "this field is required", pointer="/" + name)
    return found


def pointer_to(name: str) -> str:
    """A JSON pointer (RFC 6901) to a top-level field, cut to a bounded length."""
    return "/" + name[:64].replace("~", "~0").replace("/", "~1")


def text(value: object, pointer: str) -> str:
    if isinstance(value, str):
        return value
    raise wrong_type("a string", pointer)


def flag(value: object, pointer: str) -> bool:
    if value is True or value is False:
        return value
    raise wrong_type("true or false", pointer)


def integer(value: object, pointer: str) -> int:
    """An integer; 50.0 is the integer 50, as JSON Schema has it. True is no integer."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise wrong_type("an integer", pointer)


def bounded(low: int, high: int) -> Read:
    """A reader of integers from `low` to `high`, which raises `field_range` beyond."""

    def read(value: object, pointer: str) -> int:
        number = integer(value, pointer)
        if not low <= number <= high:
            raise InvalidInput("field_range", f"from {low} to {high}", pointer=pointer)
        return number

    return read


def one_of(*choices: str) -> Read:
    """A reader of one of these strings, which raises `field_value` for another."""

    def read(value: object, pointer: str) -> str:
        if text(value, pointer) not in choices:
            raise InvalidInput("field_value", f"one of: {', '.join(choices)}", pointer=pointer)
        return str(value)

    return read


def listed(read_item: Read, limit: int) -> Read:
    """A reader of lists of at most `limit` items, which raises `field_range` beyond."""

    def read(value: object, pointer: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise wrong_type("a list", pointer)
        if len(value) > limit:
            raise InvalidInput("field_range", f"at most {limit} items", pointer=pointer)
        return tuple(read_item(item, f"{pointer}/{index}") for index, item in enumerate(value))

    return read


def wrong_type(expected: str, pointer: str) -> InvalidInput:
    """The error for a value of another JSON type than `expected`."""
    return InvalidInput("field_type", f"this must be {expected}", pointer=pointer)
