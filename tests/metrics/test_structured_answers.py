"""JSON wherever models put it, and calls of tools in their order."""

import pytest

from softlaunch.metrics import Metric, MetricError, Sample, Score, ToolCall, parse_metric


def judged(spec: str | dict[str, object], answer: str = "", *called: str) -> Score:
    """An answer's score by a metric."""
    metric = parse_metric(spec)
    assert isinstance(metric, Metric)
    return metric.score(Sample(answer=answer, tool_calls=tuple(ToolCall(name, {}) for name in called)))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param('{"a": 1}', id="plain"),
        pytest.param('```json\n{"a": 1}\n```', id="a fence"),
        pytest.param('```json {"a": 1}```', id="a fence on one line"),
        pytest.param('```{"a": 1}```', id="a fence without a name"),
        pytest.param('~~~json\n{"a": 1}\n~~~', id="tildes"),
        pytest.param('Here:\n```JSON\n{"a": 1}\n```\nDone.', id="prose around the fence"),
        pytest.param('<think>{"b": 2}?</think>{"a": 1}', id="after thoughts"),
        pytest.param('a or b?</think>\n```json\n{"a": 1}\n```', id="thoughts whose beginning is cut off"),
        pytest.param('```bash\nls\n```\n```json\n{"a": 1}\n```', id="another block before"),
        pytest.param('```json\n{"b": 2}\n```\nno:\n```json\n{"a": 1}\n```', id="the last of two"),
        pytest.param('```json\n{"a": 1}', id="the closing fence is cut off"),
        pytest.param('````\n{"a": 1}\n````', id="four backticks"),
        pytest.param('> ```json\n{"a": 1}\n```', id="quoted"),
    ],
)
def test_json_is_read_wherever_it_is_fenced(answer: str) -> None:
    """The fence, its name and what was thought before are not the answer."""
    assert judged('json_schema:contract={"required": ["a"]}', answer) == Score(1.0)


def test_json_that_is_cut_off_is_said_to_be() -> None:
    """A limit of tokens is another fault than a wrong form."""
    assert judged("json_schema", '```json\n{"a": [1, 2').reason.startswith("no JSON, cut off")
    assert judged("json_schema", "Sure!").reason.startswith("no JSON:")


def test_json_within_prose_counts_only_where_it_is_asked_for() -> None:
    """Any object or list that fits will do then, and one that doesn't is named."""
    answer = 'Sure! [1] {"temp": 20}, and have a nice day.'
    plain: dict[str, object] = {"metric": "json_schema", "contract": {"required": ["temp"], "type": "object"}}
    within = {**plain, "prose": True}
    assert judged(plain, answer).value == 0.0
    assert judged(within, answer) == Score(1.0)
    assert judged(within, 'Sure! {"rain": 1}.').reason.startswith("$: 'temp' is a required property")
    assert judged("json_schema:prose=true", "none {here").value == 0.0
    assert judged("json_schema:prose=true", "[" * 50_000).value in (0.0, None)


@pytest.mark.parametrize(
    ("spec", "called", "right"),
    [
        pytest.param('order=["a", "b"]', "a b", True, id="in order"),
        pytest.param('order=["a", "b"]', "a x b", True, id="others in between"),
        pytest.param('order=["a", "b"]', "b a", False, id="the other way round"),
        pytest.param('order=["a", "a"]', "a", False, id="twice"),
        pytest.param('only=["a"]', "a a", True, id="nothing else"),
        pytest.param('only=["a"]', "a x", False, id="something else"),
        pytest.param('only=["a"]', "", True, id="nothing at all"),
        pytest.param('never=["x"]', "a", True, id="never"),
        pytest.param('never=["x"]', "a x", False, id="forbidden"),
    ],
)
def test_calls_are_held_to_their_order_and_bounds(spec: str, called: str, right: bool) -> None:  # noqa: FBT001
    """These in this order, only these, never those."""
    quoted = spec.replace('"', '\\"').replace("=", '="') + '"'
    assert judged(f"tool_calls:{quoted}", "", *called.split()).value == float(right)


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"order": ["a"], "never": ["a"]}, id="wanted and forbidden"),
        pytest.param({"order": ["a"], "only": ["b"]}, id="wanted and left out"),
    ],
)
def test_calls_that_nothing_can_satisfy_are_refused(parameters: dict[str, list[str]]) -> None:
    """A case that always fails shows nothing."""
    with pytest.raises(MetricError, match="metric tool_calls"):
        parse_metric({"metric": "tool_calls", **parameters})
