"""Everything the dialects are served under, as routes for the application."""

from __future__ import annotations

from importlib import resources

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from fillwright.api.auth import Gate
from fillwright.api.compat.access import Door
from fillwright.api.compat.orders import Orders
from fillwright.api.compat.reports import Reports
from fillwright.api.compat.sockets import AskedFor, Shared, SocketEndpoint, Upgrade, Watch
from fillwright.api.services import Services
from fillwright.api.streams import Hub

CLIENT_PAGE = resources.files("fillwright.api.compat").joinpath("client.html")
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self' ws: wss:; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-cache",
}


def compat_routes(services: Services, hub: Hub, gate: Gate) -> list[BaseRoute]:
    """All routes, in the order in which they must be tried."""
    door = Door(services.settings, gate)
    sockets = (
        ("/api/orders/ws", AskedFor),
        ("/api/orders/upgrade/{order_id}", Upgrade),
        ("/api/orders/{order_id}/ws", Shared),
        ("/ws/orders/{order_id}", Watch),
    )
    page = CLIENT_PAGE.read_text(encoding="utf-8")

    async def client_page(_: Request) -> Response:
        return HTMLResponse(page, headers=_PAGE_HEADERS)

    return [
        *(WebSocketRoute(path, SocketEndpoint(services, hub, door, kind)) for path, kind in sockets),
        *Orders(services, hub, gate, door).routes(),
        *Reports(services, hub, door).routes(),
        *(Route(path, client_page, methods=["GET"]) for path in ("/static/client.html", "/client.html")),
    ]
