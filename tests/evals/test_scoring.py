"""Scores of answers and patterns that would take for ever, and of metrics whose parameters are objects."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from softlaunch.core.bounded import Helper
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.judges.judgements import wanted_judgements, with_scores
from softlaunch.evals.statistics.comparison import compare
from softlaunch.evals.statistics.report import MetricPlan
from softlaunch.evals.suites import scoring
from softlaunch.evals.suites.case import Case
from softlaunch.evals.suites.scoring import is_scored_quickly, score_with
from softlaunch.metrics import ACCURACY, AnyMetric, Metric, Sample, parse_metric
from softlaunch.metrics.text import Contains, Regex
from softlaunch.policy.evals import EvalPolicy

FOREVER = r"^(\w+\s?)+$"
ANSWER = "On weekdays the hotline takes calls until 20:00."
OWN = """
import time
from typing import ClassVar
from softlaunch.metrics import Metric, Sample, Score

class Slow(Metric):
    name: ClassVar = "slow"

    def score(self, sample: Sample) -> Score:
        print("printed by somebody's metric")
        if sample.answer == "sleep":
            time.sleep(60)
        if sample.answer == "more":
            bytearray(1 << 30)
        return Score(1.0)
"""


@pytest.fixture(autouse=True)
def afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what other tests found too slow."""
    monkeypatch.setattr(scoring, "_TOO_SLOW", scoring._TooSlow())


def answered(arm: EvalArm, case: Case, text: str) -> EvalAnswer:
    """A call that was answered."""
    return EvalAnswer(CallKey(arm, case.id, 0), "v", Status.SCORED, answer=text)


def test_a_pattern_that_takes_too_long_leaves_its_case_unscored_and_named() -> None:
    """The other cases are scored; the verdict says which one wasn't, and why."""
    slow = Case(id="g04", question="Until when?", expected=FOREVER, metric=parse_metric("regex"))
    cases = [slow, *(Case(id=f"g{number}", question="q", expected="o") for number in range(10, 16))]
    answers = [answered(arm, case, ANSWER) for arm in EvalArm for case in cases]
    scored = with_scores(cases, answers, (), {})
    assert [answer.key.case_id for answer in scored if ACCURACY not in answer.scores] == ["g04", "g04"]
    report = compare(
        cases, scored, EvalPolicy(golden_set="-"), metrics=[MetricPlan(ACCURACY, EvalPolicy(golden_set="-").tolerance)]
    )
    said = next(one.reason for one in report.verdicts if one.gate == f"unscored: {ACCURACY}")
    assert "the first is case g04 (regex: it takes longer than" in said


@pytest.mark.long
def test_what_was_too_slow_is_not_waited_for_again() -> None:
    """A release looks at its answers every second; a pattern that is slow for three isn't tried on a fourth."""
    metric = parse_metric({"metric": "regex", "expected": r"^(a+)+$"})
    for number in (0, 1, 2):
        assert score_with(metric, Sample(answer="a" * (40 + number) + "!")).value is None
    began = time.monotonic()
    assert score_with(metric, Sample(answer="a" * 40 + "!")).value is None
    told = score_with(metric, Sample(answer="a" * 50 + "!")).reason
    assert "isn't tried again" in told
    assert time.monotonic() - began < 0.5


@pytest.mark.parametrize(
    ("spec", "answer", "value"),
    [
        pytest.param("numeric:expected=7", "1" * 1_000_000, 0.0, id="a million digits"),
        pytest.param("numeric:expected=7", "1" + ",111" * 200_000 + " 7", 1.0, id="a million digits with commas"),
        pytest.param("contains:expected=x", " \u0130" * 400_000 + "x", 1.0, id="a megabyte"),
        pytest.param("exact:expected=x,strip=fences", "```\n" * 100_000, 0.0, id="fences"),
        pytest.param("json_schema", "[" * 100_000, None, id="deep JSON"),
        pytest.param("json_schema", "[" * 100_000 + "]" * 100_000, None, id="deep and whole JSON"),
        pytest.param("json_schema", "1" * 1_000_000, 0.0, id="a long number as JSON"),
        pytest.param("length:maximum=10", "x " * 1_000_000, 0.0, id="words"),
        pytest.param("refusal", "I " * 1_000_000, 1.0, id="a long refusal"),
        pytest.param("contains:expected=x", "x" * 20_000_001, None, id="more than anybody writes"),
    ],
)
def test_large_answers_take_seconds_at_most(spec: str, answer: str, value: float | None) -> None:
    """Whatever the metric is."""
    began = time.monotonic()
    assert score_with(parse_metric(spec), Sample(answer=answer)).value == value
    assert time.monotonic() - began < 10


@pytest.mark.long
@pytest.mark.parametrize("method", ["letters", "shared_words"])
def test_texts_that_are_too_long_to_compare_are_unscored(method: str) -> None:
    """Their similarity would take minutes."""
    one, other = ("".join(f"{word} w{number}" for number in range(400_000)) for word in ("one", "other"))
    score = score_with(parse_metric(f"similarity:method={method}"), Sample(answer=one, reference=other))
    assert score.value is None
    assert "longer than" in score.reason


class Elsewhere(Contains):
    """A metric of somebody else's, which inherits from one of ours and may take its time."""


@pytest.mark.parametrize(
    ("metric", "context", "answer", "quickly"),
    [
        pytest.param(Contains(), "", "yes", True, id="short texts"),
        pytest.param(Contains(), "", "yes" * 5_000, False, id="a long answer"),
        pytest.param(Contains(), "a fact " * 5_000, "yes", False, id="a long context"),
        pytest.param(Regex(), "", "yes", False, id="a pattern"),
        pytest.param(Elsewhere(), "", "yes", False, id="somebody else's"),
    ],
)
def test_only_what_is_surely_quick_is_scored_between_calls(
    metric: AnyMetric, context: str, answer: str, *, quickly: bool
) -> None:
    """Anything else would hold up the calls that are under way."""
    case = Case(id="a", question="?", expected="yes", metrics=(metric,), context=context or None)
    assert is_scored_quickly(case, case.sample(answer)) is quickly


def test_reasons_stay_short() -> None:
    """Half a megabyte of an answer helps nobody."""
    contract = {"metric": "json_schema", "contract": {"type": "integer"}}
    score = score_with(parse_metric(contract), Sample(answer='"' + "x" * 500_000 + '"'))
    assert score.value == 0.0
    assert len(score.reason) <= 1_000


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Metric]:
    """A metric of another package, which may take a second and 256 MB."""
    (tmp_path / "metrics_of_ours.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    helper = Helper(cpu_seconds=1, wall_seconds=1, memory_bytes=256 << 20)
    monkeypatch.setattr(scoring, "_of_others", lambda: helper)
    import metrics_of_ours  # type: ignore[import-not-found]  # written above

    yield metrics_of_ours.Slow()
    helper.close()
    del sys.modules["metrics_of_ours"]


@pytest.mark.long
def test_metrics_of_other_packages_have_limits_too(own: Metric, capfd: pytest.CaptureFixture[str]) -> None:
    """Of time and memory; what they print is no part of a document for programs."""
    assert score_with(own, Sample(answer="well")).value == 1.0
    assert "in all" in score_with(own, Sample(answer="sleep")).reason
    assert "more memory than 256 MB" in score_with(own, Sample(answer="more")).reason
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("spec", "answer"),
    [
        pytest.param({"metric": "json_schema", "contract": {"type": "object"}}, '{"a": 1}', id="json_schema"),
        pytest.param('json_schema:contract="{\\"type\\": \\"object\\"}"', '{"a": 1}', id="json_schema in a text"),
        pytest.param("json_schema", '{"a": 1}', id="json_schema of anything"),
        pytest.param(
            {"metric": "tool_call", "tool": "f", "arguments": {"a": {"b": [1, True]}}},
            '{"tool_calls":[{"name":"f","arguments":{"a":{"b":[1,true]}}}]}',
            id="tool_call",
        ),
        pytest.param("tool_call:tool=f", '{"tool_calls":[{"name":"f","arguments":{}}]}', id="tool_call in a text"),
    ],
)
@pytest.mark.parametrize("whose", ["the case's", "the policy's"])
def test_metrics_with_objects_as_parameters_score(spec: str | dict[str, Any], answer: str, whose: str) -> None:
    """Whether a case names them or the policy does for all; none of them asks a judge."""
    metric: AnyMetric = parse_metric(spec)
    case = Case(id="1", question="q", **({"metric": metric} if whose == "the case's" else {"metrics": ()}))
    every = () if whose == "the case's" else (metric,)
    answers = [answered(arm, case, answer) for arm in EvalArm]
    assert list(wanted_judgements([case], answers, every)) == []
    name = ACCURACY if whose == "the case's" else metric.key
    assert [one.scores[name] for one in with_scores([case], answers, every, {})] == [1.0, 1.0]
    assert parse_metric(metric.key) == metric
    assert len({metric, parse_metric(metric.key)}) == 1


@pytest.mark.parametrize(
    ("found", "wanted", "value"),
    [
        pytest.param(True, 1, 0.0, id="true is not 1"),
        pytest.param(0, False, 0.0, id="0 is not false"),
        pytest.param([1, [True]], [1, [1]], 0.0, id="further down"),
        pytest.param(1.0, 1, 1.0, id="one number"),
        pytest.param([1], [1, 2], 0.0, id="a shorter list"),
        pytest.param([{"a": 1, "b": 2}], [{"a": 1}], 0.0, id="an object of a list is taken whole"),
    ],
)
def test_arguments_are_compared_as_json(found: object, wanted: object, value: float) -> None:
    """By type and value."""
    metric = parse_metric({"metric": "tool_call", "tool": "f", "arguments": {"a": wanted}})
    calls = Case(id="1", question="q", metric=metric).sample("", tool_calls=(_call(found),))
    assert score_with(metric, calls).value == value


def _call(argument: object) -> Any:
    from softlaunch.evals.calls.tool_calls import tool_calls_of

    function = {"name": "f", "arguments": {"a": argument}}
    return tool_calls_of({"tool_calls": [{"function": function}]})[0]
