"""An HTTP server inside a running event loop: bound before it starts, so that its address is known.

Used by the commands and by tests alike. Signals are left to whoever runs the loop.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial

import uvicorn

from fillwright.api.app import Api
from fillwright.api.connections import REQUEST_TIMEOUT_S, BoundedProtocol
from fillwright.api.frames import FrameProtocol
from fillwright.api.ws import MAX_FRAME_BYTES
from fillwright.config import Settings
from fillwright.domain.errors import ConfigError

SHUTDOWN_TIMEOUT_S = 2
BACKLOG = 2_048
UNSENT_BYTES = 512 * 1024
"""What the system keeps of a connection beyond what is on its way: a client that stops reading is noticed then, where
the system knows such a limit (its connections inherit it), and not after megabytes."""
_UNSENT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
OTHER_FILES = 1_000
"""What a process has open beside its streams: plain requests, databases."""
_POLL_S = 0.005


class _Quiet(uvicorn.Server):
    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


class Server:
    """One listening socket and the application behind it. `request_timeout_s`: how long a request may take to come."""

    def __init__(self, api: Api, settings: Settings, *, request_timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        self._api = api
        self._settings = settings
        self._request_timeout_s = request_timeout_s
        self._socket: socket.socket | None = None
        self._server: _Quiet | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The bound port, once started."""
        if self._socket is None:
            raise RuntimeError("the server has not been started")
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        host = self._settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def start(self) -> None:
        """Bind and serve. Raises ConfigError where the address can't be bound."""
        allow_files(self._settings.max_streams + OTHER_FILES)
        self._socket = _bind(self._settings.host, self._settings.port)
        server = _Quiet(_options(self._api, self._request_timeout_s))
        self._server = server
        self._task = asyncio.create_task(server.serve(sockets=[self._socket]), name="http")
        while not server.started:
            if self._task.done():
                self._task.result()
                raise ConfigError("the HTTP server did not start; the log says why")
            await asyncio.sleep(_POLL_S)

    async def stop(self) -> None:
        """Stop accepting, end the streams, let requests finish for a moment, close."""
        if self._server is None or self._task is None:
            return
        await self._api.close()
        self._server.should_exit = True
        await self._task
        self._server = self._task = None


def allow_files(wanted: int) -> None:
    """Let this process have `wanted` files open, as far as the system's hard limit goes: the usual soft one of 1,024
    refuses connections long before there are as many streams as the settings allow."""
    try:
        import resource
    except ImportError:  # a system without such limits
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because asyncio switches Nagle off only for sockets that say they are TCP: 40 ms a response otherwise.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if _UNSENT is not None:
            bound.setsockopt(socket.IPPROTO_TCP, _UNSENT, UNSENT_BYTES)
        bound.bind((host, port))
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise ConfigError(f"can't listen on {host}:{port}: {error.strerror or error}") from error
    return bound


def _options(api: Api, request_timeout_s: float) -> uvicorn.Config:
    protocol = partial(BoundedProtocol, mode=api.services.mode, request_timeout_s=request_timeout_s)
    return uvicorn.Config(
        api,
        http=protocol,  # type: ignore[arg-type] # uvicorn only calls it
        ws=FrameProtocol,
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
        timeout_keep_alive=30,
    )


def loop_factory() -> asyncio.AbstractEventLoop:
    """uvloop's loop where it can be had, asyncio's elsewhere."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
