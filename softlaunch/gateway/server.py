"""Running a gateway: the parts wired together, on uvicorn with uvloop and httptools."""

import gc
import logging
import os
import resource
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from softlaunch.core.refusal_wording import refusal_of
from softlaunch.gateway.answer_checks import Refuses
from softlaunch.gateway.app import Access, Gateway, Parts
from softlaunch.gateway.configuration.intake import RecordIntake
from softlaunch.gateway.cors import Cors
from softlaunch.gateway.http.connections import Connections, Network
from softlaunch.gateway.http.draining import Drain
from softlaunch.gateway.http.serving import address_of, bound, own_server
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.log import Identity, LogSink
from softlaunch.gateway.processes import Processes
from softlaunch.gateway.ratings import Ratings
from softlaunch.gateway.request_seals import Keys
from softlaunch.gateway.siblings import Siblings
from softlaunch.gateway.table import RouteTable
from softlaunch.gateway.tally import LossAccount
from softlaunch.gateway.upstream import Upstream
from softlaunch.ledger.counters import CounterFile, Owner
from softlaunch.ledger.losses import LossWatch, counters_folder
from softlaunch.ledger.routes import read_ledger_id
from softlaunch.store.database import Database

if TYPE_CHECKING:
    from softlaunch.gateway.tracing.signals import Signals

_LOGGER = logging.getLogger(__name__)

_COLLECTED_AFTER = (5_000, 20, 20)
"""Requests leave hardly any cycles: by Python's own 700 a collection ran every few of them, for 8 % of the time."""
_OTHER_FILES = 128  # the ledger, logs, listeners


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """How one gateway process listens; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8800
    log_level: str = "info"
    client_keys: Sequence[str] = ()
    feedback_keys: Sequence[str] = ()
    config_keys: Sequence[str] = ()
    """Keys that alone read the configuration and record calls; where there are none, those of clients do."""
    rating_window_seconds: float = 7 * 86_400.0
    trusted_proxies: Sequence[Network] = ()
    limits: Limits = field(default_factory=Limits)
    cors: Cors = field(default_factory=Cors)
    show_arm: bool = False
    refuses: Refuses = refusal_of
    process: tuple[Path, int, int] | None = None
    """Of one of several processes on a port: the folder that they meet in, its number, and how many they are."""
    otel: bool = False
    """Whether spans and metrics are exported by OpenTelemetry."""
    drain_seconds: float = 0.0
    """How long requests are taken after SIGTERM, while load balancers learn of it."""
    home: Path | None = None
    """Where counts are kept that outlive the process; left out, beside a SQLite ledger, and nowhere on PostgreSQL."""
    cache_seconds: float = 60.0
    """How long applications may keep a variant of the configuration, where no release asks for less."""
    catch_up_seconds: float = 60.0
    """How long gates wait for records of applications, once records are taken again after a pause."""


def _ignore(_: int) -> None:
    pass


def build_app(
    database: Database,
    options: GatewayOptions,
    address: str,
    environment: Mapping[str, str] | None = None,
    drain: Drain | None = None,
) -> Gateway:
    """A gateway on a ledger; `environment` holds keys of providers and secrets of units (by default, os.environ)."""
    limits = options.limits
    table = RouteTable(database, poll_seconds=limits.route_poll_seconds)
    gateway_id = new_id()
    folder = counters_folder(database, options.home)
    log = LogSink(
        database,
        identity=Identity(gateway_id, address),
        revisions=table.revisions,
        limits=limits,
        account=LossAccount(_counters(database, folder, gateway_id, address), LossWatch(database, folder)),
    )
    keys = Keys(_encoded(options.client_keys), _encoded(options.feedback_keys), _encoded(options.config_keys))
    intake = RecordIntake(database, new_id(), address, options.catch_up_seconds)
    ratings = Ratings(database, table, keys, options.rating_window_seconds)
    upstream = Upstream(limits, environment)
    secrets_of_units = os.environ if environment is None else environment
    access = Access(
        keys=keys,
        environment=secrets_of_units,
        cors=options.cors,
        show_arm=options.show_arm,
        refuses=options.refuses,
        cache_seconds=options.cache_seconds,
    )
    siblings = None if options.process is None else Siblings(*options.process)
    signals = _signals() if options.otel else None
    return Gateway(Parts(table, log, upstream, ratings, intake, siblings, signals, drain or Drain()), access, limits)


def new_id() -> str:
    """An id for whatever heartbeats are written of: machine, process and chance."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def _signals() -> "Signals":
    from softlaunch.gateway.tracing.signals import Signals

    return Signals(os.environ)


def _counters(database: Database, folder: Path | None, gateway_id: str, address: str) -> CounterFile | None:
    """The file of this gateway's counts; without one, its death is known by its heartbeats alone."""
    if folder is None:
        return None
    try:
        return CounterFile(folder, Owner(gateway_id, address, time.time(), read_ledger_id(database)))
    except (OSError, SQLAlchemyError) as error:
        _LOGGER.info("%s can't hold this gateway's counts (%s); heartbeats alone tell of them", folder, error)
        return None


def build_server(
    database: Database, options: GatewayOptions, environment: Mapping[str, str] | None = None
) -> tuple[uvicorn.Server, socket.socket]:
    """A server, and its bound socket: `server.run(sockets=[socket])` serves until it is stopped."""
    listener = bound(options.host, options.port, shared=options.process is not None)
    drain = Drain(options.drain_seconds)
    gateway = build_app(database, options, address_of(listener), environment, drain)
    server = own_server(
        gateway.lifespan,
        gateway.handle,
        Connections(options.limits, options.trusted_proxies, drain),
        log_level=options.log_level,
        shutdown_seconds=max(1, round(options.limits.shutdown_seconds)),
    )
    gateway.configuration.changes.is_stopping = lambda: server.should_exit
    return server, listener


def serve(database: Database, options: GatewayOptions, listening: Callable[[int], None] = _ignore) -> None:
    """Serve until SIGINT, or until SIGTERM and the drain: then requests under way are finished, and the log is written.

    `listening` is told the port before the first request is taken.
    """
    files = _raise_file_limit()
    server, listener = build_server(database, replace(options, limits=affordable(options.limits, files)))
    listening(listener.getsockname()[1])
    gc.collect()
    gc.freeze()  # what is loaded by now stays: collections need not walk through it, which took tens of milliseconds
    gc.set_threshold(*_COLLECTED_AFTER)
    try:
        server.run(sockets=[listener])
    finally:
        database.close()


def serve_by_processes(open_ledger: Callable[[], Database], options: GatewayOptions, count: int) -> None:
    """The same by several processes on one port, each with the ledger that it opens itself; see `processes`.

    Raises OSError where the port can't be had, and ProcessesFailedError.
    """
    holder = bound(options.host, options.port, shared=True)  # it never listens: the port is ours as long as it is bound
    port = holder.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="softlaunch-gateway-") as folder:

        def run(place: int) -> None:
            serve(open_ledger(), replace(options, port=port, process=(Path(folder), place, count)))

        gc.collect()
        gc.freeze()
        Processes(count, run).keep()
    holder.close()


def _raise_file_limit() -> int:
    """The files that may be open: every connection is one, and a shell's usual limit is a gateway's at half load."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def affordable(limits: Limits, files: int) -> Limits:
    """As many connections of clients as leave files for those to providers, and at least half of all."""
    left = files - limits.requests - limits.mirrors - _OTHER_FILES
    return replace(limits, connections=min(limits.connections, max(left, files // 2)))


def _encoded(keys: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(key.encode() for key in keys)
