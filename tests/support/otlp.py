"""Spans as apps export them, and receivers of ours: in a thread, or as a process that can be killed."""

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from softlaunch.inbound.otlp.server import ReceiverOptions, build_server
from softlaunch.ledger.routes import serving_to_json
from softlaunch.policy.model import Policy
from softlaunch.policy.route import Serving
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import RouteRow
from tests.support.builders import APP, CANDIDATE, STABLE, make_policy, record_app
from tests.support.prometheus import free_port
from tests.support.servers import wait_until

OWN = {"softlaunch.app": APP, "softlaunch.unit": "user-1", "softlaunch.variant": STABLE.short}
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "steady",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 11,
    "gen_ai.usage.output_tokens": 3,
}
_NANO = 1_000_000_000
_FAILED = Status.StatusCode.STATUS_CODE_ERROR


def attributes(values: Mapping[str, Any]) -> list[KeyValue]:
    """Attributes of a span, an event or a resource."""
    return [KeyValue(key=key, value=_value(value)) for key, value in values.items()]


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    return AnyValue(array_value=ArrayValue(values=[_value(one) for one in value]))


def span(
    began: float,
    seconds: float = 1.0,
    *,
    failed: str | None = None,
    events: Sequence[tuple[float, str, Mapping[str, Any]]] = (),
    ids: tuple[str, str] | None = None,
    **more: Any,
) -> Span:
    """A span of a chat that stable answered; `more` are attributes, with `__` for a dot, and None for none.

    failed: what its status says. events: seconds after its start, name and attributes.
    """
    trace_id, span_id = ids or (secrets.token_hex(16), secrets.token_hex(8))
    named = {**OWN, **CHAT, **{key.replace("__", "."): value for key, value in more.items()}}
    made = Span(
        trace_id=bytes.fromhex(trace_id),
        span_id=bytes.fromhex(span_id),
        name="chat steady",
        start_time_unix_nano=round(began * _NANO),
        end_time_unix_nano=round((began + seconds) * _NANO),
        attributes=attributes({key: value for key, value in named.items() if value is not None}),
        status=Status() if failed is None else Status(code=_FAILED, message=failed),
    )
    for at, name, values in events:
        event = made.events.add(name=name, time_unix_nano=round((began + at) * _NANO))
        event.attributes.extend(attributes(values))
    return made


def exported(*spans: Span, resource: Mapping[str, Any] | None = None) -> ExportTraceServiceRequest:
    """An export of spans."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(attributes(resource or {}))
    group.scope_spans.add().spans.extend(spans)
    return request


def evaluated(about: Span | None = None, **more: Any) -> LogRecord:
    """A result of an evaluation, as a log record; by default of quality."""
    named = {"gen_ai.evaluation.name": "quality", "softlaunch.app": APP}
    named |= {key.replace("__", "."): value for key, value in more.items()}
    record = LogRecord(event_name="gen_ai.evaluation.result", attributes=attributes(named))
    if about is not None:
        record.trace_id, record.span_id = about.trace_id, about.span_id
    return record


def logged(*records: LogRecord) -> ExportLogsServiceRequest:
    """An export of log records."""
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.extend(records)
    return request


def record_split(
    database: Database,
    weight: float | None = 20.0,
    *,
    since: float,
    policy: Policy | None = None,
    revision: int = 1,
    only: dict[str, Any] | None = None,
) -> None:
    """The app whose spans are taken, with a candidate at this weight since then; without one where it is None.

    only: whom the stage is limited to, as a policy says it.
    """
    known = policy or make_policy(shadow=None, sources={"otlp": {}})
    if revision == 1:
        record_app(database, known)
    with database.begin() as session:
        route = session.get_one(RouteRow, APP)
        route.serving = serving_to_json(Serving.of("salt", known))
        route.candidate_digest = None if weight is None else CANDIDATE.digest
        route.release_id, route.stage = (None, 0) if weight is None else (f"{APP}-1", 2)
        route.weight_percent, route.revision, route.only = weight or 0.0, revision, only
        route.changed_at = datetime.fromtimestamp(since, UTC)


@contextmanager
def running_receiver(database_url: str, **options: Any) -> Iterator[str]:
    """A receiver in a thread, on a migrated ledger; gives its address."""
    database = open_database(database_url)
    given = ReceiverOptions(**{"port": 0, "log_level": "error", **options})
    server, listener = build_server(database, given)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), "the receiver starts")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        database.close()


@dataclass
class ReceiverProcess:
    """`softlaunch otlp` on a port of its own, which it keeps when it is killed and started again."""

    database_url: str
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "softlaunch.cli", "otlp", "--port", str(self.port), "--log-level", "warning"]
        settings = {"SOFTLAUNCH_DATABASE_URL": self.database_url, **self.environment}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=log, stderr=log)
        wait_until(self._answers, "the receiver answers", seconds=180)

    def kill(self) -> None:
        """Kill it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz").is_success
        except httpx.HTTPError:
            return False
