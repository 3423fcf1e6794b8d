"""OpenFeature's hook: spans of model calls say by which evaluation they were made, and nobody else's."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import GeneralError, TargetingKeyMissingError
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from softlaunch.client.openfeature import Calls, EvaluatedSpans, calls_by

APP, OTHER = "support-bot", "summarizer"


class Evaluating(InMemoryProvider):
    """Evaluates as a config server does: names with a c are the candidate's. `away` is a server that can't be asked."""

    def __init__(self) -> None:
        super().__init__({"blue-button": InMemoryFlag("on", {"on": True})})
        self.away = False

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """The variant of an app for a unit."""
        if self.away:
            raise GeneralError("the server is away")
        if evaluation_context is None or not evaluation_context.targeting_key:
            raise TargetingKeyMissingError("send a targeting key")
        arm = "candidate" if "c" in evaluation_context.targeting_key else "stable"
        told: dict[str, Any] = {
            "contextId": evaluation_context.targeting_key,
            "app": flag_key,
            "arm": arm,
            "digest": f"{arm}-digest",
            "revision": 7,
        }
        told |= {"weightPercent": 20.0, "releaseId": f"{flag_key}-1", "stage": 2, "requestId": "r", "copies": ""}
        return FlagResolutionDetails({}, reason=Reason.SPLIT, variant=arm, flag_metadata=told)

    async def resolve_object_details_async(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """The same, after a moment."""
        await asyncio.sleep(0)
        return self.resolve_object_details(flag_key, default_value, evaluation_context)


@dataclass
class Shop:
    """An application with both SDKs; each request of it is a span, and each call to a model one below."""

    client: OpenFeatureClient
    server: Evaluating
    exported: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def __post_init__(self) -> None:
        """All that an application adds, once."""
        spans = EvaluatedSpans()
        self.provider = TracerProvider()
        self.provider.add_span_processor(spans)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exported))
        self.tracer = self.provider.get_tracer("shop")
        self.client.add_hooks([spans])

    def ask(self, unit: str, app: str = APP) -> FlagEvaluationDetails[Any]:
        """An evaluation."""
        return self.client.get_object_details(app, {}, EvaluationContext(unit))

    def span(self, name: str) -> Any:
        """A span that is current in its block."""
        return self.tracer.start_as_current_span(name)

    def call(self, name: str = "call") -> None:
        """A call to a model, by an instrumentation that knows nothing of this."""
        with self.span(name):
            pass

    def said(self, name: str = "call") -> list[Mapping[str, Any]]:
        """What the spans of a name say, without the prefix."""
        spans = [one for one in self.exported.get_finished_spans() if one.name == name]
        return [
            {key.removeprefix("softlaunch."): value for key, value in (one.attributes or {}).items()} for one in spans
        ]

    def units(self, name: str = "call") -> list[Any]:
        """For whom these spans say that they were; None of those that don't say."""
        return [one.get("unit") if one.get("app") else None for one in self.said(name)]


@pytest.fixture
def shop() -> Iterator[Shop]:
    """One, with a server."""
    server = Evaluating()
    api.set_provider(server, "shop")
    yield Shop(api.get_client("shop"), server)
    api.clear_providers()


def test_calls_below_the_span_of_an_evaluation_say_whose_they_are(shop: Shop) -> None:
    """App, unit, variant, arm, weight, revision and release; also two spans further down, and in the span itself."""
    with shop.span("request"):
        shop.call("before")
        assert shop.ask("cleo").variant == "candidate"
        with shop.span("agent"):
            shop.call()
    told = {"app": APP, "unit": "cleo", "variant": "candidate-digest", "arm": "candidate", "weight_percent": 20.0}
    assert shop.said() == shop.said("request") == [{**told, "revision": 7, "release": f"{APP}-1"}]
    assert shop.said("before") == [{}]


def test_what_was_evaluated_ends_with_its_span(shop: Shop) -> None:
    """The next request in the same thread, which evaluates nothing, belongs to nobody."""
    with shop.span("request"):
        shop.ask("cleo")
    with shop.span("request"):
        shop.call()
    assert shop.units() == [None]


def test_the_last_evaluation_counts(shop: Shop) -> None:
    """Also when it fell back on the default: then spans say nothing."""
    with shop.span("request"):
        shop.ask("cleo")
        shop.call()
        shop.ask("dan")
        shop.call()
        shop.server.away = True
        assert shop.ask("dan").error_code is not None
        shop.call()
    assert shop.units() == ["cleo", "dan", None]
    assert shop.units("request") == [None]


def test_a_default_says_nothing(shop: Shop) -> None:
    """No server, no unit, or a flag that is no app's: a call is nobody's evidence, and no other flag hides it."""
    with shop.span("request"):
        shop.client.get_boolean_value("blue-button", default_value=False)
        shop.ask("")
        shop.call()
        shop.ask("cleo")
        shop.client.get_boolean_value("blue-button", default_value=False)
        shop.client.get_string_value("no-such-flag", "mine")
        shop.call()
    assert shop.units() == [None, "cleo"]


def test_of_two_apps_in_a_span_none_is_guessed(shop: Shop) -> None:
    """A block says which; or each has a span of its own, and the nearer one counts."""
    with shop.span("request"):
        first, second = shop.ask("cleo"), shop.ask("dan", OTHER)
        shop.call("unclear")
        with calls_by(first):
            shop.call()
        with calls_by(second):
            shop.call()
        with shop.span("tool"):
            shop.ask("eve", OTHER)
            shop.call()
    assert shop.units("unclear") == [None]
    assert [(one["app"], one["unit"]) for one in shop.said()] == [(APP, "cleo"), (OTHER, "dan"), (OTHER, "eve")]


def test_tasks_and_threads_keep_to_their_own(shop: Shop) -> None:
    """Many requests at once, each evaluated in another thread or task than the one that calls the model."""
    rounds = 40

    async def request(unit: str) -> None:
        with shop.span("request"):
            await asyncio.to_thread(shop.ask, unit)
            await asyncio.sleep(0)
            await asyncio.gather(called(unit), called(unit))

    async def called(unit: str) -> None:
        await asyncio.sleep(0)
        with shop.span("call") as span:
            span.set_attribute("expected", unit)

    async def all_of_them() -> None:
        await asyncio.gather(*(request(f"user-{number}") for number in range(rounds)))

    asyncio.run(all_of_them())
    assert len(shop.said()) == 2 * rounds
    assert all(one["unit"] == one["expected"] for one in shop.said())


def test_the_asynchronous_evaluation_is_followed(shop: Shop) -> None:
    """A coroutine's evaluation holds for its request."""

    async def request(unit: str) -> None:
        with shop.span("request"):
            await shop.client.get_object_details_async(APP, {}, EvaluationContext(unit))
            shop.call()

    asyncio.run(request("cleo"))
    assert shop.units() == ["cleo"]


def test_a_pool_that_carries_the_context_is_followed(shop: Shop) -> None:
    """Calls in threads belong to the request whose context they run in; without it they belong to nobody."""
    with ThreadPoolExecutor(1) as pool, shop.span("request"):
        shop.ask("cleo")
        pool.submit(copy_context().run, shop.call).result()
        pool.submit(shop.call).result()
    assert shop.units() == ["cleo", None]


def test_a_kept_value_is_named_by_a_block(shop: Shop) -> None:
    """It says what it was told, by which revision, outside of any span too; a default that was kept says nothing."""
    with shop.span("session"):
        kept = shop.ask("cleo")
    shop.server.away = True
    default = shop.ask("cleo")
    with calls_by(kept):
        shop.call()
    with shop.span("request"):
        shop.server.away = False
        shop.ask("dan")
        with calls_by(default):
            shop.call()
    assert [(one.get("unit"), one.get("revision")) for one in shop.said()] == [("cleo", 7), (None, None)]


def test_a_copy_names_the_call_that_it_copies(shop: Shop) -> None:
    """By the first span of that one's block; it says its own arm, and no variant of the user's."""
    details = shop.ask("cleo")
    with calls_by(details) as users:
        shop.call()
    with calls_by(details, "control", users):
        shop.call("copy")
    (call,) = (one for one in shop.exported.get_finished_spans() if one.name == "call")
    (copy,) = shop.said("copy")
    ids = call.get_span_context()
    assert ids is not None
    assert (copy["arm"], copy["copy_of"]) == ("control", f"{ids.trace_id:032x}-{ids.span_id:016x}")
    assert "variant" not in copy
    for of in (None, Calls({})):
        with pytest.raises(ValueError, match="a copy is of a call"), calls_by(details, "control", of):
            pass


def test_an_evaluation_outside_of_spans_is_told_once(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody could say where it ends; where a span isn't sampled there is nothing to complain of."""
    unsampled = TracerProvider(sampler=ALWAYS_OFF).get_tracer("shop")
    with caplog.at_level(logging.WARNING), unsampled.start_as_current_span("request"):
        shop.ask("cleo")
    assert caplog.messages == []
    with caplog.at_level(logging.WARNING):
        shop.ask("cleo")
        shop.ask("cleo")
    assert len(caplog.messages) == 1
    assert "outside of any span" in caplog.messages[0]
    shop.call()
    assert shop.units() == [None]


def test_ended_spans_are_forgotten(shop: Shop) -> None:
    """What a process keeps doesn't grow with its requests."""
    spans = next(one for one in shop.client.hooks if isinstance(one, EvaluatedSpans))
    for number in range(50):
        with shop.span("request"):
            shop.ask(f"user-{number}")
            shop.call()
    shop.exported.clear()
    assert len(spans._known) <= 1
    assert trace.get_current_span() is trace.INVALID_SPAN
