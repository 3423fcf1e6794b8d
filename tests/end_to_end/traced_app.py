"""An app that no gateway serves: it splits its users by the route, and its spans are exported over OTLP."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from softlaunch.gateway.choice import choose
from softlaunch.gateway.table import RouteTable
from softlaunch.policy.route import Arm
from softlaunch.store.database import Database
from tests.support.builders import APP

_STABLE = {"errors": 0.02, "slower": 1.0, "quality": 0.85}


@dataclass(frozen=True)
class Draw:
    """One request: who asks, and which arm answers by which weight; `copies` are made besides."""

    number: int
    unit: str
    arm: Arm
    variant: str
    weight_percent: float
    copies: tuple[Arm, ...]

    @property
    def attributes(self) -> dict[str, Any]:
        """What its span says of itself."""
        return {
            "softlaunch.app": APP,
            "softlaunch.unit": self.unit,
            "softlaunch.variant": self.variant,
            "softlaunch.arm": self.arm.value,
            "softlaunch.weight_percent": self.weight_percent,
        }


@dataclass
class Splitter:
    """Splits users by softlaunch's own hash, at the weight in force; on stable where nobody watches."""

    table: RouteTable
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))
    number: int = 0

    def draw(self) -> Draw:
        """The next request, of one of many users."""
        self.number += 1
        served = self.table.get(APP)
        assert served is not None
        allowed, unit = served.candidate_allowed(), f"user-{self.rng.integers(0, 100_000)}"
        choice = choose(served.route, unit, f"{self.number}", candidate_allowed=allowed)
        weight = served.route.weight_percent if allowed else 0.0
        return Draw(self.number, unit, choice.arm, choice.variant.digest, weight, choice.copies)


@dataclass
class TracedApp:
    """Eighty requests a second, each with a span of OpenTelemetry's own SDK; a judge's score is an event of it."""

    url: str
    harm: Mapping[str, float] = field(default_factory=dict)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(4))

    def __post_init__(self) -> None:
        """Exports once a second; what can't be sent is kept, and sent later."""
        exporter = OTLPSpanExporter(endpoint=f"{self.url}/v1/traces", timeout=60)
        self.provider = TracerProvider()
        batches = BatchSpanProcessor(exporter, max_queue_size=50_000, schedule_delay_millis=1000)
        self.provider.add_span_processor(batches)
        self.tracer = self.provider.get_tracer("shop")

    def answer(self, draw: Draw) -> None:
        """What a user met, and its copies."""
        ids = self._span(draw.arm, draw.attributes)
        for arm in draw.copies:  # at 100 % the candidate answers, and some requests are copied to stable
            self._span(arm, {**draw.attributes, "softlaunch.arm": arm.value, "softlaunch.copy_of": ids}, stable=True)

    def _span(self, arm: Arm, attributes: dict[str, Any], *, stable: bool = False) -> str:
        worse = {**_STABLE, **(self.harm if arm is Arm.CANDIDATE else {})}
        if stable:
            del attributes["softlaunch.variant"]
        ended = time.time_ns()
        seconds = 0.2 * self.rng.lognormal(0, 0.4) * worse["slower"]
        named: dict[str, Any] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "steady"}
        named |= {"gen_ai.usage.input_tokens": 20, "gen_ai.usage.output_tokens": 5}
        named |= {"gen_ai.response.finish_reasons": ["stop"], **attributes}
        span = self.tracer.start_span(
            "chat steady", None, SpanKind.CLIENT, named, start_time=ended - int(seconds * 1e9)
        )
        if self.rng.random() < worse["errors"]:
            span.set_attribute("error.type", "500")
            span.set_status(Status(StatusCode.ERROR, "Error code: 500"))
        score = float(np.clip(self.rng.normal(worse["quality"], 0.1), 0, 1))
        said: dict[str, Any] = {"gen_ai.evaluation.name": "quality", "gen_ai.evaluation.score.value": score}
        span.add_event("gen_ai.evaluation.result", said)
        span.end(ended)
        context = span.get_span_context()
        return f"{context.trace_id:032x}-{context.span_id:016x}"

    def close(self) -> None:
        """Send what is left."""
        self.provider.shutdown()


@contextmanager
def users_of(database: Database, app: TracedApp) -> Iterator[None]:
    """Let users come while the block works."""
    table, stopped = RouteTable(database), threading.Event()
    table.start()
    splitter = Splitter(table)

    def serve() -> None:
        while not stopped.wait(0.05):
            for _ in range(4):
                app.answer(splitter.draw())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
        table.stop()
        app.close()
