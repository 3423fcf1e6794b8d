"""Spans and metrics by OpenTelemetry's GenAI conventions, exported by its own SDK in threads of its own.

Where they go, how many are sampled and how often they are sent say the standard variables: OTEL_EXPORTER_OTLP_ENDPOINT,
OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER, OTEL_BSP_*, OTEL_METRIC_EXPORT_INTERVAL, OTEL_RESOURCE_ATTRIBUTES. With
OTEL_TRACES_EXPORTER or OTEL_METRICS_EXPORTER set to none there are none of these. Neither has a text, or says who asks.
"""

import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from softlaunch import __version__
from softlaunch.core.api import Api
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.request_outcome import GIVEN
from softlaunch.core.variant import ModelVersion
from softlaunch.ledger.request_log import RequestRecord

try:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise SoftlaunchError("SOFTLAUNCH_OTEL needs OpenTelemetry's SDK: pip install 'softlaunch[otlp]'") from error

_OPERATIONS = {Api.COMPLETIONS: "text_completion", Api.EMBEDDINGS: "embeddings"}
_JOINED = ("traceparent", "tracestate")
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(4.0**power for power in range(14))
Attributes = dict[str, str | int | float | bool | list[str]]


class Signals:
    """What a gateway tells of its answers. Its event loop calls `begin` and `answered`, which wait for nothing."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        resource = Resource.create({} if _is_named(environment) else {"service.name": "softlaunch-gateway"})
        is_silent = environment.get("OTEL_METRICS_EXPORTER") == "none"
        readers = [] if is_silent else [PeriodicExportingMetricReader(OTLPMetricExporter())]
        self._tracers = TracerProvider(resource=resource)
        if environment.get("OTEL_TRACES_EXPORTER") != "none":
            self._tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._tracers.get_tracer("softlaunch.gateway", __version__)
        self._meters = MeterProvider(readers, resource=resource)
        meter = self._meters.get_meter("softlaunch.gateway", __version__)
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "Time until an arm's answer was complete.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "Time until the first piece of an arm's answer came.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens of an arm's answer.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, headers: Mapping[bytes, bytes]) -> tuple[Span, dict[bytes, bytes]]:
        """A request's span, below the client's where its headers name one, and the headers that name this one."""
        carried = {name: headers[key].decode("latin-1") for name in _JOINED if (key := name.encode()) in headers}
        span = self._tracer.start_span("gateway", self._propagator.extract(carried), SpanKind.CLIENT)
        joined: dict[str, str] = {}
        self._propagator.inject(joined, set_span_in_context(span))
        kept = {name: value for name, value in headers.items() if name.decode("latin-1") not in _JOINED}
        return span, kept | {name.encode(): value.encode() for name, value in joined.items()}

    def answered(self, span: Span, row: RequestRecord, model: ModelVersion) -> None:
        """An answer, by its row in the log; a copy's is a span of its own, below its request's."""
        if row.mirrored:
            began = time.time_ns() - round(row.latency_ms * 1e6)
            span = self._tracer.start_span("gateway", set_span_in_context(span), SpanKind.CLIENT, start_time=began)
        named = _named(row, model)
        if span.is_recording():
            span.update_name(f"{named['gen_ai.operation.name']} {model.model}")
            span.set_attributes({**named, **_told(row, model)})
            if row.outcome not in GIVEN:
                span.set_status(Status(StatusCode.ERROR, str(row.outcome)))
        span.end()
        self._duration.record(row.latency_ms / 1000, named)
        if row.first_token_ms is not None:
            self._first_chunk.record(row.first_token_ms / 1000, named)
        for kind, count in (("input", row.input_tokens), ("output", row.output_tokens)):
            if count is not None:
                self._tokens.record(count, {**named, "gen_ai.token.type": kind})

    def close(self) -> None:
        """Send what is left."""
        self._tracers.shutdown()
        self._meters.shutdown()


def _is_named(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("OTEL_SERVICE_NAME")) or "service.name=" in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )


def _named(row: RequestRecord, model: ModelVersion) -> Attributes:
    """What spans and metrics have in common: few values each."""
    api = Api(row.api) if row.api else Api.CHAT
    failed: Attributes = {} if row.outcome in GIVEN else {"error.type": str(row.outcome)}
    answered: Attributes = {} if row.resolved_model is None else {"gen_ai.response.model": row.resolved_model}
    return {
        "gen_ai.operation.name": _OPERATIONS.get(api, "chat"),
        "gen_ai.provider.name": model.provider,
        "gen_ai.request.model": model.model,
        "softlaunch.app": row.app,
        "softlaunch.arm": str(row.arm),
        "softlaunch.outcome": str(row.outcome),
        **failed,
        **answered,
    }


def _told(row: RequestRecord, model: ModelVersion) -> Attributes:
    """What only a span has."""
    endpoint = urlsplit(model.endpoint)
    found: dict[str, str | int | float | bool | list[str] | None] = {
        "server.address": endpoint.hostname,
        "server.port": endpoint.port or (443 if endpoint.scheme == "https" else 80),
        "gen_ai.request.stream": row.streamed or None,
        "gen_ai.usage.input_tokens": row.input_tokens,
        "gen_ai.usage.output_tokens": row.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": row.cached_tokens,
        "gen_ai.response.time_to_first_chunk": None if row.first_token_ms is None else row.first_token_ms / 1000,
        "gen_ai.response.finish_reasons": None if row.finish_reason is None else [row.finish_reason],
        "softlaunch.request_id": row.request_id,
        "softlaunch.variant": row.variant_digest[:12],
        "softlaunch.release": row.release_id,
        "softlaunch.fell_back": row.fell_back or None,
        "softlaunch.cost_usd": row.cost_usd,
    }
    return {name: value for name, value in found.items() if value is not None}
