"""The OpenAPI document: FastAPI's, with the wire shapes as schemas and the routes that FastAPI does not see."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from fillwright import __version__, wire
from fillwright.config import Settings
from fillwright.wire.batch import MAX_BATCH, BatchView

_REF = "#/components/schemas/{name}"

SHAPES = (
    wire.OrderRequest,
    wire.QuoteRequest,
    wire.OrderView,
    wire.OrderPage,
    BatchView,
    wire.EventPage,
    wire.QuoteView,
    wire.ExplainView,
    wire.TokenPage,
    wire.PoolPage,
    wire.PoolReleased,
    wire.StatsView,
    wire.Health,
    wire.Problem,
    *dict.fromkeys(wire.EVENT_DATA.values()),
    wire.Subscribe,
    wire.Unsubscribe,
    wire.Ping,
    wire.Subscribed,
    wire.Unsubscribed,
    wire.EventFrame,
    wire.Heartbeat,
    wire.StreamError,
)

_PROBLEMS = {
    400: "The body is not JSON",
    401: "No API key, or an unknown one",
    403: "The key lacks the scope",
    404: "No such thing, or someone else's",
    408: "The request did not come in time",
    409: "It contradicts what is stored",
    413: "The body is too large",
    415: "The body is not application/json",
    422: "It can never succeed as written: see `code`, and `pointer` or `parameter`",
    429: "Too many requests",
    503: "A part is down or overloaded; try again",
}

DESCRIPTION = """
Amounts are strings: `amount` in whole tokens, `amount_units` in base units. Prices are output per input.
Every answer carries the engine's mode, in the body and in the header `Fillwright-Mode`.
Errors are problems (RFC 9457) with a stable `code`.

Live events: `GET /v1/orders/{order_id}/events/stream` (server-sent events), or the WebSocket `/v1/stream`, to
which a client sends Subscribe, Unsubscribe and Ping, and which sends Subscribed, EventFrame, Heartbeat,
Unsubscribed and StreamError. `from_seq` is the sequence of the last event seen: what follows is sent, each
event once and in order. Close code 1013: the reader was too slow and may resume.
"""


def answers(shape: str, *problems: int) -> dict[int | str, dict[str, Any]]:
    """The responses of a route: 200 with a wire shape, and problems by status."""
    return {
        200: {"description": "Success", "content": {"application/json": {"schema": _ref(shape)}}},
        **_failures(*problems),
    }


def _ref(shape: str) -> dict[str, str]:
    return {"$ref": _REF.format(name=shape)}


def _failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _failure(status) for status in statuses}


def _failure(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": _PROBLEMS[status],
        "content": {wire.PROBLEM_TYPE: {"schema": _ref("Problem")}},
    }
    if status in (429, 503):
        found["headers"] = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}}
    return found


def document(app: FastAPI, settings: Settings) -> dict[str, Any]:
    """The whole specification."""
    found = get_openapi(title="Fillwright", version=__version__, description=DESCRIPTION, routes=app.routes)
    found["components"] = {"schemas": _schemas(settings)}
    paths = found["paths"]
    for path, operations in _unseen().items():
        paths.setdefault(path, {}).update(operations)
    for operations in paths.values():
        for operation in operations.values():
            _finish(operation, secured=bool(settings.api_keys))
    if settings.api_keys:
        found["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
    return found


def _finish(operation: dict[str, Any], *, secured: bool) -> None:
    """String keys for statuses; the security of what needs a key."""
    responses = {str(status): response for status, response in operation["responses"].items()}
    if "422" in responses and wire.PROBLEM_TYPE not in responses["422"].get("content", {}):
        responses["422"] = _failure(422)
    operation["responses"] = dict(sorted(responses.items()))
    if secured and "401" in responses:
        operation["security"] = [{"bearer": []}, {"header": []}]


def _schemas(settings: Settings) -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components(SHAPES, ref_template=_REF)
    for name in ("OrderRequest", "QuoteRequest", "Subscribe", "Unsubscribe"):
        _without_nulls(schemas[name])
    for name in ("OrderRequest", "QuoteRequest"):
        properties = schemas[name]["properties"]
        properties["slippage_bps"]["maximum"] = settings.max_slippage_bps
        schemas[name]["oneOf"] = [{"required": ["amount"]}, {"required": ["amount_units"]}]
    data = {"anyOf": [_ref(shape.__name__) for shape in dict.fromkeys(wire.EVENT_DATA.values())]}
    schemas["EventView"]["properties"]["data"] = data
    return schemas


def _without_nulls(schema: dict[str, Any]) -> None:
    """A field that may be left out is not therefore allowed to be null."""
    for name, held in schema["properties"].items():
        choices = [choice for choice in held.get("anyOf", ()) if choice.get("type") != "null"]
        if len(choices) == 1:
            schema["properties"][name] = choices[0]


def _unseen() -> dict[str, dict[str, Any]]:
    """Routes that are plain ASGI applications."""
    return {
        "/v1/orders": {"post": _post_order()},
        "/v1/orders/batch": {"post": _post_batch()},
        "/v1/quotes": {"post": _post_quote()},
        "/v1/orders/{order_id}/events/stream": {"get": _event_stream()},
    }


def _body(shape: str, example: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": _ref(shape), "example": example}}}


def _post_order() -> dict[str, Any]:
    return {
        "operationId": "createOrder",
        "tags": ["orders"],
        "summary": "Create Order",
        "description": "202 once the order is durable. The same `client_order_id` with the same body gives the same "
        "order, as it is now; with another body 409 `idempotency_mismatch`.",
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "Stands in for `client_order_id` where the body has none.",
                "schema": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": wire.MAX_CLIENT_ORDER_ID_CHARS,
                    "pattern": "^[!-~]+$",
                },
            }
        ],
        "requestBody": _body("OrderRequest", {"input": "SOL", "output": "USDC", "amount": "1.5", "slippage_bps": 50}),
        "responses": {
            202: {
                "description": "Accepted and durable",
                "headers": {"Location": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": _ref("OrderView")}},
            },
            **_failures(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
        },
    }


def _post_batch() -> dict[str, Any]:
    order = {"input": "SOL", "output": "USDC", "amount": "1.5"}
    orders = {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_BATCH,
        "items": {"type": "object", "description": "An OrderRequest. What is wrong with it is told in its result."},
    }
    schema = {"type": "object", "required": ["orders"], "additionalProperties": False, "properties": {"orders": orders}}
    return {
        "operationId": "createOrders",
        "tags": ["orders"],
        "summary": "Create Orders",
        "description": "Up to 100 orders in one durable write. Each has the outcome that it would have had alone: "
        "`status` 202 with the order, or another with the problem.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": {"orders": [order, order]}}},
        },
        "responses": answers("BatchView", 400, 401, 403, 408, 413, 415, 422, 429, 503),
    }


def _post_quote() -> dict[str, Any]:
    return {
        "operationId": "createQuote",
        "tags": ["market"],
        "summary": "Create Quote",
        "description": "What routing would decide now: every pool's answer and the best route. Without an executable "
        "route, `route` is null and `error` says why.",
        "requestBody": _body("QuoteRequest", {"input": "SOL", "output": "USDC", "amount": "1.5"}),
        "responses": answers("QuoteView", 400, 401, 403, 408, 413, 415, 422, 503),
    }


def _sse_event() -> dict[str, Any]:
    """One server-sent event."""
    return {
        "type": "object",
        "required": ["event", "data"],
        "properties": {
            "id": {"type": "string", "pattern": "^[0-9]+$"},
            "event": {"enum": ["snapshot", *wire.EVENT_DATA]},
            "data": {"type": "string", "contentMediaType": "application/json"},
        },
    }


def _event_stream() -> dict[str, Any]:
    sequence = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
    resume = "The sequence of the last event seen."
    return {
        "operationId": "streamOrderEvents",
        "tags": ["orders"],
        "summary": "Stream Order Events",
        "description": "Server-sent events: `snapshot` (an OrderView), then each event (an EventView, its sequence as "
        "id) until the order's last one. 204: the order is over and all of it has been seen.",
        "parameters": [
            {
                "name": "order_id",
                "in": "path",
                "required": True,
                "description": "The order's id, a UUID.",
                "schema": {"type": "string", "format": "uuid"},
            },
            {"name": "from_seq", "in": "query", "required": False, "description": resume, "schema": sequence},
            {"name": "Last-Event-ID", "in": "header", "required": False, "description": resume, "schema": sequence},
        ],
        "responses": {
            200: {"description": "The stream", "content": {"text/event-stream": {"schema": _sse_event()}}},
            204: {"description": "Nothing will follow"},
            **_failures(401, 403, 404, 422, 503),
        },
    }
