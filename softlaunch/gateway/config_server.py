"""The configuration by itself: what a gateway serves, without requests to models."""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from softlaunch import __version__
from softlaunch.gateway.configuration.endpoints import PREFIXES, Configuration, ConfigurationParts
from softlaunch.gateway.configuration.exchange import Exchange, send_json
from softlaunch.gateway.configuration.intake import RecordIntake
from softlaunch.gateway.cors import Cors
from softlaunch.gateway.hearing import Hearing
from softlaunch.gateway.http.connections import Connections, Network
from softlaunch.gateway.http.cycle import HttpCycle
from softlaunch.gateway.http.serving import address_of, bound, own_server
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.log import Identity, LogSink
from softlaunch.gateway.metrics import Metrics
from softlaunch.gateway.paths import Paths, normal
from softlaunch.gateway.ratings import Ratings
from softlaunch.gateway.request_seals import Keys, key_of
from softlaunch.gateway.requests import check_key, one_of_each
from softlaunch.gateway.table import RouteTable
from softlaunch.gateway.wire import BodyRoom, ClientGoneError, RefusedError, error_body
from softlaunch.store.database import Database

_TEXT = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
_FEEDBACK = "/v1/feedback"
Headers = Mapping[bytes, bytes]
Endpoint = Callable[[Headers, HttpCycle], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ConfigServerOptions:
    """How one config server listens, on a free port with 0; as in GatewayOptions. Its clients are backends."""

    host: str = "127.0.0.1"
    port: int = 8830
    log_level: str = "info"
    client_keys: tuple[str, ...] = ()
    feedback_keys: tuple[str, ...] = ()
    rating_window_seconds: float = 7 * 86_400.0
    trusted_proxies: tuple[Network, ...] = ()
    limits: Limits = field(default_factory=Limits)
    cors: Cors = field(default_factory=Cors)
    cache_seconds: float = 60.0
    catch_up_seconds: float = 60.0


class ConfigServer:
    """What answers the requests of one server; in the ledger it is a gateway, so that releases know that it follows."""

    def __init__(self, database: Database, options: ConfigServerOptions, address: str) -> None:
        limits = options.limits
        self._table = RouteTable(database, poll_seconds=limits.route_poll_seconds)
        identity = Identity(_new_id(), address)
        self._log = LogSink(database, identity=identity, revisions=self._table.revisions, limits=limits)
        keys = Keys(_encoded(options.client_keys), _encoded(options.feedback_keys))
        self._keys = keys
        self._cors = options.cors
        intake = RecordIntake(database, _new_id(), address, options.catch_up_seconds)
        room = BodyRoom(limits)
        parts = ConfigurationParts(
            self._table, self._log, intake, keys.clients, options.cache_seconds, are_backends=bool(keys.clients)
        )
        self.configuration = Configuration(parts, limits, room)
        self._hearing = Hearing(Ratings(database, self._table, keys, options.rating_window_seconds), self._log)
        self._exchange = Exchange(limits, room)
        self._metrics = Metrics(self._table, self._log)
        self._metrics.add(self.configuration.counts)
        self._paths: Paths[Endpoint] = Paths(
            {
                ("POST", _FEEDBACK): self._feedback,
                ("GET", "/healthz"): self._health,
                ("GET", "/metrics"): self._expose,
            }
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """What begins before the first request, and ends after the last one; requests come by `handle`."""
        await asyncio.to_thread(self._table.start)
        await asyncio.to_thread(self._table.settle)  # another server may be telling who meets the candidate already
        self._log.start()
        await self._begin_to_record()
        yield
        await self.configuration.recording.close()
        await asyncio.to_thread(self._table.stop)
        await asyncio.to_thread(self._log.stop)

    async def handle(self, cycle: HttpCycle) -> None:
        """Answer one request."""
        headers = one_of_each(cycle.head.headers)
        cycle.added = self._cors.headers(headers)
        path = normal(cycle.head.path)
        try:
            await self._serve(cycle, path, headers)
        except RefusedError as refusal:
            await cycle.respond(refusal.status, refusal.headers, error_body(refusal.fault))
        except ClientGoneError:
            pass

    async def _serve(self, cycle: HttpCycle, path: str, headers: Headers) -> None:
        is_configuration = path.startswith(PREFIXES)
        if cycle.head.method == "OPTIONS":
            allowed = self.configuration.allowed(path) if is_configuration else self._paths.allowed(path)
            if allowed:
                told = [(b"allow", allowed), *self._cors.preflight(headers, allowed)]
                await cycle.respond(200, told, b"")
                return
        if is_configuration:
            await self.configuration.serve(cycle, path, headers)
            return
        if path == _FEEDBACK:
            check_key(headers, self._keys.of_feedback)
        await self._paths.find(cycle.head.method, path)(headers, cycle)

    async def _begin_to_record(self) -> None:
        """Be waited for by gates from the beginning, where an app's requests come as records.

        What clients couldn't send while this server was away is evidence then. Where the ledger can't be reached, that
        is tried again with the first records.
        """
        if any(one.route.serving.otlp is not None for one in self._table.all().values()):
            with contextlib.suppress(SQLAlchemyError):
                await self.configuration.recording.open()

    async def _feedback(self, headers: Headers, cycle: HttpCycle) -> None:
        with await self._exchange.read(cycle, headers) as body:
            status, answer = await self._hearing.hear(body, key_of(headers, self._keys.clients))
        await send_json(cycle, answer, status)

    @property
    def _trouble(self) -> str:
        return self._table.problem or self._log.problem or self.configuration.recording.problem

    async def _health(self, headers: Headers, cycle: HttpCycle) -> None:  # noqa: ARG002
        age, ready, trouble = self._table.seconds_since_read, self._table.has_been_read, self._trouble
        state = {
            "status": ("degraded" if trouble else "ok") if ready else "starting",
            "ledger": trouble or ("ok" if ready else "not read yet"),
            "version": __version__,
            "gateway_id": self._log.gateway_id,
            "apps": len(self._table.all()),
            "route_age_seconds": round(age, 3) if ready else None,
            "log_waiting": self._log.waiting,
        }
        await send_json(cycle, state, 200 if ready else 503)

    async def _expose(self, headers: Headers, cycle: HttpCycle) -> None:  # noqa: ARG002
        await cycle.respond(200, _TEXT, self._metrics.text())


def build_config_server(database: Database, options: ConfigServerOptions) -> tuple[uvicorn.Server, socket.socket]:
    """A server, and its bound socket: `server.run(sockets=[socket])` serves until it is stopped. Raises OSError."""
    listener = bound(options.host, options.port)
    app = ConfigServer(database, options, address_of(listener))
    server = own_server(
        app.lifespan,
        app.handle,
        Connections(options.limits, options.trusted_proxies),
        log_level=options.log_level,
        shutdown_seconds=max(1, round(options.limits.shutdown_seconds)),
    )
    app.configuration.changes.is_stopping = lambda: server.should_exit
    return server, listener


def serve(database: Database, options: ConfigServerOptions, listening: Callable[[int], None]) -> None:
    """Serve until SIGINT or SIGTERM; `listening` is told the port before the first request is taken. Raises OSError."""
    server, listener = build_config_server(database, options)
    listening(listener.getsockname()[1])
    try:
        server.run(sockets=[listener])
    finally:
        database.close()


def _new_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def _encoded(keys: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(key.encode() for key in keys)
