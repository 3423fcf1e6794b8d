"""What every server of our own protocol has in common: its socket, its address, and how uvicorn runs it."""

import socket
from typing import Any

import uvicorn

from softlaunch.gateway.http.connections import Connections
from softlaunch.gateway.http.cycle import Handler
from softlaunch.gateway.http.draining import DrainingServer
from softlaunch.gateway.http.protocol import http_protocol


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


def own_server(
    app: Any, handler: Handler, connections: Connections, *, log_level: str, shutdown_seconds: int
) -> uvicorn.Server:
    """A server whose requests the handler answers; of ASGI the app has its lifespan alone.

    At SIGTERM it drains, as long as the connections' `drain` says.
    """
    return DrainingServer(
        uvicorn.Config(
            app,
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
