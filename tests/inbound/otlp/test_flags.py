"""Evaluations of flags on the span of a model call say whose it is, as OpenFeature's hooks write them."""

from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from softlaunch.inbound.otlp.call_spans import read_call
from tests.support.builders import APP, CANDIDATE
from tests.support.otlp import span

NOTHING: dict[str, Any] = {"softlaunch__app": None, "softlaunch__unit": None, "softlaunch__variant": None}
APPS = frozenset({APP, "summarizer"})


def flag(key: str = APP, **more: Any) -> dict[str, Any]:
    """An evaluation by OFREP's provider, as hooks tell of it."""
    named = {"key": key, "result.variant": CANDIDATE.short, "context.id": "ann", "result.reason": "split", **more}
    return {f"feature_flag.{name}": value for name, value in named.items() if value is not None}


FELL_BACK: dict[str, Any] = {"result.variant": None, "result.reason": "error"}


def evaluated(*flags: dict[str, Any], **more: Any) -> Span:
    """A span of a call with the events of these evaluations, and nothing of ours besides."""
    events = [(0.01 * place, "feature_flag.evaluation", one) for place, one in enumerate(flags)]
    return span(100.0, events=events, **{**NOTHING, **more})


def own(told: Span) -> dict[str, Any]:
    """What is read of it, in our own words."""
    call = read_call(told, {}, APPS)
    assert call is not None
    return dict(call.own)


SAID = {"softlaunch.app": APP, "softlaunch.unit": "ann", "softlaunch.variant": CANDIDATE.short}


def test_an_evaluation_says_whose_a_call_is() -> None:
    """The flag is the app, the context the unit; as an event of the span, or as its attributes."""
    assert own(evaluated(flag())) == SAID
    assert own(span(100.0, **NOTHING, **{name.replace(".", "__"): value for name, value in flag().items()})) == SAID


def test_the_version_of_our_flags_is_the_revision() -> None:
    """Another service's version isn't."""
    assert own(evaluated(flag(**{"set.id": "softlaunch", "version": "31"})))["softlaunch.revision"] == "31"
    assert own(evaluated(flag(**{"set.id": "another", "version": "31"}))) == SAID


def test_without_a_split_there_is_no_weight() -> None:
    """A static value is what everybody gets."""
    assert own(evaluated(flag(**{"result.reason": "static"})))["softlaunch.weight_percent"] == 0


@pytest.mark.parametrize(
    ("flags", "more", "app"),
    [
        pytest.param([flag(), flag("blue-button")], {}, APP, id="a flag of something else besides"),
        pytest.param([flag("blue-button")], {}, None, id="no flag of an app"),
        pytest.param([flag(), flag("summarizer")], {}, None, id="two apps"),
        pytest.param([flag(), flag("summarizer")], {"softlaunch__app": "summarizer"}, "summarizer", id="one is named"),
        pytest.param([flag(**FELL_BACK)], {}, None, id="it fell back"),
        pytest.param([flag(), flag(**FELL_BACK)], {}, None, id="it fell back at last"),
        pytest.param([flag(), flag("summarizer", **FELL_BACK)], {}, None, id="one of two fell back"),
        pytest.param([flag(**FELL_BACK), flag()], {}, APP, id="it didn't at last"),
    ],
)
def test_what_is_open_stays_open(flags: list[dict[str, Any]], more: dict[str, Any], app: str | None) -> None:
    """The last evaluation of the only app counts; nobody's arm is guessed."""
    told = own(evaluated(*flags, **more))
    assert (told.get("softlaunch.app") if "softlaunch.variant" in told else None) == app


def test_what_the_span_says_itself_comes_first() -> None:
    """An arm that is named isn't mixed with a flag's."""
    told = own(evaluated(flag(), softlaunch__app=APP, softlaunch__unit="bob", softlaunch__arm="stable"))
    assert told == {"softlaunch.app": APP, "softlaunch.unit": "bob", "softlaunch.arm": "stable"}
