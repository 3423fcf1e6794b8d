"""The official `openai` package with an instrumentation of others, and nothing of ours: an app without a gateway.

Each line of input is a question and what the app knows of it; the spans go where the standard variables say.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import openai
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

ENDPOINT, INSTRUMENTATION = sys.argv[1:3]
ABOUT: ContextVar[dict[str, Any]] = ContextVar("about")


class Attributed(SpanProcessor):
    """Puts what the app knows of a request onto its spans: all that an app adds to its instrumentation."""

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        """Whose the span is."""
        span.set_attributes(ABOUT.get({}))


class LastSpan(SpanProcessor):
    """Remembers the newest span of this context, so that a copy can name it."""

    ids: ContextVar[str] = ContextVar("ids", default="")

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        """Its ids, in hexadecimal."""
        context = span.get_span_context()
        self.ids.set(f"{context.trace_id:032x}-{context.span_id:016x}")


def ask(line: dict[str, Any]) -> None:
    """One question, and a copy of it to stable where the app makes one."""
    ABOUT.set(line["about"])
    LastSpan.ids.set("")
    call(line["model"], line["question"])
    for copied in line["copies"]:
        ABOUT.set({**copied["about"], "softlaunch.copy_of": LastSpan.ids.get()})
        call(copied["model"], line["question"])


def call(model: str, question: str) -> None:
    """What the app does with an answer, or without one, is its own affair."""
    try:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}])
    except openai.OpenAIError as error:
        sys.stderr.write(f"{type(error).__name__}\n")


if __name__ == "__main__":
    provider = TracerProvider()
    for processor in (Attributed(), LastSpan()):
        provider.add_span_processor(processor)
    batches = BatchSpanProcessor(OTLPSpanExporter(timeout=60), max_queue_size=50_000, schedule_delay_millis=1000)
    provider.add_span_processor(batches)
    if INSTRUMENTATION == "openinference":
        from openinference.instrumentation.openai import OpenAIInstrumentor
    else:
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    client = openai.OpenAI(base_url=ENDPOINT, api_key="none", max_retries=0, timeout=10)
    with ThreadPoolExecutor(4) as pool:
        for text in sys.stdin:
            pool.submit(ask, json.loads(text))
    provider.shutdown()
