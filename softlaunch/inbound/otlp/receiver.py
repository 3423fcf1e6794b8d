"""The receiver behind its HTTP server: who may export, how much at once, and what is said back."""

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from sqlalchemy.exc import SQLAlchemyError

from softlaunch import __version__
from softlaunch.gateway.encodings import decompress
from softlaunch.gateway.http.cycle import HttpCycle
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.paths import Paths, normal
from softlaunch.gateway.requests import one_of_each, retry_after
from softlaunch.gateway.wire import JSON, BodyReader, BodyRoom, ClientGoneError, RefusedError, error_body
from softlaunch.inbound.otlp.attributes import Attributes, read_attributes
from softlaunch.inbound.otlp.call_spans import CallSpan, read_call
from softlaunch.inbound.otlp.evaluations import Evaluation, of_record, of_span
from softlaunch.inbound.otlp.intake import Export, Intake
from softlaunch.inbound.otlp.messages import Encoding, Signal, answer, decode, refusal
from softlaunch.inbound.otlp.names import OWN
from softlaunch.ledger.reception import Beats
from softlaunch.ledger.request_log import CONTENT_ERRORS
from softlaunch.store.ledger_file import LedgerChangedError, describe_fault

_LOGGER = logging.getLogger(__name__)
_TEXT = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
_METRICS_ARENT_READ = "metrics aren't read: export spans of model calls, or name a Prometheus in the policy's sources"
Headers = Mapping[bytes, bytes]
Endpoint = Callable[[Headers, HttpCycle], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ReceiverLimits:
    """What exporters may ask of one receiver; they are told to try again beyond it."""

    waiting: int = 16
    """Exports that are read or written at once."""
    spans_per_second: float = 5000.0
    """Spans and log records, on the average of two seconds."""
    token: bytes = b""
    """What exporters send as a bearer token; empty lets anybody."""


class Allowance:
    """How many more spans are taken right now: a bucket that fills by itself, and may be overdrawn by one export."""

    def __init__(self, per_second: float, ticks: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._ticks = ticks
        self._left = 2 * per_second
        self._looked_at = ticks()

    def take(self, count: int) -> float:
        """Zero where so many are taken; else the seconds after which to try again."""
        now = self._ticks()
        filled = self._left + (now - self._looked_at) * self._per_second
        self._left, self._looked_at = min(filled, 2 * self._per_second), now
        if self._left <= 0:
            return max(1.0, -self._left / self._per_second)
        self._left -= count
        return 0.0


class Receiver:
    """What answers the exports of one server."""

    def __init__(self, intake: Intake, limits: Limits, allowed: ReceiverLimits) -> None:
        self._intake = intake
        self._beats = Beats(intake)
        self._limits = limits
        self._allowed = allowed
        self._allowance = Allowance(allowed.spans_per_second)
        self._room = BodyRoom(limits)
        self._waiting = 0
        self._paths: Paths[Endpoint] = Paths(
            {
                **{("POST", f"/v1/{signal}"): partial(self._export, signal) for signal in Signal},
                ("GET", "/healthz"): self._health,
                ("GET", "/metrics"): self._expose,
            }
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """What begins before the first request, and ends after the last one; requests come by `handle`."""
        await asyncio.to_thread(self._beats.start)
        yield
        await asyncio.to_thread(self._beats.stop)

    async def handle(self, cycle: HttpCycle) -> None:
        """Answer one request."""
        headers = one_of_each(cycle.head.headers)
        try:
            await self._paths.find(cycle.head.method, normal(cycle.head.path))(headers, cycle)
        except RefusedError as refused:
            await cycle.respond(refused.status, refused.headers, error_body(refused.fault))
        except ClientGoneError:
            pass

    async def _export(self, signal: Signal, headers: Headers, cycle: HttpCycle) -> None:
        encoding = Encoding.BINARY
        try:
            self._check_token(headers)
            encoding = Encoding.of(headers.get(b"content-type", b""))
            if self._waiting >= self._allowed.waiting:
                raise _later(503, "as many exports wait as are taken at once", 1)
            self._waiting += 1
            try:
                said = await self._take(signal, encoding, headers, cycle)
            finally:
                self._waiting -= 1
        except RefusedError as refused:
            self._intake.counts.refused(signal, refused.status)
            told = [one for one in refused.headers if one not in JSON]
            content = refusal(encoding, refused.fault.message)
            await cycle.respond(refused.status, [(b"content-type", encoding.encode()), *told], content)
            return
        await cycle.respond(200, [(b"content-type", encoding.encode())], said)

    def _check_token(self, headers: Headers) -> None:
        expected = self._allowed.token
        if expected and not hmac.compare_digest(headers.get(b"authorization", b""), b"Bearer " + expected):
            text = "exports need SOFTLAUNCH_OTLP_TOKEN: set OTEL_EXPORTER_OTLP_HEADERS to authorization=Bearer%20..."
            raise RefusedError(401, text)

    async def _take(self, signal: Signal, encoding: Encoding, headers: Headers, cycle: HttpCycle) -> bytes:
        length = headers.get(b"content-length", b"")
        with BodyReader(cycle.part, self._limits, self._room) as reader:
            packed = await reader.read(int(length) if length.isdigit() else None)
            how = headers.get(b"content-encoding")
            body = reader.hold(decompress(packed, how, self._limits) if how else packed)
            try:
                return await asyncio.to_thread(self._read_and_write, signal, encoding, body)
            except CONTENT_ERRORS as error:
                raise RefusedError(400, f"the ledger can't hold what was exported: {describe_fault(error)}") from error
            except (SQLAlchemyError, LedgerChangedError) as error:
                raise _later(503, f"the ledger can't be written: {describe_fault(error)}", 2) from error

    def _read_and_write(self, signal: Signal, encoding: Encoding, body: bytes) -> bytes:
        request = decode(signal, body, encoding)
        if signal is Signal.METRICS:
            points = sum(
                1 for group in request.resource_metrics for scope in group.scope_metrics for _ in scope.metrics
            )
            return answer(signal, encoding, points, _METRICS_ARENT_READ if points else "")
        export = _of_spans(request, self._intake.apps) if signal is Signal.TRACES else _of_records(request)
        wait = self._allowance.take(len(export.calls) + len(export.evaluations) + export.other)
        if wait:
            raise _later(429, "more spans come than are taken in a second", wait)
        verdicts = self._intake.take(export)
        return answer(signal, encoding, verdicts.rejected, verdicts.message)

    async def _health(self, headers: Headers, cycle: HttpCycle) -> None:  # noqa: ARG002
        problem = self._beats.problem
        state = {
            "status": "degraded" if problem else "ok",
            "ledger": problem or "ok",
            "version": __version__,
            "receiver_id": self._intake.receiver_id,
            "waiting": self._waiting,
        }
        await cycle.respond(200, JSON, orjson.dumps(state))

    async def _expose(self, headers: Headers, cycle: HttpCycle) -> None:  # noqa: ARG002
        await cycle.respond(200, _TEXT, self._intake.counts.text())


def _later(status: int, why: str, seconds: float) -> RefusedError:
    return RefusedError(status, f"{why}; try again", headers=retry_after(max(1, round(seconds))))


def _of_spans(request: Any, apps: Container[str]) -> Export:
    calls: list[CallSpan] = []
    evaluations: list[Evaluation] = []
    other = 0
    for group in request.resource_spans:
        resource = _resource(group)
        for span in (span for scope in group.scope_spans for span in scope.spans):
            call = read_call(span, resource, apps)
            other += call is None
            if call is not None:
                calls.append(call)
            evaluations += of_span(span, resource if call is None else call.own)
    return Export(calls, evaluations, other)


def _of_records(request: Any) -> Export:
    found = [
        of_record(record, _resource(group))
        for group in request.resource_logs
        for scope in group.scope_logs
        for record in scope.log_records
    ]
    evaluations = [one for one in found if one is not None]
    return Export((), evaluations, len(found) - len(evaluations))


def _resource(group: Any) -> Attributes:
    return read_attributes(group.resource.attributes, OWN)
