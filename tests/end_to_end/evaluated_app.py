"""An app that calls its models itself: OpenFeature's SDK says which variant, and OpenTelemetry's tells of its calls."""

import time
from dataclasses import dataclass
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

from softlaunch.client.openfeature import EvaluatedSpans, calls_by
from tests.end_to_end.configured_app import ConfiguredApp, Kept, copies_of


@dataclass
class EvaluatedApp(ConfiguredApp):
    """As `ConfiguredApp`, but that nothing is recorded: each request is a span, and each call to a model one below."""

    receiver: str = ""

    def __post_init__(self) -> None:
        """All that is added to the application: one object, once."""
        super().__post_init__()
        exporter, spans = OTLPSpanExporter(endpoint=f"{self.receiver}/v1/traces", timeout=120), EvaluatedSpans()
        self.provider = TracerProvider()
        self.provider.add_span_processor(spans)
        self.provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=50_000, schedule_delay_millis=500))
        self.client.add_hooks([spans])
        self.tracer = self.provider.get_tracer("shop")

    def call(self) -> None:
        """One user's request, with the default's call where nobody told it more."""
        before = self.defaults
        with self.tracer.start_as_current_span("POST /questions"):
            super().call()
            if self.defaults > before:
                self._ask(self.seconds())

    def answer(self, kept: Kept, user: str, seconds: float) -> None:
        """A call; one by a kept value, and one that is copied, is in a block."""
        arms = copies_of(kept)
        if not arms and not kept.times:
            self._ask(seconds)
            return
        with calls_by(kept.found) as calls:
            self._ask(seconds)
        for arm in arms:
            with calls_by(kept.found, arm, calls):
                self._ask(self.seconds())

    def _ask(self, seconds: float) -> None:
        """A call to a model that took so long, as an instrumentation tells of it."""
        ended = time.time_ns()
        named: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": 20,
            "gen_ai.usage.output_tokens": 5,
        }
        began = ended - int(seconds * 1e9)
        span = self.tracer.start_span("chat", None, SpanKind.CLIENT, named, start_time=began)
        span.set_attribute("gen_ai.response.finish_reasons", ["stop"])
        span.end(ended)

    def send(self) -> None:
        """Its exporter sends by itself."""

    def close(self) -> None:
        """Send what is left, also to a receiver that has just come back."""
        self.provider.force_flush(150_000)
        self.provider.shutdown()
