"""What every server of our own protocol has in common: its socket, its address, and how uvicorn runs it."""

import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import uvicorn

from softlaunch.gateway.http.connections import Connections
from softlaunch.gateway.http.cycle import Handler
from softlaunch.gateway.http.draining import DrainingServer
from softlaunch.gateway.http.protocol import http_protocol

Lifespan = Callable[[], AbstractAsyncContextManager[None]]


def bound(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket on a port, `shared` with other processes that say so too; port 0 takes a free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    return listener


def address_of(listener: socket.socket) -> str:
    """The URL by which a bound socket is reached on its own address."""
    name, port = listener.getsockname()[:2]
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


class _Life:
    """The lifespan of a server as ASGI has it, and nothing else of ASGI."""

    def __init__(self, lifespan: Lifespan) -> None:
        self._lifespan = lifespan

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[object]],
        send: Callable[[dict[str, str]], Awaitable[None]],
    ) -> None:
        if scope["type"] != "lifespan":
            raise RuntimeError("requests are handed to the handler by this server's own protocol")
        await receive()
        async with self._lifespan():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def own_server(
    lifespan: Lifespan, handler: Handler, connections: Connections, *, log_level: str, shutdown_seconds: int
) -> uvicorn.Server:
    """A server whose requests the handler answers, between the beginning and the end of its lifespan.

    At SIGTERM it drains, as long as the connections' `drain` says.
    """
    return DrainingServer(
        uvicorn.Config(
            _Life(lifespan),
            loop="uvloop",
            http=http_protocol(connections, handler),
            ws="none",
            interface="asgi3",
            lifespan="on",
            log_level=log_level,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=shutdown_seconds,
            backlog=2048,
        ),
        connections.drain,
    )
