"""What a gateway tells by OpenTelemetry, by its own SDK and exporters."""

from collections.abc import Iterator
from typing import Any

import pytest

from softlaunch.gateway.app import Gateway
from softlaunch.gateway.server import GatewayOptions, build_app
from softlaunch.gateway.tracing.answering import TracedAnswering
from softlaunch.store.database import Database
from tests.gateway.tracing.collector import Collector, running_collector
from tests.gateway.worlds import APP, World, running_world
from tests.support.servers import FakeModels, wait_until

_TRACE, _PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
_JOINED = {"traceparent": f"00-{_TRACE}-{_PARENT}-01", "tracestate": "vendor=1"}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Where the standard variables send everything."""
    with running_collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield running


@pytest.fixture
def world(database_url: str, models: FakeModels, collector: Collector) -> Iterator[World]:
    """A gateway that exports."""
    with running_world(database_url, models, otel=True) as running:
        yield running


def spans(world: World, collector: Collector, count: int) -> dict[str, tuple[Any, dict[str, Any]]]:
    """So many spans with their attributes, by their arm."""
    wait_until(lambda: len(collector.spans) >= count, f"{count} spans have come")
    found = [(span, collector.named(span)) for span in collector.spans]
    return {named["softlaunch.arm"]: (span, named) for span, named in found}


def test_an_answer_is_a_span_in_the_client_s_trace(world: World, collector: Collector) -> None:
    """By the GenAI conventions, with what the log says of it; the provider's spans come below."""
    asked = {"model": APP, "messages": [{"role": "user", "content": "my secret"}], "user": "anna"}
    response = world.client.post("/v1/chat/completions", json=asked, headers=_JOINED)
    span, named = spans(world, collector, 1)["stable"]
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.name) == (_TRACE, _PARENT, "chat stable")
    assert (named["gen_ai.operation.name"], named["gen_ai.provider.name"]) == ("chat", "rehearsal")
    row = world.row_of(response)
    assert (named["gen_ai.usage.input_tokens"], named["softlaunch.request_id"]) == (row.input_tokens, row.request_id)
    sent = {name.lower(): value for name, value in world.models.headers[0].items()}
    assert sent["traceparent"] == f"00-{_TRACE}-{span.span_id.hex()}-01"
    assert sent["tracestate"] == "vendor=1"
    assert (collector.service, collector.headers[0]) == ("softlaunch-gateway", "shop")
    assert "secret" not in str(collector.spans)
    assert "anna" not in str(collector.spans)


def test_a_failure_and_a_copy_are_spans_too(world: World, collector: Collector) -> None:
    """The copy's is below its request's; a client that brings no trace begins one here."""
    with world.watched():
        world.split(shadow_percent=100.0)
        world.models.faults["candidate"] = "500"
        world.ask("anna")
        found = spans(world, collector, 2)
    user, copy = found["stable"][0], found["shadow"][0]
    assert (copy.trace_id, copy.parent_span_id, user.parent_span_id) == (user.trace_id, user.span_id, b"")
    assert (found["shadow"][1]["error.type"], copy.status.code) == ("provider_failed", 2)
    assert user.start_time_unix_nano < user.end_time_unix_nano


def test_metrics_are_those_of_the_conventions(world: World, collector: Collector) -> None:
    """Duration, first chunk and tokens, by app, arm and model; sent at the latest when the gateway stops."""
    world.ask("anna")
    world.ask("ben", stream=True)
    world.rows(2)
    world.stop()
    duration = collector.metrics["gen_ai.client.operation.duration"]
    assert (duration.unit, sum(point.count for point in duration.histogram.data_points)) == ("s", 2)
    chunk = collector.metrics["gen_ai.client.operation.time_to_first_chunk"].histogram.data_points[0]
    names = {one.key: one.value.string_value for one in chunk.attributes}
    assert (chunk.count, names["softlaunch.app"], names["softlaunch.arm"]) == (1, APP, "stable")
    kinds = {
        one.value.string_value
        for point in collector.metrics["gen_ai.client.token.usage"].histogram.data_points
        for one in point.attributes
        if one.key == "gen_ai.token.type"
    }
    assert kinds == {"input", "output"}


def test_what_is_not_sampled_is_not_sent(
    database_url: str, models: FakeModels, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standard variables choose; who comes later in the trace is told that nobody records it."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    with running_world(database_url, models, otel=True) as world:
        world.ask("anna")
        world.rows(1)
    assert (collector.spans, collector.metrics) == ([], {})
    assert int(models.headers[0]["traceparent"][-2:], 16) & 1 == 0


def test_a_collector_that_is_away_holds_up_nothing(
    database_url: str, models: FakeModels, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers and the log go on."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with running_world(database_url, models, otel=True) as world:
        assert [world.ask(f"user-{number}").status_code for number in range(20)] == [200] * 20
        world.rows(20)


def test_off_is_not_there(database: Database) -> None:
    """A gateway that exports nothing answers by the very functions of one that can't."""
    gateway: Gateway = build_app(database, GatewayOptions(), "http://127.0.0.1:1")
    assert not isinstance(gateway._answering, TracedAnswering)
