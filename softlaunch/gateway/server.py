"""Running a gateway: the parts wired together, on uvicorn with uvloop and httptools."""

import gc
import os
import resource
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import uvicorn

from softlaunch.gateway.app import Gateway, create_app
from softlaunch.gateway.cors import Cors
from softlaunch.gateway.heads import bounded_heads
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.log import LogSink
from softlaunch.gateway.table import RouteTable
from softlaunch.gateway.upstream import Upstream
from softlaunch.store.database import Database

_IDLE_SECONDS = 75
_CONNECTIONS_PER_REQUEST = 4


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """How one gateway process listens; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8800
    log_level: str = "info"
    client_keys: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)
    cors: Cors = field(default_factory=Cors)
    tell_arm: bool = False


def build_app(
    database: Database, options: GatewayOptions, address: str, environment: Mapping[str, str] | None = None
) -> Gateway:
    """A gateway on a ledger; `environment` holds the providers' keys, the process's own when left out."""
    limits = options.limits
    table = RouteTable(database, poll_seconds=limits.route_poll_seconds)
    gateway_id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    log = LogSink(database, gateway_id=gateway_id, address=address, revisions=table.revisions, limits=limits)
    upstream = Upstream(limits, environment)
    return create_app(
        table,
        log,
        upstream,
        client_keys=options.client_keys,
        limits=limits,
        cors=options.cors,
        tell_arm=options.tell_arm,
    )


def build_server(
    database: Database, options: GatewayOptions, environment: Mapping[str, str] | None = None
) -> tuple[uvicorn.Server, socket.socket]:
    """A server, and its bound socket: `server.run(sockets=[socket])` serves until it is stopped."""
    listener = _bind(options.host, options.port)
    name, port = listener.getsockname()[:2]
    address = f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
    config = uvicorn.Config(
        build_app(database, options, address, environment),
        loop="uvloop",
        http=bounded_heads(options.limits.head_seconds),
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_level=options.log_level,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=max(1, round(options.limits.shutdown_seconds)),
        limit_concurrency=options.limits.requests * _CONNECTIONS_PER_REQUEST,
        backlog=2048,
    )
    return uvicorn.Server(config), listener


def serve(database: Database, options: GatewayOptions) -> None:
    """Serve until SIGINT or SIGTERM: then requests under way are finished, and the log is written."""
    _raise_file_limit()
    server, listener = build_server(database, options)
    gc.collect()
    gc.freeze()  # what is loaded by now stays: collections need not walk through it, which took tens of milliseconds
    try:
        server.run(sockets=[listener])
    finally:
        database.close()


def _raise_file_limit() -> None:
    """Every connection is a file, and a shell's usual limit of 1,024 is a gateway's at half load."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener
