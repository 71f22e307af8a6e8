"""The canonical API as one ASGI application, put together from its routes.

In: Services, whose parts are open. Out: an application that opens and closes its own event hub with the
server's lifespan, or by `open` and `close` where nothing runs a lifespan.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from fillwright import wire
from fillwright.api import openapi
from fillwright.api.auth import Gate
from fillwright.api.batch import PostBatch
from fillwright.api.compat.routes import compat_routes
from fillwright.api.edge import Edge
from fillwright.api.http import PostOrder, PostQuote, order_routes
from fillwright.api.market import market_routes
from fillwright.api.operations import operation_routes
from fillwright.api.problems import deny, internal_problem, plain_problem, problem_of, problem_response
from fillwright.api.quarantine import quarantine_routes
from fillwright.api.services import Services
from fillwright.api.sse import EventStreamEndpoint
from fillwright.api.streams import Hub
from fillwright.api.ws import StreamEndpoint
from fillwright.domain.errors import FillwrightError, NotFound

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_CODES = {404: "not_found", 405: "method_not_allowed"}


class Api:
    """The application. `fastapi` takes further routers before the first request."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.hub = Hub(services)
        self.gate = Gate(services.settings, services.clock, services.limiter)
        self.fastapi = _fastapi(services, self.hub, self.gate)
        self._app = Edge(_Busiest(self.fastapi, services, self.gate), services.mode, services.clock)
        self._opened = False

    async def open(self) -> None:
        """Start to follow the bus. Raises what the store raises."""
        if not self._opened:
            self._opened = True
            await self.hub.open()

    async def close(self) -> None:
        """End every stream, so that its client resumes elsewhere. Plain requests are still served."""
        if self._opened:
            self._opened = False
            await self.hub.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._app(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.open()
        except FillwrightError as error:
            await send({"type": "lifespan.startup.failed", "message": error.message})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})


class _PlainRoute(Route):
    """A route to a plain ASGI application, which tells the outer layers which route it is."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self
        await super().handle(scope, receive, send)


class _Nowhere:
    """What no route takes: a WebSocket is refused with the same problem that a request is."""

    def __init__(self, app: ASGIApp, mode: str) -> None:
        self._app = app
        self._mode = mode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await deny(NotFound("there is no stream at this path"), self._mode, send)
        else:
            await self._app(scope, receive, send)


class _Busiest:
    """Answers the busiest routes itself: routing and middleware would cost as much as the order does."""

    def __init__(self, app: ASGIApp, services: Services, gate: Gate) -> None:
        self._app = app
        self._mode = services.mode
        self._cors = bool(services.settings.cors_origins)
        self._routes: dict[str, tuple[ASGIApp, Route]] = {}
        for path, endpoint in _plain_posts(services, gate):
            self._routes[path] = (endpoint, Route(path, endpoint, methods=["POST"]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._routes.get(scope.get("path", "")) if scope.get("method") == "POST" else None
        if found is None or self._cors:
            await self._app(scope, receive, send)
            return
        endpoint, scope["route"] = found
        try:
            await endpoint(scope, receive, send)
        except FillwrightError as error:
            await problem_response(problem_of(error, self._mode))(scope, receive, send)
        except ClientDisconnect:
            return


def _plain_posts(services: Services, gate: Gate) -> tuple[tuple[str, ASGIApp], ...]:
    return (
        ("/v1/orders", PostOrder(services, gate)),
        ("/v1/orders/batch", PostBatch(services, gate)),
        ("/v1/quotes", PostQuote(services, gate)),
    )


def create_api(services: Services) -> Api:
    """The API over these services."""
    return Api(services)


def _fastapi(services: Services, hub: Hub, gate: Gate) -> FastAPI:
    app = FastAPI(
        title="Fillwright",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    for path, endpoint in _plain_posts(services, gate):
        app.router.routes.append(_PlainRoute(path, endpoint, methods=["POST"]))
    stream = EventStreamEndpoint(services, hub, gate)
    app.router.routes.append(_PlainRoute("/v1/orders/{order_id}/events/stream", stream, methods=["GET"]))
    app.router.routes.append(WebSocketRoute("/v1/stream", StreamEndpoint(services, hub, gate)))

    @cache
    def specification() -> dict[str, Any]:
        return openapi.document(app, services.settings)

    app.include_router(order_routes(services, gate))
    app.include_router(market_routes(services, gate))
    app.include_router(operation_routes(services, gate, hub, specification))
    app.include_router(quarantine_routes(services, gate))
    app.router.routes.extend(compat_routes(services, hub, gate))
    app.router.default = _Nowhere(app.router.default, services.mode)
    _handle_errors(app, services.mode)
    if services.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=services.settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "X-API-Key",
                "Idempotency-Key",
                "Last-Event-ID",
                "X-Compat-Dialect",
            ],
            expose_headers=[wire.MODE_HEADER, "Location", "Retry-After"],
        )
    return app


def _handle_errors(app: FastAPI, mode: str) -> None:
    async def refused(_: Request, error: Exception) -> Response:
        if not isinstance(error, FillwrightError):
            raise error
        return problem_response(problem_of(error, mode))

    async def invalid(_: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        found = error.errors()[0]
        name = str(found["loc"][-1])
        return problem_response(plain_problem(422, _parameter_code(found["type"]), found["msg"], mode, name))

    async def unrouted(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        if error.status_code == 405:
            return _not_allowed(app, request, mode)
        code = _CODES.get(error.status_code, "request_invalid")
        return problem_response(plain_problem(error.status_code, code, "there is nothing at this path", mode))

    async def left(_: Request, __: Exception) -> Response:
        return Response(status_code=400)

    async def failed(_: Request, __: Exception) -> Response:
        return problem_response(internal_problem(mode))

    app.add_exception_handler(FillwrightError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, unrouted)
    app.add_exception_handler(ClientDisconnect, left)
    app.add_exception_handler(Exception, failed)


def _parameter_code(kind: str) -> str:
    """The stable code for a validation error of FastAPI's."""
    if kind == "missing":
        return "field_required"
    return "field_type" if kind.endswith(("_type", "_parsing")) else "field_range"


def _not_allowed(app: FastAPI, request: Request, mode: str) -> Response:
    """405, or the answer to OPTIONS: either names every method that the path has."""
    allow = {"Allow": ", ".join(_allowed(app, request.scope))}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=allow)
    problem = plain_problem(405, "method_not_allowed", "this path does not have this method", mode)
    return problem_response(problem, allow)


def _allowed(app: FastAPI, scope: Scope) -> list[str]:
    found = [
        method
        for method in _METHODS
        if any(
            route.matches({**scope, "method": "GET" if method == "HEAD" else method})[0] is Match.FULL
            for route in app.router.routes
        )
    ]
    return [*found, "OPTIONS"]
