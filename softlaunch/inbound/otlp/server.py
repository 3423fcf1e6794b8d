"""Running a receiver: the parts wired together, on the gateway's own HTTP server."""

import os
import secrets
import socket
from dataclasses import dataclass

import uvicorn

from softlaunch.gateway.http.connections import Connections
from softlaunch.gateway.http.serving import address_of, bound, own_server
from softlaunch.gateway.limits import Limits
from softlaunch.inbound.otlp.intake import Intake
from softlaunch.inbound.otlp.receiver import Receiver, ReceiverLimits
from softlaunch.store.database import Database

_MIB = 1024 * 1024
_SHUTDOWN_SECONDS = 10


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
    listener = bound(options.host, options.port)
    intake = Intake(
        database,
        f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
        address_of(listener),
        options.catch_up_seconds,
    )
    body_bytes = round(options.body_mb * _MIB)
    limits = Limits(connections=512, body_bytes=body_bytes, requests_bytes=8 * body_bytes)
    allowed = ReceiverLimits(spans_per_second=options.spans_per_second, token=options.token.encode())
    receiver = Receiver(intake, limits, allowed)
    server = own_server(
        receiver.lifespan,
        receiver.handle,
        Connections(limits),
        log_level=options.log_level,
        shutdown_seconds=_SHUTDOWN_SECONDS,
    )
    return server, listener


def serve(database: Database, options: ReceiverOptions) -> None:
    """Serve until SIGINT or SIGTERM: then exports under way are written."""
    server, listener = build_server(database, options)
    try:
        server.run(sockets=[listener])
    finally:
        database.close()
