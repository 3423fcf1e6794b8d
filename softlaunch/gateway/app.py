"""The gateway behind its HTTP server: which path leads where, who may call, and how much at once."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import orjson

from softlaunch import __version__
from softlaunch.core.refusal_wording import refusal_of
from softlaunch.gateway import azure
from softlaunch.gateway.answer_checks import AnswerChecks, Refuses
from softlaunch.gateway.answering import Answering, Records
from softlaunch.gateway.configuration.endpoints import PREFIXES, Configuration, ConfigurationParts
from softlaunch.gateway.configuration.intake import RecordIntake
from softlaunch.gateway.cors import Cors
from softlaunch.gateway.encodings import decompress
from softlaunch.gateway.hearing import Hearing
from softlaunch.gateway.http.cycle import HttpCycle
from softlaunch.gateway.http.draining import Drain
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.log import LogSink
from softlaunch.gateway.metrics import Metrics
from softlaunch.gateway.model_list import ModelList
from softlaunch.gateway.paths import Paths, normal
from softlaunch.gateway.protocols.protocol import LlmProtocol
from softlaunch.gateway.protocols.registry import PROTOCOLS
from softlaunch.gateway.ratings import Ratings
from softlaunch.gateway.request_seals import Keys, key_of, seal
from softlaunch.gateway.requests import check_key, check_served, find_app_route, one_of_each, parse, retry_after
from softlaunch.gateway.siblings import Siblings
from softlaunch.gateway.stored_answers import PREFIX, StoredAnswers
from softlaunch.gateway.table import RouteTable
from softlaunch.gateway.threads import Threads
from softlaunch.gateway.tracing.answering import TracedAnswering
from softlaunch.gateway.units import check_unit
from softlaunch.gateway.upstream import Upstream
from softlaunch.gateway.wire import (
    JSON,
    BodyReader,
    BodyRoom,
    ClientGoneError,
    Fault,
    RefusedError,
    clipped,
    error_body,
    read_object,
)

if TYPE_CHECKING:
    from softlaunch.gateway.tracing.signals import Signals

_LOGGER = logging.getLogger(__name__)
_TEXT = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
_MODELS = "/v1/models"
_FEEDBACK = "/v1/feedback"
Headers = Mapping[bytes, bytes]
Endpoint = Callable[[Headers, HttpCycle], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a gateway is made of. It starts and stops them with its own lifespan."""

    table: RouteTable
    log: LogSink
    upstream: Upstream
    ratings: Ratings
    intake: RecordIntake
    siblings: Siblings | None = None
    """The other processes of the same command."""
    signals: "Signals | None" = None
    """Where spans and metrics go, if anywhere."""
    drain: Drain = field(default_factory=Drain)
    """Whether its server is being taken out."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call a gateway, and what callers learn.

    `environment` holds the secrets of signed units, `cors` names the web pages that may call, `show_arm` says whether
    clients learn which arm answered them, and `refuses` tells refusals among answers.
    """

    keys: Keys = field(default_factory=Keys)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    cors: Cors = field(default_factory=Cors)
    show_arm: bool = False
    refuses: Refuses = refusal_of
    cache_seconds: float = 60.0
    """How long applications may keep a variant of the configuration, where no release asks for less."""


class UnderWay:
    """How many requests are under way; as a context manager it counts one more. Raises RefusedError beyond `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.count = 0

    def __enter__(self) -> None:
        self.check()
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1

    def check(self) -> None:
        """Refuse where there is no room for one more."""
        if self.count >= self._most:
            text = f"the gateway has {self.count} requests under way and takes no more now; try again"
            raise RefusedError(503, text, kind="server_error", code="overloaded", headers=retry_after(1))


class Gateway:
    """What answers the requests of one server."""

    def __init__(self, parts: Parts, access: Access, limits: Limits) -> None:
        self._table = parts.table
        self._log = parts.log
        self._upstream = parts.upstream
        self._hearing = Hearing(parts.ratings, parts.log)
        self._siblings = parts.siblings
        self._drain = parts.drain
        self._environment = access.environment
        self._keys = access.keys
        self._limits = limits
        self._cors = access.cors
        self._metrics = Metrics(parts.table, parts.log)
        threads = Threads(parts.table)
        records = Records(parts.log, self._metrics, AnswerChecks(access.refuses))
        self._signals = parts.signals
        answering = Answering if parts.signals is None else partial(TracedAnswering, parts.signals)
        self._answering = answering(parts.upstream, records, threads, limits, show_arm=access.show_arm)
        self._stored = StoredAnswers(parts.table, threads, parts.upstream, limits.answer_bytes)
        self._under_way = UnderWay(limits.requests)
        self._room = BodyRoom(limits)
        told = ConfigurationParts(
            parts.table,
            parts.log,
            parts.intake,
            access.keys.of_config,
            access.cache_seconds,
            are_backends=bool(access.keys.config),
        )
        self.configuration = Configuration(told, limits, self._room)
        self._metrics.add(self.configuration.counts)
        self._catalogue = ModelList(int(time.time()))
        self._paths: Paths[Endpoint] = Paths(
            {
                **{("POST", f"/v1{one.path}"): partial(self._ask, one) for one in PROTOCOLS},
                ("POST", _FEEDBACK): self._feedback,
                ("GET", _MODELS): self._models,
                ("GET", "/healthz"): self._health,
                ("GET", "/metrics"): self._expose,
            }
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """What begins before the first request, and ends after the last one; requests come by `handle`."""
        await asyncio.to_thread(self._table.start)
        self._log.start()
        await self._upstream.open()
        if self._siblings is not None:
            await self._siblings.open(self._counts)
        yield
        if self._siblings is not None:
            await self._siblings.close()
        await self._answering.mirrors.close()
        await asyncio.to_thread(self._answering.checks.close)
        await self.configuration.recording.close()
        await self._upstream.close()
        await asyncio.to_thread(self._table.stop)
        await asyncio.to_thread(self._log.stop)
        if self._signals is not None:
            await asyncio.to_thread(self._signals.close)

    async def handle(self, cycle: HttpCycle) -> None:
        """Answer one request."""
        headers = one_of_each(cycle.head.headers)
        cycle.added = self._cors.headers(headers)
        path = normal(cycle.head.path)
        place = azure.place_of(path) if path.startswith(azure.PREFIX) else None
        try:
            if place is None:
                await self._serve(cycle.head.method, path, headers, cycle)
            else:
                await self._serve(cycle.head.method, place.path, headers, cycle, place.deployment)
        except RefusedError as refusal:
            fault = refusal.fault if place is None else azure.fault_of(refusal.fault)
            content = _error_of(path if place is None else place.path, refusal.status, fault)
            await cycle.respond(refusal.status, refusal.headers, content)
        except ClientGoneError:
            pass

    async def _serve(self, method: str, path: str, headers: Headers, cycle: HttpCycle, deployment: str = "") -> None:
        app = path.removeprefix(_MODELS + "/") if path.startswith(_MODELS + "/") else None
        known = path if app is None else _MODELS
        if method == "OPTIONS":  # browsers ask it without a key
            allowed = self._allowed(path, known)
            if allowed:
                told = [(b"allow", allowed), *self._cors.preflight(headers, allowed)]
                await cycle.respond(200, told, b"")
                return
        if path.startswith(PREFIXES):
            await self.configuration.serve(cycle, path, headers)
            return
        if path.startswith("/v1/"):
            check_key(headers, self._keys.of_feedback if path == _FEEDBACK else self._keys.clients)
        if path.startswith(PREFIX):
            with self._under_way:
                await self._stored.serve(cycle, path, headers, key_of(headers, self._keys.clients))
            return
        endpoint = self._paths.find(method, known)
        if deployment:
            await self._ask(_protocol_of(path), headers, cycle, deployment)
        elif app is None:
            await endpoint(headers, cycle)
        else:
            find_app_route(self._table, app)
            await _send_json(cycle, self._catalogue.model(app, headers))

    def _allowed(self, path: str, known: str) -> bytes:
        if path.startswith(PREFIXES):
            return self.configuration.allowed(path)
        return self._stored.allowed(path) if path.startswith(PREFIX) else self._paths.allowed(known)

    async def _ask(self, protocol: LlmProtocol, headers: Headers, cycle: HttpCycle, deployment: str = "") -> None:
        self._under_way.check()
        with BodyReader(cycle.part, self._limits, self._room) as body:
            content = cycle.ready()
            if content is None:
                content = await self._read(body, headers)
            else:
                content = self._taken(body, body.take(content), headers)
            request = parse(protocol, content, headers, deployment)
            app_route = find_app_route(self._table, request.app)
            check_served(protocol.api, app_route)
            check_unit(request, app_route.route.serving.unit, self._environment)
            seal(request, app_route.route.serving.salt, key_of(headers, self._keys.clients))
            with self._under_way:  # others came meanwhile; a body that hardly comes holds no place among them
                answer = self._answering.answer if protocol.is_judged else self._answering.pass_on
                await answer(request, app_route, cycle)

    async def _feedback(self, headers: Headers, cycle: HttpCycle) -> None:
        with BodyReader(cycle.part, self._limits, self._room) as reader:
            body = read_object(await self._read(reader, headers))
        status, answer = await self._hearing.hear(body, key_of(headers, self._keys.of_requests))
        await _send_json(cycle, answer, status=status)

    async def _read(self, reader: BodyReader, headers: Headers) -> bytes:
        """A body as it will be parsed: unpacked, and counted as what it then takes."""
        return self._taken(reader, await reader.read(_declared(headers)), headers)

    def _taken(self, reader: BodyReader, content: bytes, headers: Headers) -> bytes:
        encoding = headers.get(b"content-encoding")
        return reader.hold(decompress(content, encoding, self._limits) if encoding else content)

    async def _models(self, headers: Headers, cycle: HttpCycle) -> None:
        await _send_json(cycle, self._catalogue.models(sorted(self._table.all()), headers))

    @property
    def trouble(self) -> str:
        """What is wrong with the ledger as the routes' reader or the log's writer met it; empty where nothing is."""
        return self._table.problem or self._log.problem

    async def _health(self, headers: Headers, cycle: HttpCycle) -> None:  # noqa: ARG002
        age = self._table.seconds_since_read
        ready = self._table.has_been_read
        state = {
            "status": self._status(ready=ready),
            "ledger": self.trouble or ("ok" if ready else "not read yet"),
            "version": __version__,
            "gateway_id": self._log.gateway_id,
            "apps": len(self._table.all()),
            "route_age_seconds": round(age, 3) if ready else None,
            "log_waiting": self._log.waiting,
            "texts": self._log.texts.redaction.problem or "ok",
        }
        await _send_json(cycle, state, status=200 if ready and not self._drain.begun else 503)

    def _status(self, *, ready: bool) -> str:
        if self._drain.begun:
            return "stopping"
        return ("degraded" if self.trouble else "ok") if ready else "starting"

    async def _expose(self, headers: Headers, cycle: HttpCycle) -> None:  # noqa: ARG002
        counts = self._counts()
        await cycle.respond(200, _TEXT, counts if self._siblings is None else await self._siblings.text(counts))

    def _counts(self) -> bytes:
        self._metrics.in_flight.set(self._under_way.count)
        return self._metrics.text()


_BY_PATH: Mapping[str, LlmProtocol] = {f"/v1{one.path}": one for one in PROTOCOLS}


def _protocol_of(path: str) -> LlmProtocol:
    """What a deployment is asked by. Raises RefusedError for what is asked of the gateway as a whole."""
    protocol = _BY_PATH.get(path)
    if protocol is None:
        text = f"a deployment has no {clipped(path)}; ask for it below /openai"
        raise RefusedError(404, text, code="unknown_url")
    return protocol


def _error_of(path: str, status: int, fault: Fault) -> bytes:
    """A fault in the words of the path's protocol."""
    protocol = _BY_PATH.get(path)
    return error_body(fault) if protocol is None else protocol.error(status, fault)


async def _send_json(cycle: HttpCycle, value: object, status: int = 200) -> None:
    await cycle.respond(status, JSON, orjson.dumps(value))


def _declared(headers: Headers) -> int | None:
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else None
