"""Running a receiver: the parts wired together, on the gateway's own HTTP server."""

import os
import secrets
import socket
from dataclasses import dataclass

import uvicorn

from softlaunch.gateway.http.connections import Connections
from softlaunch.gateway.http.protocol import http_protocol
from softlaunch.gateway.limits import Limits
from softlaunch.inbound.otlp.intake import Intake
from softlaunch.inbound.otlp.receiver import Receiver, ReceiverLimits
from softlaunch.store.database import Database

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReceiverOptions:
    """How a receiver listens; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 4318
    log_level: str = "info"
    token: str = ""
    body_mb: float = 8.0
    spans_per_second: float = 5000.0
    catch_up_seconds: float = 60.0


def build_server(database: Database, options: ReceiverOptions) -> tuple[uvicorn.Server, socket.socket]:
    """A server, and its bound socket: `server.run(sockets=[socket])` serves until it is stopped. Raises OSError."""
    listener = socket.socket(socket.AF_INET6 if ":" in options.host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((options.host, options.port))
    name, port = listener.getsockname()[:2]
    address = f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
    intake = Intake(
        database,
        f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
        address,
        options.catch_up_seconds,
    )
    body_bytes = round(options.body_mb * _MIB)
    limits = Limits(connections=512, body_bytes=body_bytes, requests_bytes=8 * body_bytes)
    allowed = ReceiverLimits(spans_per_second=options.spans_per_second, token=options.token.encode())
    receiver = Receiver(intake, limits, allowed)
    config = uvicorn.Config(
        receiver,
        loop="uvloop",
        http=http_protocol(Connections(limits), receiver.handle),
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_level=options.log_level,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=10,
    )
    return uvicorn.Server(config), listener


def serve(database: Database, options: ReceiverOptions) -> None:
    """Serve until SIGINT or SIGTERM: then exports under way are written."""
    server, listener = build_server(database, options)
    try:
        server.run(sockets=[listener])
    finally:
        database.close()
