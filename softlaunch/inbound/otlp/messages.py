"""The bodies of OTLP/HTTP: read and written by the protocol's own definitions, in binary and in JSON.

Raises MissingExtraError on import where the definitions aren't installed.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from softlaunch.core.errors import SoftlaunchError
from softlaunch.gateway.wire import RefusedError


class MissingExtraError(SoftlaunchError):
    """OpenTelemetry's packages aren't installed."""


try:
    from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
    from google.protobuf.message import DecodeError, Message
    from google.rpc.status_pb2 import Status
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
        ExportLogsServiceRequest,
        ExportLogsServiceResponse,
    )
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
        ExportMetricsServiceResponse,
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
        ExportTraceServiceResponse,
    )
except ImportError as error:
    raise MissingExtraError("OTLP needs OpenTelemetry's packages: pip install 'softlaunch[otlp]'") from error

_DEEPEST = 40
_IDS = ("traceId", "spanId", "parentSpanId")


class Signal(StrEnum):
    """What is exported; the value is the path's last part."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


class Encoding(StrEnum):
    """How a body is written, by its content type."""

    BINARY = "application/x-protobuf"
    JSON = "application/json"

    @classmethod
    def of(cls, content_type: bytes) -> "Encoding":
        """Raises RefusedError with 415 for any other."""
        named = content_type.decode("latin-1").partition(";")[0].strip().lower()
        try:
            return cls(named)
        except ValueError:
            text = f"a body of {named or 'no content type'} isn't OTLP over HTTP; send {cls.BINARY} or {cls.JSON}"
            raise RefusedError(415, text) from None


@dataclass(frozen=True, slots=True)
class _Kind:
    request: type[Message]
    response: type[Message]
    rejected: str
    groups: tuple[str, str, str]


_KINDS = {
    Signal.TRACES: _Kind(
        ExportTraceServiceRequest,
        ExportTraceServiceResponse,
        "rejected_spans",
        ("resourceSpans", "scopeSpans", "spans"),
    ),
    Signal.METRICS: _Kind(
        ExportMetricsServiceRequest,
        ExportMetricsServiceResponse,
        "rejected_data_points",
        ("resourceMetrics", "scopeMetrics", "metrics"),
    ),
    Signal.LOGS: _Kind(
        ExportLogsServiceRequest,
        ExportLogsServiceResponse,
        "rejected_log_records",
        ("resourceLogs", "scopeLogs", "logRecords"),
    ),
}


def decode(signal: Signal, body: bytes, encoding: Encoding) -> Any:
    """The request in a body. Raises RefusedError with 400."""
    request = _KINDS[signal].request()
    try:
        if encoding is Encoding.BINARY:
            request.ParseFromString(body)
        else:
            document = _with_ids(orjson.loads(body), _KINDS[signal].groups)
            ParseDict(document, request, ignore_unknown_fields=True, max_recursion_depth=_DEEPEST)
    except (DecodeError, ParseError, orjson.JSONDecodeError, RecursionError, ValueError) as error:
        raise RefusedError(400, f"the body is no OTLP export of {signal}: {str(error)[:200]}") from None
    return request


def answer(signal: Signal, encoding: Encoding, rejected: int = 0, message: str = "") -> bytes:
    """What is said of an export that was taken: how much of it wasn't, and why."""
    kind = _KINDS[signal]
    response: Any = kind.response()
    if rejected or message:
        setattr(response.partial_success, kind.rejected, rejected)
        response.partial_success.error_message = message
    return _written(response, encoding)


def refusal(encoding: Encoding, message: str) -> bytes:
    """What is said of an export that wasn't taken."""
    return _written(Status(message=message), encoding)


def _written(message: Message, encoding: Encoding) -> bytes:
    if encoding is Encoding.BINARY:
        return bytes(message.SerializeToString())
    return orjson.dumps(MessageToDict(message))


def _with_ids(document: Any, groups: Iterable[str]) -> Any:
    """A document whose ids are as protobuf has them in JSON: in base64, where OTLP has hexadecimal."""
    if not isinstance(document, dict):
        raise ValueError("expected an object")  # noqa: TRY004  (what a client sends)
    found = [document]
    for group in groups:
        lists = (one.get(group) for one in found)
        found = [one for some in lists if isinstance(some, list) for one in some if isinstance(one, dict)]
    for one in found:
        links = one.get("links")
        _read_ids(one)
        for link in links if isinstance(links, list) else ():
            _read_ids(link)
    return document


def _read_ids(document: Any) -> None:
    for name in _IDS:
        if isinstance(document, dict) and isinstance(document.get(name), str):
            try:
                document[name] = base64.b64encode(bytes.fromhex(document[name])).decode()
            except (ValueError, binascii.Error):
                raise ValueError(f"{name} isn't hexadecimal") from None
