"""Running a control plane: routes are read, Envoys are told, and what they log is written; all over gRPC."""

import asyncio
import contextlib
import errno
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc

from softlaunch.core.clock import utc_now
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.listening import place
from softlaunch.gateway.http.serving import bound
from softlaunch.gateway.table import SETTLING_SECONDS, RouteTable
from softlaunch.inbound.envoy.access_log import AccessLog
from softlaunch.inbound.envoy.discovery import Changes, RuntimeDiscovery
from softlaunch.inbound.envoy.followers import Followers
from softlaunch.inbound.envoy.health import Health
from softlaunch.inbound.envoy.processor import Processor
from softlaunch.inbound.envoy.route_files import RouteFiles
from softlaunch.inbound.envoy.services import log_service, processor_service, runtime_service
from softlaunch.inbound.otlp.intake import Intake
from softlaunch.ledger.reception import Beats
from softlaunch.policy.route import Serving
from softlaunch.policy.sources import OtlpPolicy
from softlaunch.releases.rollback_watch import watch_rollbacks
from softlaunch.store.database import Database
from softlaunch.store.ledger_file import describe_fault

_LOGGER = logging.getLogger(__name__)
_REPORT_SECONDS = 0.5
_STOP_SECONDS = 2.0
_PINGED = (
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 100),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
)
"""Envoy asks each second whether this end is alive, which gRPC's own limits take for an attack."""


@dataclass(frozen=True, slots=True)
class ControlOptions:
    """How a control plane listens, and where it writes the routes. Port 0 takes a free one.

    Without `routes` it only rewrites bodies, beside a control plane in another process.
    """

    host: str = "127.0.0.1"
    port: int = 18800
    routes: Path | None = None
    health_port: int | None = None
    """Where /healthz and /metrics are, at the same host; nowhere when left out."""
    poll_seconds: float = 0.2
    catch_up_seconds: float = 2.0
    """After a start nothing is promised for so long: Envoys connect again meanwhile, and send what they hold."""


def of_access_log(serving: Serving) -> OtlpPolicy | None:
    """Which part of a policy lets entries be taken."""
    return serving.access_log


class ControlPlane:
    """The services of one process, and the tasks that keep them going."""

    def __init__(
        self, database: Database, options: ControlOptions, environment: Mapping[str, str] | None = None
    ) -> None:
        self._database = database
        self.table = RouteTable(database, poll_seconds=options.poll_seconds)
        self.followers = Followers(database)
        self._options = options
        self._changes = Changes()
        self._reported = asyncio.Event()
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        place = f"envoy control {options.host}:{options.port}"
        intake = Intake(database, name, place, options.catch_up_seconds, source=of_access_log)
        self._beats = Beats(intake)
        self.access_log = AccessLog(self.table, intake)
        self._processor = Processor(self.table, environment)
        self.health = Health(self.table, self.followers, lambda: self.access_log.waiting)
        self._stopping = asyncio.Event()
        self._files = None if options.routes is None else RouteFiles(options.routes)
        self._refusals = 0

    def stop(self) -> None:
        """Let `run` come to its end."""
        self._stopping.set()

    async def run(self, listening: Callable[[int], None]) -> None:
        """Serve until it is stopped; `listening` is told the port. Raises SoftlaunchError where it can't be had."""
        server = grpc.aio.server(options=_PINGED)
        with self._in_words():
            bound(self._options.host, self._options.port).close()  # gRPC doesn't say what is wrong
        async with self._telling():
            services = [processor_service(self._processor.stream)]
            if self._files is not None:
                await asyncio.to_thread(self._beats.start)
                discovery = RuntimeDiscovery(self.table, self.followers, self._changes, self._reported.set)
                services += [runtime_service(discovery.stream), log_service(self.access_log.stream)]
            server.add_generic_rpc_handlers(services)
            await self._settle()
            listening(self._bind(server))
            await self._serve(server)

    @contextlib.asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        """While probes and Prometheus may ask."""
        if self._options.health_port is None:
            yield
            return
        runner = await self.health.serve(self._options.host, self._options.health_port)
        try:
            yield
        finally:
            await runner.cleanup()

    async def _serve(self, server: grpc.aio.Server) -> None:
        await server.start()
        tasks = [asyncio.ensure_future(self._follow())]
        if self._files is not None:
            tasks += [asyncio.ensure_future(self._report()), asyncio.ensure_future(self._write())]
        await self._stopping.wait()
        await server.stop(_STOP_SECONDS)
        for task in tasks:
            await task
        if self._files is not None:
            await asyncio.to_thread(self._say_goodbye)

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        """Raise SoftlaunchError, which says what to do, where the port can't be had."""
        try:
            yield
        except (OSError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or str(error)
            advice = "give an address of this machine by --host"
            if not isinstance(error, OSError) or error.errno == errno.EADDRINUSE:
                advice = "what runs there may be a softlaunch envoy, which serves every app; else choose another --port"
            where = place(self._options.host, self._options.port)
            raise SoftlaunchError(f"can't listen on {where}: {why}; {advice}") from error

    def _bind(self, server: grpc.aio.Server) -> int:
        with self._in_words():
            port: int = server.add_insecure_port(place(self._options.host, self._options.port))
        return port

    async def _settle(self) -> None:
        """Be able to say who is watched before anybody is told: an Envoy goes on meanwhile as another one told it."""
        began = time.monotonic()
        await self._refresh()
        while self._files is not None and time.monotonic() - began < SETTLING_SECONDS and not self.table.is_settled:
            await self._pause(self._stopping, self._options.poll_seconds)
            await self._refresh()

    async def _refresh(self) -> None:
        """The file first: without it, what is open means nothing to an Envoy."""
        is_fresh = await asyncio.to_thread(self.table.refresh)
        if is_fresh and self._files is not None:
            await asyncio.to_thread(self._files.write, self.table.all(), self.table.ledger_id or "")
        self._changes.tell()

    async def _follow(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            await self._refresh()
            await self._pause(self._stopping, self._options.poll_seconds - (time.monotonic() - began))

    async def _report(self) -> None:
        """Tell the ledger who follows: twice a second, and as soon as one has confirmed something."""
        problem = ""
        while not self._stopping.is_set():
            self._reported.clear()
            try:
                await asyncio.to_thread(self._tell_ledger)
                problem = ""
            except Exception as error:  # Envoys are told all the same, until the lease is over
                if describe_fault(error) != problem:
                    problem = describe_fault(error)
                    _LOGGER.warning("the ledger can't be told which Envoys follow: %s", problem)
            await self._pause(self._reported, _REPORT_SECONDS)
            await asyncio.sleep(0.02)

    def _tell_ledger(self) -> None:
        """Who follows; and at once that an Envoy refuses to take a candidate back, as no driver is there any more."""
        self.followers.report()
        refusals = self.followers.refusals.total()
        if refusals != self._refusals:
            watch_rollbacks(self._database, utc_now())
            self._refusals = refusals

    async def _write(self) -> None:
        await self.access_log.write(self._stopping.is_set)

    @staticmethod
    async def _pause(event: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), max(seconds, 0.001))

    def _say_goodbye(self) -> None:
        self._beats.stop()
        try:
            self.followers.report(last=True)
        except Exception as error:  # it is over anyway; silence says the same, later
            _LOGGER.warning("the ledger can't be told that this control plane stops: %s", describe_fault(error))


def _ignore(_: int) -> None:
    pass


def serve(database: Database, options: ControlOptions, listening: Callable[[int], None] = _ignore) -> None:
    """Serve until SIGINT or SIGTERM. Raises SoftlaunchError where the port can't be had."""

    async def run() -> None:
        control = ControlPlane(database, options)
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, control.stop)
        await control.run(listening)

    try:
        asyncio.run(run())
    finally:
        database.close()
