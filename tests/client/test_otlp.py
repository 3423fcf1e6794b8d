"""Calls as spans of OpenTelemetry: read by softlaunch's receiver as what they were."""

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from softlaunch.client.otlp import Spans
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.usage import Usage
from softlaunch.inbound.otlp.call_spans import CallSpan, read_call, request_id
from tests.client.conftest import MakeClient
from tests.support.config_server import APP, ConfigServer


@pytest.fixture
def exported() -> InMemorySpanExporter:
    """What the application's SDK exports."""
    return InMemorySpanExporter()


@pytest.fixture
def spans(exported: InMemorySpanExporter) -> Spans:
    """An exporter on the application's own provider."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    return Spans(provider)


def received(exported: InMemorySpanExporter) -> list[CallSpan]:
    """What the receiver makes of it."""
    sent = encode_spans(exported.get_finished_spans())
    found = [read_call(span, {}) for one in sent.resource_spans for scope in one.scope_spans for span in scope.spans]
    return [call for call in found if call is not None]


def test_a_call_is_a_span(
    server: ConfigServer, make_client: MakeClient, spans: Spans, exported: InMemorySpanExporter
) -> None:
    """Who, which variant, what it took, and the id by which it can be spoken of; nothing goes to the server."""
    client = make_client(exporter=spans)
    with client.app(APP).variant(user="ann").call() as call:
        call.first_token()
        call.answered({"prompt_tokens": 12, "completion_tokens": 3}, "stop")
    (span,) = received(exported)
    assert (span.app, span.own["softlaunch.unit"], span.own["softlaunch.arm"]) == (APP, "ann", "stable")
    assert (span.own["softlaunch.variant"], span.own["softlaunch.weight_percent"]) == ("stable-digest", 0.0)
    assert span.revision == 1  # by which the receiver computes the arm again
    assert (span.outcome, span.usage, span.finish_reason) == ("answered", Usage(12, 3), "stop")
    assert span.asked_model == "stable"
    assert span.first_token_ms is not None
    assert call.id == request_id(APP, span.trace_id, span.span_id)
    assert (client.waiting, server.records) == (0, [])


@pytest.mark.parametrize("outcome", sorted({*RequestOutcome} - {RequestOutcome.EMPTY, RequestOutcome.INVALID}), ids=str)
def test_outcomes_are_read_as_they_were(
    make_client: MakeClient, spans: Spans, exported: InMemorySpanExporter, outcome: RequestOutcome
) -> None:
    """Each outcome that spans have a word for comes through; limits in time are one."""
    with make_client(exporter=spans).app(APP).variant(user="ann").call() as call:
        call.failed(outcome)
    timeouts = {RequestOutcome.FIRST_TOKEN_TIMEOUT, RequestOutcome.IDLE_TIMEOUT}
    assert received(exported)[0].outcome is (RequestOutcome.TOTAL_TIMEOUT if outcome in timeouts else outcome)
