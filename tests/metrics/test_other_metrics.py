"""Metrics of structure, similarity, size, time, price and refusals."""

from typing import Any

import pytest

from softlaunch.metrics import Metric, Sample, Score, ToolCall, parse_metric

CALLED = ToolCall("refund", {"order": {"id": 7, "lines": [1, 2]}, "reason": "late"})
SCHEMA = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}


def score(spec: str | dict[str, Any], answer: str = "", **known: Any) -> Score:
    """The score of an answer by the metric of a specification."""
    metric = parse_metric(spec)
    assert isinstance(metric, Metric)
    return metric.score(Sample(answer=answer, **known))


@pytest.mark.parametrize(
    ("answer", "value", "reason"),
    [
        pytest.param('{"city": "Rome"}', 1.0, "", id="fits"),
        pytest.param('Here it is:\n```json\n{"city": "Rome"}\n```', 1.0, "", id="fits between fences"),
        pytest.param('{"city": 7}', 0.0, "$.city: 7 is not of type 'string'", id="wrong type"),
        pytest.param("{}", 0.0, "$: 'city' is a required property", id="missing"),
        pytest.param("Rome", 0.0, "no JSON: ", id="no JSON"),
    ],
)
def test_json_that_fits_a_schema(answer: str, value: float, reason: str) -> None:
    """The reason is the first place that doesn't fit."""
    found = score({"metric": "json_schema", "contract": SCHEMA}, answer)
    assert found.value == value
    assert found.reason.startswith(reason)


def test_json_between_fences_is_no_json_for_who_parses_the_whole_answer() -> None:
    """The raw and the stripped answer are two metrics, and may disagree."""
    assert score("json_schema:strip=none", "```json\n{}\n```").value == 0.0
    assert score("json_schema", "```json\n{}\n```").value == 1.0


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        pytest.param({}, 1.0, id="any arguments"),
        pytest.param({"order": {"id": 7}}, 1.0, id="some of them"),
        pytest.param({"order": {"id": 8}}, 0.0, id="another value"),
        pytest.param({"when": 1}, 0.0, id="one that isn't there"),
    ],
)
def test_tool_calls(arguments: dict[str, Any], value: float) -> None:
    """Wanted arguments must be there at any depth; others are free."""
    spec = {"metric": "tool_call", "tool": "refund", "arguments": arguments}
    assert score(spec, tool_calls=(CALLED,)).value == value


def test_the_tool_may_be_what_the_case_expects() -> None:
    """And without a name from anywhere there is nothing to compare with."""
    assert score("tool_call", tool_calls=(CALLED,), expected="refund").value == 1.0
    assert (
        score("tool_call", tool_calls=(ToolCall("refund", None),), expected="cancel").reason == "called refund(no JSON)"
    )
    assert score("tool_call", expected="cancel") == Score(0.0, "called nothing")
    assert score("tool_call", tool_calls=(CALLED,)).value is None
    assert parse_metric("tool_call").objection(None) == "the name of a tool"


def test_similarity_compares_with_the_reference_and_else_with_what_is_expected() -> None:
    """Case and white space don't count; word order only by letters."""
    assert score("similarity", "The  CAT", reference="the cat").value == 1.0
    assert score("similarity:method=words", "sat the cat", expected="the cat sat").value == 1.0
    assert (score("similarity", "sat the cat", reference="the cat sat").value or 0) < 0.9
    assert score("similarity:at_least=0.5", "sat the cat", reference="the cat sat").value == 1.0
    assert score("similarity:at_least=0.5", "dogs", reference="the cat sat").value == 0.0
    assert score("similarity", "anything").value is None


@pytest.mark.parametrize(
    ("spec", "known", "value"),
    [
        pytest.param("length:maximum=3", {}, 1.0, id="three words"),
        pytest.param("length:maximum=2", {}, 0.0, id="a word too many"),
        pytest.param("length:minimum=14,unit=characters", {}, 0.0, id="a character too few"),
        pytest.param("length:maximum=5,unit=tokens", {"output_tokens": 5}, 1.0, id="tokens"),
        pytest.param("length:maximum=5,unit=tokens", {}, None, id="tokens that nobody counted"),
        pytest.param("latency:limit=500 ms", {"latency_ms": 500.0}, 1.0, id="in time"),
        pytest.param("latency:limit=500 ms", {"latency_ms": 501.0}, 0.0, id="too late"),
        pytest.param("latency:limit=500 ms", {}, None, id="time that nobody took"),
        pytest.param("cost:limit_usd=0.01", {"cost_usd": 0.01}, 1.0, id="cheap enough"),
        pytest.param("cost:limit_usd=0.01", {"cost_usd": 0.011}, 0.0, id="too dear"),
        pytest.param("cost:limit_usd=0.01", {}, None, id="price that nobody knows"),
    ],
)
def test_limits(spec: str, known: dict[str, Any], value: float | None) -> None:
    """Within the limit or not; what is unknown is neither."""
    assert score(spec, "the cat sat.", **known).value == value


@pytest.mark.parametrize(
    ("answer", "refuses"),
    [
        pytest.param("I'm sorry, but I can't assist with that.", True, id="the usual"),
        pytest.param("I cannot help with this.", True, id="cannot"),
        pytest.param("As an AI language model, I have no opinion.", True, id="as a model"),
        pytest.param("Paris. I am sure of it.", False, id="an answer"),
        pytest.param("You can't park there on Sundays.", False, id="somebody else can't"),
        pytest.param("x" * 300 + " I can't.", False, id="long after the opening"),
    ],
)
def test_refusals(answer: str, refuses: bool) -> None:  # noqa: FBT001
    """By how the answer opens, and scored by whether one is wanted."""
    assert score("refusal", answer).value == float(not refuses)
    assert score("refusal:wanted=true", answer).value == float(refuses)


def test_an_empty_answer_is_neither_a_refusal_nor_an_answer() -> None:
    """It is unscored."""
    assert score("refusal", " ").value is None


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        pytest.param("recorded:column=c", "0.25", 0.25, id="a share"),
        pytest.param("recorded:column=c", True, 1.0, id="a truth"),
        pytest.param("recorded:column=c", "No", 0.0, id="no"),
        pytest.param("recorded:column=c,lowest=1,highest=5", 4, 0.75, id="stars"),
        pytest.param("recorded:column=c,lowest=10,highest=0", "10", 0.0, id="less is better"),
        pytest.param("recorded:column=c", "7", None, id="outside"),
        pytest.param("recorded:column=c", "nan", None, id="not a number"),
        pytest.param("recorded:column=c", " ", None, id="empty"),
        pytest.param("recorded:column=c", "fine", None, id="a word"),
        pytest.param("recorded:column=c,right=accepted", " ✔ Accepted", 1.0, id="the right word"),
        pytest.param("recorded:column=c,right=accepted", "Wrong", 0.0, id="another word"),
        pytest.param("recorded:column=d", "1", None, id="another column"),
        pytest.param("preference:column=c", 1.25, 0.25, id="a preference"),
        pytest.param("preference:column=c", "2", 1.0, id="the answer wins"),
        pytest.param("preference:column=c", 1.5, 0.5, id="a draw"),
        pytest.param("preference:column=c", 0, 0.5, id="a draw in the older form"),
        pytest.param("preference:column=c", 0.7, None, id="no preference"),
    ],
)
def test_recorded_columns(spec: str, value: object, expected: float | None) -> None:
    """A number between its bounds, a truth, or a word; what is none of it is unscored."""
    assert score(spec, fields={"c": value}).value == expected
