"""Calls as spans of OpenTelemetry, for an application whose spans reach softlaunch's receiver already."""

import time
from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from softlaunch.client.call import Call
from softlaunch.core.request_outcome import GIVEN, RequestOutcome

_ERROR_TYPES: Mapping[RequestOutcome, str] = {
    RequestOutcome.RATE_LIMITED: "429",
    RequestOutcome.PROVIDER_FAILED: "500",
    RequestOutcome.REQUEST_AT_FAULT: "400",
    RequestOutcome.CONNECT: "connection_error",
    RequestOutcome.CLIENT_GONE: "cancelled",
    **dict.fromkeys(
        (RequestOutcome.TOTAL_TIMEOUT, RequestOutcome.FIRST_TOKEN_TIMEOUT, RequestOutcome.IDLE_TIMEOUT), "timeout"
    ),
}
_REASONS: Mapping[RequestOutcome, str] = {
    RequestOutcome.FILTERED: "content_filter",
    RequestOutcome.TRUNCATED: "length",
    RequestOutcome.CUT: "error",
}


class Spans:
    """Ends each call as a span, by the GenAI conventions; to be given to `Options(exporter=...)`.

    The id of a call is then that of its span's request, `<app>-<16 digits of the trace><16 of the span>`.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("softlaunch.client", tracer_provider=provider)

    def begin(self, call: Call) -> None:
        """Begin the span of a call below the one that is current, and give the call its id."""
        variant = call.variant
        span = self._tracer.start_span(
            f"chat {variant.model}",
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": variant.provider,
                "gen_ai.request.model": variant.model,
                "softlaunch.app": variant.app_name,
                "softlaunch.unit": variant.unit,
                "softlaunch.variant": variant.digest,
                "softlaunch.arm": variant.arm,
                "softlaunch.weight_percent": variant.weight_percent,
                "softlaunch.revision": variant.route.revision,
            },
            start_time=int(call.started_at * 1e9),
        )
        call.span = span
        context = span.get_span_context()
        if context.is_valid:
            trace_id, span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
            call.id, call.reference = f"{variant.app_name}-{trace_id[16:]}{span_id}", f"{trace_id}-{span_id}"
        if variant.copy_of:
            span.set_attribute("softlaunch.copy_of", variant.copy_of)

    def end(self, call: Call, record: Mapping[str, Any]) -> None:
        """End the span of a call as long after its beginning as the answer took."""
        span: Span | None = call.span
        if span is None:
            return
        outcome = RequestOutcome(record["outcome"])
        first_ms = record["first_token_ms"]
        reason = record["finish_reason"] or _REASONS.get(outcome, "stop" if outcome in GIVEN else None)
        told = {
            "gen_ai.usage.input_tokens": record["input_tokens"],
            "gen_ai.usage.output_tokens": record["output_tokens"],
            "gen_ai.response.model": record.get("resolved_model"),
            "gen_ai.response.finish_reasons": None if reason is None else [reason],
            "gen_ai.response.time_to_first_chunk": None if first_ms is None else first_ms / 1000,
        }
        span.set_attributes({name: value for name, value in told.items() if value is not None})
        if outcome not in GIVEN and outcome is not RequestOutcome.CUT:
            span.set_attribute("error.type", _ERROR_TYPES.get(outcome, str(outcome)))
            span.set_status(Status(StatusCode.ERROR, str(outcome)))
        ended = call.started_at + record["latency_ms"] / 1000
        span.end(int(min(ended, time.time() + 1) * 1e9))
