"""An app that no gateway serves: it splits its users by the route, and its spans are exported over OTLP."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from softlaunch.core.variant import Variant
from softlaunch.gateway.choice import choose
from softlaunch.gateway.table import RouteTable
from softlaunch.policy.route import Arm
from softlaunch.store.database import Database
from tests.gateway.clients.agent_programs import PYTHON
from tests.support.builders import APP
from tests.support.paths import ROOT

_STABLE = {"errors": 0.02, "slower": 1.0, "quality": 0.85}


@dataclass(frozen=True)
class Draw:
    """One request: who asks, and which arm answers by which weight; `copies` are made besides."""

    number: int
    unit: str
    arm: Arm
    variant: Variant
    weight_percent: float
    copies: tuple[tuple[Arm, Variant], ...]

    @property
    def attributes(self) -> dict[str, Any]:
        """What its span says of itself."""
        return {
            "softlaunch.app": APP,
            "softlaunch.unit": self.unit,
            "softlaunch.variant": self.variant.digest,
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
        copies = tuple((arm, served.route.stable) for arm in choice.copies)  # at 100 % some are copied to stable
        return Draw(self.number, unit, choice.arm, choice.variant, weight, copies)


@dataclass
class TracedApp:
    """Eighty requests a second, each with a span of OpenTelemetry's own SDK; a judge's score is an event of it."""

    url: str
    harm: Mapping[str, float] = field(default_factory=dict)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(4))
    each_tick: int = 4

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
        for arm, variant in draw.copies:
            copy = replace(draw, arm=arm, variant=variant)
            self._span(arm, {**copy.attributes, "softlaunch.copy_of": ids})

    def _span(self, arm: Arm, attributes: Mapping[str, Any]) -> str:
        worse = {**_STABLE, **(self.harm if arm is Arm.CANDIDATE else {})}
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


@dataclass
class InstrumentedApp:
    """Forty requests a second through the `openai` package with an instrumentation of others, in its environment."""

    url: str
    endpoint: str
    instrumentation: str
    log: Path
    each_tick: int = 2

    def __post_init__(self) -> None:
        """A program of its own."""
        program = "tests.gateway.clients.agents.instrumented_openai"
        command = [str(PYTHON), "-m", program, self.endpoint, self.instrumentation]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": self.url},
            )

    def answer(self, draw: Draw) -> None:
        """Let the program ask the model of the arm, and stable besides where it is copied."""
        copies = [replace(draw, arm=arm, variant=variant) for arm, variant in draw.copies]
        line = {**_asked(draw), "question": f"Question {draw.number}?", "copies": [_asked(copy) for copy in copies]}
        assert self.process.stdin is not None
        self.process.stdin.write(orjson.dumps(line) + b"\n")
        self.process.stdin.flush()

    def close(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def _asked(draw: Draw) -> dict[str, Any]:
    return {"model": draw.variant.model.model, "about": draw.attributes}


@contextmanager
def users_of(database: Database, app: TracedApp | InstrumentedApp) -> Iterator[None]:
    """Let users come while the block works."""
    table, stopped = RouteTable(database), threading.Event()
    table.start()
    splitter = Splitter(table)

    def serve() -> None:
        while not stopped.wait(0.05):
            for _ in range(app.each_tick):
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
